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
  relation approved: user | group#member
  permission view = viewer - banned
  permission both = viewer & approved
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


@pytest.mark.parametrize("relation", ["viewer", "view", "both"])
async def test_every_shape_is_asked_once_in_5000_subjects(relation: str) -> None:
    """A union, an exclusion, and an intersection of which each subject is checked."""
    count, groups = 3_000, 10
    approved = ["document:a#approved@group:top#member"]
    conditional = [f"document:a#viewer@user:{n:05}x[fits]" for n in range(count)]
    engine, storage = await engine_with(*in_groups(count, groups), *approved, *conditional)
    found = 0
    asked = replace(VIEW, relation=relation)
    async for page in engine.stream_subjects("default", asked, Way(1000, deadline=60.0)):
        found += len(page.subjects)
        assert not page.gaps
    assert found == (count if relation == "both" else 2 * count)
    assert storage.fetched <= 3


@pytest.mark.parametrize("relation", ["view", "both"])
async def test_pages_share_a_walk(relation: str) -> None:
    approved = ["document:a#approved@group:top#member"]
    engine, storage = await engine_with(*in_groups(1_000, 10), *approved)
    asked = replace(VIEW, relation=relation)
    first = await engine.lookup_subjects("default", asked, Way(400))
    assert storage.fetched == 3
    names = [item.subject.id for item in first.subjects]
    way: Way | None = Way(300, first.cursor)
    while way is not None:
        answer = await engine.lookup_subjects("default", asked, way)
        names += [item.subject.id for item in answer.subjects]
        way = None if answer.cursor is None else Way(300, answer.cursor)
    assert names == [f"{n:05}" for n in range(1_000)]
    assert storage.fetched == 3


async def test_a_walk_is_of_its_question_alone() -> None:
    extra = ["document:a#viewer@user:late[fits]", "document:b#viewer@user:bob"]
    engine, storage = await engine_with(*in_groups(10, 2), *extra)
    first = await engine.lookup_subjects("default", VIEW, Way(2))
    assert first.cursor is not None
    storage.restart()
    for other in (replace(VIEW, context={"x": 1}), replace(VIEW, object=Object("document", "b"))):
        again = await engine.lookup_subjects("default", other, Way(2))
        assert again.subjects
    assert storage.fetched > 0
    rest = await engine.lookup_subjects("default", VIEW, Way(20, first.cursor))
    last = rest.subjects[-1]
    assert last.subject.id == "late"
    assert list(last.decision.missing) == ["x"]


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
