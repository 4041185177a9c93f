"""One store of the memory storage: its tuples under its line of revisions."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import datetime
from secrets import randbits, token_hex

from engine.store import refusals
from engine.store.multiversion import TupleTable
from engine.store.protocol import (
    Change,
    RevisionChanges,
    SchemaRecord,
    Snapshot,
    StoreRecord,
    TupleEvent,
    TupleFilter,
    UpdateOp,
    Written,
)
from engine.tuples import RelationTuple


class StoreHistory:
    """One store: its tuples, its schemas, and what each of its readable revisions did."""

    def __init__(self, name: str, title: str, now: datetime) -> None:
        self.record = StoreRecord(token_hex(16), name, now, title)
        self.head = Snapshot(self.record.id, 0, randbits(64), 0, now)
        self.oldest_revision = 0
        self.revisions = [RevisionChanges(self.head, (), "", "", False)]
        self.tuples = TupleTable()
        self.schemas: dict[int, SchemaRecord] = {}
        self.outcomes: dict[str, tuple[bytes, datetime, object]] = {}
        self.documents: dict[tuple[str, str], str] = {}
        self.changed = asyncio.Event()
        self.deleted = False

    def require(self, revision: int) -> None:
        """Raise StoreNotFound or SnapshotExpired unless `revision` can be read."""
        if self.deleted:
            raise refusals.store_gone()
        if not self.oldest_revision <= revision <= self.head.revision:
            raise refusals.revision_expired(revision, self.oldest_revision)

    def commit(
        self,
        changes: list[Change],
        clock: Callable[[], datetime],
        metadata: str,
        actor: str,
        schema: tuple[str, str, str] | None = None,
    ) -> Snapshot:
        """Apply changes, each to another tuple, as the next revision, and wake who waits."""
        last = self.head
        version = last.schema_version + (schema is not None)
        now = max(last.committed_at, clock())
        head = Snapshot(last.store_id, last.revision + 1, randbits(64), version, now)
        written = Written(head.revision, now)
        for op, tuple_ in changes:
            if op is UpdateOp.DELETE:
                self.tuples.delete(tuple_, head.revision)
            else:
                self.tuples.touch(tuple_, written)
        if schema is not None:
            self.schemas[version] = SchemaRecord(version, *schema)
        changes.sort(key=lambda change: change.tuple[:3])
        self.revisions.append(
            RevisionChanges(head, tuple(changes), metadata, actor, schema is not None)
        )
        self.head = head
        self.wake()
        return head

    def wake(self) -> None:
        """Let every `wait_for_change` look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def snapshot_of(self, revision: int) -> Snapshot:
        """The snapshot of a revision that can be read."""
        return self.revisions[revision - self.revisions[0].snapshot.revision].snapshot

    def newest_at(self, moment: datetime) -> Snapshot | None:
        """The newest snapshot still known that was committed at or before `moment`."""
        index = bisect_right(self.revisions, moment, key=lambda entry: entry.snapshot.committed_at)
        return self.revisions[index - 1].snapshot if index else None

    def events(
        self,
        filter_: TupleFilter,
        revision: int,
        after: tuple[int, RelationTuple] | None,
        *,
        newest_first: bool,
    ) -> Iterator[TupleEvent]:
        """What happened to matching tuples up to `revision`; see `Storage.tuple_history`."""
        base = self.revisions[0].snapshot.revision
        low, high = self.oldest_revision + 1 - base, revision + 1 - base
        if after is not None:
            reached = after[0] - base
            low, high = (low, reached + 1) if newest_first else (max(low, reached), high)
        order = range(high - 1, low - 1, -1) if newest_first else range(low, high)
        for entry in map(self.revisions.__getitem__, order):
            for change in entry.changes:
                passed = (
                    after is not None
                    and entry.snapshot.revision == after[0]
                    and change.tuple.identity <= after[1].identity
                )
                if not passed and filter_.matches(change.tuple):
                    yield TupleEvent(entry.snapshot, change, entry.metadata, entry.actor)
