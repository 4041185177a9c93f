"""Contextual tuples laid over a reader."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import BudgetExceeded
from engine.reader import Edge, Probe, Reader, Scan
from engine.tuples import RelationTuple


class OverlayReader:
    """Reads as if `contextual_tuples` were stored, each in place of a stored one of its identity.

    Of contextual tuples with the same identity the last one counts. Wraps any Reader; what that
    one raises passes through.
    """

    def __init__(self, reader: Reader, contextual_tuples: Sequence[RelationTuple]) -> None:
        self._reader = reader
        self._edges: dict[tuple[str, str, str], dict[tuple[str, str, str], Edge]] = {}
        for object_, relation, subject, caveat, context, expires_at in contextual_tuples:
            bucket = self._edges.setdefault((*object_, relation), {})
            bucket[subject] = Edge(*subject, caveat, context, expires_at)

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[list[Edge | None], list[list[Edge]]]:
        """See `engine.reader.Reader.fetch`; contextual tuples count against `limit` too."""
        found = [self._edges.get(probe[:3], {}).get(probe[3:]) for probe in probes]
        unknown = [index for index, edge in enumerate(found) if edge is None]
        stored: Sequence[Sequence[Edge]] = ()
        if unknown or scans:
            # A replaced tuple is replaced in the same scan, so what is stored is never more.
            answers, stored = await self._reader.fetch([probes[i] for i in unknown], scans, limit)
            for index, edge in zip(unknown, answers, strict=True):
                found[index] = edge
        lists = [self._laid_over(scan, edges) for scan, edges in zip(scans, stored, strict=True)]
        if sum(map(len, lists)) > limit:
            raise BudgetExceeded.of("reads")
        return found, lists

    def _laid_over(self, scan: Scan, stored: Sequence[Edge]) -> list[Edge]:
        """The stored edges of a scan with those of the context in their place."""
        kind, id_, relation, only_usersets = scan
        bucket = self._edges.get((kind, id_, relation))
        if bucket is None:
            return list(stored)
        edges = [edge for edge in stored if edge[:3] not in bucket]
        edges += [edge for edge in bucket.values() if edge.subject_relation or not only_usersets]
        return edges
