"""Snapshots of the past, and the changes between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.rows import snapshot_of, tuple_of
from engine.store.postgres.sql import statement
from engine.store.protocol import Change, RevisionChanges, Snapshot, UpdateOp
from engine.tuples import RelationTuple

_SNAPSHOT = statement("snapshot")
_SNAPSHOT_AT = statement("snapshot_at")
_REVISIONS_AFTER = statement("revisions_after")
_CHANGES = statement("changes")
_GUARD, _CLOSED = 0, 1

_Identity = tuple[Any, ...]
_Changed = dict[int, dict[_Identity, Change]]


async def snapshot(pool: Pool, store_id: str, revision: int) -> Snapshot:
    """See `Storage.snapshot`."""
    row = _one(await pool.fetch(_SNAPSHOT, store_id, revision))
    if revision < row["oldest_revision"]:
        raise refusals.revision_expired(revision, row["oldest_revision"])
    if revision > row["head_revision"] or row["stamp"] is None:
        raise refusals.not_reached(revision)
    return snapshot_of(store_id, row)


async def snapshot_at(pool: Pool, store_id: str, moment: datetime) -> Snapshot:
    """See `Storage.snapshot_at`."""
    row = _one(await pool.fetch(_SNAPSHOT_AT, store_id, moment))
    if row["revision"] is None or row["revision"] < row["oldest_revision"]:
        raise refusals.time_expired()
    return snapshot_of(store_id, row)


async def changes(
    pool: Pool, store_id: str, after_revision: int, limit: int
) -> list[RevisionChanges]:
    """See `Storage.changes`."""
    revisions = await pool.fetch(_REVISIONS_AFTER, store_id, after_revision, limit)
    oldest = _one(revisions)["oldest_revision"]
    if after_revision < oldest:
        raise refusals.revision_expired(after_revision, oldest)
    if revisions[0]["revision"] is None:
        return []
    first, last = revisions[0]["revision"], revisions[-1]["revision"]
    whole, changed = await _changed(pool, store_id, after_revision, last, limit + 1)
    if whole < first:
        whole, changed = await _changed(pool, store_id, after_revision, first, None)
    taken: list[RevisionChanges] = []
    for row in revisions:
        if row["revision"] > whole or limit <= 0:
            break
        taken.append(_revision_changes(store_id, row, changed.get(row["revision"], {})))
        limit -= max(1, len(taken[-1].changes))
    return taken


async def _changed(
    pool: Pool, store_id: str, after: int, last: int, limit: int | None
) -> tuple[int, _Changed]:
    """The changes after `after`, and the last revision whose changes are all among them."""
    rows = await pool.fetch(_CHANGES, store_id, after, last, limit)
    if not rows:
        raise refusals.revision_expired(after, after + 1)
    counts = [0, 0, 0]
    changed: _Changed = {}
    for part, revision, *columns in rows:
        counts[part] += 1
        if part == _GUARD:
            continue
        if counts[part] == limit:
            last = min(last, revision - 1)
        _note(changed.setdefault(revision, {}), part, tuple_of(columns))
    return last, changed


def _note(changed: dict[_Identity, Change], part: int, made: RelationTuple) -> None:
    """A row that one revision closed and made again is a touch, whichever is met first."""
    if part == _CLOSED:
        changed.setdefault(made.identity, Change(UpdateOp.DELETE, made))
    else:
        changed[made.identity] = Change(UpdateOp.TOUCH, made)


def _revision_changes(
    store_id: str, row: Mapping[str, Any], changed: dict[_Identity, Change]
) -> RevisionChanges:
    return RevisionChanges(
        snapshot_of(store_id, row),
        tuple(change for _, change in sorted(changed.items(), key=lambda item: item[0])),
        row["metadata"],
        row["actor"],
        row["schema_changed"],
    )


def _one(rows: Sequence[asyncpg.Record]) -> asyncpg.Record:
    """The first row, which is there while the store is."""
    if not rows:
        raise refusals.store_gone()
    return rows[0]
