"""A database restored from an older backup: its old zookies are refused, however it is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import deepcopy

import asyncpg
import pytest

from engine import zookie
from engine.errors import ZookieUnknown
from engine.requests import FULLY_CONSISTENT, AtExactSnapshot, AtLeastAsFresh
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Snapshot, StoreRecord
from tests.conftest import database_dsn
from tests.freshness.clock import ManualClock
from tests.freshness.node import BOUND, DOCUMENT, Node

Lost = tuple[Node, StoreRecord, Snapshot, Snapshot, list[str]]


@pytest.fixture
async def lost() -> Lost:
    """A node that proved a zookie of a revision which its storage, restored meanwhile, has lost.

    With them: the last snapshot that was kept, and the stores reported as restored.
    """
    storage = MemoryStorage()
    node = Node(storage, ManualClock())
    store = await storage.create_store("acme")
    kept = await node.write(store, DOCUMENT)
    backup = deepcopy(storage)
    for _ in range(2):
        written = await node.write(store, DOCUMENT)
    fresh = AtLeastAsFresh(zookie.encode(written))
    assert await node.revision(store, fresh) == written.revision
    node.seam.inner = backup
    node.clock.advance(BOUND + 0.001)
    restored: list[str] = []
    node.freshness.on_new_lineage(restored.append)
    return node, store, written, kept, restored


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("mode", [AtLeastAsFresh, AtExactSnapshot])
async def test_a_lost_zookie_is_refused_wherever_the_head_stands_now(
    lost: Lost, writes: int, mode: type[AtLeastAsFresh] | type[AtExactSnapshot]
) -> None:
    """The head is behind the zookie, at its revision with another stamp, or beyond it."""
    node, store, written, kept, restored = lost
    elsewhere = Node(node.seam.inner, ManualClock())
    for _ in range(writes):
        await elsewhere.write(store, DOCUMENT)
    with pytest.raises(ZookieUnknown):
        await node.revision(store, mode(zookie.encode(written)))
    assert restored == [store.id]
    assert await node.revision(store, AtExactSnapshot(zookie.encode(kept))) == kept.revision


async def test_the_head_of_the_restored_store_is_used_though_it_went_backwards(lost: Lost) -> None:
    node, store, _, kept, restored = lost
    assert await node.revision(store) == kept.revision
    assert await node.revision(store, FULLY_CONSISTENT) == kept.revision
    assert restored == [store.id]


async def test_an_ordinary_store_is_never_taken_for_a_restored_one() -> None:
    storage = MemoryStorage()
    here, there = (Node(storage, ManualClock()) for _ in range(2))
    store = await storage.create_store("acme")
    restored: list[str] = []
    here.freshness.on_new_lineage(restored.append)
    for _ in range(20):
        mine = await here.write(store, DOCUMENT)
        await here.revision(store, FULLY_CONSISTENT)
        yours = await there.write(store, DOCUMENT)
        await here.revision(store, AtLeastAsFresh(zookie.encode(yours)))
        await here.revision(store, AtExactSnapshot(zookie.encode(mine)))
    assert restored == []


async def test_a_write_learnt_while_the_head_is_read_is_not_a_restored_store() -> None:
    storage = MemoryStorage()
    node = Node(storage, ManualClock())
    store = await storage.create_store("acme")
    restored: list[str] = []
    node.freshness.on_new_lineage(restored.append)
    await node.revision(store)
    node.clock.advance(BOUND + 0.001)
    node.seam.held_answers = {"head"}
    asking = asyncio.create_task(node.revision(store))
    await node.seam.arrived.wait()
    await node.write(store, DOCUMENT)
    node.seam.gate.set()
    assert await asking == 1
    assert restored == []


@pytest.fixture
async def backup_of(
    postgres_dsn: str, fresh_database: str
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Copies the fresh database, to which nobody is connected, and gives the copy's string."""
    name = fresh_database.rpartition("/")[2].partition("?")[0]

    async def command(statement: str) -> None:
        connection = await asyncpg.connect(postgres_dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def copy() -> str:
        await command(f"CREATE DATABASE {name}_backup TEMPLATE {name}")
        return database_dsn(postgres_dsn, f"{name}_backup")

    yield copy
    await command(f"DROP DATABASE IF EXISTS {name}_backup WITH (FORCE)")


async def test_a_restored_postgres_refuses_the_zookies_it_lost(
    fresh_database: str, backup_of: Callable[[], Awaitable[str]]
) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    store = await storage.create_store("acme")
    kept = await Node(storage, ManualClock()).write(store, DOCUMENT)
    await storage.close()
    backup = await backup_of()

    storage = await PostgresStorage.connect(fresh_database)
    node = Node(storage, ManualClock())
    written = await node.write(store, DOCUMENT)
    lost = AtLeastAsFresh(zookie.encode(written))
    assert await node.revision(store, lost) == written.revision
    await storage.close()

    node.seam.inner = restored = await PostgresStorage.connect(backup)
    elsewhere = Node(restored, ManualClock())
    for _ in range(3):
        node.clock.advance(BOUND + 0.001)
        with pytest.raises(ZookieUnknown):
            await node.revision(store, lost)
        await elsewhere.write(store, DOCUMENT)
    assert await node.revision(store, AtLeastAsFresh(zookie.encode(kept))) == kept.revision + 2
    await restored.close()
