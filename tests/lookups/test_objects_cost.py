"""How often a list of objects asks the store: a constant times depth, and once in 5,000 objects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.engine import Engine
from engine.limits import Limits
from engine.pages import Way
from engine.requests import LookupObjects, WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Subject, parse_tuple
from tests.lookups.counting import CountingStorage

SCHEMA = """definition user {}

caveat on_day(day string, wanted string) {
  day == wanted
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
  relation viewer: user | user with on_day
  relation banned: user | group#member
  relation approved: user
  permission view = viewer + parent->view
  permission read = view - banned
  permission both = view & approved
  permission deep = parent->checked - banned
  permission narrow = approved & parent->view
}
"""
VIEW = LookupObjects(("doc",), "view", Subject("user", "ann"))
DEADLINE = 60.0
STEPS = 2
"""How often a step of depth may ask, by itself."""


async def engine_of(tuples: list[str]) -> tuple[Engine, CountingStorage]:
    storage = CountingStorage()
    engine = Engine(storage, limits=Limits(deadline=DEADLINE))
    await engine.create_store("acme")
    await engine.write_schema("acme", SCHEMA)
    for start in range(0, len(tuples), 10_000):
        part = tuples[start : start + 10_000]
        updates = [Update(UpdateOp.CREATE, parse_tuple(text)) for text in part]
        await engine.import_batch("acme", WriteRequest(updates))
    return engine, storage


async def asked_for(
    engine: Engine, storage: CountingStorage, asked: LookupObjects, count: int
) -> int:
    """How often the store is asked for a whole list, which has `count` objects, as a stream."""
    storage.restart()
    found: list[str] = []
    async for page in engine.stream_objects("acme", asked, Way(1000)):
        found += [item.object.id for item in page.objects]
        assert not page.gaps
    assert len(found) == count
    assert found == sorted(set(found))
    return storage.asked


async def test_every_shape_is_asked_once_in_5000_objects() -> None:
    count = 15_000
    docs = [f"doc:{n:05}" for n in range(count)]
    engine, storage = await engine_of(
        [
            "group:inner#member@user:ann",
            "group:outer#member@group:inner#member",
            *(f"folder:{n}#viewer@group:outer#member" for n in range(25)),
            *(f"folder:{n}#approved@user:ann" for n in range(25)),
            *(f"{doc}#parent@folder:{n % 25}" for n, doc in enumerate(docs)),
            *(f"{doc}#approved@user:ann" for doc in docs),
            *(f"{doc}#viewer@user:ann[on_day]" for doc in docs),
        ]
    )
    depth = 5  # two groups, the folders, what is above these, the documents
    caveated = replace(VIEW, relation="viewer")
    friday = replace(caveated, context={"day": "friday", "wanted": "friday"})
    for asked, steps in [
        (VIEW, depth),
        (replace(VIEW, relation="read"), depth),
        (replace(VIEW, relation="both"), depth),
        (replace(VIEW, relation="deep"), depth),
        (replace(VIEW, relation="narrow"), depth),
        (caveated, 1),
        (friday, 1),
    ]:
        times = await asked_for(engine, storage, asked, count)
        assert times <= STEPS * steps + count // 5_000, (asked, times)


@pytest.mark.parametrize("each", [1, 5])
async def test_many_folders_on_the_way_are_asked_5000_at_a_time(each: int) -> None:
    folders = 12_000 // each
    count = folders * each
    engine, storage = await engine_of(
        [
            *(f"folder:{n}#viewer@user:ann" for n in range(folders)),
            *(f"doc:{n * 7919 % count:05}#parent@folder:{n % folders}" for n in range(count)),
        ]
    )
    on_the_way = -(-folders // 5_000)
    steps = 3  # the folders, what is in these of folders, and of documents
    bound = STEPS * steps + 2 * on_the_way + count // 5_000
    times = await asked_for(engine, storage, VIEW, count)
    assert times <= bound
    storage.restart()
    way: Way | None = Way(100)
    found: list[str] = []
    for _ in range(10):
        assert way is not None
        answer = await engine.lookup_objects("acme", VIEW, way)
        found += [item.object.id for item in answer.objects]
        way = None if answer.cursor is None else Way(100, answer.cursor)
    assert found == [f"{n:05}" for n in range(1_000)]
    assert storage.asked <= bound


async def test_pages_share_what_checks_have_found() -> None:
    """Nothing leads from the subject to folders; checks of documents find them by themselves."""
    engine, storage = await engine_of(
        [
            "group:inner#member@user:ann",
            *(f"folder:{n}#viewer@group:inner#member" for n in range(25)),
            *(f"doc:{n:05}#parent@folder:{n % 25}" for n in range(3_000)),
            *(f"doc:{n:05}#approved@user:ann" for n in range(3_000)),
        ]
    )
    asked = replace(VIEW, relation="narrow")
    first = await engine.lookup_objects("acme", asked, Way(1000))
    storage.restart()
    second = await engine.lookup_objects("acme", asked, Way(1000, first.cursor))
    assert [item.object.id for item in second.objects] == [f"{n:05}" for n in range(1000, 2000)]
    assert (storage.fetched, storage.walked) == (1, 1)
