"""A storage that is wrong on purpose: its revisions come from a sequence, without the lock.

Each write takes its number when it begins and becomes visible when it commits, so that a revision
can appear below a head that others have seen already. Locking the store's row prevents that; tests
show that they would find it.
"""

from __future__ import annotations

import asyncpg

from engine.store.postgres import PostgresStorage
from engine.store.postgres.rows import identity_columns, new_stamp, snapshot_of
from engine.store.protocol import Snapshot, UpdateOp, UpdateResult, WriteCommand, WriteOutcome
from engine.tuples import RelationTuple

CREATE_SEQUENCE = "CREATE SEQUENCE naive_revision MINVALUE 0 START {start}"
_TAKE = "SELECT nextval('naive_revision')"
_HEAD = "SELECT schema_version FROM store WHERE id = $1"
_CLOSE = """
UPDATE relation_tuple AS tuple SET deleted_revision = $2
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    AS gone (object_type, object_id, relation, subject_type, subject_id, subject_relation)
WHERE tuple.store_id = $1
    AND tuple.object_type = gone.object_type AND tuple.object_id = gone.object_id
    AND tuple.relation = gone.relation AND tuple.subject_type = gone.subject_type
    AND tuple.subject_id = gone.subject_id AND tuple.subject_relation = gone.subject_relation
    AND tuple.deleted_revision = 9223372036854775807
"""
_INSERT = """
INSERT INTO relation_tuple (store_id, created_revision, object_type, object_id, relation,
    subject_type, subject_id, subject_relation, caveat, context)
SELECT $1, $2, made.*, '', ''
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) AS made
"""
_RECORD = """
INSERT INTO revision (store_id, revision, stamp, schema_version, committed_at, schema_changed,
    actor, metadata)
VALUES ($1, $2, $3, $4, clock_timestamp(), false, '', '')
RETURNING revision, stamp, schema_version, committed_at
"""
_RAISE_HEAD = """
UPDATE store
SET head_revision = greatest(head_revision, $2),
    stamp = CASE WHEN $2 > head_revision THEN $3 ELSE stamp END,
    committed_at = greatest(committed_at, $4)
WHERE id = $1
"""


_LATE = "SELECT pg_sleep(0.005)"


class SequenceStorage(PostgresStorage):
    """Postgres with wrong writes: no preconditions, keys or results, and no caveats.

    Every third write is a little late to commit, as any may be on a busy server.
    """

    async def before_commit(self, connection: asyncpg.Connection, revision: int) -> None:
        """Called when everything of a write is done but its commit."""
        if revision % 3 == 0:
            await connection.execute(_LATE)

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        async def work(connection: asyncpg.Connection) -> Snapshot:
            return await self._write(connection, store_id, command)

        snapshot = await self._pool.transact(work)
        return WriteOutcome(snapshot, (UpdateResult.UPDATED,) * len(command.updates))

    async def _write(
        self, connection: asyncpg.Connection, store_id: str, command: WriteCommand
    ) -> Snapshot:
        revision = await connection.fetchval(_TAKE)
        version = await connection.fetchval(_HEAD, store_id)
        tuples = [update.tuple for update in command.updates]
        made: list[RelationTuple] = [
            update.tuple for update in command.updates if update.op is not UpdateOp.DELETE
        ]
        await connection.execute(_CLOSE, store_id, revision, *identity_columns(tuples))
        await connection.execute(_INSERT, store_id, revision, *identity_columns(made))
        stamp = new_stamp()
        row = await connection.fetchrow(_RECORD, store_id, revision, stamp, version)
        await self.before_commit(connection, revision)
        await connection.execute(_RAISE_HEAD, store_id, revision, stamp, row["committed_at"])
        return snapshot_of(store_id, row)
