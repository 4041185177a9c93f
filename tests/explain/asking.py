"""Explained checks in random worlds, and what it takes to look at them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from engine.asking import Ground, answer
from engine.budget import Budget
from engine.caveats import CaveatSet
from engine.decision import Decision
from engine.errors import EngineError
from engine.explain import Source, explain
from engine.limits import Limits
from engine.requests import Check
from engine.schemas import CompiledSchema
from engine.store.memory import MemoryStorage
from engine.tuples import RelationTuple
from tests.engine.agreement import plant
from tests.reference import World
from tests.worlds import Worlds

GENEROUS = Limits(explain_seconds=60.0, explain_reads=10**6)
PROOFS_ONLY = replace(GENEROUS, explain_ways=0)


@dataclass(frozen=True, slots=True)
class Explained:
    """A check in a world, its decision, and its explanation."""

    world: World
    check: Check
    decision: Decision
    proof: dict[str, Any]

    @property
    def question(self) -> str:
        """The check in words."""
        return f"{self.check.object}#{self.check.relation}@{self.check.subject}"


async def decide(
    world: World, checks: Sequence[Check], tuples: Sequence[RelationTuple]
) -> list[Decision | EngineError]:
    """The answers in a world that holds these tuples."""
    ground, _ = await prepared(world, tuples)
    return await answer(ground, checks, Budget(10**6, 10**6, perf_counter() + 60))


async def prepared(
    world: World, tuples: Sequence[RelationTuple], limits: Limits = GENEROUS
) -> tuple[Ground, Source]:
    """The world in a store of its own."""
    storage = MemoryStorage()
    snapshot = await plant(storage, tuples)
    compiled = CompiledSchema(world.schema, CaveatSet(world.schema))
    return (
        Ground(compiled, storage.reader(snapshot), world.now, limits),
        Source(storage, snapshot),
    )


async def explained(seed: int, limits: Limits = GENEROUS, each: int = 4) -> list[Explained]:
    """The checks of one random world with their explanations; checks that fail have none."""
    worlds = Worlds(seed)
    world = worlds.world()
    checks = worlds.checks(world, 2, each)
    ground, source = await prepared(world, world.tuples, limits)
    decisions = await answer(ground, checks, Budget(10**6, 10**6, perf_counter() + 60))
    found = []
    for check, decision in zip(checks, decisions, strict=True):
        if isinstance(decision, Decision):
            proof = await explain(ground, check, decision, source, perf_counter() + 60)
            found.append(Explained(world, check, decision, proof))
    return found
