"""The candidates of one target of a lookup, in order, read as far as they are asked for.

What was reached on the way (`engine.reach`) is in memory. The tuples of the last step are many
more, so they are streams, each sorted by object: parts of all of them are read together, and
handed out up to the id that every stream has been read to.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from engine.confirm import Confirmation
from engine.entrances import Alias, Itself, Place, Stored
from engine.plan import Forms
from engine.reach import SCANS_PER_ROUND, Reach, Routes, Turns, onward_scan, own_scan
from engine.reader import ReverseEdge, ReverseReader, ReverseScan
from engine.tuples import Subject

_TUPLES_PER_ROUND = 20_000

Candidate = tuple[str, bool]
"""An object's id, and whether it is a member without being checked."""


@dataclass(slots=True)
class _Stream:
    """A scan of the last step: what was read and not handed out, and whether that is all."""

    scan: ReverseScan
    forms: Forms
    certain: bool
    read: deque[Candidate] = field(default_factory=deque)
    ended: bool = False


@dataclass(slots=True)
class Approach:
    """How a target is come to: `near`, the candidates in memory, by id and whether certainly; and
    the scans of the last step with the forms they follow and whether certainly."""

    near: dict[str, bool] = field(default_factory=dict)
    scans: dict[ReverseScan, tuple[Forms, bool]] = field(default_factory=dict)

    def add(self, id_: str, certain: bool) -> None:
        """Add a candidate."""
        self.near[id_] = certain or self.near.get(id_, False)

    def scan(self, scan: ReverseScan, entrance: Stored, certain: bool) -> None:
        """Add a scan."""
        _, before = self.scans.get(scan, (entrance.forms, False))
        self.scans[scan] = (entrance.forms, certain or before)


def approach(target: Place, reach: Reach, subject: Subject) -> Approach:
    """How a target is come to after a walk."""
    made = Approach()
    for place, certain in _aliases_of(target, reach.routes):
        if place in reach.routes.walked:
            for id_, sure in reach.reached[place].items():
                made.add(id_, certain and sure)
            continue
        for entrance in reach.routes.into[place]:
            sure = certain and entrance.certain
            if isinstance(entrance, Itself):
                made.add(subject.id, sure)
            elif isinstance(entrance, Stored) and entrance.source is None:
                made.scan(own_scan(subject, entrance, place), entrance, sure)
            elif isinstance(entrance, Stored) and entrance.source is not None:
                for id_, come in reach.reached[entrance.source].items():
                    made.scan(onward_scan(id_, entrance, place), entrance, sure and come)
    return made


def _aliases_of(target: Place, routes: Routes) -> set[tuple[Place, bool]]:
    """The places that the target is an alias of, itself among them, and whether certainly. Those
    behind a walked one are part of what was reached there."""
    found = {(target, True)}
    waiting = [(target, True)]
    while waiting:
        place, certain = waiting.pop()
        for entrance in () if place in routes.walked else routes.into[place]:
            if isinstance(entrance, Alias):
                step = (entrance.source, certain and entrance.certain)
                if step not in found:
                    found.add(step)
                    waiting.append(step)
    return found


class Candidates:
    """The candidates whose id is greater than `after`; a part holds about `at_once` of them."""

    def __init__(self, way: Approach, after: str, at_once: int, confirmation: Confirmation) -> None:
        self._near = way.near
        self._waiting = deque(sorted(id_ for id_ in way.near if id_ > after))
        self._streams = [
            _Stream(scan._replace(after=after), forms, certain)
            for scan, (forms, certain) in way.scans.items()
        ]
        share = _TUPLES_PER_ROUND // len(self._streams) if self._streams else 1
        self._each = max(1, min(at_once, share))
        self._confirmation = confirmation

    async def part(self, reader: ReverseReader) -> list[Candidate]:
        """The next candidates in order, nothing when there are no more.

        Raises BudgetExceeded, and what the reader raises.
        """
        turns = Turns(self._confirmation.budget())
        while self._streams or self._waiting:
            await self._read(reader, turns)
            bound = min((s.scan.after for s in self._streams if not s.ended), default=None)
            part = self._up_to(bound)
            self._streams = [s for s in self._streams if s.read or not s.ended]
            if part:
                return part
        return []

    async def _read(self, reader: ReverseReader, turns: Turns) -> None:
        """Read on in every stream of which little is left."""
        budget = self._confirmation.budget()
        hungry = [s for s in self._streams if not s.ended and len(s.read) < self._each]
        for start in range(0, len(hungry), SCANS_PER_ROUND):
            streams = hungry[start : start + SCANS_PER_ROUND]
            scans = [stream.scan for stream in streams]
            found = await reader.objects_of(scans, self._each, budget.reads)
            budget.spend_reads(len(scans) + sum(map(len, found)))
            for stream, edges in zip(streams, found, strict=True):
                stream.ended = len(edges) < self._each
                for edge in edges:
                    self._take(stream, edge)
                    await turns.work()

    def _take(self, stream: _Stream, edge: ReverseEdge) -> None:
        stream.scan = stream.scan._replace(after=edge.object_id)
        holds = self._confirmation.condition(edge, stream.forms)
        if holds is not None:
            stream.read.append((edge.object_id, stream.certain and holds))

    def _up_to(self, bound: str | None) -> list[Candidate]:
        """Hand out what is not beyond the bound, if there is one, each once."""
        found: dict[str, bool] = {}
        while self._waiting and (bound is None or self._waiting[0] <= bound):
            id_ = self._waiting.popleft()
            found[id_] = self._near[id_]
        for stream in self._streams:
            while stream.read and (bound is None or stream.read[0][0] <= bound):
                id_, certain = stream.read.popleft()
                found[id_] = certain or found.get(id_, False)
        return sorted(found.items())
