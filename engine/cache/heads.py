"""What this node knows of each store's head, and of which zookies belong to its lineage.

A database that was restored from an older backup goes on under the same store id with other
stamps. It shows itself when the head goes backwards, when a revision has another stamp, or when
the last head that was seen is no longer in the store's history; then all that is known of the
store is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from engine.cache.shared import Lru, SharedRead
from engine.errors import SnapshotExpired, StoreNotFound, ZookieUnknown
from engine.store.protocol import Head, Snapshot, Storage

_STORES = 10_000
_SNAPSHOTS_PER_STORE = 1_000


class Heads:
    """The heads of many stores, read from `storage`, each by one shared read at a time.

    `lineage_changed` is told the store id when a store turns out to be another than it was.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Callable[[], float],
        lineage_changed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._lineage_changed = lineage_changed
        self._stores: Lru[str, _StoreHead] = Lru(_STORES)

    def known(self, store_id: str) -> tuple[Head | None, float]:
        """The newest head known and the moment since which nothing committed is missing in it."""
        reads = self._store(store_id).reads
        return reads.value, reads.began

    async def since(self, store_id: str, moment: float) -> Head:
        """A head read from storage by a read that began after `moment`, or newer.

        Raises StoreNotFound and Unavailable.
        """
        return await self._store(store_id).reads.since(moment)

    def learn(self, snapshot: Snapshot) -> None:
        """Take note that storage has committed `snapshot`."""
        self._store(snapshot.store_id).learn(snapshot)

    async def prove(self, store_id: str, revision: int, stamp: int, field: str) -> Snapshot:
        """The snapshot of `revision` if it bears `stamp` in this store's history.

        Raises ZookieUnknown naming `field` if it does not, SnapshotExpired if that history is
        gone, StoreNotFound and Unavailable.
        """
        store = self._store(store_id)
        proved = store.proved.used(revision)
        if proved is None or proved.stamp != stamp:
            try:
                proved = await self._storage.snapshot(store_id, revision)
            except ZookieUnknown:
                raise _unknown(field) from None
            if proved.stamp != stamp:
                raise _unknown(field)
            store.learn(proved)
        return proved

    def forget(self, store_id: str) -> None:
        """Know nothing of this store any more."""
        self._stores.pop(store_id, None)

    async def close(self) -> None:
        """Cancel the reads that are running."""
        await asyncio.gather(*(store.reads.close() for store in self._stores.values()))

    def _store(self, store_id: str) -> _StoreHead:
        store = self._stores.used(store_id)
        return store or self._stores.put(store_id, _StoreHead(self, store_id))

    async def _read(self, store: _StoreHead) -> Head:
        began = self._clock()
        try:
            head = await self._storage.head(store.id)
        except StoreNotFound:
            self.forget(store.id)
            raise
        if not await self._continues(store, head.snapshot, began):
            store.restart(head.snapshot)
            await self._lineage_changed(store.id)
            return head
        store.anchor = head.snapshot
        store.learn(head.snapshot)
        # What was learnt while the read ran is newer than what it found.
        return head._replace(snapshot=store.newest or head.snapshot)

    async def _continues(self, store: _StoreHead, found: Snapshot, began: float) -> bool:
        """Whether `found`, read by a read that began at `began`, continues all that was seen."""
        for seen in {store.anchor, store.newest}:
            if seen is None:
                continue
            if seen.revision > found.revision:
                if store.learnt < began:
                    return False
            elif not await self._holds(seen, found):
                return False
        return True

    async def _holds(self, seen: Snapshot, found: Snapshot) -> bool:
        """Whether the history that ends with `found` has `seen` in it."""
        if seen.revision == found.revision:
            return seen.stamp == found.stamp
        try:
            there = await self._storage.snapshot(seen.store_id, seen.revision)
        except (SnapshotExpired, ZookieUnknown):
            return False
        return there.stamp == seen.stamp


class _StoreHead:
    """One store's head, and the snapshots that storage has shown to be of its lineage.

    `anchor` is the head that the last read found; `newest` is the newest snapshot learnt since,
    or the anchor itself, and `learnt` is when.
    """

    def __init__(self, heads: Heads, store_id: str) -> None:
        self.id = store_id
        self.reads: SharedRead[Head] = SharedRead(
            lambda: heads._read(self),  # noqa: SLF001 - two halves of one thing
            clock=heads._clock,  # noqa: SLF001
        )
        self.proved: Lru[int, Snapshot] = Lru(_SNAPSHOTS_PER_STORE)
        self.anchor: Snapshot | None = None
        self.newest: Snapshot | None = None
        self.learnt = float("-inf")
        self._clock = heads._clock  # noqa: SLF001

    def learn(self, snapshot: Snapshot) -> None:
        self.proved.put(snapshot.revision, snapshot)
        if self.newest is None or snapshot.revision > self.newest.revision:
            self.newest, self.learnt = snapshot, self._clock()
            if self.reads.value is not None:
                self.reads.value = self.reads.value._replace(snapshot=snapshot)

    def restart(self, found: Snapshot) -> None:
        """Know only `found`, the head of another lineage than before."""
        self.proved.clear()
        self.anchor = self.newest = found
        self.learnt = self._clock()


def _unknown(field: str) -> ZookieUnknown:
    return ZookieUnknown(
        "the zookie is of another store, or of a history that this store has lost",
        field=field,
        expected="a zookie that this store returned since it was created or restored",
    )
