"""Tuples laid over a reader that reads from subjects to objects, too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.errors import BudgetExceeded
from engine.reader import ReverseEdge, ReverseReader, ReverseScan
from engine.store.overlay import OverlayReader
from engine.tuples import RelationTuple


class ReverseOverlayReader(OverlayReader):
    """As OverlayReader, over a ReverseReader, and one itself."""

    def __init__(
        self,
        reader: ReverseReader,
        added: Collection[RelationTuple],
        removed: Collection[RelationTuple] = (),
    ) -> None:
        super().__init__(reader, added, removed)
        self._reverse = reader
        self._objects: dict[tuple[str, ...], dict[str, ReverseEdge | None]] = {}
        for (kind, id_), relation, subject, *_ in removed:
            self._objects.setdefault((*subject, kind, relation), {})[id_] = None
        for (kind, id_), relation, subject, caveat, context, expires_at in added:
            objects = self._objects.setdefault((*subject, kind, relation), {})
            objects[id_] = ReverseEdge(id_, caveat, context, expires_at)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> list[list[ReverseEdge]]:
        """See `engine.reader.ReverseReader.objects_of`."""
        # What is taken away is read all the same; so more is read than there may be left.
        hidden = max((len(self._objects.get(scan[:5], ())) for scan in scans), default=0)
        stored = await self._reverse.objects_of(scans, each + hidden, limit + hidden * len(scans))
        lists = [self._merged(scan, edges, each) for scan, edges in zip(scans, stored, strict=True)]
        if sum(map(len, lists)) > limit:
            raise BudgetExceeded.of("reads")
        return lists

    def _merged(
        self, scan: ReverseScan, stored: Sequence[ReverseEdge], each: int
    ) -> list[ReverseEdge]:
        """The first edges of a scan with all changes made."""
        objects = self._objects.get(scan[:5])
        if objects is None:
            return list(stored)[:each]
        edges = [edge for edge in stored if edge.object_id not in objects]
        edges += [
            edge for edge in objects.values() if edge is not None and edge.object_id > scan.after
        ]
        return sorted(edges, key=lambda edge: edge.object_id)[:each]
