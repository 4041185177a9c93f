"""Applies `migrations/*.sql`, forward only, each exactly once, however many nodes start at once.

All pending migrations run in one transaction under an advisory lock of that transaction, so they
work behind a pooler too. The lock is polled and not waited for: a waiter would hold a snapshot,
and the holder may need all older snapshots gone.
"""

from __future__ import annotations

import asyncio
import hashlib
from importlib import resources
from typing import NamedTuple

import asyncpg

from engine.errors import Unavailable
from engine.store.postgres import faults
from engine.store.postgres.sql import statement

_LOCK_KEY = 7_210_654_813_994_020_117
_POLL_SECONDS = 0.05
_TRY_LOCK = statement("try_migration_lock")
_MAKE_TABLE = statement("make_migration_table")
_FIND_TABLE = statement("find_migration_table")
_APPLIED = statement("applied_migrations")
_RECORD = statement("record_migration")


class Migration(NamedTuple):
    """One file of `migrations/`; `checksum` is the SHA-256 of its text, in hex."""

    name: str
    checksum: str
    sql: str


class MigrationRefusedError(Exception):
    """The database is newer than this program, or a migration was edited after it was applied."""


def migrations() -> list[Migration]:
    """Every migration of this program, in order."""
    files = [file for file in resources.files("migrations").iterdir() if file.name[-4:] == ".sql"]
    made = []
    for file in sorted(files, key=lambda file: file.name):
        sql = file.read_text(encoding="utf-8")
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        made.append(Migration(file.name.removesuffix(".sql"), checksum, sql))
    return made


async def migrate(dsn: str, *, wait: float = 60.0) -> list[str]:
    """Apply what is pending and return its names; an empty list says that nothing was.

    Waits up to `wait` seconds for another node that is migrating. Raises MigrationRefusedError,
    and Unavailable when the database cannot be reached or stays locked.
    """
    connection = await _connect(dsn)
    try:
        async with asyncio.timeout(wait):
            while True:
                names = await _try(connection)
                if names is not None:
                    return names
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise Unavailable("another node has been migrating for too long") from None
    finally:
        await connection.close()


async def pending(dsn: str) -> list[str]:
    """The names of the migrations that `migrate` would apply. Raises as `migrate` does."""
    connection = await _connect(dsn)
    try:
        async with connection.transaction():
            return [migration.name for migration in await _pending(connection)]
    finally:
        await connection.close()


def compare(applied: dict[str, str]) -> list[Migration]:
    """The migrations that `applied` (checksums by name) lacks. Raises MigrationRefusedError."""
    ours = migrations()
    unknown = sorted(applied.keys() - {migration.name for migration in ours})
    if unknown:
        raise MigrationRefusedError(
            f"the database has migration {unknown[-1]}, which this program does not know: "
            "start a newer version"
        )
    for migration in ours:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationRefusedError(
                f"migration {migration.name} was applied to the database with another text"
            )
    return [migration for migration in ours if migration.name not in applied]


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=10, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        faults.before_commit(error)


async def _try(connection: asyncpg.Connection) -> list[str] | None:
    """Apply everything in one transaction; None if another node holds the lock."""
    async with connection.transaction():
        if not await connection.fetchval(_TRY_LOCK, _LOCK_KEY):
            return None
        await connection.execute(_MAKE_TABLE)
        todo = await _pending(connection)
        for migration in todo:
            await connection.execute(migration.sql)
            await connection.execute(_RECORD, migration.name, migration.checksum)
        return [migration.name for migration in todo]


async def _pending(connection: asyncpg.Connection) -> list[Migration]:
    if not await connection.fetchval(_FIND_TABLE):
        return compare({})
    return compare({row["name"]: row["checksum"] for row in await connection.fetch(_APPLIED)})
