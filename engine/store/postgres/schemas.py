"""Schema versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.read import Fetch
from engine.store.postgres.rows import tuple_of
from engine.store.postgres.sql import statement
from engine.store.postgres.transaction import Revision, lock, recall, remember, take_revision
from engine.store.protocol import SchemaCommand, SchemaMoved, SchemaRecord, Shape, Snapshot
from engine.tuples import RelationTuple

_SCHEMA = statement("schema")
_NAMED_SCHEMA = statement("named_schema")
_NAMED_SCHEMAS = statement("named_schemas")
_CURRENT_SCHEMA = statement("current_schema")
_TUPLES_OF_SHAPES = statement("tuples_of_shapes")
_ADD_SCHEMA = statement("add_schema")


async def schema(pool: Pool, store_id: str, version: int) -> SchemaRecord:
    """See `Storage.schema`."""
    rows = await pool.fetch(_SCHEMA, store_id, version)
    if not rows:
        raise refusals.store_gone()
    if rows[0]["version"] is None:
        raise refusals.no_schema(version)
    return SchemaRecord(*rows[0])


async def named_schema(pool: Pool, store_id: str, name: str) -> SchemaRecord:
    """See `Storage.named_schema`."""
    rows = await pool.fetch(_NAMED_SCHEMA, store_id, name)
    if not rows:
        raise refusals.store_gone()
    if rows[0]["version"] is None:
        raise refusals.unknown_schema(name)
    return SchemaRecord(*rows[0])


async def named_schemas(pool: Pool, store_id: str, before: int, limit: int) -> list[SchemaRecord]:
    """See `Storage.named_schemas`."""
    rows = await pool.fetch(_NAMED_SCHEMAS, store_id, before, limit)
    if not rows:
        raise refusals.store_gone()
    return [SchemaRecord(*row) for row in rows if row["version"] is not None]


async def put_schema(pool: Pool, store_id: str, command: SchemaCommand) -> Snapshot:
    """See `Storage.put_schema`."""

    async def work(connection: asyncpg.Connection) -> Snapshot:
        head = await lock(connection, store_id)
        before = await recall(connection, store_id, command.idempotency, "schema")
        if before is not None:
            return before.snapshot
        if command.expected_version not in (None, head.schema_version):
            raise SchemaMoved(head.schema_version)
        snapshot = head
        if not await _is_current(connection, head, command):
            await _refuse_orphans(connection, store_id, command)
            snapshot = await _add(connection, head, command)
        await remember(connection, command.idempotency, "schema", snapshot, {})
        return snapshot

    return await pool.transact(work)


async def _is_current(
    connection: asyncpg.Connection, head: Snapshot, command: SchemaCommand
) -> bool:
    if head.schema_version == 0 or command.name:
        return False
    row = await connection.fetchrow(_CURRENT_SCHEMA, head.store_id, head.schema_version)
    return tuple(row) == (command.text, command.language)


async def _refuse_orphans(
    connection: asyncpg.Connection, store_id: str, command: SchemaCommand
) -> None:
    """Raise SchemaInUse, naming the first few tuples that would be orphaned."""
    if not command.removed:
        return
    found = await _of_shapes(
        connection.fetch, store_id, command.removed, command.now, refusals.NAMED_TUPLES
    )
    if found:
        raise refusals.schema_in_use(found)


async def tuples_of_shapes(
    pool: Pool, store_id: str, shapes: Sequence[Shape], now: datetime, limit: int
) -> list[RelationTuple]:
    """See `Storage.tuples_of_shapes`."""
    return await _of_shapes(pool.fetch, store_id, shapes, now, limit)


async def _of_shapes(
    fetch: Fetch, store_id: str, shapes: Sequence[Shape], now: datetime, limit: int
) -> list[RelationTuple]:
    """Up to `limit` tuples in tuple order, each once though it may have several shapes."""
    columns = [[shape[part] for shape in shapes] for part in range(len(Shape._fields))]
    rows = await fetch(_TUPLES_OF_SHAPES, store_id, *columns, now, limit)
    if not rows:
        raise refusals.store_gone()
    found = {tuple_of(row) for row in rows if row[0] is not None}
    return sorted(found, key=lambda made: made.identity)[:limit]


async def _add(connection: asyncpg.Connection, head: Snapshot, command: SchemaCommand) -> Snapshot:
    version = head.schema_version + 1
    revision = Revision([], [], command.metadata, command.actor, version, schema_changed=True)
    snapshot = await take_revision(connection, head.store_id, revision)
    added = (version, command.text, command.language, snapshot.revision, command.name)
    if await connection.fetchval(_ADD_SCHEMA, head.store_id, *added) is None:
        raise refusals.schema_exists(command.name)
    return snapshot
