"""A storage in memory whose readers read an index: one that has been brought level first."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from engine.consistency import utcnow
from engine.errors import StoreNotFound
from engine.index.build import Rows, StoredShape
from engine.index.closures import Allowance
from engine.index.files import Tables
from engine.index.follow import Follower
from engine.index.local import LocalIndexes, NodeReader
from engine.reader import Edge, Probe, ReverseEdge, ReverseReader, ReverseScan, Scan
from engine.store.memory import MemoryStorage
from engine.store.protocol import Head, Snapshot, Storage, TupleFilter, WriteCommand, WriteOutcome
from engine.tuples import RelationTuple

T = TypeVar("T")

SIZE = 1 << 28
ALWAYS = datetime.min.replace(tzinfo=UTC)
"""A time at which nothing is expired yet."""


def is_conditional(item: RelationTuple) -> bool:
    """Whether the tuple has a caveat or an expiry."""
    return bool(item.caveat) or item.expires_at is not None


class StorageSource:
    """See `engine.index.build.Source`; over any storage, a page at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def heads(self, store_ids: Sequence[str]) -> dict[str, Head]:
        found = {}
        for store_id in store_ids:
            with suppress(StoreNotFound):
                found[store_id] = await self._storage.head(store_id)
        return found

    async def shapes(self, snapshot: Snapshot) -> Counter[StoredShape]:
        return Counter(shape_of(item) for item in await self._tuples(snapshot))

    async def by_object(
        self, snapshot: Snapshot, shapes: Sequence[StoredShape]
    ) -> AsyncIterator[Rows]:
        found = [
            (item.object.id, shapes.index(shape_of(item)), item.subject.id)
            for item in await self._tuples(snapshot)
            if shape_of(item)[:2] == shapes[0][:2]
        ]
        for batch in _batches(sorted(found)):
            yield [[id_.encode(), other.encode(), b"%d" % form] for id_, form, other in batch]

    async def by_subject(self, snapshot: Snapshot, shape: StoredShape) -> AsyncIterator[Rows]:
        found = [
            (item.subject.id, item.object.id)
            for item in await self._tuples(snapshot)
            if shape_of(item) == shape
        ]
        for batch in _batches(sorted(found)):
            yield [[id_.encode(), other.encode()] for id_, other in batch]

    async def conditional(self, snapshot: Snapshot) -> AsyncIterator[Sequence[RelationTuple]]:
        yield [item for item in await self._tuples(snapshot) if is_conditional(item)]

    async def _tuples(self, snapshot: Snapshot) -> list[RelationTuple]:
        found: list[RelationTuple] = []
        while True:
            after = found[-1] if found else None
            page = await self._storage.read(
                snapshot, TupleFilter(), after=after, limit=1000, now=ALWAYS
            )
            found += page
            if len(page) < 1000:
                return found


def shape_of(item: RelationTuple) -> StoredShape:
    """The shape of a tuple."""
    subject = item.subject
    conditional = is_conditional(item)
    return StoredShape(item.object.type, item.relation, subject.type, subject.relation, conditional)


def _batches(rows: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(rows), 100):
        yield rows[start : start + 100]


class IndexedStorage(MemoryStorage):
    """Its readers read the index alone, for snapshots that an index can show at all.

    With `follows` the index is brought level after each write, so that it is carried forward from
    the first revision; without, it is built when it is first read.
    """

    def __init__(self, *, follows: bool, now: Callable[[], datetime] = utcnow) -> None:
        super().__init__(now)
        self._follows = follows
        self._directory = TemporaryDirectory(prefix="stonetown-index-")
        self.root = Path(self._directory.name)
        self.followers: dict[str, Follower] = {}
        self.open: dict[Path, Tables] = {}
        # Parts of closures, however few objects there are.
        allowance = Allowance(few=1)
        self.local = LocalIndexes(self.root, size=SIZE, allowance=allowance, opened=self._opened)
        self.served = self.refused = 0

    def _opened(self, path: Path) -> Tables:
        tables = self.followers[path.parent.name].tables
        assert tables is not None
        assert tables.path == path
        return tables

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        return _Level(self, snapshot, super().reader(snapshot))

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        if self._follows:
            await self.level(store_id)
        return await super().write(store_id, command)

    async def level(self, store_id: str) -> Follower:
        """The follower of a store, with nothing left to carry in."""
        follower = self.followers.get(store_id)
        if follower is None:
            follower = self.followers[store_id] = Follower(
                self, StorageSource(self), store_id, self.root / store_id, size=SIZE
            )
        while await follower.step():
            pass
        return follower

    async def close(self) -> None:
        self.local.close()
        for follower in self.followers.values():
            await follower.stop()
        self._directory.cleanup()


class NearStorage(IndexedStorage):
    """Its readers have the tuples of the index at hand, which is brought level by each write."""

    def __init__(self, now: Callable[[], datetime] = utcnow) -> None:
        super().__init__(follows=True, now=now)

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        reader = self.local.reader(snapshot, MemoryStorage.reader(self, snapshot))
        if reader.local() is None:
            self.refused += 1
        else:
            self.served += 1
        return reader

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        outcome = await super().write(store_id, command)
        await self.level(store_id)
        return outcome


class _Level:
    """A reader that has the index brought level before each read."""

    def __init__(
        self, storage: IndexedStorage, snapshot: Snapshot, otherwise: ReverseReader
    ) -> None:
        self._storage = storage
        self._snapshot = snapshot
        self._otherwise = otherwise

    async def _reader(self) -> NodeReader:
        await self._storage.level(self._snapshot.store_id)
        reader = self._storage.local.reader(self._snapshot, self._otherwise)
        if reader.local() is None:
            self._storage.refused += 1
        else:
            self._storage.served += 1
        return reader

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        return await (await self._reader()).fetch(probes, scans, limit)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        return await (await self._reader()).objects_of(scans, each, limit)
