"""The tuples of one store in memory, in every version that the history window still holds.

Tuples lie in buckets by (object type, object id, relation). A bucket that has not changed since a
revision answers reads at that revision from its living rows alone; only a read of a changed bucket
at an older snapshot looks at versions. Python compares strings by code point, which is the order
of their UTF-8 bytes, so plain sorting gives the order that the protocol asks for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from engine.reader import Edge, ReverseEdge, ReverseScan
from engine.store.protocol import Shape, Standing, TupleFilter, Written
from engine.tuples import WILDCARD, Object, RelationTuple, Subject

BucketKey = tuple[str, str, str]
SubjectKey = tuple[str, str, str]
ReverseKey = tuple[str, str, str, str, str]
"""A subject, an object type and a relation."""


def is_expired(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a tuple with this expiry is gone at `now`; at the very moment it is."""
    return expires_at is not None and expires_at <= now


class Bucket:
    """The subjects of one `object#relation`.

    `rows` holds living edges with what wrote each, `usersets` those of them with a subject
    relation, `past` (written, deleted, edge) versions that a snapshot may still need; `changed` is
    the last revision that touched the bucket.
    """

    __slots__ = ("changed", "past", "rows", "usersets")

    def __init__(self) -> None:
        self.changed = 0
        self.rows: dict[SubjectKey, tuple[Edge, Written]] = {}
        self.usersets: dict[SubjectKey, tuple[Edge, Written]] = {}
        self.past: dict[SubjectKey, list[tuple[Written, int, Edge]]] = {}

    def edge_at(self, subject: SubjectKey, revision: int) -> Edge | None:
        """The version of one tuple that was alive at `revision`."""
        row = self.row_at(subject, revision)
        return None if row is None else row[0]

    def row_at(self, subject: SubjectKey, revision: int) -> tuple[Edge, Written] | None:
        """As `edge_at`, with what wrote that version."""
        row = self.rows.get(subject)
        if row is not None and row[1].revision <= revision:
            return row
        for written, deleted, edge in self.past.get(subject, ()):
            if written.revision <= revision < deleted:
                return edge, written
        return None

    def edges_at(self, revision: int, only_usersets: bool = False) -> list[Edge]:
        """Every edge that was alive at `revision`, in no order."""
        rows = self.usersets if only_usersets else self.rows
        if self.changed <= revision:
            return [edge for edge, _ in rows.values()]
        edges = [edge for edge, written in rows.values() if written.revision <= revision]
        edges += [
            edge
            for versions in self.past.values()
            for written, deleted, edge in versions
            if written.revision <= revision < deleted
            and (edge.subject_relation or not only_usersets)
        ]
        return edges

    def put(self, subject: SubjectKey, edge: Edge, written: Written) -> None:
        """Let `edge` live from a revision on; there is none of this subject alive."""
        self.rows[subject] = row = (edge, written)
        if edge.subject_relation:
            self.usersets[subject] = row
        self.changed = written.revision

    def end(self, subject: SubjectKey, revision: int) -> None:
        """Let the living edge of `subject` end at `revision`."""
        edge, written = self.rows.pop(subject)
        self.usersets.pop(subject, None)
        self.past.setdefault(subject, []).append((written, revision, edge))
        self.changed = revision

    def forget(self, subject: SubjectKey) -> None:
        """Drop the version of `subject` that ended first."""
        versions = self.past[subject]
        if len(versions) > 1:
            del versions[0]
        else:
            del self.past[subject]


class Related:
    """The ids of the objects of one type to which a subject has or had one relation."""

    __slots__ = ("_in_order", "ids")

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._in_order: list[str] | None = None

    def add(self, id_: str) -> None:
        """Add an id."""
        if id_ not in self.ids:
            self.ids.add(id_)
            self._in_order = None

    def remove(self, id_: str) -> None:
        """Remove an id that is there."""
        self.ids.remove(id_)
        self._in_order = None

    def after(self, id_: str) -> Iterator[str]:
        """The greater ids, in order."""
        if self._in_order is None:
            self._in_order = sorted(self.ids)
        return islice(self._in_order, bisect_right(self._in_order, id_), None)


class TupleTable:
    """All buckets of a store, and the order in which its dead versions may be forgotten."""

    def __init__(self) -> None:
        self.buckets: dict[BucketKey, Bucket] = {}
        self._keys: list[BucketKey] = []
        self._sorted = True
        self._dead: deque[tuple[int, BucketKey, SubjectKey]] = deque()
        self._expiring: set[tuple[BucketKey, SubjectKey]] = set()
        self._related: dict[ReverseKey, Related] = {}

    def living(self, tuple_: RelationTuple, now: datetime) -> Edge | None:
        """The stored edge of this tuple's identity, or None when it is absent or expired."""
        bucket = self.buckets.get((*tuple_.object, tuple_.relation))
        row = bucket.rows.get(tuple_.subject) if bucket is not None else None
        return None if row is None or is_expired(row[0].expires_at, now) else row[0]

    def created(self, tuple_: RelationTuple, revision: int) -> Written | None:
        """What wrote the tuple of this identity as it stands at `revision`."""
        bucket = self.buckets.get((*tuple_.object, tuple_.relation))
        row = None if bucket is None else bucket.row_at(tuple_.subject, revision)
        return None if row is None else row[1]

    def touch(self, tuple_: RelationTuple, written: Written) -> None:
        """Store the tuple from a revision on, in place of what has its identity."""
        (kind, id_), relation, subject, caveat, context, expires_at = tuple_
        key = (kind, id_, relation)
        bucket = self.buckets.get(key)
        if bucket is None:
            bucket = self.buckets[key] = Bucket()
            self._keys.append(key)
            self._sorted = False
        elif subject in bucket.rows:
            self._end(key, bucket, subject, written.revision)
        bucket.put(subject, Edge(*subject, caveat, context, expires_at), written)
        self._related.setdefault((*subject, kind, relation), Related()).add(id_)
        if expires_at is not None:
            self._expiring.add((key, subject))

    def delete(self, tuple_: RelationTuple, revision: int) -> None:
        """End the stored tuple of this identity at `revision`; there is one."""
        key = (*tuple_.object, tuple_.relation)
        self._end(key, self.buckets[key], tuple_.subject, revision)

    def _end(self, key: BucketKey, bucket: Bucket, subject: SubjectKey, revision: int) -> None:
        bucket.end(subject, revision)
        self._dead.append((revision, key, subject))
        self._expiring.discard((key, subject))

    def expired(self, now: datetime) -> list[RelationTuple]:
        """Every stored tuple that is expired at `now`, in tuple order."""
        found = []
        for key, subject in self._expiring:
            edge, _ = self.buckets[key].rows[subject]
            if is_expired(edge.expires_at, now):
                found.append(_tuple(key, edge))
        return sorted(found, key=_identity)

    def select(
        self,
        filter_: TupleFilter,
        revision: int,
        now: datetime,
        after: RelationTuple | None = None,
    ) -> Iterator[RelationTuple]:
        """The matching tuples alive at `revision` and `now`, in tuple order, after `after`."""
        first = None if after is None else (*after.object, after.relation)
        for key in self._matching_keys(filter_, first):
            edges = _candidates(self.buckets[key], filter_, revision)
            if after is not None and key == first:
                edges = [edge for edge in edges if edge[:3] > after.subject]
            for edge in sorted(edges, key=_subject) if len(edges) > 1 else edges:
                if _matches(filter_, edge) and not is_expired(edge.expires_at, now):
                    yield _tuple(key, edge)

    def standing(self, revision: int) -> list[Standing]:
        """The tuples alive at `revision`, in the order they were written."""
        rows = (
            (key, bucket.row_at(subject, revision))
            for key, bucket in self.buckets.items()
            for subject in {*bucket.rows, *bucket.past}
        )
        found = [Standing(row[1], _tuple(key, row[0])) for key, row in rows if row is not None]
        return sorted(found, key=lambda one: (one.written.revision, one.tuple.identity))

    def objects_of(self, scan: ReverseScan, revision: int, most: int) -> list[ReverseEdge]:
        """The first `most` edges of a scan that were alive at `revision`."""
        subject, kind, relation = scan[:3], scan.object_type, scan.relation
        related = self._related.get((*subject, kind, relation))
        found: list[ReverseEdge] = []
        for id_ in related.after(scan.after) if related is not None and most else ():
            edge = self.buckets[kind, id_, relation].edge_at(subject, revision)
            if edge is not None:
                found.append(ReverseEdge(id_, *edge[3:]))
                if len(found) == most:
                    break
        return found

    def shaped(self, shape: Shape, revision: int, now: datetime) -> Iterator[RelationTuple]:
        """The tuples of a shape alive at `revision` and `now`, in tuple order."""
        filter_ = TupleFilter(
            object_type=shape.object_type,
            relation=shape.relation,
            subject_type=shape.subject_type,
            subject_relation=shape.subject_relation,
        )
        for tuple_ in self.select(filter_, revision, now):
            if (
                shape.wildcard in (None, tuple_.subject.id == WILDCARD)
                and shape.caveat in (None, tuple_.caveat)
                and shape.expiration in (None, tuple_.expires_at is not None)
            ):
                yield tuple_

    def collect(self, oldest_revision: int, batch: int) -> tuple[int, bool]:
        """Forget up to `batch` versions that no snapshot from `oldest_revision` on can see.

        Returns how many went and whether none is left.
        """
        removed = 0
        dead = self._dead
        while dead and removed < batch and dead[0][0] <= oldest_revision:
            _, key, subject = dead.popleft()
            bucket = self.buckets[key]
            bucket.forget(subject)
            if subject not in bucket.rows and subject not in bucket.past:
                self._unrelate(key, subject)
            if not bucket.rows and not bucket.past:
                del self.buckets[key]
            removed += 1
        if len(self._keys) != len(self.buckets):
            self._keys = list(self.buckets)
            self._sorted = False
        return removed, not dead or dead[0][0] > oldest_revision

    def _unrelate(self, key: BucketKey, subject: SubjectKey) -> None:
        kind, id_, relation = key
        related = self._related[*subject, kind, relation]
        related.remove(id_)
        if not related.ids:
            del self._related[*subject, kind, relation]

    def _matching_keys(self, filter_: TupleFilter, first: BucketKey | None) -> list[BucketKey]:
        """The keys that may hold matches, sorted, none before `first`."""
        kind, id_, relation = filter_[:3]
        if kind is not None and id_ is not None and relation is not None:
            key = (kind, id_, relation)
            return [key] if key in self.buckets and (first is None or key >= first) else []
        if not self._sorted:
            self._keys.sort()
            self._sorted = True
        prefix = () if kind is None else (kind,) if id_ is None else (kind, id_)
        width = len(prefix)
        start = bisect_left(self._keys, prefix if first is None else max(prefix, first))
        end = bisect_right(self._keys, prefix, key=lambda key: key[:width])
        keys = self._keys[start:end]
        if id_ is None and relation is None:
            return keys
        return [key for key in keys if id_ in (None, key[1]) and relation in (None, key[2])]


def _candidates(bucket: Bucket, filter_: TupleFilter, revision: int) -> list[Edge]:
    _, _, _, kind, id_, relation = filter_
    if kind is None or id_ is None or relation is None:
        return bucket.edges_at(revision)
    edge = bucket.edge_at((kind, id_, relation), revision)
    return [] if edge is None else [edge]


def _matches(filter_: TupleFilter, edge: Edge) -> bool:
    _, _, _, kind, id_, relation = filter_
    return (
        (kind is None or kind == edge.subject_type)
        and (id_ is None or id_ == edge.subject_id)
        and (relation is None or relation == edge.subject_relation)
    )


def _tuple(key: BucketKey, edge: Edge) -> RelationTuple:
    kind, id_, relation = key
    return RelationTuple(Object(kind, id_), relation, Subject(*edge[:3]), *edge[3:])


def _subject(edge: Edge) -> SubjectKey:
    return edge[:3]


def _identity(tuple_: RelationTuple) -> tuple[Object, str, Subject]:
    return tuple_.identity
