"""Time as an input: what expires, what the time asked for sees, and what tending removes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.engine import Engine
from engine.errors import EngineError
from engine.requests import AtExactSnapshot, AtTime, WriteRequest
from engine.store.memory import MemoryStorage
from tests.engine.facade import allowed, stored
from tests.store.tenant import create, touch


class Hours:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


TIMED = """
use expiration
definition user {}
definition document { relation viewer: user | user with expiration }
"""
ANN = "document:1#viewer@user:ann"
TEN, TWELVE = (datetime(2030, 1, 1, hour, tzinfo=UTC) for hour in (10, 12))


async def timed() -> tuple[Engine, Hours, str]:
    """An engine whose store has a viewer until ten, and the zookie of midnight."""
    clock = Hours()
    engine = Engine(MemoryStorage(clock), clock=clock)
    await engine.create_store("acme")
    await engine.write_schema("acme", TIMED)
    written = await engine.write(
        "acme", WriteRequest(touch(f"{ANN}[expiration:2030-01-01T10:00:00Z]"))
    )
    clock.now = TWELVE
    return engine, clock, written.zookie


async def test_now_is_that_of_the_time_asked_for() -> None:
    engine, _, midnight = await timed()
    assert not await allowed(engine, ANN)
    assert await allowed(engine, ANN, AtExactSnapshot(midnight))
    assert await allowed(engine, ANN, AtTime(TEN - timedelta(microseconds=1)))
    assert not await allowed(engine, ANN, AtTime(TEN))
    with pytest.raises(EngineError) as refused:
        await allowed(engine, ANN, AtTime(TWELVE + timedelta(seconds=1)))
    assert refused.value.code == "invalid_request"


async def test_an_expired_tuple_is_as_good_as_gone_for_writes() -> None:
    engine, _, _ = await timed()
    assert await stored(engine) == []
    answer = await engine.write("acme", WriteRequest(create(ANN)))
    assert answer.results == ("created",)
    assert await allowed(engine, ANN)


async def test_tending_removes_what_expired_and_tells_watchers() -> None:
    engine, _, midnight = await timed()
    events = engine.watch("acme", after=midnight)
    assert (await anext(events)).heartbeat
    assert await engine.collect_garbage("acme", window=timedelta(days=1)) == 1
    event = await anext(events)
    assert [(op, str(item)[: len(ANN)]) for op, item in event.changes] == [("delete", ANN)]
    await events.aclose()
    assert await engine.collect_garbage(window=timedelta(days=1)) == 0
    assert await allowed(engine, ANN, AtTime(TEN - timedelta(seconds=1)))


async def test_tending_gives_up_old_history_of_every_store() -> None:
    engine, clock, midnight = await timed()
    await engine.create_store("other")
    await engine.write("acme", WriteRequest(create("document:2#viewer@user:bob")))
    clock.now = TWELVE + timedelta(days=2)
    await engine.write("acme", WriteRequest(create(ANN)))
    assert await engine.collect_garbage(window=timedelta(days=1)) >= 1
    fresh = Engine(engine.storage, clock=clock)
    with pytest.raises(EngineError) as gone:
        await allowed(fresh, ANN, AtExactSnapshot(midnight))
    assert gone.value.code == "snapshot_expired"
    assert await allowed(fresh, ANN)
