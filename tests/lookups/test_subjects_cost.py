"""What a lookup of subjects reads, and how it ends when a budget is used up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.engine import Engine
from engine.errors import BudgetExceeded
from engine.limits import Limits
from engine.pages import Way
from engine.requests import LookupSubjects, WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, parse_tuple
from tests.lookups.counting import CountingStorage

SCHEMA = """definition user {}

definition group {
  relation member: user | group#member
}

caveat fits(x int) {
  x == 1
}

definition document {
  relation viewer: user | group#member | user with fits
  relation banned: user
  permission view = viewer - banned
}
"""
VIEW = LookupSubjects(Object("document", "a"), "view", "user")


async def engine_with(*tuples: str, limits: Limits | None = None) -> tuple[Engine, CountingStorage]:
    storage = CountingStorage()
    engine = Engine(storage, limits=limits)
    await engine.create_store("default")
    await engine.write_schema("default", SCHEMA)
    for start in range(0, len(tuples), 10_000):
        part = tuples[start : start + 10_000]
        updates = [Update(UpdateOp.CREATE, parse_tuple(item)) for item in part]
        await engine.import_batch("default", WriteRequest(updates))
    storage.restart()
    return engine, storage


def in_groups(count: int, groups: int) -> list[str]:
    """A viewer group with groups in it, and `count` users in these."""
    made = ["document:a#viewer@group:top#member", "document:a#banned@user:nobody"]
    made += [f"group:top#member@group:{n}#member" for n in range(groups)]
    return made + [f"group:{n % groups}#member@user:{n:05}" for n in range(count)]


@pytest.mark.parametrize(("count", "groups"), [(10, 2), (1_000, 20), (20_000, 6_000)])
async def test_round_trips_grow_with_depth_alone(count: int, groups: int) -> None:
    engine, storage = await engine_with(*in_groups(count, groups))
    found = 0
    async for page in engine.stream_subjects("default", VIEW, Way(1000)):
        found += len(page.subjects)
        assert not page.gaps
    assert found == count
    depth = 3  # the document, the group above, the groups in it
    assert storage.fetched <= depth + groups // 5_000


async def test_a_page_reads_as_much_as_the_list() -> None:
    engine, storage = await engine_with(*in_groups(1_000, 10))
    answer = await engine.lookup_subjects("default", VIEW, Way(1))
    assert answer.cursor is not None
    assert storage.fetched == 3


async def test_who_is_sure_is_listed_though_the_walk_was_stopped() -> None:
    tuples = ["document:a#viewer@user:ann", *in_groups(1_000, 10)]
    engine, _ = await engine_with(*tuples, limits=Limits(evaluation_reads=500))
    viewers = replace(VIEW, relation="viewer")
    answer = await engine.lookup_subjects("default", viewers)
    assert [str(item.subject) for item in answer.subjects] == ["user:ann"]
    (gap,) = answer.gaps
    assert (gap.about, type(gap.error), answer.cursor) == ("", BudgetExceeded, None)
    answer = await engine.lookup_subjects("default", VIEW)
    assert (answer.subjects, answer.cursor, len(answer.gaps)) == ((), None, 1)
    count = await engine.count_subjects("default", viewers)
    assert (count.allowed, len(count.gaps)) == (1, 1)


async def test_a_stopped_list_has_pages() -> None:
    tuples = [f"document:a#viewer@user:{name}" for name in ("ann", "bob", "cy")]
    engine, _ = await engine_with(
        *tuples, *in_groups(1_000, 10), limits=Limits(evaluation_reads=500)
    )
    way: Way | None = Way(2)
    found, gaps = [], 0
    while way is not None:
        answer = await engine.lookup_subjects("default", replace(VIEW, relation="viewer"), way)
        found += [item.subject.id for item in answer.subjects]
        gaps += len(answer.gaps)
        way = None if answer.cursor is None else Way(2, answer.cursor)
    assert (found, gaps) == (["ann", "bob", "cy"], 2)


async def test_no_time_is_a_gap_and_not_an_answer() -> None:
    engine, _ = await engine_with(*in_groups(1_000, 10))
    answer = await engine.lookup_subjects("default", VIEW, Way(deadline=0.0))
    assert (answer.subjects, answer.cursor) == ((), None)
    (gap,) = answer.gaps
    assert isinstance(gap.error, BudgetExceeded)


async def test_candidates_are_asked_alone() -> None:
    engine, storage = await engine_with(*in_groups(10_000, 10), limits=Limits(evaluation_reads=500))
    asked = replace(VIEW, candidates=["00007", "zoe", "00007", "nobody", "*"])
    answer = await engine.lookup_subjects("default", asked)
    assert [item.subject.id for item in answer.subjects] == ["00007"]
    # Three rounds for the wildcard, which comes first, and three for the others.
    assert (answer.gaps, storage.fetched) == ((), 6)
