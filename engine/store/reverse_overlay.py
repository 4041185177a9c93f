"""Contextual tuples laid over a reader that reads from subjects to objects, too."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import BudgetExceeded
from engine.reader import ReverseEdge, ReverseReader, ReverseScan
from engine.store.overlay import OverlayReader
from engine.tuples import RelationTuple


class ReverseOverlayReader(OverlayReader):
    """As OverlayReader, over a ReverseReader, and one itself."""

    def __init__(self, reader: ReverseReader, contextual_tuples: Sequence[RelationTuple]) -> None:
        super().__init__(reader, contextual_tuples)
        self._reverse = reader
        self._objects: dict[tuple[str, ...], dict[str, ReverseEdge]] = {}
        for (kind, id_), relation, subject, caveat, context, expires_at in contextual_tuples:
            objects = self._objects.setdefault((*subject, kind, relation), {})
            objects[id_] = ReverseEdge(id_, caveat, context, expires_at)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> list[list[ReverseEdge]]:
        """See `engine.reader.ReverseReader.objects_of`."""
        # A replaced tuple is replaced in the same scan, so `each` stored ones are enough.
        stored = await self._reverse.objects_of(scans, each, limit)
        lists = [self._merged(scan, edges, each) for scan, edges in zip(scans, stored, strict=True)]
        if sum(map(len, lists)) > limit:
            raise BudgetExceeded.of("reads")
        return lists

    def _merged(
        self, scan: ReverseScan, stored: Sequence[ReverseEdge], each: int
    ) -> list[ReverseEdge]:
        """The first edges of a scan with those of the context in their place."""
        objects = self._objects.get(scan[:5])
        if objects is None:
            return list(stored)
        edges = [edge for edge in stored if edge.object_id not in objects]
        edges += [edge for edge in objects.values() if edge.object_id > scan.after]
        return sorted(edges, key=lambda edge: edge.object_id)[:each]
