"""Identical checks under way at once are one evaluation, and never each other's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import BudgetExceeded, Unavailable
from engine.reader import Edge, Probe, ReverseEdge, ReverseReader, ReverseScan, Scan
from engine.requests import FULLY_CONSISTENT, Check, CheckAnswer, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot, Update, UpdateOp
from engine.tuples import parse_object, parse_subject, parse_tuple

SCHEMA = """\
use expiration
definition user {}
definition document {
    relation viewer: user | user with expiration
}
"""


class Gated(MemoryStorage):
    """Its reads wait until the gate is open, and can fail; `reads` counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = asyncio.Semaphore(0)
        self.reads = 0
        self.failures = 0

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        return _Gated(self, super().reader(snapshot))


class _Gated:
    def __init__(self, storage: Gated, reader: ReverseReader) -> None:
        self._storage = storage
        self._reader = reader

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        self._storage.reads += 1
        self._storage.waiting.release()
        await self._storage.gate.wait()
        if self._storage.failures:
            self._storage.failures -= 1
            raise Unavailable("as planned")
        return await self._reader.fetch(probes, scans, limit)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        return await self._reader.objects_of(scans, each, limit)


class World:
    """An engine over gated storage with one document."""

    def __init__(self) -> None:
        self.storage = Gated()
        self.engine = Engine(self.storage)

    async def begin(self, *tuples: str) -> None:
        """Write the schema and the tuples."""
        await self.engine.create_store("acme")
        await self.engine.write_schema("acme", SCHEMA)
        updates = [Update(UpdateOp.TOUCH, parse_tuple(text)) for text in tuples]
        await self.engine.write("acme", WriteRequest(updates))

    def ask(self, subject: str = "user:ann", **options: Any) -> asyncio.Task[CheckAnswer]:
        """A check under way."""
        check = Check(parse_object("document:1"), "viewer", parse_subject(subject))
        return asyncio.create_task(self.engine.check("acme", check, FULLY_CONSISTENT, **options))

    async def reading(self, count: int) -> None:
        """Return when so many reads more have begun."""
        for _ in range(count):
            async with asyncio.timeout(30):
                await self.storage.waiting.acquire()


async def settled() -> None:
    """Let every task run until it waits for something that is not there yet."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin("document:1#viewer@user:ann")
    return world


async def test_identical_checks_are_one_evaluation(world: World) -> None:
    asked = [world.ask() for _ in range(5)]
    await world.reading(1)
    await settled()
    world.storage.gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer.decision.allowed for answer in answers] == [True] * 5
    assert world.storage.reads == 1


async def test_other_checks_are_not_shared(world: World) -> None:
    asked = [world.ask("user:ann"), world.ask("user:bob")]
    await world.reading(2)
    world.storage.gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer.decision.allowed for answer in answers] == [True, False]


async def test_what_expires_is_decided_by_each_at_its_own_time() -> None:
    world = World()
    until = datetime(2999, 1, 1, tzinfo=UTC).isoformat()
    await world.begin(f"document:1#viewer@user:ann[expiration:{until}]")
    asked = [world.ask() for _ in range(3)]
    await world.reading(1)
    await settled()
    world.storage.gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer.decision.allowed for answer in answers] == [True] * 3
    assert world.storage.reads == 3


async def test_an_error_of_one_is_not_the_others(world: World) -> None:
    asked = [world.ask() for _ in range(3)]
    await world.reading(1)
    await settled()
    world.storage.failures = 1
    world.storage.gate.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results[0], Unavailable)
    assert [r.decision.allowed for r in results[1:] if isinstance(r, CheckAnswer)] == [True, True]


async def test_one_that_is_cancelled_leaves_the_others_to_themselves(world: World) -> None:
    first, second = world.ask(), world.ask()
    await world.reading(1)
    await settled()
    first.cancel()
    await world.reading(1)
    world.storage.gate.set()
    assert (await second).decision.allowed
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_each_keeps_its_own_deadline(world: World) -> None:
    first = world.ask()
    await world.reading(1)
    with pytest.raises(BudgetExceeded):
        await world.ask(deadline=0.01)
    world.storage.gate.set()
    assert (await first).decision.allowed
