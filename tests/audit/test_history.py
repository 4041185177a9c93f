"""History: who did what to the tuples of an object or a subject, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.engine import Engine
from engine.errors import BudgetExceeded, EngineError, InvalidCursor
from engine.history import History, HistoryEvent
from engine.limits import Limits
from engine.pages import Way
from engine.requests import FULLY_CONSISTENT, AtExactSnapshot, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import TupleFilter
from engine.tuples import format_time
from tests.audit.conftest import Clock
from tests.store.tenant import delete, touch

SCHEMA = """use expiration
definition user {}
definition document {
  relation viewer: user | user with expiration
}"""
PLAN = TupleFilter(object_type="document", object_id="plan")
ANN = TupleFilter(subject_type="user", subject_id="ann")


async def told(engine: Engine, filter_: TupleFilter, size: int = 1000) -> list[HistoryEvent]:
    """All of it, oldest first, read in pages; the other way round it is the same."""
    made = []
    for newest_first in (False, True):
        found: list[HistoryEvent] = []
        way = Way(size, None, FULLY_CONSISTENT)
        while True:
            page = await engine.history("acme", History(filter_, newest_first), way)
            found += page.events
            if page.cursor is None:
                break
            assert len(page.events) == size
            way = replace(way, cursor=page.cursor)
        made.append(found)
    assert sorted(map(repr, made[0])) == sorted(map(repr, made[1]))
    return made[0]


def shown(events: Sequence[HistoryEvent]) -> list[str]:
    return [f"{'expired' if one.expired else one.op} {one.tuple}" for one in events]


async def test_it_tells_who_and_why(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    first = WriteRequest(
        touch("document:plan#viewer@user:ann"), metadata={"ticket": 7}, actor="shop"
    )
    made = await engine.write("acme", first)
    await engine.write("acme", WriteRequest(touch("document:plan#viewer@user:bob")))
    await engine.write("acme", WriteRequest(delete("document:plan#viewer@user:ann"), actor="x"))
    events = await told(engine, PLAN)
    assert shown(events) == [
        "touch document:plan#viewer@user:ann",
        "touch document:plan#viewer@user:bob",
        "delete document:plan#viewer@user:ann",
    ]
    assert (events[0].zookie, events[0].actor) == (made.zookie, "shop")
    assert (events[0].metadata, events[2].actor) == ({"ticket": 7}, "x")
    times = [one.committed_at for one in events]
    assert times == sorted(times)
    assert shown(await told(engine, ANN)) == [shown(events)[0], shown(events)[2]]
    early = Way(consistency=AtExactSnapshot(made.zookie))
    page = await engine.history("acme", History(PLAN), early)
    assert page.events == (events[0],)
    assert page.zookie == made.zookie


async def test_what_expired_is_told_apart_from_what_was_deleted(
    engine: Engine, clock: Clock
) -> None:
    await engine.write_schema("acme", SCHEMA)
    base = datetime.now(UTC)
    clock.ahead = timedelta(hours=-2)
    gone = f"document:plan#viewer@user:ann[expiration:{format_time(base - timedelta(hours=1))}]"
    kept = f"document:plan#viewer@user:bob[expiration:{format_time(base + timedelta(hours=9))}]"
    await engine.write("acme", WriteRequest(touch(gone, kept)))
    clock.ahead = timedelta()
    await engine.collect_garbage("acme", window=timedelta(days=1))
    await engine.write("acme", WriteRequest(delete("document:plan#viewer@user:bob")))
    assert shown(await told(engine, PLAN)) == [
        f"touch {gone}",
        f"touch {kept}",
        f"expired {gone}",
        f"delete {kept}",
    ]


async def test_pages_are_of_one_snapshot(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    for number in range(5):
        names = (f"document:plan#viewer@user:{number}{letter}" for letter in "ab")
        await engine.write("acme", WriteRequest(touch(*names)))
    whole = await told(engine, PLAN)
    assert len(whole) == 10
    for size in (1, 2, 3):
        assert await told(engine, PLAN, size) == whole
    way = Way(4, None, FULLY_CONSISTENT)
    page = await engine.history("acme", History(PLAN, newest_first=False), way)
    await engine.write("acme", WriteRequest(touch("document:plan#viewer@user:late")))
    rest = await engine.history("acme", History(PLAN, newest_first=False), Way(1000, page.cursor))
    assert [*page.events, *rest.events] == whole
    with pytest.raises(InvalidCursor):
        await engine.history("acme", History(PLAN), Way(4, page.cursor))


@pytest.mark.parametrize(
    "filter_",
    [
        TupleFilter(),
        TupleFilter(object_type="document"),
        TupleFilter(subject_id="ann", relation="viewer"),
        TupleFilter(object_id="plan", subject_type="user"),
    ],
)
async def test_a_filter_names_an_object_or_a_subject(engine: Engine, filter_: TupleFilter) -> None:
    with pytest.raises(EngineError) as refused:
        await engine.history("acme", History(filter_))
    assert (refused.value.status, refused.value.field) == (400, "filter")


async def test_a_page_is_bounded(engine: Engine) -> None:
    for limit in (0, 1001):
        with pytest.raises(EngineError) as refused:
            await engine.history("acme", History(PLAN), Way(limit))
        assert refused.value.code == "limit_exceeded"


async def test_what_would_be_sorted_is_bounded(engine: Engine) -> None:
    if isinstance(engine.storage, MemoryStorage):
        return  # it sorts nothing
    await engine.write_schema("acme", SCHEMA)
    names = [f"document:plan#viewer@user:{number}" for number in range(6)]
    await engine.write("acme", WriteRequest(touch(*names)))
    small = Engine(engine.storage, limits=replace(Limits(), evaluation_reads=5))
    with pytest.raises(BudgetExceeded):
        await small.history("acme", History(PLAN), Way(1))
    narrow = PLAN._replace(subject_type="user", subject_id="3")
    assert len((await small.history("acme", History(narrow), Way(1))).events) == 1
    await small.freshness.close()
