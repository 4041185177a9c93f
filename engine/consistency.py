"""Which snapshot an answer is computed at (docs/consistency.md).

The rule that everything here keeps: a head is *as of* the moment when the read that found it
began, for all that was committed before that moment is in it. Staleness is measured from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, assert_never

from engine import zookie
from engine.cache.announcer import Announcer, Written
from engine.cache.heads import Heads
from engine.cache.shared import Lru, SharedRead, elapsed
from engine.errors import InvalidRequest, SnapshotExpired, ZookieUnknown
from engine.requests import (
    AtExactSnapshot,
    AtLeastAsFresh,
    AtTime,
    Consistency,
    FullyConsistent,
    MinimizeLatency,
)
from engine.store.protocol import Snapshot, Storage, StoreRecord
from engine.tuples import Object

_NAMES = 10_000
_FIELD = "consistency"
_LOOK_AGAIN = 0.001


class Chosen(NamedTuple):
    """The snapshot that every read of a request uses, and the request's `now`."""

    snapshot: Snapshot
    now: datetime


class Shown(Protocol):
    """What a node's index of a store shows: everything that was committed before `as_of`."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of its newest revision."""
        ...

    @property
    def as_of(self) -> float:
        """On the clock of `engine.cache.shared.elapsed`."""
        ...

    @property
    def generation(self) -> int:
        """It changes when the index may be of another history than before."""
        ...


class Local(Protocol):
    """The indexes of this node; they answer at once, and None where there is nothing to be used."""

    def shown(self, store_id: str, revision: int = 0) -> Shown | None:
        """What the index of a store shows now; looked at anew if it was before `revision`."""
        ...

    def snapshot(self, store_id: str, revision: int) -> Snapshot | None:
        """The snapshot of a revision that the index of a store can show."""
        ...


def utcnow() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


class Freshness:
    """Chooses snapshots for one node, over any `storage`.

    `max_staleness` is in seconds and must be the same on every node, as must the presence of an
    announcer and `read_your_writes`: each node's promise rests on what the others do. `clock`
    counts seconds and never steps back; `now` is the wall clock; `pause` sleeps for seconds.

    `local` are this node's indexes: where one is fresh enough, its snapshot is chosen and nobody is
    asked. `patience` is how many seconds a request waits for an index to get fresh enough.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        announcer: Announcer | None = None,
        max_staleness: float = 1.0,
        read_your_writes: bool = True,
        clock: Callable[[], float] = elapsed,
        now: Callable[[], datetime] = utcnow,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        local: Local | None = None,
        patience: float = 0.02,
    ) -> None:
        self.storage = storage
        self._local = local
        self._patience = patience
        self._generations: Lru[str, int] = Lru(_NAMES)
        self.announcer = announcer
        self.max_staleness = max_staleness
        self._read_your_writes = read_your_writes
        self.clock = clock
        self.now = now
        self._pause = pause
        self._heads = Heads(storage, clock=clock, lineage_changed=self._start_over)
        self._names: Lru[str, SharedRead[StoreRecord]] = Lru(_NAMES)
        self._followers: list[Callable[[str], None]] = []

    async def store(self, name: str, *, fresh: bool = False) -> StoreRecord:
        """The store of this name, at most `max_staleness` old; `fresh` asks storage.

        Raises StoreNotFound and Unavailable.
        """
        started = self.clock()
        reads = self._names.used(name)
        if reads is None:
            reads = SharedRead(lambda: self.storage.get_store(name), clock=self.clock)
        elif not fresh and (known := self._within_bound(reads, started)) is not None:
            return known
        record = await reads.since(started if fresh else started - self.max_staleness)
        # Only names that exist are kept, so that no client can fill the memory with others.
        self._names.put(name, reads)
        return record

    def known_as(self, name: str) -> str:
        """The id under which the store of this name is known without asking; empty if it is not."""
        reads = self._names.get(name)
        return "" if reads is None or reads.value is None else reads.value.id

    def at_hand(self, name: str) -> tuple[StoreRecord, Shown] | None:
        """The store of this name and what its index shows, if they are known within the bound
        without asking anybody, and writes after it can be asked for."""
        reads = self._names.get(name)
        if self._local is None or reads is None:
            return None
        if self.announcer is None or not self._read_your_writes:
            return None
        now = self.clock()
        record = self._within_bound(reads, now)
        if record is None:
            return None
        shown = self._local.shown(record.id)
        if shown is None or shown.as_of < now - self.max_staleness:
            return None
        return (record, shown) if self._generations.get(record.id) == shown.generation else None

    async def written_since(self, shown: Shown) -> Written | None:
        """What is on record of writes after the revision of an index that is at hand; None if only
        `choose` can tell what is fresh enough."""
        assert self.announcer is not None  # it is at hand
        held = shown.snapshot
        return await self.announcer.written_since(held.store_id, held.revision, shown.as_of)

    def ask_written(self, shown: Shown, told: Callable[[Written | None], None]) -> None:
        """As `written_since`, but `told` is called with it, at once or later."""
        assert self.announcer is not None  # as above
        held = shown.snapshot
        self.announcer.ask_written(held.store_id, held.revision, shown.as_of, told)

    def forget_store(self, name: str) -> None:
        """Know nothing of the store of this name: it was created or deleted."""
        self._names.pop(name, None)

    def on_new_lineage(self, follower: Callable[[str], None]) -> None:
        """Have `follower` told the id of a store that turns out to be restored from a backup, so
        that it drops what it has cached by (store id, revision) or (store id, version)."""
        self._followers.append(follower)

    async def choose(
        self,
        store: StoreRecord,
        consistency: Consistency,
        objects: Collection[Object] = (),
    ) -> Chosen:
        """The snapshot and the time for a request with this consistency about `objects`.

        Raises InvalidZookie, ZookieUnknown, SnapshotExpired, InvalidRequest for a moment in the
        future, StoreNotFound and Unavailable.
        """
        match consistency:
            case MinimizeLatency():
                return Chosen(await self._latest(store.id, objects), self.now())
            case FullyConsistent():
                head = await self._heads.since(store.id, self.clock())
                return Chosen(head.snapshot, self.now())
            case AtLeastAsFresh(text):
                return Chosen(await self._at_least(store.id, text), self.now())
            case AtExactSnapshot(text):
                snapshot = await self.exactly(store.id, *self._decode(store.id, text, _FIELD))
                return Chosen(snapshot, snapshot.committed_at)
            case AtTime(moment):
                return Chosen(await self._at_time(store.id, moment), moment)
            case _:
                assert_never(consistency)

    async def recent(self, store_id: str) -> Snapshot:
        """A snapshot within the staleness bound, for what storage will compare with its head: so it
        waits for no index. Raises StoreNotFound and Unavailable."""
        return (await self._heads.since(store_id, self.clock() - self.max_staleness)).snapshot

    async def exactly(
        self, store_id: str, revision: int, stamp: int, field: str = _FIELD
    ) -> Snapshot:
        """The snapshot that a zookie or a cursor names.

        Raises ZookieUnknown naming `field` when its stamp is not in the store's history,
        SnapshotExpired, StoreNotFound and Unavailable.
        """
        if await self._shown(store_id) is not None and self._local is not None:
            held = self._local.snapshot(store_id, revision)
            if held is not None and held.stamp == stamp:
                return held
        # A head within the bound notices a restored lineage before an old proof is believed.
        head = await self._heads.since(store_id, self.clock() - self.max_staleness)
        if revision < head.oldest_revision:
            raise SnapshotExpired(
                "the snapshot is older than the history that is kept",
                field=field,
                expected=f"a snapshot from revision {head.oldest_revision} on",
            )
        return await self._heads.prove(store_id, revision, stamp, field)

    async def resume(self, store: StoreRecord, text: str, field: str) -> Snapshot:
        """The snapshot of the zookie `text`, in `field` of a request about `store`.

        Raises InvalidZookie and what `exactly` raises.
        """
        return await self.exactly(store.id, *self._decode(store.id, text, field), field)

    async def published(self, snapshot: Snapshot, objects: Collection[Object] | None) -> None:
        """Make a write that storage has committed known; only then acknowledge it.

        `objects` are those that the write's tuples stand on, also when it changed nothing (an
        earlier attempt may have); None, or none at all, stands for every object of the store: for
        a schema write, and for a repeated delete, which no longer knows what the first one hit. If
        the announcer fails, this returns when every node's head is newer than the write anyway.
        """
        committed = self.clock()
        self._heads.learn(snapshot)
        if self.announcer is None or await self.announcer.publish(snapshot, objects or None):
            return
        if self._read_your_writes:
            await self._pause(max(0.0, committed + self.max_staleness - self.clock()))

    async def close(self) -> None:
        """End the reads that are running and close the announcer. Storage is not closed."""
        await self._heads.close()
        await asyncio.gather(*(reads.close() for reads in self._names.values()))
        if self.announcer is not None:
            await self.announcer.close()

    def _within_bound(self, reads: SharedRead[StoreRecord], now: float) -> StoreRecord | None:
        """The store that was read, if that is within the staleness bound. It is read again before
        it no longer is: else, where many ask, each of them would come to wait for that."""
        if reads.value is None or reads.began <= now - self.max_staleness:
            return None
        reads.renew(now - self.max_staleness / 2)
        return reads.value

    async def _latest(self, store_id: str, objects: Collection[Object]) -> Snapshot:
        started = self.clock()
        oldest = started - self.max_staleness
        shown = await self._shown(store_id)
        if shown is not None:
            fit = await self._fit(shown, objects)
            if fit is not None:
                return fit
        if not objects or not self._read_your_writes:
            return (await self._heads.since(store_id, oldest)).snapshot
        head, as_of = self._heads.known(store_id)
        if self.announcer is None or head is None or as_of < oldest:
            return (await self._heads.since(store_id, started)).snapshot
        revision = head.snapshot.revision
        written = await self.announcer.written_since(store_id, revision, as_of)
        if written is not None and written.newest(objects) <= revision:
            return head.snapshot
        # Asked from now on, not from the start: the announcer's record was seen alive before it.
        return (await self._heads.since(store_id, self.clock())).snapshot

    async def _shown(self, store_id: str, revision: int = 0) -> Shown | None:
        """What the index shows if that is within the staleness bound and not before `revision`,
        waiting a little for it to get there."""
        if self._local is None:
            return None
        shown = self._local.shown(store_id, revision)
        if shown is None:
            return None
        if self._generations.get(store_id) != shown.generation:
            # If the history is another one, this read notices it, and all that is known is dropped.
            await self._heads.since(store_id, self.clock())
            self._generations.put(store_id, shown.generation)
        started = self.clock()
        while shown.snapshot.revision < revision:
            if self.clock() >= started + self._patience:
                return None
            await self._pause(_LOOK_AGAIN)
            shown = self._local.shown(store_id, revision)
            if shown is None:
                return None
        return shown if shown.as_of >= started - self.max_staleness else None

    async def _fit(self, shown: Shown, objects: Collection[Object]) -> Snapshot | None:
        """The snapshot of an index within the bound, if it has the last writes to `objects`; for a
        question about no object in particular, if it has those that went through this node."""
        store_id = shown.snapshot.store_id
        if not self._read_your_writes:
            return shown.snapshot
        if objects:
            if self.announcer is None:
                return None
            revision = shown.snapshot.revision
            written = await self.announcer.written_since(store_id, revision, shown.as_of)
            if written is None:
                return None
            demanded = written.newest(objects)
        else:
            head, _ = self._heads.known(store_id)
            demanded = 0 if head is None else head.snapshot.revision
        if demanded <= shown.snapshot.revision:
            return shown.snapshot
        later = await self._shown(store_id, demanded)
        return None if later is None else later.snapshot

    async def _at_least(self, store_id: str, text: str) -> Snapshot:
        revision, stamp = self._decode(store_id, text, _FIELD)
        shown = await self._shown(store_id, revision)
        if shown is not None and self._local is not None:
            held = self._local.snapshot(store_id, revision)
            if held is not None and held.stamp == stamp:
                return shown.snapshot
        head = await self._heads.since(store_id, self.clock() - self.max_staleness)
        if revision < head.oldest_revision:
            # Its stamp is gone, and every snapshot that is left is fresher than it.
            return head.snapshot
        try:
            proved = await self._heads.prove(store_id, revision, stamp, _FIELD)
        except SnapshotExpired:
            return head.snapshot
        return proved if proved.revision > head.snapshot.revision else head.snapshot

    async def _at_time(self, store_id: str, moment: datetime) -> Snapshot:
        if moment > self.now():
            raise InvalidRequest(
                "`at_time` lies in the future", field=_FIELD, expected="a moment that has passed"
            )
        return await self.storage.snapshot_at(store_id, moment)

    def _decode(self, store_id: str, text: str, field: str) -> tuple[int, int]:
        token = zookie.decode(text, field)
        if token.store_id != store_id:
            raise ZookieUnknown(
                "the zookie is of another store",
                field=field,
                expected="a zookie that this store returned",
            )
        return token.revision, token.stamp

    async def _start_over(self, store_id: str) -> None:
        for follower in self._followers:
            follower(store_id)
        if self.announcer is not None:
            await self.announcer.forget(store_id)
