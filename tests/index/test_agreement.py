"""The evaluator on an index agrees with the oracle: looking, with closures, and as both move on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import perf_counter

import pytest

from engine import asking
from engine.asking import Ground
from engine.budget import Budget
from engine.caveats import CaveatSet
from engine.decision import Decision
from engine.errors import EngineError
from engine.index.local import NodeReader
from engine.limits import Limits
from engine.requests import Check
from engine.schemas import CompiledSchema
from engine.sight import Asked
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot, Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple
from tests.engine.agreement import plant, simplified
from tests.index.indexed import IndexedStorage
from tests.reference import Oracle, World
from tests.worlds import NOW, Worlds

SEEDS = 60
MOVES = 4


class Node:
    """A world in a storage with an index, and the questions about it."""

    def __init__(self, seed: int) -> None:
        worlds = Worlds(seed)
        self.world = worlds.world()
        self.checks = worlds.checks(self.world, 2, 15)
        self.compiled = CompiledSchema(self.world.schema, CaveatSet(self.world.schema))
        self.storage = IndexedStorage(follows=False)
        self.snapshot: Snapshot | None = None

    async def begin(self) -> None:
        """Write the world, and have it indexed."""
        self.snapshot = await plant(self.storage, self.world.tuples)
        await self.storage.level(self.snapshot.store_id)

    async def move(self, tuples: Sequence[RelationTuple]) -> None:
        """Make `tuples` the world's, by one revision, and bring the index level."""
        assert self.snapshot is not None
        gone = {item.identity: item for item in self.world.tuples}
        for item in tuples:
            gone.pop(item.identity, None)
        updates = [Update(UpdateOp.TOUCH, item) for item in tuples]
        updates += [Update(UpdateOp.DELETE, item) for item in gone.values()]
        command = WriteCommand(updates, (), 0, NOW)
        self.snapshot = (await self.storage.write(self.snapshot.store_id, command)).snapshot
        self.world = self.world._replace(tuples=tuples)
        await self.storage.level(self.snapshot.store_id)

    def reader(self, snapshot: Snapshot) -> NodeReader:
        """A reader of the index, which must show the snapshot."""
        reader = self.storage.local.reader(snapshot, MemoryStorage.reader(self.storage, snapshot))
        assert reader.local() is not None
        return reader

    def ground(self, snapshot: Snapshot) -> Ground:
        """What questions at a snapshot stand on."""
        return Ground(self.compiled, self.reader(snapshot), self.world.now, Limits())

    def close_over(self, check: Check) -> None:
        """Have the closure made that would serve a check."""
        assert self.snapshot is not None
        subject = check.subject
        planner = self.compiled.plans.for_subject(subject.type, subject.relation)
        plan = planner.plan(check.object.type, check.relation)
        if plan is not None:
            place = (check.object.type, check.relation)
            asked = Asked(subject, self.compiled.entrances(plan.form), place)
            reader = self.reader(self.snapshot)
            reader.closure(asked)
            reader.walked(asked, 10_000)
            assert reader.closure(asked) is not None

    async def differences(self, world: World, snapshot: Snapshot) -> list[str]:
        """Checks, one by one and together, that the oracle decides otherwise."""
        everything = [Object(kind, id_) for kind in world.schema.object_types for id_ in "12"]
        subjects = {check.subject for check in self.checks}
        oracles = {subject: Oracle(world, subject, everything) for subject in subjects}
        together = await asking.answer(self.ground(snapshot), self.checks, plenty())
        found = []
        for check, result in zip(self.checks, together, strict=True):
            expected = oracles[check.subject].answer(check.object, check.relation)
            alone = await one(self.ground(snapshot), check)
            at_once = now(self.ground(snapshot), check)
            for said in (simplified(result), simplified(alone), simplified(at_once)):
                if said != expected:
                    question = f"{check.object}#{check.relation}@{check.subject}"
                    found.append(f"{question} is {expected}, answered {said!r}")
        return found


def plenty() -> Budget:
    """More than any of these questions may cost."""
    return Budget(10**6, 10**6, perf_counter() + 60)


async def one(ground: Ground, check: Check) -> Decision | EngineError:
    """The result of a single check."""
    try:
        return (await asking.answer_one(ground, check, plenty()))[0]
    except EngineError as error:
        return error


def now(ground: Ground, check: Check) -> Decision | EngineError:
    """The result of a single check that is asked without waiting."""
    try:
        decision = asking.answer_now(ground, check, plenty(), perf_counter() + 60)
    except EngineError as error:
        return error
    assert decision is not None
    return decision


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_an_index_answers_as_the_oracle(seed: int) -> None:
    node = Node(seed)
    draw = random.Random(seed)
    try:
        await node.begin()
        assert node.snapshot is not None
        assert await node.differences(node.world, node.snapshot) == []
        pasts = [(node.world, node.snapshot)]
        tuples = list(node.world.tuples)
        for _ in range(MOVES):
            for check in node.checks:
                node.close_over(check)
            assert await node.differences(node.world, node.snapshot) == []
            await node.move(draw.sample(tuples, draw.randint(0, len(tuples))))
            pasts.append((node.world, node.snapshot))
            assert await node.differences(node.world, node.snapshot) == []
        for world, snapshot in pasts:
            assert await node.differences(world, snapshot) == []
    finally:
        await node.storage.close()
