"""Stored tuples in order, read as if an overlay had been written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from engine.store.multiversion import is_expired
from engine.store.protocol import Snapshot, Storage, TupleFilter
from engine.tuples import RelationTuple


class LaidOver:
    """Reads as `Storage.read` does, at one snapshot and one `now`, as if `added` were stored, each
    in place of a stored one of its identity, and as if no stored tuple had the identity of one
    that is `removed`. No identity may stand twice.

    An added tuple that has expired takes the place of the stored one all the same.
    """

    def __init__(
        self,
        storage: Storage,
        snapshot: Snapshot,
        now: datetime,
        added: Collection[RelationTuple] = (),
        removed: Collection[RelationTuple] = (),
    ) -> None:
        self._storage = storage
        self._snapshot = snapshot
        self._now = now
        self._added = added
        self._laid = (*added, *removed)

    async def read(
        self, filter_: TupleFilter, *, after: RelationTuple | None, limit: int
    ) -> list[RelationTuple]:
        """Up to `limit` matching tuples, sorted by identity, after `after` if given, leaving out
        those expired. Raises SnapshotExpired and Unavailable."""
        hidden = {item.identity for item in self._laid if _asked(filter_, after, item)}
        # What is hidden is read all the same; with so many more, enough are left.
        stored = await self._storage.read(
            self._snapshot, filter_, after=after, limit=limit + len(hidden), now=self._now
        )
        if not hidden:
            return stored
        found = [item for item in stored if item.identity not in hidden]
        found += [
            item
            for item in self._added
            if item.identity in hidden and not is_expired(item.expires_at, self._now)
        ]
        return sorted(found, key=lambda item: item.identity)[:limit]

    async def written(self, tuples: Sequence[RelationTuple]) -> tuple[datetime, ...]:
        """When each of these tuples, which were read here, was written: what was added, now.
        Raises SnapshotExpired and Unavailable."""
        added = {item.identity for item in self._added}
        stored = [item for item in tuples if item.identity not in added]
        made = iter(await self._storage.created(self._snapshot, stored) if stored else ())
        found = (None if item.identity in added else next(made) for item in tuples)
        return tuple(self._now if one is None else one.committed_at for one in found)


def _asked(filter_: TupleFilter, after: RelationTuple | None, item: RelationTuple) -> bool:
    return filter_.matches(item) and (after is None or item.identity > after.identity)
