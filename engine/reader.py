"""The few batched reads that evaluation needs, all at one snapshot.

An evaluator gathers what its whole frontier needs and asks once a round, so that over a network
the number of round trips grows with the depth of the graph and not with its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, overload


class Probe(NamedTuple):
    """Is `object#relation@subject` stored? For the wildcard tuple `subject_id` is `*`."""

    object_type: str
    object_id: str
    relation: str
    subject_type: str
    subject_id: str
    subject_relation: str


class Scan(NamedTuple):
    """Every stored subject of `object#relation`; only those with a subject relation if asked."""

    object_type: str
    object_id: str
    relation: str
    only_usersets: bool


class Edge(NamedTuple):
    """One stored tuple, seen from its object: the subject, and what the tuple depends on.

    `caveat` and `context` are "" for none; `expires_at` is aware, UTC. Expired tuples are
    returned too: the evaluator, which holds `now`, leaves them out.
    """

    subject_type: str
    subject_id: str
    subject_relation: str
    caveat: str = ""
    context: str = ""
    expires_at: datetime | None = None


class ReverseScan(NamedTuple):
    """Every object `object_type:…` that has the tuple `#relation@subject`, in the order of the
    bytes of its id, from the first whose id is greater than `after`."""

    subject_type: str
    subject_id: str
    subject_relation: str
    object_type: str
    relation: str
    after: str = ""


class ReverseEdge(NamedTuple):
    """One stored tuple, seen from its subject: the object, and what the tuple depends on, as in
    an Edge."""

    object_id: str
    caveat: str = ""
    context: str = ""
    expires_at: datetime | None = None


class PlainEdges(Sequence[ReverseEdge]):
    """Tuples without caveat and expiry, by the ids of their objects alone: long lists are mostly
    such, and are made into edges only for those who ask for them."""

    __slots__ = ("ids",)

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[ReverseEdge]:
        return map(ReverseEdge, self.ids)

    @overload
    def __getitem__(self, index: int) -> ReverseEdge: ...
    @overload
    def __getitem__(self, index: slice) -> PlainEdges: ...
    def __getitem__(self, index: int | slice) -> ReverseEdge | PlainEdges:
        if isinstance(index, slice):
            return PlainEdges(self.ids[index])
        return ReverseEdge(self.ids[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Reader(Protocol):
    """Reads the tuples of one store at one snapshot.

    For example, with `doc:1#viewer@group:eng#member` and `doc:1#viewer@user:ann` stored,
    `fetch([Probe("doc", "1", "viewer", "user", "ann", "")], [Scan("doc", "1", "viewer", True)])`
    is `([Edge("user", "ann", "")], [[Edge("group", "eng", "member")]])`.

    Not promised: any order among the edges of a scan; that a tuple fits the schema.
    """

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """One answer a probe (None: not stored) and one list a scan, in the order asked.

        If the scans together hold more than `limit` tuples, raises BudgetExceeded("reads") rather
        than returning a part. Raises SnapshotExpired when the snapshot has left the history
        window and Unavailable when the store cannot be reached.
        """
        ...


class ReverseReader(Reader, Protocol):
    """Reads from subjects to objects, too: what lookups need beside `fetch`.

    For example, with `doc:1#viewer@user:ann` and `doc:2#viewer@user:ann` stored,
    `objects_of([ReverseScan("user", "ann", "", "doc", "viewer")], 1, 10)` is
    `[[ReverseEdge("1")]]`.
    """

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        """One sorted list a scan, in the order asked, of its first `each` tuples.

        If they are more than `limit` together, raises BudgetExceeded("reads"). Otherwise raises
        as `fetch`.
        """
        ...
