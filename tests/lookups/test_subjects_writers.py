"""Pages that are taken while others write are those of the first page's snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.engine import Engine
from engine.pages import Way
from engine.requests import (
    FULLY_CONSISTENT,
    AtExactSnapshot,
    FoundSubject,
    LookupSubjects,
    WriteRequest,
)
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, parse_tuple
from tests.lookups.subjects import every_page

SCHEMA = """definition user {}

definition document {
  relation viewer: user | user:*
  relation banned: user
  permission view = viewer - banned
}
"""
VIEW = LookupSubjects(Object("document", "a"), "view", "user")


async def filled(engine: Engine) -> Engine:
    """A document that ten users and the wildcard may view, and one of them may not."""
    await engine.create_store("acme")
    await engine.write_schema("acme", SCHEMA)
    await write(engine, UpdateOp.TOUCH, *(f"document:a#viewer@user:{n}0" for n in range(1, 11)))
    await write(engine, UpdateOp.TOUCH, "document:a#viewer@user:*", "document:a#banned@user:50")
    return engine


@pytest.fixture
async def memory() -> Engine:
    return await filled(Engine(MemoryStorage()))


@pytest.fixture
async def postgres(fresh_database: str) -> AsyncIterator[Engine]:
    engine = await filled(Engine(await PostgresStorage.connect(fresh_database)))
    yield engine
    await engine.close()


@pytest.fixture(params=["memory", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine on each storage."""
    made: Engine = request.getfixturevalue(request.param)
    return made


async def write(engine: Engine, op: UpdateOp, *tuples: str) -> None:
    updates = [Update(op, parse_tuple(item)) for item in tuples]
    await engine.write("acme", WriteRequest(updates))


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_are_of_the_first_ones_snapshot(engine: Engine, size: int) -> None:
    whole = await engine.lookup_subjects("acme", VIEW, Way(1000, None, FULLY_CONSISTENT))
    assert len(whole.subjects) == 11
    found: list[FoundSubject] = []
    number = 0
    way: Way | None = Way(size, None, FULLY_CONSISTENT)
    while way is not None:
        page = await engine.lookup_subjects("acme", VIEW, way)
        assert page.zookie == whole.zookie
        found += page.subjects
        number += 1
        await write(engine, UpdateOp.TOUCH, f"document:a#viewer@user:{number}5")
        await write(engine, UpdateOp.DELETE, f"document:a#viewer@user:{number}0")
        await write(engine, UpdateOp.TOUCH, f"document:a#banned@user:{number + 1}0")
        way = None if page.cursor is None else Way(size, page.cursor)
    assert tuple(found) == whole.subjects
    at_first = Way(size, None, AtExactSnapshot(whole.zookie))
    assert tuple((await every_page(engine.lookup_subjects, "acme", VIEW, at_first))[0]) == (
        whole.subjects
    )
    now = await engine.lookup_subjects("acme", VIEW, Way(1000, None, FULLY_CONSISTENT))
    assert now.subjects != whole.subjects


async def test_a_stream_is_of_one_snapshot(engine: Engine) -> None:
    whole = await engine.lookup_subjects("acme", VIEW, Way(1000, None, FULLY_CONSISTENT))
    found: list[FoundSubject] = []
    async for page in engine.stream_subjects("acme", VIEW, Way(2, None, FULLY_CONSISTENT)):
        found += page.subjects
        await write(engine, UpdateOp.TOUCH, f"document:a#banned@user:{len(found)}")
        await write(engine, UpdateOp.DELETE, "document:a#viewer@user:*")
    assert tuple(found) == whole.subjects
