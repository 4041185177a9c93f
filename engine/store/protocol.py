"""What the engine asks of storage, at the level of meaning: tuples, revisions, snapshots.

One `Storage` holds many stores (tenants). Each store has its own revisions 0, 1, 2, ... in commit
order without gaps; revision 0 is the store as created, with no schema and no tuples.
Two implementations pass one contract suite: `memory` and `postgres`.

Every method may raise Unavailable; methods that take a store id raise StoreNotFound when that
store is gone. Writes raise OutcomeUnknown when the connection was lost around the commit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from engine.reader import ReverseReader
from engine.store.commands import (
    DeleteCommand,
    Idempotency,
    Precondition,
    PreconditionOp,
    SchemaCommand,
    Shape,
    TupleFilter,
    Update,
    UpdateOp,
    UpdateResult,
    WriteCommand,
)
from engine.tuples import RelationTuple

__all__ = [
    "STORE_NAME",
    "Change",
    "Collected",
    "DeleteCommand",
    "DeleteOutcome",
    "Head",
    "Idempotency",
    "Precondition",
    "PreconditionOp",
    "RevisionChanges",
    "SchemaCommand",
    "SchemaMoved",
    "SchemaRecord",
    "Shape",
    "Snapshot",
    "Standing",
    "Storage",
    "StoreRecord",
    "TupleEvent",
    "TupleFilter",
    "Update",
    "UpdateOp",
    "UpdateResult",
    "WriteCommand",
    "WriteOutcome",
    "Written",
]

STORE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""What a store may be called; to be matched whole."""


class StoreRecord(NamedTuple):
    """A store. `id` is 32 random hex digits and never reused; names may be. `title` is free text
    for people, "" for none, and may be that of other stores, too; `updated_at` is when it was last
    changed, None while it is the first."""

    id: str
    name: str
    created_at: datetime
    title: str = ""
    updated_at: datetime | None = None


class Snapshot(NamedTuple):
    """One revision of one store: what every answer is computed at.

    `stamp` is the revision's random unsigned 64-bit number, which tells this lineage from that of
    a restored or recreated store; `schema_version` is 0 while the store has no schema.
    `committed_at` never decreases with the revision.
    """

    store_id: str
    revision: int
    stamp: int
    schema_version: int
    committed_at: datetime


class Head(NamedTuple):
    """A store's newest snapshot, and the oldest revision that can still be read."""

    snapshot: Snapshot
    oldest_revision: int


class SchemaRecord(NamedTuple):
    """One version of a store's schema as it was written. `language` is `zed` or `fga`; `name` is
    "" for a version that may be forgotten with the last snapshot that has it."""

    version: int
    text: str
    language: str
    name: str = ""


class WriteOutcome(NamedTuple):
    """The snapshot that holds the write (the head if nothing changed) and a result per update."""

    snapshot: Snapshot
    results: tuple[UpdateResult, ...]
    replayed: bool = False


class DeleteOutcome(NamedTuple):
    """How many were deleted, and whether none that match are left. `objects` lists the objects
    touched as (type, id), for announcements; it is empty on a replay."""

    snapshot: Snapshot
    deleted: int
    complete: bool
    objects: tuple[tuple[str, str], ...] = ()
    replayed: bool = False


class Change(NamedTuple):
    """One tuple as a revision left it: `touch` (also for creations) or `delete`."""

    op: UpdateOp
    tuple: RelationTuple


class RevisionChanges(NamedTuple):
    """What one revision changed, in tuple order."""

    snapshot: Snapshot
    changes: tuple[Change, ...]
    metadata: str
    actor: str
    schema_changed: bool


class TupleEvent(NamedTuple):
    """What one revision did to one tuple; a deleted one is as it stood before."""

    snapshot: Snapshot
    change: Change
    metadata: str
    actor: str


class Written(NamedTuple):
    """The revision that wrote a tuple as it stands, and when that was committed."""

    revision: int
    committed_at: datetime


class Standing(NamedTuple):
    """A tuple that stands, and what wrote it so."""

    written: Written
    tuple: RelationTuple


class Collected(NamedTuple):
    """One bounded step of garbage collection: rows removed, and whether nothing is left to do."""

    removed: int
    done: bool


class SchemaMoved(Exception):
    """A command was made against a schema version that is no longer current; nothing was done.

    Not an EngineError: the engine validates against the current version and tries again.
    """

    def __init__(self, current_version: int) -> None:
        super().__init__(f"the schema is at version {current_version} now")
        self.current_version = current_version


class Storage(Protocol):
    """The whole of persistence. See the module docstring for the errors that any method raises."""

    async def create_store(self, name: str, title: str = "") -> StoreRecord:
        """A new, empty store at revision 0. Raises StoreExists."""
        ...

    async def get_store(self, name: str) -> StoreRecord:
        """The store of this name. Raises StoreNotFound."""
        ...

    async def list_stores(
        self, after: str, limit: int, *, prefix: str = "", title: str | None = None
    ) -> list[StoreRecord]:
        """Up to `limit` stores whose name is greater than `after` in bytes and begins with
        `prefix`, sorted by name; of all titles, or of the one given, which is not ""."""
        ...

    async def retitle_store(self, name: str, title: str) -> StoreRecord:
        """Give the store of this name another title. Raises StoreNotFound."""
        ...

    async def delete_store(self, name: str) -> None:
        """Forget the store and everything in it at once. Raises StoreNotFound."""
        ...

    async def head(self, store_id: str) -> Head:
        """The store's head, straight from the source of truth."""
        ...

    async def snapshot(self, store_id: str, revision: int) -> Snapshot:
        """The snapshot of one revision.

        Raises SnapshotExpired below the history window and ZookieUnknown beyond the head.
        """
        ...

    async def snapshot_at(self, store_id: str, moment: datetime) -> Snapshot:
        """The newest snapshot committed at or before `moment`; raises SnapshotExpired if that
        lies before the history window."""
        ...

    async def schema(self, store_id: str, version: int) -> SchemaRecord:
        """One version of the schema. Raises SchemaNotFound."""
        ...

    async def named_schema(self, store_id: str, name: str) -> SchemaRecord:
        """The version of the schema that has this name, which is not "". Raises UnknownSchema."""
        ...

    async def named_schemas(self, store_id: str, before: int, limit: int) -> list[SchemaRecord]:
        """Up to `limit` versions that have names and are less than `before`, the newest first."""
        ...

    async def put_schema(self, store_id: str, command: SchemaCommand) -> Snapshot:
        """Write a schema. Raises SchemaInUse (naming tuples), SchemaExists, SchemaMoved and
        IdempotencyConflict."""
        ...

    async def tuples_of_shapes(
        self, store_id: str, shapes: Sequence[Shape], now: datetime, limit: int
    ) -> list[RelationTuple]:
        """Up to `limit` living tuples at the head, not expired at `now`, that have one of the
        shapes: what a schema write would be refused for. Used by dry runs."""
        ...

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        """The reader that evaluation and lookups use at `snapshot`."""
        ...

    async def read(
        self,
        snapshot: Snapshot,
        filter_: TupleFilter,
        *,
        after: RelationTuple | None,
        limit: int,
        now: datetime,
    ) -> list[RelationTuple]:
        """Up to `limit` matching tuples, sorted by identity in bytes, after `after` if given,
        leaving out those expired at `now`. Raises SnapshotExpired."""
        ...

    async def created(
        self, snapshot: Snapshot, tuples: Sequence[RelationTuple]
    ) -> list[Written | None]:
        """For each tuple what wrote it as it stands at the snapshot, None if no tuple of its
        identity is stored there. Expired ones are found. Raises SnapshotExpired."""
        ...

    async def standing(
        self, snapshot: Snapshot, after: tuple[int, RelationTuple] | None, limit: int
    ) -> list[Standing]:
        """Up to `limit` tuples of the snapshot in the order they were written, those of one
        revision in tuple order, after that of a revision and an identity if given. Expired ones
        are among them. Raises SnapshotExpired."""
        ...

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        """Raises PreconditionFailed, TupleExists, TupleAbsent, SchemaMoved, IdempotencyConflict."""
        ...

    async def delete(self, store_id: str, command: DeleteCommand) -> DeleteOutcome:
        """Raises PreconditionFailed, IdempotencyConflict."""
        ...

    async def remove_expired(self, store_id: str, now: datetime, limit: int) -> DeleteOutcome:
        """Delete up to `limit` tuples that are expired at `now`, as an ordinary revision."""
        ...

    async def changes(
        self, store_id: str, after_revision: int, limit: int
    ) -> list[RevisionChanges]:
        """Whole revisions after `after_revision` in order, as many as hold about `limit` changes
        (at least one revision if there is one). Raises SnapshotExpired."""
        ...

    async def tuple_history(
        self,
        snapshot: Snapshot,
        filter_: TupleFilter,
        *,
        after: tuple[int, RelationTuple] | None,
        newest_first: bool,
        limit: int,
        most: int,
    ) -> list[TupleEvent]:
        """Up to `limit` events of matching tuples up to `snapshot` by revision, those of one
        revision in tuple order, after the event of a revision and a tuple if given.

        The filter names an object or a subject by type and id. A touch is one event, whether it
        created or replaced. Revisions after the oldest that can be read are complete; what
        happened before is not told. Raises SnapshotExpired, and BudgetExceeded where more than
        `most` versions of tuples match and would have to be sorted.
        """
        ...

    async def put_document(self, store_id: str, kind: str, name: str, text: str) -> None:
        """Write or replace the document of a kind and a name: what a dialect keeps for a store,
        which no answer depends on. It takes no revision and has no history."""
        ...

    async def document(self, store_id: str, kind: str, name: str) -> str | None:
        """The text of a document, None if there is none."""
        ...

    async def wait_for_change(self, store_id: str, after_revision: int, within: float) -> None:
        """Return once the head may be beyond `after_revision`, at the latest after `within`
        seconds. May return early."""
        ...

    async def collect_garbage(self, store_id: str, horizon: datetime, batch: int) -> Collected:
        """One bounded step: give up history older than `horizon`, raising `oldest_revision`
        before any row goes. The head is never given up. Idempotency keys older than 24 h go
        too, and so do the remains of deleted stores."""
        ...

    async def secrets(self) -> list[bytes]:
        """Secrets for sealing cursors, the newest first; made when there are none yet."""
        ...

    async def rotate_secret(self) -> None:
        """Put a new secret first; the previous one stays valid, older ones go."""
        ...

    async def ping(self) -> None:
        """Raises Unavailable unless the storage answers and its migrations are current."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...
