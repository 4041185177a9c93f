"""The reader of the storage in memory."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import BudgetExceeded
from engine.reader import Edge, Probe, ReverseEdge, ReverseScan, Scan
from engine.store.history import StoreHistory


class MemoryReader:
    """Reads one store at one snapshot; every probe is two dictionary look-ups."""

    __slots__ = ("_revision", "_store")

    def __init__(self, store: StoreHistory, revision: int) -> None:
        self._store = store
        self._revision = revision

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[list[Edge | None], list[list[Edge]]]:
        """See `engine.reader.Reader.fetch`; never suspends."""
        store, revision = self._store, self._revision
        store.require(revision)
        buckets = store.tuples.buckets
        found: list[Edge | None] = []
        for probe in probes:
            bucket = buckets.get(probe[:3])
            found.append(None if bucket is None else bucket.edge_at(probe[3:], revision))
        lists: list[list[Edge]] = []
        for kind, id_, relation, only_usersets in scans:
            bucket = buckets.get((kind, id_, relation))
            edges = [] if bucket is None else bucket.edges_at(revision, only_usersets)
            limit -= len(edges)
            if limit < 0:
                raise BudgetExceeded.of("reads")
            lists.append(edges)
        return found, lists

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> list[list[ReverseEdge]]:
        """See `engine.reader.ReverseReader.objects_of`; never suspends."""
        self._store.require(self._revision)
        lists: list[list[ReverseEdge]] = []
        for scan in scans:
            most = min(each, limit + 1)
            edges = self._store.tuples.objects_of(scan, self._revision, most)
            limit -= len(edges)
            if limit < 0:
                raise BudgetExceeded.of("reads")
            lists.append(edges)
        return lists
