"""Fill a store of Postgres by COPY, below the engine: as one revision, in a few minutes for ten
million tuples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice

import asyncpg

from engine.engine import Engine
from engine.requests import WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple

Row = tuple[str, str, str, str, str, str, str, str]
"""Object type and id, relation, subject type, id and relation, caveat, context: none of them holds
a tab, a newline or a backslash."""

_ROWS_AT_ONCE = 20_000
_COLUMNS = (
    "object_type",
    "object_id",
    "relation",
    "subject_type",
    "subject_id",
    "subject_relation",
    "caveat",
    "context",
    "store_id",
    "created_revision",
)
_WORTH_DROPPING = 500_000


async def begin(engine: Engine, name: str, schema: str, first: RelationTuple) -> None:
    """A store with a schema and one tuple, which is none of those that are copied then."""
    await engine.create_store(name)
    await engine.write_schema(name, schema)
    await engine.write(name, WriteRequest([Update(UpdateOp.TOUCH, first)]))


async def copy(engine: Engine, dsn: str, name: str, rows: Iterable[Row]) -> int:
    """Copy rows beside the first tuple, as if written with it; how many tuples there are."""
    record = await engine.get_store(name)
    head = await engine.storage.head(record.id)
    end = f"\t{record.id}\t{head.snapshot.revision}\n"
    counted = 1

    async def lines() -> AsyncIterator[bytes]:
        nonlocal counted
        left = iter(rows)
        while batch := list(islice(left, _ROWS_AT_ONCE)):
            counted += len(batch)
            yield (end.join(map("\t".join, batch)) + end).encode()

    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET maintenance_work_mem = '1GB'; SET statement_timeout = 0")
        await connection.copy_to_table(
            "relation_tuple", source=lines(), columns=_COLUMNS, format="text"
        )
        await connection.execute("VACUUM ANALYZE relation_tuple")
    finally:
        await connection.close()
    return counted


async def without_indexes(dsn: str) -> list[str]:
    """Drop the indexes of the tuples before very many of them come; the statements that make them
    again."""
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'relation_tuple'"
        )
        for row in found:
            await connection.execute(f"DROP INDEX {row['indexname']}")
        return [row["indexdef"] for row in found]
    finally:
        await connection.close()


async def with_indexes(dsn: str, statements: Iterable[str]) -> None:
    """Make dropped indexes again."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET maintenance_work_mem = '1GB'")
        for statement in statements:
            await connection.execute(statement, timeout=3600)
        await connection.execute("VACUUM ANALYZE relation_tuple")
    finally:
        await connection.close()
