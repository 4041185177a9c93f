"""The changelog in pages: every change of a store in the order of its revisions, told once.

A revision is never filled in later, so that nothing is skipped however late a transaction ends.
What garbage collection gave up is told compacted: of revisions before the window, the tuples that
they wrote and that still stood at one snapshot. From that snapshot on every change is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from engine.cache.shared import Lru
from engine.consistency import Freshness
from engine.errors import SnapshotExpired
from engine.limits import Limits
from engine.lists import check_limit
from engine.log_position import LogPosition, read_position
from engine.store.protocol import (
    Change,
    RevisionChanges,
    Snapshot,
    Storage,
    StoreRecord,
    UpdateOp,
)
from engine.tuples import RelationTuple
from engine.zookie import encode

_SCANNED = 1_000
"""Changes that are looked at for one page, whether or not they are of the type asked for."""
_LARGE = 500
_LARGE_KEPT = 2
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Changes:
    """Which changes to tell: those after the position `after`, or all; of objects of one type, or
    of any if that is ""; and, of all, those that were committed at `start_time` or later."""

    after: str | None = None
    object_type: str = ""
    limit: int | None = None
    start_time: datetime | None = None


class LoggedChange(NamedTuple):
    """One tuple as a revision left it (`touch`) or as it was before that (`delete`), and when that
    revision was committed."""

    op: str
    tuple: RelationTuple
    moment: datetime


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes in order, and the position to go on from, also when nothing is new. Without `more`
    everything was told up to the zookie's snapshot; with it a page may be empty."""

    changes: tuple[LoggedChange, ...]
    position: str
    more: bool
    zookie: str


class Changelog:
    """Reads pages of changelogs."""

    def __init__(self, storage: Storage, freshness: Freshness, limits: Limits) -> None:
        self._storage = storage
        self._freshness = freshness
        self._limits = limits
        # An import is read once for the many pages that it fills.
        self._large: Lru[Snapshot, RevisionChanges] = Lru(_LARGE_KEPT)

    async def page(self, record: StoreRecord, asked: Changes) -> ChangesPage:
        """A page. Raises LimitExceeded, InvalidCursor for what is no position, ZookieUnknown for
        one of another lineage, and SnapshotExpired for one before the window: between it and the
        window tuples may have been deleted that nobody can name any more."""
        size = self._limits.page_default if asked.limit is None else asked.limit
        check_limit(size, self._limits.page_maximum)
        work = _Work(self._storage, self._large, asked.object_type, size)
        if asked.after is not None:
            position = await read_position(self._freshness, record, asked.after)
        else:
            position = await self._start(record, asked.start_time)
        more = True
        if position.compacted:
            position = await work.compacted(position)
        if not position.compacted and not work.done:
            position, more = await work.revisions(position)
        return ChangesPage(tuple(work.found), str(position), more, encode(position.snapshot))

    async def _start(self, record: StoreRecord, since: datetime | None) -> LogPosition:
        """Where all changes begin."""
        for _ in range(_TRIES - 1):
            try:
                return await self._first(record, since)
            except SnapshotExpired:
                continue  # the window moved meanwhile
        return await self._first(record, since)

    async def _first(self, record: StoreRecord, since: datetime | None) -> LogPosition:
        head, oldest = await self._storage.head(record.id)
        first = await self._storage.snapshot(record.id, oldest)
        if since is not None and since > first.committed_at:
            before = since - timedelta(microseconds=1)
            return LogPosition(await self._storage.snapshot_at(record.id, before))
        if not oldest:
            return LogPosition(first)
        # Halfway through the window: the reader has that long to come to the changes after it.
        middle = first.committed_at + (head.committed_at - first.committed_at) / 2
        snapshot = await self._storage.snapshot_at(record.id, middle)
        return LogPosition(snapshot, compacted=True, since=since)


class _Work:
    """One page that is filling. `done` says that no more may be looked at for it."""

    def __init__(
        self, storage: Storage, large: Lru[Snapshot, RevisionChanges], object_type: str, size: int
    ) -> None:
        self.found: list[LoggedChange] = []
        self.done = False
        self._storage = storage
        self._large = large
        self._object_type = object_type
        self._size = size
        self._left = _SCANNED

    def _take(self, change: Change, moment: datetime) -> None:
        self._left -= 1
        if self._object_type in ("", change.tuple.object.type):
            self.found.append(LoggedChange(str(change.op), change.tuple, moment))
        self.done = self._left <= 0 or len(self.found) == self._size

    def _wanted(self, position: LogPosition) -> int:
        """About how many changes are worth reading."""
        if self._object_type or position.since is not None:
            return self._left
        return min(self._left, self._size - len(self.found))

    def _pass(self, moment: datetime, position: LogPosition) -> bool:
        """Leave out what is older than the position tells of."""
        if position.since is None or moment >= position.since:
            return False
        self._left -= 1
        self.done = self._left <= 0
        return True

    async def compacted(self, position: LogPosition) -> LogPosition:
        """Tell of the tuples that stood at the position's snapshot, and where that led."""
        while not self.done:
            rows = await self._storage.standing(
                position.snapshot, position.after, self._wanted(position)
            )
            if not rows:
                return LogPosition(position.snapshot)
            for (revision, moment), item in rows:
                if not self._pass(moment, position):
                    self._take(Change(UpdateOp.TOUCH, item), moment)
                position = position._replace(after=(revision, item))
                if self.done:
                    break
        return position

    async def revisions(self, position: LogPosition) -> tuple[LogPosition, bool]:
        """Tell of the changes after the position: where that led, and whether there is more."""
        while not self.done:
            revisions = await self._read(position)
            if not revisions:
                return position, False
            for revision in revisions:
                position = self._revision(revision, position)
                if self.done:
                    break
        return position, True

    async def _read(self, position: LogPosition) -> Iterable[RevisionChanges]:
        """The next whole revisions, from the one that the position lies in, if it does."""
        store_id, revision = position.snapshot.store_id, position.snapshot.revision
        if position.after is None:
            return await self._storage.changes(store_id, revision, self._wanted(position))
        kept = self._large.used(position.snapshot)
        if kept is not None:
            return [kept]
        return (await self._storage.changes(store_id, revision - 1, 1))[:1]

    def _revision(self, revision: RevisionChanges, position: LogPosition) -> LogPosition:
        """Tell of what the position leaves of a revision, and where that led."""
        start = 0
        if position.after is not None:
            passed = position.after[1].identity
            start = sum(change.tuple.identity <= passed for change in revision.changes)
        if start == len(revision.changes):
            self._left -= 1
            self.done = self._left <= 0
        for index, change in enumerate(revision.changes[start:], start + 1):
            self._take(change, revision.snapshot.committed_at)
            if self.done and index < len(revision.changes):
                if len(revision.changes) > _LARGE:
                    self._large.put(revision.snapshot, revision)
                here = (revision.snapshot.revision, change.tuple)
                return LogPosition(revision.snapshot, after=here)
        return LogPosition(revision.snapshot)
