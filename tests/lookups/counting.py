"""A storage that counts how often it is asked, and how much it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter

from engine.reader import Edge, Probe, ReverseEdge, ReverseReader, ReverseScan, Scan
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot


class CountingReader:
    """A reader that counts its round trips for a storage."""

    def __init__(self, reader: ReverseReader, storage: CountingStorage) -> None:
        self._reader = reader
        self._storage = storage

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """As the reader inside."""
        self._storage.fetched += 1
        until = perf_counter() + self._storage.checks_take
        while perf_counter() < until:
            await asyncio.sleep(0)
        found = await self._reader.fetch(probes, scans, limit)
        self._storage.after_fetch(self._storage.fetched)
        return found

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        """As the reader inside."""
        self._storage.walked += 1
        found = await self._reader.objects_of(scans, each, limit)
        self._storage.tuples += sum(map(len, found))
        return found


class CountingStorage(MemoryStorage):
    """Memory storage that counts what its readers are asked. `checks_take` are the seconds that
    each read of a check takes at least; `after_fetch` is told how many there were, after each."""

    def __init__(self) -> None:
        super().__init__()
        self.checks_take = 0.0
        self.after_fetch: Callable[[int], None] = lambda _: None
        self.fetched = self.walked = self.tuples = 0

    @property
    def asked(self) -> int:
        """How often a reader was asked anything."""
        return self.fetched + self.walked

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        """A counting reader."""
        return CountingReader(super().reader(snapshot), self)

    def restart(self) -> None:
        """Count from nothing."""
        self.fetched = self.walked = self.tuples = 0
