"""Tuples laid over a reader, and others taken away, as if that had been written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from engine.errors import BudgetExceeded
from engine.plan import Plan
from engine.reader import Edge, Probe, Reader, Scan
from engine.sight import Asked, NearReader, Sight, Sights
from engine.tuples import WILDCARD, RelationTuple, Subject

_Buckets = Mapping[tuple[str, str, str], Mapping[tuple[str, str, str], Edge | None]]
"""The changed tuples by object and relation, then by subject; None for one that is taken away."""


class OverlayReader(NearReader):
    """Reads as if `added` were stored, each in place of a stored one of its identity, and as if
    no stored tuple had the identity of one that is `removed`.

    Of added tuples with the same identity the last one counts; none is removed, too. Wraps any
    Reader; what that one raises passes through, and tuples that it has at hand are at hand here.
    """

    __slots__ = ("_edges", "_reader")

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
        bucket = self._edges.get(scan[:3])
        return list(stored) if bucket is None else _changed(stored, bucket, scan.only_usersets)

    def sights(self, limit: int) -> Sights | None:
        """See `engine.sight.NearReader`; what is taken away is read all the same."""
        hidden = sum(map(len, self._edges.values()))
        near = self._reader.sights(limit + hidden) if isinstance(self._reader, NearReader) else None
        if near is None:
            return None
        objects = {(kind, id_) for kind, id_, _ in self._edges}

        def sight(plan: Plan, object_id: str, subject: Subject) -> Sight:
            seen = near(plan, object_id, subject)
            if (plan.object_type, object_id) not in objects:
                return seen
            return _Seen(seen, self._edges, plan, object_id, subject)

        return sight

    def lost(self, error: Exception) -> bool:
        """See `engine.sight.NearReader`."""
        return isinstance(self._reader, NearReader) and self._reader.lost(error)

    def closure(self, asked: Asked) -> None:  # noqa: ARG002 - whatever is asked for
        """See `engine.sight.NearReader`. What is known of stored tuples may not hold here."""
        return

    def walked(self, asked: Asked, goals: int) -> None:
        """See `engine.sight.NearReader`. It tells nothing about stored tuples."""


class _Seen:
    """The sight of an object some of whose tuples are changed."""

    __slots__ = ("_edges", "_object_id", "_own", "_plan", "_seen", "_subject")

    def __init__(
        self, seen: Sight, edges: _Buckets, plan: Plan, object_id: str, subject: Subject
    ) -> None:
        self._seen = seen
        self._edges = edges
        self._plan = plan
        self._object_id = object_id
        self._subject = subject
        self._own = 0

    @property
    def read(self) -> int:
        """See `Sight.read`."""
        return self._seen.read + self._own

    def edge(self, index: int) -> Edge | None:
        """See `Sight.edge`."""
        relation, wildcard = self._plan.program.probes[index]
        bucket = self._bucket(relation)
        if bucket is not None:
            type_, id_, name = self._subject
            subject = (type_, WILDCARD if wildcard else id_, name)
            if subject in bucket:
                self._own += 1
                return bucket[subject]
        return self._seen.edge(index)

    def edges(self, index: int) -> Sequence[Edge]:
        """See `Sight.edges`."""
        return self._laid_over(index, self._seen.edges(index))

    def edges_to(
        self, index: int, ids: Mapping[tuple[str, str], Collection[str]]
    ) -> Sequence[Edge]:
        """See `Sight.edges_to`."""
        return self._laid_over(index, self._seen.edges_to(index, ids))

    def _laid_over(self, index: int, stored: Sequence[Edge]) -> Sequence[Edge]:
        relation, only_usersets = self._plan.program.scans[index]
        bucket = self._bucket(relation)
        if bucket is None:
            return stored
        self._own += len(bucket)
        return _changed(stored, bucket, only_usersets)

    def _bucket(self, relation: str) -> Mapping[tuple[str, str, str], Edge | None] | None:
        return self._edges.get((self._plan.object_type, self._object_id, relation))


def _changed(
    stored: Sequence[Edge],
    bucket: Mapping[tuple[str, str, str], Edge | None],
    only_usersets: bool,
) -> list[Edge]:
    """The edges of an object and relation with all changes made."""
    edges = [edge for edge in stored if edge[:3] not in bucket]
    edges += [
        edge
        for edge in bucket.values()
        if edge is not None and (edge.subject_relation or not only_usersets)
    ]
    return edges
