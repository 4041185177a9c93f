"""The changelog: whoever follows it from any position has what the store has."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from engine.changelog import Changes, ChangesPage, LoggedChange
from engine.engine import Engine
from engine.errors import EngineError, SnapshotExpired
from engine.limits import Limits
from engine.requests import FULLY_CONSISTENT, WriteRequest
from engine.store.protocol import Storage, Update, UpdateOp
from engine.tuples import RelationTuple, parse_tuple
from tests.store.tenant import delete, touch

SCHEMA = """\
definition user {}
definition doc { relation viewer: user }
definition folder { relation viewer: user }
"""
ALL_GONE = timedelta(days=-1)


class Store:
    """A store of an engine."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    async def write(self, *updates: Update) -> None:
        await self.engine.import_batch(self.name, WriteRequest(updates))

    async def collect(self, window: timedelta = ALL_GONE) -> None:
        await self.engine.collect_garbage(self.name, window=window)

    async def page(self, after: str | None = None, limit: int = 100, **more: object) -> ChangesPage:
        asked = Changes(after, limit=limit, **more)  # type: ignore[arg-type]
        return await self.engine.changes(self.name, asked)

    async def rest(
        self, after: str | None = None, limit: int = 100, **more: object
    ) -> tuple[list[LoggedChange], str]:
        """Every change after a position, and the position at the end."""
        found: list[LoggedChange] = []
        for _ in range(1000):
            page = await self.page(after, limit, **more)
            assert len(page.changes) <= limit
            found += page.changes
            after = page.position
            if not page.more:
                return found, after
        raise AssertionError("the changelog does not end")

    async def held(self) -> set[str]:
        pages = self.engine.export(self.name, consistency=FULLY_CONSISTENT)
        return {str(item) async for page in pages for item in page.tuples}


@pytest.fixture
async def store(either_storage: Storage) -> AsyncIterator[Store]:
    engine = Engine(either_storage, limits=replace(Limits(), import_batch=10_000))
    name = f"s{uuid4().hex}"
    await engine.create_store(name)
    await engine.write_schema(name, SCHEMA)
    yield Store(engine, name)
    await engine.freshness.close()


def told(changes: list[LoggedChange]) -> list[str]:
    return [f"{change.op} {change.tuple}" for change in changes]


def followed(changes: list[LoggedChange], held: set[str] | None = None) -> set[str]:
    """What somebody who held these tuples holds after the changes."""
    held = set(held or ())
    for change in changes:
        shown = str(change.tuple)
        if change.op == "touch":
            held.add(shown)
        else:
            held.discard(shown)
    return held


def some_updates(chance: random.Random) -> list[Update]:
    texts = [
        f"{kind}:{n}#viewer@user:{chance.randrange(4)}"
        for kind, n in (chance.choice((("doc", 1), ("doc", 2), ("folder", 1))) for _ in range(6))
    ]
    return [
        Update(chance.choice((UpdateOp.TOUCH, UpdateOp.DELETE)), parse_tuple(text))
        for text in dict.fromkeys(texts)
    ]


async def test_every_change_is_told_in_order_at_every_size(store: Store) -> None:
    chance = random.Random(1)
    assert await store.rest() == ([], (await store.page()).position)
    for _ in range(15):
        await store.write(*some_updates(chance))
    whole, end = await store.rest()
    revisions = await store.engine.storage.changes(
        (await store.engine.get_store(store.name)).id, 0, 10**6
    )
    wanted = [
        LoggedChange(str(change.op), change.tuple, revision.snapshot.committed_at)
        for revision in revisions
        for change in revision.changes
    ]
    assert whole == wanted
    for limit in (1, 2, 5):
        assert await store.rest(limit=limit) == (wanted, end)
        only = [change for change in wanted if change.tuple.object.type == "folder"]
        assert await store.rest(limit=limit, object_type="folder") == (only, end)
    assert await store.rest(object_type="ghost") == ([], end)
    nothing = await store.page(end)
    assert (nothing.changes, nothing.position, nothing.more) == ((), end, False)
    await store.write(*touch("doc:9#viewer@user:1"))
    assert told((await store.rest(end))[0]) == ["touch doc:9#viewer@user:1"]


@pytest.mark.parametrize("seed", range(8))
async def test_whoever_follows_has_what_the_store_has(store: Store, seed: int) -> None:
    """Though they stop anywhere, while writes go on and history is given up; who comes too late
    is told so."""
    chance = random.Random(seed)
    held: set[str] = set()
    position = None
    for _ in range(60):
        act = chance.random()
        if act < 0.5:
            await store.write(*some_updates(chance))
        elif act < 0.6:
            await store.collect(timedelta(seconds=chance.choice((-1, 0))))
        else:
            try:
                page = await store.page(position, chance.choice((1, 2, 3, 100)))
            except SnapshotExpired:
                assert position is not None
                held, position = set(), None
                continue
            held, position = followed(list(page.changes), held), page.position
    try:
        rest, _ = await store.rest(position, limit=2)
    except SnapshotExpired:
        held, (rest, _) = set(), await store.rest(limit=2)
    assert followed(rest, held) == await store.held()


async def test_nothing_is_skipped_while_many_write(store: Store) -> None:
    """However late a transaction ends, its changes come after what was told."""
    writers, each = 6, 15

    async def write(writer: int) -> None:
        engine = Engine(store.engine.storage)
        for number in range(each):
            items = touch(*(f"doc:{writer}-{number}#viewer@user:{n}" for n in range(3)))
            await engine.write(store.name, WriteRequest(items))

    writing = asyncio.gather(*map(write, range(writers)))
    found: list[LoggedChange] = []
    position = None
    while not writing.done():
        page = await store.page(position, 7)
        found += page.changes
        position = page.position
        await asyncio.sleep(0)
    await writing
    found += (await store.rest(position))[0]
    assert len(found) == writers * each * 3
    assert found == (await store.rest(limit=1000))[0]
    assert followed(found) == await store.held()


async def test_what_was_given_up_is_told_as_far_as_it_stands(store: Store) -> None:
    await store.write(*touch("doc:2#viewer@user:1", "folder:1#viewer@user:1"))
    await store.write(*touch("doc:1#viewer@user:1", "doc:3#viewer@user:1"))
    before, position = await store.rest()
    await store.write(*delete("doc:3#viewer@user:1"))
    await store.collect()
    await store.write(*delete("doc:2#viewer@user:1"))
    changes, _ = await store.rest(limit=1)
    assert told(changes) == [
        "touch doc:2#viewer@user:1",
        "touch folder:1#viewer@user:1",
        "touch doc:1#viewer@user:1",
        "delete doc:2#viewer@user:1",
    ]
    moments = {str(change.tuple): change.moment for change in before}
    assert [change.moment for change in changes[:3]] == [
        moments[str(change.tuple)] for change in changes[:3]
    ]
    for kind in ("doc", "folder"):
        wanted = [change for change in changes if change.tuple.object.type == kind]
        for limit in (1, 2, 100):
            assert (await store.rest(limit=limit, object_type=kind))[0] == wanted
    with pytest.raises(SnapshotExpired):
        await store.page(position)


async def test_changes_from_a_time_on(store: Store) -> None:
    for number in range(6):
        await store.write(*touch(f"doc:{number}#viewer@user:1"))
    whole, end = await store.rest()
    moments = [change.moment for change in whole]
    for compacted in (False, True):
        for moment in {moments[0] - timedelta(days=9), *moments, moments[-1] + timedelta(days=9)}:
            wanted = [change for change in whole if change.moment >= moment]
            for limit in (1, 4):
                assert await store.rest(limit=limit, start_time=moment) == (wanted, end), compacted
        await store.collect()


async def test_a_page_is_bounded_though_nothing_fits(store: Store) -> None:
    many = [f"doc:{number}#viewer@user:1" for number in range(2500)]
    await store.write(*touch(*many))
    for _ in range(2):
        page, pages = await store.page(object_type="folder"), 1
        while page.more:
            assert page.changes == ()
            page = await store.page(page.position, object_type="folder")
            pages += 1
        assert pages == 3
        await store.collect()
    assert len((await store.rest(limit=1000))[0]) == 2500


async def test_an_import_is_read_once_for_its_pages(store: Store) -> None:
    many = [f"doc:{number:04}#viewer@user:1" for number in range(700)]
    await store.write(*touch(*many))
    position, found = None, list[str]()
    while len(found) < 700:
        page = await store.page(position, limit=90)
        found += [str(change.tuple) for change in page.changes]
        position = page.position
        # Another engine that has read nothing yet goes on as well.
        store.engine = Engine(store.engine.storage) if len(found) == 270 else store.engine
    assert found == many


async def test_a_zookie_is_a_position(store: Store) -> None:
    answer = await store.engine.write(store.name, WriteRequest(touch("doc:1#viewer@user:1")))
    await store.write(*touch("doc:2#viewer@user:1"))
    assert told((await store.rest(answer.zookie))[0]) == ["touch doc:2#viewer@user:1"]


async def test_what_is_no_position_is_refused(store: Store) -> None:
    await store.write(*touch("doc:1#viewer@user:1", "doc:2#viewer@user:1"))
    inside = (await store.page(limit=1)).position
    zookie, _, rest = inside.partition(".")
    identity = ["a", "b", "c", "d", "e", "f"]
    bad: list[bytes] = [b"\xff", b"{}", b"[" * 5000]
    wrong: list[list[Any]] = [[], [0, ""], [2, ""], [1, "x"], [1, "", 0, *"123456"], [0, "", 1]]
    wrong += [[0, "", 1, *identity], [1, "", True, *identity], [1, "", 10**20, *identity]]
    wrong += [[1, "", 2, "a\0", *identity[1:]], [1, "", 2, *identity[1:]], [1, "", 2, *range(6)]]
    bad += [json.dumps(one).encode() for one in wrong]
    texts = ["", "x", "é", rest, f"{zookie}.\N{BULLET}", f"{zookie}.!"]
    texts += [f"{zookie}.{urlsafe_b64encode(one).decode()}" for one in bad]
    for text in texts:
        with pytest.raises(EngineError) as refused:
            await store.page(text)
        assert (refused.value.code, refused.value.field) == ("invalid_cursor", "after"), text
    other = f"s{uuid4().hex}"
    await store.engine.create_store(other)
    with pytest.raises(EngineError) as refused:
        await Store(store.engine, other).page(inside)
    assert refused.value.code == "zookie_unknown"
    for limit in (0, 1001):
        with pytest.raises(EngineError) as refused:
            await store.page(limit=limit)
        assert refused.value.code == "limit_exceeded"


async def test_odd_ids_come_through_positions(store: Store) -> None:
    ids = ["é", "a.b", "~", "\U0001f600", "[x]", "*a", "x" * 900]
    items = [
        RelationTuple(
            parse_tuple(f"doc:{n}#viewer@user:1").object,
            "viewer",
            parse_tuple("doc:1#viewer@user:1").subject._replace(id=id_),
        )
        for n, id_ in enumerate(ids)
    ]
    await store.write(*(Update(UpdateOp.TOUCH, item) for item in items))
    for _ in range(2):
        changes, _ = await store.rest(limit=1)
        assert [change.tuple for change in changes] == items
        await store.collect()
