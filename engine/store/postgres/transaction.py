"""The steps of a write transaction, each one statement, in the order they run.

lock -> recall -> matches -> (what the request itself reads) -> take_revisions -> remember
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from engine.store import refusals
from engine.store.postgres.rows import (
    filter_columns,
    new_stamp,
    packed,
    packed_identities,
    signed,
    snapshot_of,
)
from engine.store.postgres.sql import statement
from engine.store.protocol import Idempotency, Precondition, PreconditionOp, Snapshot, TupleFilter
from engine.tuples import RelationTuple

_LOCK_STORE = statement("lock_store")
_RECALL = statement("recall")
_REMEMBER = statement("remember")
_PRECONDITIONS = statement("preconditions")
_COMMIT_REVISIONS = statement("commit_revisions")


class Recalled(NamedTuple):
    """What a request of this `kind` and `digest` did when its idempotency key was used before."""

    kind: str
    digest: bytes
    snapshot: Snapshot
    outcome: dict[str, Any]

    def require(self, used: Idempotency, kind: str) -> dict[str, Any]:
        """The outcome for a repetition of that request. Raises IdempotencyConflict for another."""
        if (self.kind, self.digest) != (kind, used.digest):
            raise refusals.key_used()
        return self.outcome


class Kept(NamedTuple):
    """What a request that bore an idempotency key has done."""

    used: Idempotency
    snapshot: Snapshot
    outcome: dict[str, Any]


class Revisions(NamedTuple):
    """The next revisions of a store: what each records of itself, and the rows that they close
    and insert. Rows count their revisions from the head: 1 is the first of these, and 0, as the
    end of a row that is inserted, stands for none."""

    recorded: Sequence[tuple[str, str]]
    """Actor and metadata."""
    closed: Sequence[tuple[RelationTuple, int]]
    inserted: Sequence[tuple[RelationTuple, int, int]]
    schema_version: int
    schema_changed: bool = False
    identities: Sequence[str] = ()
    """Those of the rows to insert, packed, if they are at hand."""


class Revision(NamedTuple):
    """What a request does: the rows it closes and inserts, and what it records of itself."""

    closed: Sequence[RelationTuple]
    inserted: Sequence[RelationTuple]
    metadata: str
    actor: str
    schema_version: int
    schema_changed: bool = False


async def lock(connection: asyncpg.Connection, store_id: str) -> Snapshot:
    """Begin the store's serial section and return its head. Raises StoreNotFound."""
    row = await connection.fetchrow(_LOCK_STORE, store_id)
    if row is None:
        raise refusals.store_gone()
    return snapshot_of(store_id, row)


async def recall_each(
    connection: asyncpg.Connection, store_id: str, keys: Sequence[str]
) -> dict[str, Recalled]:
    """What is kept under these idempotency keys."""
    found = {}
    for row in await connection.fetch(_RECALL, store_id, keys) if keys else ():
        outcome = json.loads(row["outcome"])
        kind = outcome.pop("kind")
        found[row["key"]] = Recalled(kind, row["digest"], snapshot_of(store_id, row), outcome)
    return found


async def recall(
    connection: asyncpg.Connection, store_id: str, used: Idempotency | None, kind: str
) -> Recalled | None:
    """What this request did before, if it is a repetition. Raises IdempotencyConflict."""
    if used is None:
        return None
    found = (await recall_each(connection, store_id, [used.key])).get(used.key)
    if found is not None:
        found.require(used, kind)
    return found


async def remember_each(connection: asyncpg.Connection, kind: str, kept: Sequence[Kept]) -> None:
    """Keep outcomes of requests of one store, each under a key of its own."""
    if not kept:
        return
    rows = await connection.fetch(
        _REMEMBER,
        kept[0].snapshot.store_id,
        [used.key for used, _, _ in kept],
        [used.digest for used, _, _ in kept],
        [json.dumps({"kind": kind, **outcome}) for _, _, outcome in kept],
        [snapshot.revision for _, snapshot, _ in kept],
        [signed(snapshot.stamp) for _, snapshot, _ in kept],
        [snapshot.schema_version for _, snapshot, _ in kept],
        [snapshot.committed_at for _, snapshot, _ in kept],
    )
    _expect("outcomes remembered", len(rows), len(kept))


async def remember(
    connection: asyncpg.Connection,
    used: Idempotency | None,
    kind: str,
    snapshot: Snapshot,
    outcome: dict[str, Any],
) -> None:
    """Keep the outcome under the request's idempotency key, if it has one."""
    if used is not None:
        await remember_each(connection, kind, [Kept(used, snapshot, outcome)])


async def matches(
    connection: asyncpg.Connection,
    head: Snapshot,
    wanted: Sequence[tuple[TupleFilter, datetime]],
) -> list[bool]:
    """For each filter whether a tuple matches that is alive at its moment."""
    if not wanted:
        return []
    filters = [filter_ for filter_, _ in wanted]
    shapes = [shape(filter_) for filter_ in filters]
    moments = [now for _, now in wanted]
    arguments = (head.store_id, head.revision, moments, shapes)
    rows = await connection.fetch(_PRECONDITIONS, *arguments, *filter_columns(filters))
    _expect("preconditions answered", len(rows), len(wanted))
    return [matched for _, matched in sorted(tuple(row) for row in rows)]


async def require(
    connection: asyncpg.Connection,
    head: Snapshot,
    preconditions: Sequence[Precondition],
    now: datetime,
) -> None:
    """Raise PreconditionFailed unless every precondition holds at `now`."""
    found = await matches(connection, head, [(wanted, now) for _, wanted in preconditions])
    for index, matched in enumerate(found):
        op = preconditions[index].op
        if matched != (op is PreconditionOp.MUST_MATCH):
            raise refusals.precondition_failed(op, index)


def shape(wanted: TupleFilter) -> str:
    """Which parts of a filter are known, and so which index range `preconditions` walks."""
    if wanted.object_type is not None and wanted.object_id is not None:
        return "O" if wanted.relation is None else "o"
    if wanted.subject_type is not None and wanted.subject_id is not None:
        return "a" if wanted.object_id is not None else "s"
    if wanted.object_type is not None:
        return "t"
    return "a"


async def take_revisions(
    connection: asyncpg.Connection, store_id: str, revisions: Revisions
) -> list[Snapshot]:
    """Apply the next revisions, under the lock, and return the snapshot of each."""
    version, recorded = revisions.schema_version, revisions.recorded
    stamps = [new_stamp() for _ in recorded]
    inserted = [made for made, _, _ in revisions.inserted]
    row = await connection.fetchrow(
        _COMMIT_REVISIONS,
        store_id,
        version,
        revisions.schema_changed,
        stamps,
        [actor for actor, _ in recorded],
        [metadata for _, metadata in recorded],
        *packed_identities(gone for gone, _ in revisions.closed),
        packed(ended for _, ended in revisions.closed),
        *(revisions.identities or packed_identities(inserted)),
        *_conditions(inserted),
        *_revisions(revisions.inserted),
    )
    _expect("revisions recorded", row["recorded"], len(recorded))
    _expect("rows closed", row["closed"], len(revisions.closed))
    _expect("rows inserted", row["inserted"], len(inserted))
    return [
        Snapshot(store_id, revision, stamp % (1 << 64), version, row["committed_at"])
        for revision, stamp in enumerate(stamps, row["before"] + 1)
    ]


def _conditions(inserted: Sequence[RelationTuple]) -> tuple[str, str, list[datetime | None]]:
    """The columns of caveats, contexts and expiries; empty where every row's is."""
    conditional = any(made.caveat or made.context for made in inserted)
    expires = any(made.expires_at is not None for made in inserted)
    return (
        packed(made.caveat for made in inserted) if conditional else packed(()),
        packed(made.context for made in inserted) if conditional else packed(()),
        [made.expires_at for made in inserted] if expires else [],
    )


def _revisions(inserted: Sequence[tuple[RelationTuple, int, int]]) -> tuple[str, str]:
    """The columns of first and last revisions; empty if all rows begin with the next one and
    live."""
    if all(began == 1 and not ended for _, began, ended in inserted):
        return packed(()), packed(())
    return (
        packed(began for _, began, _ in inserted),
        packed(ended for _, _, ended in inserted),
    )


async def take_revision(
    connection: asyncpg.Connection, store_id: str, revision: Revision
) -> Snapshot:
    """Apply `revision` as the next one, under the lock, and return its snapshot."""
    one = Revisions(
        [(revision.actor, revision.metadata)],
        [(gone, 1) for gone in revision.closed],
        [(made, 1, 0) for made in revision.inserted],
        revision.schema_version,
        revision.schema_changed,
    )
    return (await take_revisions(connection, store_id, one))[0]


def _expect(what: str, found: object, expected: object) -> None:
    """Undo the transaction rather than acknowledge a statement that did something else."""
    if found != expected:
        raise AssertionError(f"{what}: {found} instead of {expected}")
