"""What a list of objects promises beside its entries: order, one snapshot, honest gaps, cost."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from engine.engine import Engine
from engine.errors import InvalidCursor
from engine.limits import Limits
from engine.pages import Way
from engine.requests import (
    FULLY_CONSISTENT,
    Check,
    LookupObjects,
    ObjectsAnswer,
    WriteRequest,
)
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, RelationTuple, Subject, parse_tuple
from tests.lookups.counting import CountingStorage
from tests.lookups.objects import every_page

SCHEMA = """definition user {}

caveat on_day(day string, wanted string) {
  day == wanted
}

caveat fails(x int) {
  10 / x > 1
}

definition group {
  relation member: user | group#member
}

definition folder {
  relation parent: folder
  relation viewer: user | group#member
  relation approved: user
  permission view = viewer + parent->view
  permission checked = view & approved
}

definition doc {
  relation parent: folder
  relation viewer: user | user:* | group#member | user with on_day | user with fails
  relation banned: user | doc#view
  permission view = viewer + parent->view
  permission read = view - banned
  permission checked = parent->checked
}
"""
ANN = Subject("user", "ann")
VIEW = LookupObjects(("doc",), "view", ANN)


async def engine_of(*tuples: str, limits: Limits | None = None) -> Engine:
    """An engine on memory with these tuples in the store `acme`."""
    engine = Engine(CountingStorage(), limits=limits)
    await engine.create_store("acme")
    await engine.write_schema("acme", SCHEMA)
    if tuples:
        await write(engine, *tuples)
    return engine


async def write(engine: Engine, *tuples: str, op: UpdateOp = UpdateOp.TOUCH) -> None:
    updates = [Update(op, parse_tuple(text)) for text in tuples]
    await engine.import_batch("acme", WriteRequest(updates))


def counts(engine: Engine) -> CountingStorage:
    assert isinstance(engine.storage, CountingStorage)
    return engine.storage


def ids(answer: ObjectsAnswer) -> list[str]:
    return [item.object.id for item in answer.objects]


async def whole(engine: Engine, asked: LookupObjects, size: int = 1000) -> list[str]:
    """The ids of a list without gaps, in its order."""
    way = Way(size, consistency=FULLY_CONSISTENT)
    found, gaps = await every_page(engine.lookup_objects, "acme", asked, way)
    assert gaps == []
    return [item.object.id for item in found]


async def test_ids_are_in_the_order_of_their_bytes() -> None:
    some = ["a", "B", "10", "9", "\u00e9", "\uff5e", "\U0001f600", "a b".replace(" ", "-")]
    engine = await engine_of(*(f"doc:{id_}#viewer@user:ann" for id_ in some))
    assert await whole(engine, VIEW, 3) == sorted(some, key=str.encode)


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
async def test_many_ways_in_give_each_object_once(size: int) -> None:
    dice = random.Random(size)
    tuples = {f"group:{n}#member@user:ann" for n in range(40)}
    tuples |= {f"group:{n + 1}#member@group:{n}#member" for n in range(40, 60)}
    tuples |= {"group:40#member@user:ann"}
    tuples |= {f"folder:{n}#viewer@group:{dice.randrange(90)}#member" for n in range(30)}
    tuples |= {f"folder:{n}#parent@folder:{n // 2}" for n in range(1, 60)}
    tuples |= {f"doc:{n}#parent@folder:{dice.randrange(90)}" for n in range(400)}
    tuples |= {f"doc:{n}#viewer@group:{dice.randrange(90)}#member" for n in range(0, 400, 3)}
    tuples |= {f"doc:{n}#viewer@user:ann" for n in range(0, 400, 7)}
    engine = await engine_of(*sorted(tuples))
    objects = [Object("doc", str(n)) for n in range(400)]
    answer = await engine.check_batch("acme", [Check(each, "view", ANN) for each in objects])
    allowed = [
        each.id
        for each, one in zip(objects, answer.results, strict=True)
        if one.allowed  # type: ignore[union-attr]
    ]
    assert 50 < len(allowed) < 390
    assert await whole(engine, VIEW, size) == sorted(allowed)
    count = await engine.count_objects("acme", VIEW)
    assert (count.allowed, count.conditional, count.gaps) == (len(allowed), 0, ())


@pytest.mark.parametrize("relation", ["view", "read"])
async def test_pages_are_of_the_snapshot_of_the_first(relation: str) -> None:
    """Whether the list is read straight from tuples, or each object is checked."""
    before = [f"{n:02}" for n in range(30)]
    engine = await engine_of(*(f"doc:{id_}#viewer@user:ann" for id_ in before))
    asked = replace(VIEW, relation=relation)
    way = Way(3, consistency=FULLY_CONSISTENT)
    answer = await engine.lookup_objects("acme", asked, way)
    found, zookie, round_ = ids(answer), answer.zookie, 0
    while answer.cursor is not None:
        await write(engine, f"doc:{before[-1 - round_]}#viewer@user:ann", op=UpdateOp.DELETE)
        await write(engine, f"doc:{round_:02}x#viewer@user:ann")
        round_ += 1
        answer = await engine.lookup_objects("acme", asked, replace(way, cursor=answer.cursor))
        assert answer.zookie == zookie
        found += ids(answer)
    assert found == before
    assert len(await whole(engine, asked)) == 30


async def test_a_cursor_is_of_its_arguments() -> None:
    engine = await engine_of(*(f"doc:{n}#viewer@user:ann" for n in range(5)))
    cursor = (await engine.lookup_objects("acme", VIEW, Way(2))).cursor
    others = [
        replace(VIEW, relation="read"),
        replace(VIEW, types=("doc", "folder")),
        replace(VIEW, subject=Subject("user", "eve")),
        replace(VIEW, context={"day": "friday"}),
        replace(VIEW, contextual_tuples=[parse_tuple("doc:9#viewer@user:ann")]),
        replace(VIEW, candidates=["1"]),
        replace(VIEW, candidates=[]),
    ]
    for other in others:
        with pytest.raises(InvalidCursor):
            await engine.lookup_objects("acme", other, Way(2, cursor))
    assert ids(await engine.lookup_objects("acme", VIEW, Way(9, cursor))) == ["2", "3", "4"]


async def test_a_caveat_in_an_id_is_another_question() -> None:
    engine = await engine_of(*(f"doc:{n}#viewer@user:ann" for n in range(5)))
    caveated = parse_tuple("doc:9#viewer@user:ann[on_day]")
    alike = RelationTuple(Object("doc", "9"), "viewer", Subject("user", "ann[on_day]"))
    assert str(caveated) == str(alike)
    first = replace(VIEW, contextual_tuples=[caveated])
    cursor = (await engine.lookup_objects("acme", first, Way(2))).cursor
    with pytest.raises(InvalidCursor):
        await engine.lookup_objects(
            "acme", replace(VIEW, contextual_tuples=[alike]), Way(2, cursor)
        )


async def test_several_types_follow_each_other() -> None:
    engine = await engine_of(
        "doc:2#parent@folder:1", "doc:1#viewer@user:ann", "folder:1#viewer@user:ann"
    )
    asked = replace(VIEW, types=("folder", "doc"))
    way = Way(1)
    found, _ = await every_page(engine.lookup_objects, "acme", asked, way)
    assert [str(item.object) for item in found] == ["doc:1", "doc:2", "folder:1"]


async def test_candidates_alone_are_looked_at() -> None:
    engine = await engine_of(*(f"doc:{n}#viewer@user:ann" for n in range(9)))
    asked = replace(VIEW, candidates=["7", "3", "x", "3", "5"])
    assert await whole(engine, asked, 2) == ["3", "5", "7"]
    assert await whole(engine, replace(VIEW, candidates=[])) == []
    assert (await engine.count_objects("acme", asked)).allowed == 3


async def test_an_object_that_cannot_be_decided_is_a_gap() -> None:
    engine = await engine_of(
        "doc:1#viewer@user:ann",
        "doc:2#viewer@user:ann[fails]",
        "doc:3#viewer@user:ann[on_day]",
        "doc:4#viewer@user:ann",
    )
    asked = replace(VIEW, context={"x": 0, "day": "friday"})
    for size in (1, 2, 1000):
        found, gaps = await every_page(engine.lookup_objects, "acme", asked, Way(size))
        assert [item.object.id for item in found] == ["1", "3", "4"]
        assert found[1].decision.missing == {"wanted"}
        assert [(gap.about, gap.error.code) for gap in gaps] == [("doc:2", "caveat_failed")]
    count = await engine.count_objects("acme", asked)
    assert (count.allowed, count.conditional) == (2, 1)
    assert [gap.about for gap in count.gaps] == ["doc:2"]


async def test_a_cycle_through_an_exclusion_spoils_its_object_alone() -> None:
    cyclic = SCHEMA.replace("banned: user | doc#view", "banned: user | doc#read")
    engine = await engine_of()
    await engine.write_schema("acme", cyclic)
    await write(
        engine,
        *(f"doc:{n}#viewer@user:ann" for n in range(4)),
        "doc:2#banned@doc:2#read",
    )
    answer = await engine.lookup_objects("acme", replace(VIEW, relation="read"))
    assert ids(answer) == ["0", "1", "3"]
    (gap,) = answer.gaps
    assert (gap.about, gap.error.code) == ("doc:2", "cycle_through_exclusion")


async def test_no_time_is_a_gap_and_never_a_short_list_b11() -> None:
    engine = await engine_of(*(f"doc:{n}#viewer@user:ann" for n in range(5)))
    answer = await engine.lookup_objects("acme", VIEW, Way(deadline=0.0))
    assert (answer.objects, answer.cursor) == ((), None)
    assert [(gap.about, gap.error.code) for gap in answer.gaps] == [("", "budget_exceeded")]
    count = await engine.count_objects("acme", VIEW, Way(deadline=0.0))
    assert [gap.error.code for gap in count.gaps] == ["budget_exceeded"]
    streamed = [each async for each in engine.stream_objects("acme", VIEW, Way(deadline=0.0))]
    assert [gap.error.code for each in streamed for gap in each.gaps] == ["budget_exceeded"]


async def test_a_walk_beyond_its_budget_is_a_gap_b11() -> None:
    tuples = [f"group:{n}#member@user:ann" for n in range(60)]
    tuples += [f"doc:{n}#viewer@group:{n}#member" for n in range(60)]
    engine = await engine_of(*tuples, limits=Limits(evaluation_reads=50))
    answer = await engine.lookup_objects("acme", VIEW)
    assert (answer.objects, answer.cursor) == ((), None)
    (gap,) = answer.gaps
    assert (gap.about, gap.error.extra["budget"]) == ("", "reads")


async def test_a_budget_that_ends_within_the_list_leaves_a_cursor_b11() -> None:
    """The documents are listed; the tuples that lead to folders are too many for one read."""
    engine = await engine_of(
        "doc:1#viewer@user:ann",
        *(f"group:{n}#member@user:ann" for n in range(30)),
        *(f"folder:{n}#viewer@group:{n % 30}#member" for n in range(300)),
        limits=Limits(evaluation_reads=100),
    )
    asked = LookupObjects(("doc", "folder"), "viewer", ANN)
    answer = await engine.lookup_objects("acme", asked)
    assert ids(answer) == ["1"]
    assert [(gap.about, gap.error.extra["budget"]) for gap in answer.gaps] == [("", "reads")]
    assert answer.cursor is not None
    again = await engine.lookup_objects("acme", asked, Way(cursor=answer.cursor))
    assert (again.objects, again.cursor) == ((), None)
    assert [gap.about for gap in again.gaps] == [""]


async def test_a_slow_store_is_a_gap_and_never_a_short_list_b11() -> None:
    engine = await engine_of(
        *(f"doc:{n:03}#viewer@user:ann" for n in range(250)),
        *(f"folder:{n}#{name}@user:ann" for n in range(5) for name in ("viewer", "approved")),
    )
    counts(engine).checks_take = 0.8
    slow = Way(1000, deadline=0.5)
    # What was decided in time is listed, and the cursor goes on from there.
    read = replace(VIEW, relation="read")
    answer = await engine.lookup_objects("acme", read, slow)
    assert [(gap.about, gap.error.extra["budget"]) for gap in answer.gaps] == [("", "milliseconds")]
    assert answer.cursor is not None
    counts(engine).checks_take = 0.0
    rest = await engine.lookup_objects("acme", read, Way(1000, answer.cursor))
    assert ids(answer) + ids(rest) == [f"{n:03}" for n in range(250)]
    # A walk that is cut short leads nowhere.
    counts(engine).checks_take = 0.8
    answer = await engine.lookup_objects("acme", replace(VIEW, relation="checked"), slow)
    assert (answer.objects, answer.cursor) == ((), None)
    assert [(gap.about, gap.error.extra["budget"]) for gap in answer.gaps] == [("", "milliseconds")]


async def test_a_small_budget_makes_small_steps_and_a_whole_list_b11() -> None:
    """Checks of many candidates that do not fit in one budget are made a few at a time."""
    engine = await engine_of(
        *(f"doc:{n:03}#viewer@user:ann" for n in range(200)),
        *(f"doc:{n:03}#banned@user:ann" for n in range(0, 200, 2)),
        limits=Limits(evaluation_reads=250),
    )
    asked = replace(VIEW, relation="read")
    odd = [f"{n:03}" for n in range(1, 200, 2)]
    assert await whole(engine, asked, 40) == odd
    assert (await engine.count_objects("acme", asked)).allowed == 100


async def test_one_object_that_costs_too_much_is_a_gap_b11() -> None:
    groups = [f"doc:big#banned@doc:{n}#view" for n in range(300)]
    engine = await engine_of(
        *(f"doc:{id_}#viewer@user:ann" for id_ in ("a", "big", "z")),
        *groups,
        limits=Limits(evaluation_reads=250),
    )
    answer = await engine.lookup_objects("acme", replace(VIEW, relation="read"))
    assert ids(answer) == ["a", "z"]
    (gap,) = answer.gaps
    assert (gap.about, gap.error.code) == ("doc:big", "budget_exceeded")


async def test_a_page_costs_a_page_and_a_count_a_round_trip_in_5000() -> None:
    engine = await engine_of(
        "group:a#member@user:ann", "folder:f#viewer@group:a#member", "folder:g#parent@folder:f"
    )
    for start in range(0, 12_000, 6_000):
        some = range(start, start + 6_000)
        await write(engine, *(f"doc:{n:05}#parent@folder:g" for n in some))
    storage = counts(engine)
    storage.restart()
    first = await engine.lookup_objects("acme", VIEW, Way(100))
    assert (len(first.objects), storage.fetched) == (100, 0)
    assert storage.walked <= 6
    assert storage.tuples <= 3 + 101
    storage.restart()
    second = await engine.lookup_objects("acme", VIEW, Way(100, first.cursor))
    assert ids(second)[0] == "00100"
    assert (storage.walked, storage.tuples) == (1, 101)
    storage.restart()
    assert (await engine.count_objects("acme", VIEW)).allowed == 12_000
    assert storage.walked <= 5 + 12_000 // 5_000 + 1
    storage.restart()
    pages = [page async for page in engine.stream_objects("acme", VIEW, Way(1000))]
    assert [len(page.objects) for page in pages] == [1000] * 12
    assert storage.walked <= 5 + 12_000 // 5_000 + 1


async def test_a_folder_is_checked_and_not_all_that_is_in_it() -> None:
    engine = await engine_of(
        *(f"folder:{n}#viewer@user:ann" for n in range(4)),
        "folder:1#approved@user:ann",
        *(f"doc:{n:04}#parent@folder:{n % 4}" for n in range(2_000)),
    )
    storage = counts(engine)
    storage.restart()
    found = await whole(engine, replace(VIEW, relation="checked"))
    assert found == [f"{n:04}" for n in range(1, 2_000, 4)]
    assert storage.fetched <= 3
    assert storage.tuples < 600
