"""Writing tuples: by updates, by filter, and by expiry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

import asyncpg

from engine.errors import EngineError
from engine.store import refusals
from engine.store.postgres.ledger import Decided, Ledger, Living, Stored, UndecidedError
from engine.store.postgres.pool import Pool
from engine.store.postgres.read import page
from engine.store.postgres.rows import packed_identities, snapshot_of, tuple_of
from engine.store.postgres.sql import statement
from engine.store.postgres.transaction import (
    Kept,
    Revision,
    Revisions,
    lock,
    matches,
    recall,
    recall_each,
    remember,
    remember_each,
    require,
    take_revision,
    take_revisions,
)
from engine.store.protocol import (
    DeleteCommand,
    DeleteOutcome,
    SchemaMoved,
    Snapshot,
    WriteCommand,
    WriteOutcome,
)
from engine.tuples import RelationTuple

_LIVING = statement("living")
_EXPIRED = statement("expired")
_ANY_EXPIRED = statement("any_expired")

Written = WriteOutcome | EngineError | SchemaMoved
"""What became of one write of several."""


async def write(pool: Pool, store_id: str, commands: Sequence[WriteCommand]) -> list[Written]:
    """Carry out writes of one store in one transaction, each as if the ones before it had been
    committed: what each comes to, an outcome or what it was refused for (see `Storage.write`).

    A refused write leaves no trace. At least the first is carried out; the list ends before one
    that must wait until those before it are committed.
    """

    async def work(connection: asyncpg.Connection) -> list[Written]:
        head = await lock(connection, store_id)
        identities = packed_identities(one.tuple for each in commands for one in each.updates)
        stored = await _stored(connection, head, commands, identities)
        ledger = Ledger(head)
        decided: list[Decided | WriteOutcome | EngineError | SchemaMoved] = []
        for command, found in zip(commands, stored, strict=True):
            try:
                decided.append(ledger.decide(command, found))
            except UndecidedError:
                break
            except (EngineError, SchemaMoved) as refused:
                decided.append(refused)
        # In the order of the updates: if there are as many, they are the same.
        whole = len(commands) == 1 and len(ledger.inserted) == len(commands[0].updates)
        return await _commit(
            connection, head, ledger, commands, decided, identities if whole else ()
        )

    return await pool.transact(work)


async def _stored(
    connection: asyncpg.Connection,
    head: Snapshot,
    commands: Sequence[WriteCommand],
    identities: Sequence[str],
) -> list[Stored]:
    """What each write depends on, as it is at the head; `identities` are those of all updates,
    packed."""
    keys = {command.idempotency.key for command in commands if command.idempotency is not None}
    recalled = await recall_each(connection, head.store_id, list(keys))
    wanted = [(filter_, one.now) for one in commands for _, filter_ in one.preconditions]
    matched = iter(await matches(connection, head, wanted))
    living = await _living(connection, head, commands, identities)
    return [
        Stored(
            living[position],
            list(islice(matched, len(command.preconditions))),
            None if command.idempotency is None else recalled.get(command.idempotency.key),
        )
        for position, command in enumerate(commands)
    ]


async def _living(
    connection: asyncpg.Connection,
    head: Snapshot,
    commands: Sequence[WriteCommand],
    identities: Sequence[str],
) -> list[dict[int, Living]]:
    """For each write the living rows by the position of the update that names them."""
    found: list[dict[int, Living]] = [{} for _ in commands]
    places = [
        (rows, position)
        for rows, command in zip(found, commands, strict=True)
        for position in range(len(command.updates))
    ]
    if places:
        answer = await connection.fetch(_LIVING, head.store_id, head.revision, *identities)
        for item, *row in answer:
            rows, position = places[item - 1]
            rows[position] = Living(*row)
    return found


async def _commit(
    connection: asyncpg.Connection,
    head: Snapshot,
    ledger: Ledger,
    commands: Sequence[WriteCommand],
    decided: Sequence[Decided | WriteOutcome | EngineError | SchemaMoved],
    identities: Sequence[str],
) -> list[Written]:
    """Write what the ledger holds, and keep the outcomes under their idempotency keys."""
    snapshots = [head]
    if ledger.revisions:
        revisions = Revisions(
            [(command.actor, command.metadata) for command in ledger.revisions],
            ledger.closed,
            [(made.tuple, made.began, made.ended) for made in ledger.inserted],
            head.schema_version,
            identities=identities,
        )
        snapshots += await take_revisions(connection, head.store_id, revisions)
    written: list[Written] = []
    kept = []
    for command, one in zip(commands, decided, strict=False):
        if not isinstance(one, Decided):
            written.append(one)
            continue
        outcome = WriteOutcome(snapshots[one.revision], one.results, one.replayed)
        written.append(outcome)
        if command.idempotency is not None and not one.replayed:
            kept.append(Kept(command.idempotency, outcome.snapshot, {"results": one.results}))
    await remember_each(connection, "write", kept)
    return written


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
        snapshot = await _close(connection, head, command, gone)
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
        snapshot = await _close(connection, head, None, gone)
        return DeleteOutcome(snapshot, len(gone), len(found) == len(gone), _objects(gone))

    return await pool.transact(work)


async def _close(
    connection: asyncpg.Connection,
    head: Snapshot,
    command: DeleteCommand | None,
    closed: list[RelationTuple],
) -> Snapshot:
    """The snapshot after closing these rows: the head itself if there are none."""
    if not closed:
        return head
    metadata, actor = ("", "") if command is None else (command.metadata, command.actor)
    revision = Revision(closed, [], metadata, actor, head.schema_version)
    return await take_revision(connection, head.store_id, revision)


def _objects(tuples: list[RelationTuple]) -> tuple[tuple[str, str], ...]:
    """The objects of these tuples, each once, in order."""
    return tuple(dict.fromkeys(made.object[:2] for made in tuples))
