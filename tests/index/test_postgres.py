"""Indexes of stores in Postgres: built by COPY, followed, swept, and damaged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.errors import SnapshotExpired
from engine.index.build import build
from engine.index.encoding import MOST_FORMS, TooManyNamesError, packed
from engine.index.files import Tables
from engine.index.follow import Follower
from engine.index.sweep import DAMAGE, Difference, Sweep
from engine.store.postgres import PostgresStorage
from engine.store.postgres.copying import PostgresSource
from engine.store.protocol import Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple, Subject
from tests.index.indexed import SIZE, StorageSource
from tests.index.running import running

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = [
    "a",
    "a\\b",
    "\\\\",
    "\\N",
    "é",
    "*",
    "a" * 437,
    *("a" * 440 + end for end in ("", "a", "b", "\\")),
    *("b" * 441 + end * 583 for end in "ab"),
]


def tuples() -> list[RelationTuple]:
    """Every id on both sides, in forms that share relations, some under conditions."""
    draw = random.Random(7)
    found: dict[Any, RelationTuple] = {}
    for _ in range(400):
        subject = draw.choice(["user", "group", "Group2"])
        name = "member" if subject == "group" and draw.random() < 0.5 else ""
        item = RelationTuple(
            Object(draw.choice(["doc", "folder"]), draw.choice(IDS)),
            draw.choice(["viewer", "owner"]),
            Subject(subject, draw.choice(IDS), name),
            *draw.choice([("", "", None), ("", "", None), ("c", '{"x":"\\\\"}', None)]),
        )
        if draw.random() < 0.1:
            item = item._replace(expires_at=NOW + timedelta(days=9000))
        found[item.identity] = item
    return list(found.values())


async def write(
    storage: PostgresStorage, store_id: str, items: Sequence[RelationTuple], op: UpdateOp
) -> int:
    updates = [Update(op, item) for item in items]
    outcome = await storage.write(store_id, WriteCommand(updates, (), 0, NOW))
    return outcome.snapshot.revision


@pytest.fixture
async def storage(fresh_database: str) -> AsyncIterator[PostgresStorage]:
    storage = await PostgresStorage.connect(fresh_database, statement_timeout=30.0)
    yield storage
    await storage.close()


@pytest.fixture
async def store_id(storage: PostgresStorage) -> str:
    return (await storage.create_store("a")).id


@pytest.fixture
async def follower(
    storage: PostgresStorage, fresh_database: str, store_id: str, tmp_path: Path
) -> AsyncIterator[Follower]:
    """A follower that has done nothing yet."""
    made = Follower(
        storage, PostgresSource(fresh_database), store_id, tmp_path / store_id, size=SIZE
    )
    yield made
    await made.stop()


async def level(follower: Follower) -> None:
    while await follower.step():
        pass


async def swept(follower: Follower, storage: PostgresStorage, count: int = 70) -> None:
    """Return when every entry has been compared. Raises what a sweep raises."""
    sweep = Sweep(storage)
    assert follower.tables is not None
    assert follower.writer is not None
    for _ in range(20):
        await sweep.step(follower.tables, follower.writer, count)
    assert sweep.rounds > 0


def contents(tables: Tables) -> list[list[tuple[bytes, bytes]]]:
    """Everything that lies in the tables of the living."""
    with tables.env.begin() as transaction:
        return [
            [(bytes(key), bytes(value)) for key, value in transaction.cursor(table)]
            for table in (tables.forward, tables.reverse, tables.conditions, tables.texts)
        ]


async def test_a_build_by_copy_is_a_build_by_pages(
    storage: PostgresStorage, follower: Follower, store_id: str, tmp_path: Path
) -> None:
    made = tuples()
    await write(storage, store_id, made, UpdateOp.TOUCH)
    await write(storage, store_id, made[::3], UpdateOp.DELETE)
    await level(follower)
    assert follower.tables is not None
    paged = Tables(tmp_path / "paged", size=SIZE, write=True)
    snapshot = (await storage.head(store_id)).snapshot
    await build(paged, StorageSource(storage), snapshot, lambda _done, _total: None)
    built, expected = contents(follower.tables), contents(paged)
    assert built == expected
    assert len(built[0]) == len(built[1]) == len(made) - len(made[::3])
    assert built[2]
    assert len(built[3]) == len([id_ for id_ in IDS if len(packed(id_)) > 440])
    await swept(follower, storage)
    paged.close()


async def test_a_build_is_of_its_snapshot(
    storage: PostgresStorage, fresh_database: str, store_id: str, tmp_path: Path
) -> None:
    """Also when the store goes on meanwhile, and not if its history is given up."""
    made = tuples()
    await write(storage, store_id, made, UpdateOp.TOUCH)
    before = (await storage.head(store_id)).snapshot
    await write(storage, store_id, made[::2], UpdateOp.DELETE)
    source = PostgresSource(fresh_database)
    tables = Tables(tmp_path / "then", size=SIZE, write=True)
    held = await build(tables, source, before, lambda _done, _total: None)
    assert held.head == before
    assert len(contents(tables)[0]) == len(made)
    tables.close()
    await storage.collect_garbage(store_id, datetime.now(UTC) + timedelta(hours=1), 100_000)
    tables = Tables(tmp_path / "gone", size=SIZE, write=True)
    with pytest.raises(SnapshotExpired):
        await build(tables, source, before, lambda _done, _total: None)
    tables.close()


async def test_following_comes_to_what_a_build_makes(
    storage: PostgresStorage, follower: Follower, store_id: str, tmp_path: Path
) -> None:
    await level(follower)
    draw = random.Random(3)
    made = tuples()
    for _ in range(30):
        some = draw.sample(made, 20)
        await write(storage, store_id, some, draw.choice([UpdateOp.TOUCH, UpdateOp.DELETE]))
        changed = [item._replace(caveat="", context="", expires_at=None) for item in some[:5]]
        await write(storage, store_id, changed, UpdateOp.TOUCH)
        await follower.step()
    await level(follower)
    await swept(follower, storage)
    assert follower.status.generation == 1


@pytest.mark.parametrize("table", ["forward", "reverse", "conditions", "texts"])
@pytest.mark.parametrize("damage", ["lost", "added", "changed"])
async def test_a_sweep_finds_every_difference(
    storage: PostgresStorage, follower: Follower, store_id: str, table: str, damage: str
) -> None:
    await write(storage, store_id, tuples(), UpdateOp.TOUCH)
    await level(follower)
    tables = follower.tables
    assert tables is not None
    await swept(follower, storage)
    with tables.env.begin(write=True) as transaction:
        db = getattr(tables, table)
        entries = list(transaction.cursor(db))
        key, value = entries[len(entries) // 2]
        if damage in {"lost", "changed"}:
            transaction.delete(key, value, db=db)
        if damage == "changed":
            transaction.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=db)
        if damage == "added" and table in {"forward", "reverse"}:
            transaction.put(key, value + b"x", db=db)
    if damage == "added" and table not in {"forward", "reverse"}:
        await swept(follower, storage)  # a text or a condition that nothing names is never read
        return
    with pytest.raises((Difference, *DAMAGE)):
        await swept(follower, storage)


async def test_too_many_names_are_refused(
    storage: PostgresStorage, fresh_database: str, follower: Follower, store_id: str
) -> None:
    await write(storage, store_id, tuples()[:1], UpdateOp.TOUCH)
    await level(follower)
    connection = await asyncpg.connect(fresh_database)
    await connection.execute(
        "INSERT INTO relation_tuple SELECT $1::uuid, 'doc', '1', 'viewer', 'type' || n, '1', '', "
        "'', '', NULL, 1, 9223372036854775807 FROM generate_series(1, $2::int) n",
        store_id,
        MOST_FORMS,
    )
    await connection.close()
    follower.drop("damaged")
    with pytest.raises(TooManyNamesError):
        await follower.step()
    assert follower.tables is None
    assert follower.status.generation == 0


async def test_writes_are_announced_through_postgres(
    storage: PostgresStorage, fresh_database: str, store_id: str
) -> None:
    source = PostgresSource(fresh_database)
    heard: asyncio.Queue[str] = asyncio.Queue()
    source.on_written(heard.put_nowait)
    head = await storage.head(store_id)
    assert await source.heads([store_id, "0" * 32]) == {store_id: head}
    writer = await PostgresStorage.connect(fresh_database, notifies=True)
    await write(writer, store_id, tuples(), UpdateOp.TOUCH)
    async with asyncio.timeout(30):
        assert await heard.get() == store_id
    await writer.close()
    await source.close()


async def test_damage_while_it_runs_is_found_and_built_anew(
    storage: PostgresStorage, fresh_database: str, store_id: str, tmp_path: Path
) -> None:
    head = await write(storage, store_id, tuples(), UpdateOp.TOUCH)
    async with running(storage, PostgresSource(fresh_database), tmp_path) as indexer:
        await indexer.follows(store_id, head)
        path = tmp_path / store_id / "1" / "data.mdb"
        wrong = bytearray(path.read_bytes())
        at = wrong.find(b"\\\\")
        assert at > 0
        with path.open("r+b") as file:
            while at > 0:
                file.seek(at)
                file.write(b"xy")
                at = wrong.find(b"\\\\", at + 2)
        await indexer.until(lambda: sum(indexer.builds().values()) > 1)
        line = await indexer.follows(store_id, head)
        assert line.generation > 1
        await indexer.until(lambda: getattr(indexer.line(store_id), "swept", 0) > 0)
