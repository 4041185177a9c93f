"""Writing tuples: by update, by filter, and by expiry."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import asyncpg

from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.read import page
from engine.store.postgres.rows import identity_columns, snapshot_of, tuple_of
from engine.store.postgres.sql import statement
from engine.store.postgres.transaction import (
    Revision,
    lock,
    recall,
    remember,
    require,
    take_revision,
)
from engine.store.protocol import (
    DeleteCommand,
    DeleteOutcome,
    SchemaMoved,
    Snapshot,
    Update,
    UpdateOp,
    UpdateResult,
    WriteCommand,
    WriteOutcome,
)
from engine.tuples import RelationTuple

_LIVING = statement("living")
_EXPIRED = statement("expired")
_ANY_EXPIRED = statement("any_expired")


class _Living(NamedTuple):
    """The living row of an update's identity: what the tuple depends on."""

    caveat: str
    context: str
    expires_at: datetime | None


class _Decided(NamedTuple):
    """What a write comes to: a result an update, the rows to close and the rows to insert."""

    results: list[UpdateResult]
    closed: list[RelationTuple]
    inserted: list[RelationTuple]


async def write(pool: Pool, store_id: str, command: WriteCommand) -> WriteOutcome:
    """See `Storage.write`."""

    async def work(connection: asyncpg.Connection) -> WriteOutcome:
        head = await lock(connection, store_id)
        before = await recall(connection, store_id, command.idempotency, "write")
        if before is not None:
            results = tuple(map(UpdateResult, before.outcome["results"]))
            return WriteOutcome(before.snapshot, results, replayed=True)
        if command.schema_version != head.schema_version:
            raise SchemaMoved(head.schema_version)
        await require(connection, head, command.preconditions, command.now)
        living = await _living(connection, head, command)
        decided = _decide(command, living)
        snapshot = await _apply(connection, head, command, decided.closed, decided.inserted)
        outcome = {"results": decided.results}
        await remember(connection, command.idempotency, "write", snapshot, outcome)
        return WriteOutcome(snapshot, tuple(decided.results))

    return await pool.transact(work)


async def delete(pool: Pool, store_id: str, command: DeleteCommand) -> DeleteOutcome:
    """See `Storage.delete`."""

    async def work(connection: asyncpg.Connection) -> DeleteOutcome:
        head = await lock(connection, store_id)
        before = await recall(connection, store_id, command.idempotency, "delete")
        if before is not None:
            return DeleteOutcome(before.snapshot, **before.outcome, replayed=True)
        await require(connection, head, command.preconditions, command.now)
        found = await page(
            connection.fetch, head, command.filter, None, command.limit + 1, command.now
        )
        gone = found[: command.limit]
        snapshot = await _apply(connection, head, command, gone, [])
        outcome = {"deleted": len(gone), "complete": len(found) == len(gone)}
        await remember(connection, command.idempotency, "delete", snapshot, outcome)
        return DeleteOutcome(snapshot, len(gone), len(found) == len(gone), _objects(gone))

    return await pool.transact(work)


async def remove_expired(pool: Pool, store_id: str, now: datetime, limit: int) -> DeleteOutcome:
    """See `Storage.remove_expired`. Takes the store's lock only if something is expired."""
    rows = await pool.fetch(_ANY_EXPIRED, store_id, now)
    if not rows:
        raise refusals.store_gone()
    if not rows[0]["any_expired"]:
        return DeleteOutcome(snapshot_of(store_id, rows[0]), 0, complete=True)

    async def work(connection: asyncpg.Connection) -> DeleteOutcome:
        head = await lock(connection, store_id)
        found = [
            tuple_of(row) for row in await connection.fetch(_EXPIRED, store_id, now, limit + 1)
        ]
        gone = found[:limit]
        snapshot = await _apply(connection, head, None, gone, [])
        return DeleteOutcome(snapshot, len(gone), len(found) == len(gone), _objects(gone))

    return await pool.transact(work)


async def _living(
    connection: asyncpg.Connection, head: Snapshot, command: WriteCommand
) -> dict[int, _Living]:
    """The living rows by the position of the update that names them."""
    if not command.updates:
        return {}
    identities = identity_columns(update.tuple for update in command.updates)
    rows = await connection.fetch(_LIVING, head.store_id, head.revision, *identities)
    return {row[0] - 1: _Living(row[1], row[2], row[3]) for row in rows}


def _decide(command: WriteCommand, living: dict[int, _Living]) -> _Decided:
    """Compare the updates with the living rows. A row that is expired counts as absent, but
    must be closed before its identity is inserted again. Raises TupleExists."""
    decided = _Decided([], [], [])
    for position, update in enumerate(command.updates):
        row = living.get(position)
        expired = row is not None and row.expires_at is not None and row.expires_at <= command.now
        result = _result(update, position, None if expired else row)
        decided.results.append(result)
        if result is UpdateResult.DELETED:
            decided.closed.append(update.tuple)
        elif result in {UpdateResult.CREATED, UpdateResult.UPDATED}:
            decided.inserted.append(update.tuple)
            if row is not None:
                decided.closed.append(update.tuple)
    return decided


def _result(update: Update, position: int, row: _Living | None) -> UpdateResult:
    if update.op is UpdateOp.DELETE:
        return UpdateResult.ABSENT if row is None else UpdateResult.DELETED
    if row is None:
        return UpdateResult.CREATED
    if update.op is UpdateOp.CREATE:
        raise refusals.tuple_exists(update.tuple, position)
    return UpdateResult.UNCHANGED if row == update.tuple[3:] else UpdateResult.UPDATED


async def _apply(
    connection: asyncpg.Connection,
    head: Snapshot,
    command: WriteCommand | DeleteCommand | None,
    closed: list[RelationTuple],
    inserted: list[RelationTuple],
) -> Snapshot:
    """The snapshot after the change: the head itself if there is nothing to change."""
    if not closed and not inserted:
        return head
    metadata, actor = ("", "") if command is None else (command.metadata, command.actor)
    revision = Revision(closed, inserted, metadata, actor, head.schema_version)
    return await take_revision(connection, head.store_id, revision)


def _objects(tuples: list[RelationTuple]) -> tuple[tuple[str, str], ...]:
    """The objects of these tuples, each once, in order."""
    return tuple(dict.fromkeys(made.object[:2] for made in tuples))
