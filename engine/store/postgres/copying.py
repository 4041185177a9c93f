"""The tuples of one snapshot by COPY, for the index: in the order of its keys, in large blocks.

These statements read much of a store and sort it. They use connections of their own, which no
request waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg

from engine.errors import SnapshotExpired
from engine.index.build import Rows, StoredShape
from engine.store.postgres import faults
from engine.store.postgres.notifying import CHANNEL
from engine.store.postgres.rows import snapshot_of, tuple_of
from engine.store.protocol import Head, Snapshot
from engine.tuples import RelationTuple

_BLOCKS = 16
"""COPY blocks that wait to be taken: Postgres goes on while a batch is worked on."""
_ROWS_AT_ONCE = 2_000
_CONNECT_SECONDS = 5.0
_HEADS_SECONDS = 2.5
_LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

_LAST = "9223372036854775807"
# In two parts, each of which is the condition of a partial index.
_LIVING = f"""store_id = $1 AND created_revision <= $2
    AND (deleted_revision = {_LAST} OR deleted_revision > $2 AND deleted_revision < {_LAST})"""
_CONDITIONAL = "(caveat <> '' OR expires_at IS NOT NULL)"
_SETTINGS = """
SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL statement_timeout = 0;
SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = on
"""
_HEADS = """
SELECT id, head_revision AS revision, stamp, schema_version, committed_at, oldest_revision
FROM store WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL
"""
_GUARD = """
SELECT oldest_revision <= $2 FROM store WHERE id = $1 AND deleted_at IS NULL
"""
_SHAPES = f"""
SELECT object_type, relation, subject_type, subject_relation, {_CONDITIONAL}, count(*)
FROM relation_tuple WHERE {_LIVING} GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - made of the constants above
_RELATION = f"{_LIVING} AND object_type = $3 AND relation = $4 AND relation <> ''"
# With one form there is nothing to sort by between the two ids.
_ONE_FORM = f"""
SELECT object_id, subject_id, 0 FROM relation_tuple WHERE {_RELATION} ORDER BY object_id, subject_id
"""  # noqa: S608 - made of the constants above
_SOME_FORMS = f"""
SELECT object_id, subject_id,
    array_position($5::text[], subject_type || '#' || subject_relation
        || CASE WHEN {_CONDITIONAL} THEN '!' ELSE '' END) - 1 AS form
FROM relation_tuple WHERE {_RELATION} ORDER BY object_id, form, subject_id
"""  # noqa: S608 - made of the constants above
_BY_SUBJECT = f"""
SELECT subject_id, object_id FROM relation_tuple
WHERE {_RELATION} AND subject_type = $5 AND subject_relation = $6 AND {_CONDITIONAL} = $7
ORDER BY subject_id, object_id
"""  # noqa: S608 - made of the constants above
_CONDITIONS = f"""
SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
    caveat, context, expires_at
FROM relation_tuple WHERE {_LIVING} AND {_CONDITIONAL}
"""  # noqa: S608 - made of the constants above


class PostgresSource:
    """See `engine.index.build.Source`; over the database `dsn`.

    Heads are read on a connection that is kept.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._heard: Callable[[str], None] = lambda _store_id: None
        self._kept: asyncpg.Connection | None = None

    def on_written(self, heard: Callable[[str], None]) -> None:
        """Have `heard` told the id of each store that a writer announces to Postgres, if heads are
        read without a pooler between."""
        self._heard = heard

    async def heads(self, store_ids: Sequence[str]) -> dict[str, Head]:
        """See `Source.heads`. One call at a time."""
        try:
            async with asyncio.timeout(_HEADS_SECONDS):
                if self._kept is None or self._kept.is_closed():
                    self._kept = await self._connect()
                    await self._kept.add_listener(CHANNEL, self._notified)
                rows = await self._kept.fetch(_HEADS, store_ids)
        except BaseException as error:
            await self.close()
            if isinstance(error, _LOST):
                faults.before_commit(error)
            raise
        return {
            row["id"].hex: Head(snapshot_of(row["id"].hex, row), row["oldest_revision"])
            for row in rows
        }

    async def close(self) -> None:
        """Close the connection that is kept."""
        if self._kept is not None:
            self._kept.terminate()
            self._kept = None

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._heard(str(payload))

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._dsn, timeout=_CONNECT_SECONDS, statement_cache_size=0)

    async def shapes(self, snapshot: Snapshot) -> dict[StoredShape, int]:
        """See `Source.shapes`."""
        async with self._reading(snapshot) as connection:
            rows = await connection.fetch(_SHAPES, *_arguments(snapshot))
        return {StoredShape(*row[:5]): row[5] for row in rows}

    def by_object(self, snapshot: Snapshot, shapes: Sequence[StoredShape]) -> AsyncIterator[Rows]:
        """See `Source.by_object`."""
        relation = shapes[0][:2]
        if len(shapes) == 1:
            return self._copied(snapshot, _ONE_FORM, *relation)
        forms = [
            f"{shape.subject_type}#{shape.subject_relation}{'!' if shape.conditional else ''}"
            for shape in shapes
        ]
        return self._copied(snapshot, _SOME_FORMS, *relation, forms)

    def by_subject(self, snapshot: Snapshot, shape: StoredShape) -> AsyncIterator[Rows]:
        """See `Source.by_subject`."""
        return self._copied(snapshot, _BY_SUBJECT, *shape)

    async def conditional(self, snapshot: Snapshot) -> AsyncIterator[Sequence[RelationTuple]]:
        """See `Source.conditional`."""
        async with self._reading(snapshot) as connection:
            cursor = await connection.cursor(_CONDITIONS, *_arguments(snapshot))
            while rows := await cursor.fetch(_ROWS_AT_ONCE):
                yield [tuple_of(row) for row in rows]

    async def _copied(
        self, snapshot: Snapshot, query: str, *arguments: object
    ) -> AsyncIterator[Rows]:
        async with self._reading(snapshot) as connection:
            blocks: asyncio.Queue[bytes] = asyncio.Queue(_BLOCKS)
            given = (*_arguments(snapshot), *arguments)
            copying = asyncio.create_task(_copy(connection, query, given, blocks.put))
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
            connection = await self._connect()
            async with connection.transaction():
                await connection.execute(_SETTINGS)
                yield connection
            # Asked last: history that is given up is given up before any row of it goes.
            if not await connection.fetchval(_GUARD, *_arguments(snapshot)):
                raise SnapshotExpired("the snapshot went while it was copied")
        except _LOST as error:
            faults.before_commit(error)
        finally:
            if connection is not None:
                connection.terminate()


def _arguments(snapshot: Snapshot) -> tuple[str, int]:
    return snapshot.store_id, snapshot.revision


async def _copy(
    connection: asyncpg.Connection,
    query: str,
    arguments: Sequence[object],
    put: Callable[[bytes], Awaitable[None]],
) -> None:
    """Put every block of a COPY, and an empty one at its end, be that good or bad."""
    try:
        await connection.copy_from_query(query, *arguments, output=cast("Any", put))
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
