"""Tuples laid over a reader, and others taken away, as if that had been written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.errors import BudgetExceeded
from engine.reader import Edge, Probe, Reader, Scan
from engine.tuples import RelationTuple


class OverlayReader:
    """Reads as if `added` were stored, each in place of a stored one of its identity, and as if
    no stored tuple had the identity of one that is `removed`.

    Of added tuples with the same identity the last one counts; none is removed, too. Wraps any
    Reader; what that one raises passes through.
    """

    def __init__(
        self,
        reader: Reader,
        added: Iterable[RelationTuple],
        removed: Iterable[RelationTuple] = (),
    ) -> None:
        self._reader = reader
        self._edges: dict[tuple[str, str, str], dict[tuple[str, str, str], Edge | None]] = {}
        for object_, relation, subject, *_ in removed:
            self._edges.setdefault((*object_, relation), {})[subject] = None
        for object_, relation, subject, caveat, context, expires_at in added:
            bucket = self._edges.setdefault((*object_, relation), {})
            bucket[subject] = Edge(*subject, caveat, context, expires_at)

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[list[Edge | None], list[list[Edge]]]:
        """See `engine.reader.Reader.fetch`; added tuples count against `limit`, too."""
        found: list[Edge | None] = [None] * len(probes)
        unknown: list[int] = []
        for index, probe in enumerate(probes):
            bucket = self._edges.get(probe[:3])
            if bucket is None or probe[3:] not in bucket:
                unknown.append(index)
            else:
                found[index] = bucket[probe[3:]]
        stored: Sequence[Sequence[Edge]] = ()
        if unknown or scans:
            # What is taken away is read all the same.
            hidden = sum(len(self._edges.get(scan[:3], ())) for scan in scans)
            answers, stored = await self._reader.fetch(
                [probes[i] for i in unknown], scans, limit + hidden
            )
            for index, edge in zip(unknown, answers, strict=True):
                found[index] = edge
        lists = [self._laid_over(scan, edges) for scan, edges in zip(scans, stored, strict=True)]
        if sum(map(len, lists)) > limit:
            raise BudgetExceeded.of("reads")
        return found, lists

    def _laid_over(self, scan: Scan, stored: Sequence[Edge]) -> list[Edge]:
        """The edges of a scan with all changes made."""
        kind, id_, relation, only_usersets = scan
        bucket = self._edges.get((kind, id_, relation))
        if bucket is None:
            return list(stored)
        edges = [edge for edge in stored if edge[:3] not in bucket]
        edges += [
            edge
            for edge in bucket.values()
            if edge is not None and (edge.subject_relation or not only_usersets)
        ]
        return edges
