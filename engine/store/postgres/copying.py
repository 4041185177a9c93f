"""The tuples of one snapshot by COPY, for the index: in the order of its keys, in large blocks.

These statements read all of a store and sort it, so they use no index and a connection of their
own, which no request waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg

from engine.errors import SnapshotExpired
from engine.index.build import StoredShape
from engine.store.postgres import faults
from engine.store.postgres.rows import tuple_of
from engine.store.protocol import Snapshot
from engine.tuples import RelationTuple

_BLOCKS = 16
"""COPY blocks that wait to be taken: Postgres goes on while a batch is worked on."""
_ROWS_AT_ONCE = 2_000
_CONNECT_SECONDS = 5.0

_LIVING = "store_id = $1 AND created_revision <= $2 AND deleted_revision > $2"
_CONDITIONAL = "(caveat <> '' OR expires_at IS NOT NULL)"
_SETTINGS = "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL statement_timeout = 0"
_GUARD = """
SELECT oldest_revision <= $2 FROM store WHERE id = $1 AND deleted_at IS NULL
"""
_SHAPES = f"""
SELECT DISTINCT object_type, relation, subject_type, subject_relation, {_CONDITIONAL}
FROM relation_tuple WHERE {_LIVING}
"""  # noqa: S608 - made of the constants above
_ROWS = f"""
SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
    CASE WHEN {_CONDITIONAL} THEN 't' ELSE 'f' END
FROM relation_tuple WHERE {_LIVING}
"""  # noqa: S608 - made of the constants above
_BY_OBJECT = f"""{_ROWS}
ORDER BY object_type, relation, object_id,
    subject_relation <> '', {_CONDITIONAL}, subject_type, subject_relation, subject_id
"""
_BY_SUBJECT = f"""{_ROWS}
ORDER BY subject_relation <> '', {_CONDITIONAL}, subject_type, subject_relation,
    object_type, relation, subject_id, object_id
"""
_CONDITIONS = f"""
SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
    caveat, context, expires_at
FROM relation_tuple WHERE {_LIVING} AND {_CONDITIONAL}
"""  # noqa: S608 - made of the constants above


class PostgresSource:
    """See `engine.index.build.Source`; over the database `dsn`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def shapes(self, snapshot: Snapshot) -> list[StoredShape]:
        """See `Source.shapes`."""
        async with self._reading(snapshot) as connection:
            rows = await connection.fetch(_SHAPES, *_arguments(snapshot))
        return [StoredShape(*row) for row in rows]

    def by_object(self, snapshot: Snapshot) -> AsyncIterator[Sequence[Sequence[bytes]]]:
        """See `Source.by_object`."""
        return self._copied(_BY_OBJECT, snapshot)

    def by_subject(self, snapshot: Snapshot) -> AsyncIterator[Sequence[Sequence[bytes]]]:
        """See `Source.by_subject`."""
        return self._copied(_BY_SUBJECT, snapshot)

    async def conditional(self, snapshot: Snapshot) -> AsyncIterator[Sequence[RelationTuple]]:
        """See `Source.conditional`."""
        async with self._reading(snapshot) as connection:
            cursor = await connection.cursor(_CONDITIONS, *_arguments(snapshot))
            while rows := await cursor.fetch(_ROWS_AT_ONCE):
                yield [tuple_of(row) for row in rows]

    async def _copied(
        self, query: str, snapshot: Snapshot
    ) -> AsyncIterator[Sequence[Sequence[bytes]]]:
        async with self._reading(snapshot) as connection:
            blocks: asyncio.Queue[bytes] = asyncio.Queue(_BLOCKS)
            copying = asyncio.create_task(_copy(connection, query, snapshot, blocks.put))
            rest = b""
            try:
                while block := await blocks.get():
                    whole, _, rest = (rest + block).rpartition(b"\n")
                    if whole:
                        yield _rows(whole)
                await copying
            finally:
                copying.cancel()
                await asyncio.gather(copying, return_exceptions=True)

    @asynccontextmanager
    async def _reading(self, snapshot: Snapshot) -> AsyncIterator[asyncpg.Connection]:
        """A connection, and the certainty that what was read of the snapshot was all of it."""
        connection: asyncpg.Connection | None = None
        try:
            connection = await asyncpg.connect(self._dsn, timeout=_CONNECT_SECONDS)
            async with connection.transaction():
                await connection.execute(_SETTINGS)
                yield connection
            # Asked last: history that is given up is given up before any row of it goes.
            if not await connection.fetchval(_GUARD, *_arguments(snapshot)):
                raise SnapshotExpired("the snapshot went while it was copied")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            faults.before_commit(error)
        finally:
            if connection is not None:
                connection.terminate()


def _arguments(snapshot: Snapshot) -> tuple[str, int]:
    return snapshot.store_id, snapshot.revision


async def _copy(
    connection: asyncpg.Connection,
    query: str,
    snapshot: Snapshot,
    put: Callable[[bytes], Awaitable[None]],
) -> None:
    """Put every block of a COPY, and an empty one at its end, be that good or bad."""
    try:
        await connection.copy_from_query(query, *_arguments(snapshot), output=cast("Any", put))
    except Exception:
        await put(b"")
        raise
    await put(b"")


def _rows(block: bytes) -> list[list[bytes]]:
    """The rows of COPY's text format. Ids hold no tab, newline or other control character, so a
    backslash is the only thing that is escaped."""
    rows = [line.split(b"\t") for line in block.split(b"\n")]
    if b"\\" in block:
        rows = [[part.replace(b"\\\\", b"\\") for part in row] for row in rows]
    return rows
