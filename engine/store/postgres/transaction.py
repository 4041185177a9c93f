"""The steps of a write transaction, each one statement, in the order they run.

lock -> recall -> require -> (what the request itself reads) -> take_revision -> remember
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
    identity_columns,
    new_stamp,
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
_COMMIT_REVISION = statement("commit_revision")


class Recalled(NamedTuple):
    """What a request did when its idempotency key was used before."""

    snapshot: Snapshot
    outcome: dict[str, Any]


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


async def recall(
    connection: asyncpg.Connection, store_id: str, used: Idempotency | None, kind: str
) -> Recalled | None:
    """What this request did before, if it is a repetition. Raises IdempotencyConflict."""
    row = used and await connection.fetchrow(_RECALL, store_id, used.key)
    if used is None or row is None:
        return None
    outcome = json.loads(row["outcome"])
    if row["digest"] != used.digest or outcome.pop("kind") != kind:
        raise refusals.key_used()
    return Recalled(snapshot_of(store_id, row), outcome)


async def remember(
    connection: asyncpg.Connection,
    used: Idempotency | None,
    kind: str,
    snapshot: Snapshot,
    outcome: dict[str, Any],
) -> None:
    """Keep the outcome under the request's idempotency key, if it has one."""
    if used is None:
        return
    kept = await connection.fetchval(
        _REMEMBER,
        snapshot.store_id,
        used.key,
        used.digest,
        json.dumps({"kind": kind, **outcome}),
        snapshot.revision,
        signed(snapshot.stamp),
        snapshot.schema_version,
        snapshot.committed_at,
    )
    _expect("remembered", kept, used.key)


async def require(
    connection: asyncpg.Connection,
    head: Snapshot,
    preconditions: Sequence[Precondition],
    now: datetime,
) -> None:
    """Raise PreconditionFailed unless every precondition holds at `now`."""
    if not preconditions:
        return
    filters = [precondition.filter for precondition in preconditions]
    shapes = [_shape(wanted) for wanted in filters]
    arguments = (head.store_id, now, head.revision, shapes)
    rows = await connection.fetch(_PRECONDITIONS, *arguments, *filter_columns(filters))
    _expect("preconditions answered", len(rows), len(preconditions))
    for item, matched in sorted(tuple(row) for row in rows):
        precondition = preconditions[item - 1]
        if matched != (precondition.op is PreconditionOp.MUST_MATCH):
            raise refusals.precondition_failed(precondition.op, item - 1)


def _shape(wanted: TupleFilter) -> str:
    """Which parts of a filter are known, and so which index range `preconditions` walks."""
    if wanted.object_type is not None and wanted.object_id is not None:
        return "O" if wanted.relation is None else "o"
    if wanted.subject_type is not None and wanted.subject_id is not None:
        return "a" if wanted.object_id is not None else "s"
    if wanted.object_type is not None:
        return "t"
    return "a"


async def take_revision(
    connection: asyncpg.Connection, store_id: str, revision: Revision
) -> Snapshot:
    """Apply `revision` as the next one, under the lock, and return its snapshot."""
    stamp = new_stamp()
    inserted = revision.inserted
    row = await connection.fetchrow(
        _COMMIT_REVISION,
        store_id,
        stamp,
        revision.schema_version,
        revision.schema_changed,
        revision.actor,
        revision.metadata,
        *identity_columns(revision.closed),
        *identity_columns(inserted),
        [made.caveat for made in inserted],
        [made.context for made in inserted],
        [made.expires_at for made in inserted],
    )
    _expect("rows closed", row["closed"], len(revision.closed))
    _expect("rows inserted", row["inserted"], len(inserted))
    return Snapshot(
        store_id, row["revision"], stamp % (1 << 64), revision.schema_version, row["committed_at"]
    )


def _expect(what: str, found: object, expected: object) -> None:
    """Undo the transaction rather than acknowledge a statement that did something else."""
    if found != expected:
        raise AssertionError(f"{what}: {found} instead of {expected}")
