"""Migrations are applied once, in order, and never to a database that is newer."""

from __future__ import annotations

import asyncio
import re

import asyncpg
import pytest

from engine.errors import Unavailable
from engine.store.postgres import PostgresStorage
from engine.store.postgres.migrate import (
    _LOCK_KEY,
    MigrationRefusedError,
    migrate,
    migrations,
    pending,
)
from engine.store.protocol import Update, UpdateOp, WriteCommand
from engine.tuples import parse_tuple

# A store whose revisions up to 2 were given up, of which one wrote a tuple.
_BEFORE = """
INSERT INTO store VALUES ('00000000-0000-0000-0000-000000000001', 'acme', to_timestamp(50), 4, 3,
    1, 0, to_timestamp(400));
INSERT INTO revision SELECT id, n, 1, 0, to_timestamp(n * 100), false, '', ''
    FROM store, generate_series(3, 4) n;
INSERT INTO relation_tuple SELECT id, 'doc', '1', 'viewer', 'user', who, '', '', '', NULL, n
    FROM store, (VALUES (1, 'before'), (4, 'kept')) AS made (n, who);
"""


async def execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def ping(dsn: str) -> None:
    storage = await PostgresStorage.connect(dsn)
    try:
        await storage.ping()
    finally:
        await storage.close()


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = [re.fullmatch(r"(\d{4})_[a-z0-9_]+", each.name) for each in migrations()]
    assert [number and int(number[1]) for number in numbers] == list(range(1, len(numbers) + 1))


async def test_a_new_database_gets_every_migration(empty_database: str) -> None:
    names = [each.name for each in migrations()]
    assert await pending(empty_database) == names
    with pytest.raises(Unavailable, match="stonetown migrate"):
        await ping(empty_database)
    assert await migrate(empty_database) == names
    assert await pending(empty_database) == []
    assert await migrate(empty_database) == []
    await ping(empty_database)


async def test_many_nodes_that_start_at_once_apply_each_once(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(5)))
    assert [name for names in applied for name in names] == [each.name for each in migrations()]


async def test_a_pending_migration_makes_the_storage_unready(fresh_database: str) -> None:
    await execute(fresh_database, "DELETE FROM schema_migration")
    with pytest.raises(Unavailable, match="0001_stores_and_tuples is pending"):
        await ping(fresh_database)


async def test_a_newer_database_is_refused(fresh_database: str) -> None:
    await execute(fresh_database, "INSERT INTO schema_migration VALUES ('9999_future', '')")
    for call in (migrate, pending):
        with pytest.raises(MigrationRefusedError, match="9999_future"):
            await call(fresh_database)
    with pytest.raises(Unavailable, match="9999_future"):
        await ping(fresh_database)


async def test_an_edited_migration_is_refused(fresh_database: str) -> None:
    await execute(fresh_database, "UPDATE schema_migration SET checksum = 'other'")
    with pytest.raises(MigrationRefusedError, match="another text"):
        await migrate(fresh_database)


async def test_a_migration_that_fails_leaves_nothing(empty_database: str) -> None:
    await execute(empty_database, "CREATE TABLE secret (in_the_way integer)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty_database)
    connection = await asyncpg.connect(empty_database)
    try:
        assert await connection.fetchval("SELECT to_regclass('store')") is None
        assert await connection.fetchval("SELECT to_regclass('schema_migration')") is None
    finally:
        await connection.close()


async def test_tuples_of_before_are_as_old_as_is_known(empty_database: str) -> None:
    first, *later = migrations()
    await execute(empty_database, first.sql)
    await execute(empty_database, _BEFORE)
    for migration in later:
        await execute(empty_database, migration.sql)
    storage = await PostgresStorage.connect(empty_database)
    try:
        store = await storage.get_store("acme")
        old = (await storage.head(store.id)).snapshot
        stood = await storage.standing(old, None, 9)
        texts = ["doc:1#viewer@user:before", "doc:1#viewer@user:kept"]
        assert [str(one.tuple) for one in stood] == texts
        assert [one.written.committed_at.timestamp() for one in stood] == [50, 400]
        assert store.created_at.timestamp() == 50
        written = Update(UpdateOp.TOUCH, parse_tuple("doc:1#viewer@user:new"))
        command = WriteCommand([written], (), 0, store.created_at)
        new = (await storage.write(store.id, command)).snapshot
        tuples = [*map(parse_tuple, texts), written.tuple]
        found = await storage.created(new, tuples)
        assert found == [*(one.written for one in stood), (new.revision, new.committed_at)]
    finally:
        await storage.close()


async def test_waiting_for_another_node_ends(empty_database: str) -> None:
    other = await asyncpg.connect(empty_database)
    try:
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
            with pytest.raises(Unavailable, match="another node"):
                await migrate(empty_database, wait=0.2)
        assert await migrate(empty_database) == [each.name for each in migrations()]
    finally:
        await other.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await migrate("postgresql://nobody@/nothing?host=%2Fnonexistent")
