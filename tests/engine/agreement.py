"""Asks the evaluator and the oracle the same questions, one random world at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

from engine.budget import Budget
from engine.caveats import CaveatSet
from engine.decision import Decision, Verdict
from engine.errors import EngineError
from engine.limits import Limits
from engine.requests import Check
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot, Storage, Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple
from tests.reference import Oracle, World
from tests.worlds import NOW, Worlds

SUBJECTS, EACH = 2, 20
CHECKS_PER_WORLD = SUBJECTS * EACH
Answer = Callable[[World, Sequence[Check]], Awaitable[Sequence[Decision | EngineError]]]


async def plant(storage: Storage, tuples: Sequence[RelationTuple]) -> Snapshot:
    """Write tuples into a new store below validation, as an older schema might have left them."""
    count = len(await storage.list_stores("", 1000))
    store = await storage.create_store(f"world-{count}")
    updates = [Update(UpdateOp.CREATE, item) for item in tuples]
    return (await storage.write(store.id, WriteCommand(updates, (), 0, NOW))).snapshot


def answerer(asking: Any) -> Answer:
    """Answers with a module that is `engine.asking` or a copy of it, over the memory store."""

    async def answer(world: World, checks: Sequence[Check]) -> Sequence[Decision | EngineError]:
        storage = MemoryStorage()
        snapshot = await plant(storage, world.tuples)
        compiled = asking.CompiledSchema(world.schema, CaveatSet(world.schema))
        ground = asking.Ground(compiled, storage.reader(snapshot), world.now, Limits())
        budget = Budget(10**6, 10**6, perf_counter() + 60)
        results: Sequence[Decision | EngineError] = await asking.answer(ground, checks, budget)
        return results

    return answer


def simplified(result: Decision | EngineError) -> str | frozenset[str]:
    """A result in the oracle's words."""
    if isinstance(result, EngineError):
        return "error"
    return result.missing if result.verdict is Verdict.CONDITIONAL else str(result.verdict)


def in_words(said: str | frozenset[str]) -> str:
    """What was said as a text: equal sets of names may print in different orders."""
    return said if isinstance(said, str) else "missing " + ", ".join(sorted(said))


async def compare(seed: int, answer: Answer, tally: Counter[str]) -> list[str]:
    """The disagreements in the world of one seed, in words; counts the oracle's answers."""
    worlds = Worlds(seed, strict=seed % 4 == 0)
    world = worlds.world()
    checks = worlds.checks(world, SUBJECTS, EACH)
    everything = [Object(kind, id_) for kind in world.schema.object_types for id_ in "12"]
    subjects = {check.subject for check in checks}
    oracles = {subject: Oracle(world, subject, everything) for subject in subjects}
    found = []
    for check, result in zip(checks, await answer(world, checks), strict=True):
        expected = oracles[check.subject].answer(check.object, check.relation)
        tally[expected if isinstance(expected, str) else "conditional"] += 1
        if simplified(result) != expected:
            question = f"{check.object}#{check.relation}@{check.subject}"
            found.append(f"seed {seed}: {question} is {expected}, answered {result!r}")
    return found
