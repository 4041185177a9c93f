"""What an evaluation sees of one object: the tuples that its plan asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from engine.entrances import Entrances, Place
from engine.plan import Plan
from engine.reader import Edge, Probe, Reader, Scan
from engine.tuples import WILDCARD, Subject


class Sight(Protocol):
    """The tuples of one object, by the indexes of the probes and scans of a plan's program."""

    @property
    def read(self) -> int:
        """How many tuples were looked at by now."""
        ...

    def edge(self, index: int) -> Edge | None:
        """The tuple that a probe asks for."""
        ...

    def edges(self, index: int) -> Sequence[Edge]:
        """The tuples that a scan asks for."""
        ...

    def edges_to(
        self, index: int, ids: Mapping[tuple[str, str], Collection[str]]
    ) -> Sequence[Edge]:
        """As `edges`; those may be left out whose subject is not among `ids`, by its type and
        relation."""
        ...


Sights = Callable[[Plan, str, Subject], Sight]
"""Makes the sight of an object, given the plan, the object's id, and the subject."""


class Fetched:
    """The sights of goals that were fetched together, to be taken in the same order."""

    __slots__ = ("_edges", "_probe", "_probes", "_scan", "_scanned", "_scans", "read")

    def __init__(self, edges: Sequence[Edge | None], scanned: Sequence[Sequence[Edge]]) -> None:
        self._edges = edges
        self._scanned = scanned
        self._probe = self._probes = self._scan = self._scans = self.read = 0

    def next(self, plan: Plan, _object_id: str, _subject: Subject) -> Fetched:
        """The sight of the next goal, which has this plan."""
        self._probe += self._probes
        self._scan += self._scans
        self._probes, self._scans = len(plan.program.probes), len(plan.program.scans)
        self.read = 0
        return self

    def edge(self, index: int) -> Edge | None:
        """See `Sight.edge`."""
        return self._edges[self._probe + index]

    def edges(self, index: int) -> Sequence[Edge]:
        """See `Sight.edges`."""
        found = self._scanned[self._scan + index]
        self.read += len(found)
        return found

    def edges_to(
        self, index: int, _ids: Mapping[tuple[str, str], Collection[str]]
    ) -> Sequence[Edge]:
        """See `Sight.edges_to`."""
        return self.edges(index)


async def fetch(
    asked: Sequence[tuple[Subject, Sequence[tuple[Plan, str]]]], reader: Reader, limit: int
) -> tuple[list[Fetched], int]:
    """One fetch for goals of several subjects: the sights of each subject's goals, in their order,
    and how many reads it was. Raises what the reader raises."""
    probes: list[Probe] = []
    scans: list[Scan] = []
    ends: list[tuple[int, int]] = [(0, 0)]
    for subject, goals in asked:
        for plan, object_id in goals:
            kind = plan.object_type
            for relation, wildcard in plan.program.probes:
                id_ = WILDCARD if wildcard else subject.id
                probes.append(Probe(kind, object_id, relation, subject.type, id_, subject.relation))
            for relation, only_usersets in plan.program.scans:
                scans.append(Scan(kind, object_id, relation, only_usersets))
        ends.append((len(probes), len(scans)))
    edges: Sequence[Edge | None] = ()
    scanned: Sequence[Sequence[Edge]] = ()
    if probes or scans:
        edges, scanned = await reader.fetch(probes, scans, limit)
    sights = [
        Fetched(edges[probe:next_probe], scanned[scan:next_scan])
        for (probe, scan), (next_probe, next_scan) in pairwise(ends)
    ]
    return sights, len(probes) + sum(map(len, scanned))


class Closed(Protocol):
    """What a subject is known to be a member of, and what not, without looking."""

    def value(self, plan: Plan, object_id: str) -> int | None:
        """`engine.formula.ALLOWED` or `DENIED`; None if only a look can tell."""
        ...

    def members(self, plan: Plan, most: int) -> Collection[str] | None:
        """All objects of which the subject is a member under a plan, some perhaps twice; None if
        that is not known, or if they are more than `most`."""
        ...


class Asked(NamedTuple):
    """What a closure is for: the subject, and the place whose members are asked for, in the
    entrances of one schema."""

    subject: Subject
    entrances: Entrances
    place: Place


class NearReader:
    """A reader that may have its tuples at hand, so that each is read when it is asked for. As it
    stands, one that never has, and knows nothing beforehand.

    A class that others inherit from, and no protocol: whether a reader is one is asked with every
    check, and that is answered at once only of a class.
    """

    __slots__ = ()

    def sights(self, limit: int) -> Sights | None:  # noqa: ARG002 - for those who have them
        """Sights of the reader's snapshot, to be used in one round; None if its tuples have to be
        fetched. A sight raises BudgetExceeded when it would look at more than `limit` tuples.
        """
        return None

    def lost(self, error: Exception) -> bool:  # noqa: ARG002 - it has nothing to lose
        """Whether an error that a sight raised means that the tuples are not at hand any more.
        Nothing was seen wrongly by then, and `sights` may be asked for again."""
        return False

    def closure(self, asked: Asked) -> Closed | None:  # noqa: ARG002 - whatever is asked for
        """What is known beforehand, at the reader's snapshot."""
        return None

    def walked(self, asked: Asked, goals: int) -> None:
        """Take note that `goals` goals were walked for want of a closure."""


def at_hand(reader: Reader) -> bool:
    """Whether a reader has its tuples at hand now."""
    return isinstance(reader, NearReader) and reader.sights(1) is not None
