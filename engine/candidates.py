"""The candidates of one target of a lookup, in order, read as far as they are asked for.

What was reached on the way (`engine.reach`) is in memory. The tuples of the last step are many
more, so they are streams, each sorted by object: parts of many of them are read together, and
handed out up to the id that every stream has been read to. Which ones that will be next is known:
those that have been read least far.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple

from engine.confirm import Confirmation
from engine.entrances import Alias, Itself, Place, Stored
from engine.errors import BudgetExceeded
from engine.plan import Forms
from engine.reach import SCANS_PER_ROUND, Reach, Routes, Turns, onward_scan, own_scan
from engine.reader import ReverseReader, ReverseScan
from engine.tuples import Subject

_TUPLES_PER_ROUND = 20_000
_TUPLES_HELD = 100_000
_LEAST = 2


class Part(NamedTuple):
    """Ids of objects in order, and those that are to be checked; the others are members."""

    ids: list[str]
    doubtful: Collection[str]


@dataclass(slots=True)
class _Stream:
    """A scan of the last step: the ids that were read and not handed out, those whose tuple may
    not hold, and whether that is all."""

    scan: ReverseScan
    forms: Forms
    certain: bool
    read: list[str] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
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
    """The candidates whose id is greater than `after`."""

    def __init__(self, way: Approach, after: str, confirmation: Confirmation) -> None:
        self._near = way.near
        self._after = after
        self._waiting = deque(sorted(id_ for id_ in way.near if id_ > after))
        self._streams = [
            _Stream(scan._replace(after=after), forms, certain)
            for scan, (forms, certain) in way.scans.items()
        ]
        self._held = 0
        self._gathered: dict[str, bool] = {}
        self._confirmation = confirmation

    @property
    def size(self) -> int:
        """How many candidates and streams are held in memory."""
        return len(self._waiting) + len(self._gathered) + len(self._streams) + self._held

    async def part(self, reader: ReverseReader, at_once: int) -> Part:
        """The next candidates in order, at least `at_once` unless they are the last or a budget is
        used up; none when there are no more.

        Raises BudgetExceeded if there is nothing to return, and what the reader raises.
        """
        try:
            turns = Turns(self._confirmation.budget())
            await self._gather(turns)
            while self._streams and len(self._gathered) < at_once:
                await self._read(reader, at_once, turns)
                await self._gather(turns)
        except BudgetExceeded:
            if not self._gathered:
                raise
        found, self._gathered = self._gathered, {}
        sure = all(found.values())
        doubtful = () if sure else {id_ for id_, certain in found.items() if not certain}
        return Part(sorted(found), doubtful)

    async def _read(self, reader: ReverseReader, at_once: int, turns: Turns) -> None:
        """Read on in streams of which little is left: those that come next before the others, and
        the further the fewer they are."""
        streams = [stream for stream in self._streams if not stream.ended]  # one at least
        least = max(_LEAST, min(at_once, _TUPLES_PER_ROUND // len(streams)))
        hungry = [stream for stream in streams if len(stream.read) < least]
        taken = nsmallest(SCANS_PER_ROUND, hungry, key=_after)
        room = min(_TUPLES_PER_ROUND, _TUPLES_HELD - self._held)
        each = max(least, min(at_once, room // len(taken)))
        scans = [stream.scan for stream in taken]
        budget = self._confirmation.budget()
        found = await reader.objects_of(scans, each, budget.reads)
        budget.spend_reads(len(scans) + sum(map(len, found)))
        for stream, edges in zip(taken, found, strict=True):
            stream.ended = len(edges) < each
            if edges:
                ids, unsure = self._confirmation.candidates(edges, stream.forms)
                stream.read += ids
                stream.unsure.update(unsure)
                self._held += len(ids)
                stream.scan = stream.scan._replace(after=edges[-1].object_id)
                await turns.work(len(edges))

    async def _gather(self, turns: Turns) -> None:
        """Gather what is not beyond any stream that goes on, each once."""
        found = self._gathered
        bound = min((s.scan.after for s in self._streams if not s.ended), default=None)
        while self._waiting and (bound is None or self._waiting[0] <= bound):
            id_ = self._waiting.popleft()
            found[id_] = self._near[id_]
        if bound == self._after:
            return  # nothing that was read comes before that
        for stream in self._streams:
            if stream.read:
                end = len(stream.read) if bound is None else bisect_right(stream.read, bound)
                self._hand_out(stream, end)
                await turns.work(end)
        self._streams = [stream for stream in self._streams if stream.read or not stream.ended]

    def _hand_out(self, stream: _Stream, end: int) -> None:
        """Gather the first `end` ids of a stream."""
        ids, found = stream.read[:end], self._gathered
        del stream.read[:end]
        self._held -= end
        if stream.certain and not stream.unsure:
            found.update(dict.fromkeys(ids, True))
            return
        for id_ in ids:
            sure = stream.certain and id_ not in stream.unsure
            found[id_] = sure or found.get(id_, False)
        stream.unsure.difference_update(ids)


def _after(stream: _Stream) -> str:
    return stream.scan.after
