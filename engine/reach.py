"""The walk from a subject to objects: which objects are there to go on from.

`Routes` is the part of a schema's entrances that leads to the places asked for. `Reach` walks it in
rounds, one read a round, over the places that others are entered from; the last step into a place
that nothing is entered from is left to `engine.candidates`, which reads it in order and in parts.

An object is reached *certainly* if it is a member whatever else is true. Where a place has an
entrance that is not certain, whoever came by it is checked before the walk goes on from there: one
check of a folder is less than a check of all that is in it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from time import perf_counter
from typing import NamedTuple

from engine.budget import Budget
from engine.confirm import Confirmation
from engine.decision import Decision, Verdict
from engine.entrances import Alias, Entrance, Entrances, Itself, Place, Stored
from engine.plan import Plan
from engine.reader import ReverseEdge, ReverseReader, ReverseScan
from engine.tuples import WILDCARD, Subject

SCANS_PER_ROUND = 5_000
_WORK_PER_PAUSE = 256
_SECONDS_PER_TURN = 0.001


class Turns:
    """Keeps the deadline and the event loop's patience while there is work to do."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._begun = budget.check_time()
        self._work = 0

    async def work(self, count: int = 1) -> None:
        """Count small pieces of work. Raises BudgetExceeded after the deadline."""
        self._work += count
        if self._work < _WORK_PER_PAUSE:
            return
        self._work = 0
        if self._budget.check_time() - self._begun > _SECONDS_PER_TURN:
            await asyncio.sleep(0)
            self._begun = perf_counter()


class Routes:
    """The entrances of every place that leads to one of `targets`, relations or permissions.

    `walked` are the places that others are entered from by stored tuples, and those that these
    are aliases of.
    """

    def __init__(self, entrances: Entrances, targets: Iterable[Place]) -> None:
        self.plan = entrances.plan
        self.into: dict[Place, tuple[Entrance, ...]] = {}
        self.walked: set[Place] = set()
        self.targets = list(targets)
        waiting = list(self.targets)
        while waiting:
            place = waiting.pop()
            if place not in self.into:
                self.into[place] = entrances.of(place)
                waiting.extend(source for source in map(_source, self.into[place]) if source)
        waiting = [
            entrance.source
            for ways in self.into.values()
            for entrance in ways
            if isinstance(entrance, Stored) and entrance.source is not None
        ]
        while waiting:
            place = waiting.pop()
            if place not in self.walked:
                self.walked.add(place)
                aliases = (way for way in self.into[place] if isinstance(way, Alias))
                waiting.extend(way.source for way in aliases)


def _source(entrance: Entrance) -> Place | None:
    return None if isinstance(entrance, Itself) else entrance.source


def own_scan(subject: Subject, entrance: Stored, into: Place) -> ReverseScan:
    """The scan of the subject's own tuples, or of its wildcard's."""
    id_ = WILDCARD if entrance.wildcard else subject.id
    return ReverseScan(subject.type, id_, entrance.subject_relation, into[0], entrance.relation)


def onward_scan(id_: str, entrance: Stored, into: Place) -> ReverseScan:
    """The scan of the tuples that lead on from an object that was reached."""
    assert entrance.source is not None  # it leads on from there
    kind = entrance.source[0]
    return ReverseScan(kind, id_, entrance.subject_relation, into[0], entrance.relation)


_Goal = tuple[Place, str]


class _Step(NamedTuple):
    """A scan's reason: the object it goes on from (None: the subject itself), and where to."""

    source: _Goal | None
    entrance: Stored
    into: Place


class Reach:
    """Walks. `reached` has, for every walked place, its objects by id and whether certainly."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.reached: dict[Place, dict[str, bool]] = {place: {} for place in routes.walked}
        self._aliases: defaultdict[Place, list[tuple[Place, Alias]]] = defaultdict(list)
        self._onward: defaultdict[Place, list[tuple[Place, Stored]]] = defaultdict(list)
        for place in routes.walked:
            for entrance in routes.into[place]:
                if isinstance(entrance, Alias):
                    self._aliases[entrance.source].append((place, entrance))
                elif isinstance(entrance, Stored) and entrance.source is not None:
                    self._onward[entrance.source].append((place, entrance))
        self._places = {routes.plan(place): place for place in routes.walked}
        self._scans: dict[ReverseScan, list[_Step]] = {}
        self._doubtful: list[_Goal] = []
        self._asked: set[_Goal] = set()
        self._refused: set[_Goal] = set()

    @property
    def size(self) -> int:
        """How many objects are reached."""
        return sum(map(len, self.reached.values()))

    def knows(self, plan: Plan, id_: str) -> bool:
        """Whether the object was reached certainly at the place that the plan decides."""
        place = self._places.get(plan)
        return place is not None and self.reached[place].get(id_, False)

    async def walk(self, reader: ReverseReader, confirmation: Confirmation) -> None:
        """Reach all there is. Raises BudgetExceeded, InvalidContext, and what the reader raises;
        the walk is of no use then."""
        budget = confirmation.budget()
        budget.nodes = 2 * budget.reads  # an object that is noted costs less than a goal
        turns = Turns(budget)
        self._begin(confirmation.subject)
        while self._scans or self._doubtful:
            taken = [*islice(self._scans.items(), SCANS_PER_ROUND)]
            for scan, _ in taken:
                del self._scans[scan]
            before = self.size
            if taken:
                scans = [scan for scan, _ in taken]
                found = await reader.objects_of(scans, budget.reads + 1, budget.reads)
                budget.spend_reads(len(scans) + sum(map(len, found)))
                for (_, steps), edges in zip(taken, found, strict=True):
                    for edge in edges:
                        self._take(edge, steps, confirmation)
                        await turns.work()
            await self._ask(confirmation)
            budget.spend_nodes(self.size - before)
        self._asked.clear()
        self._refused.clear()

    def _begin(self, subject: Subject) -> None:
        for place in self.routes.walked:
            for entrance in self.routes.into[place]:
                if isinstance(entrance, Itself):
                    self._arrive(place, subject.id, entrance.certain, doubtful=not entrance.certain)
                elif isinstance(entrance, Stored) and entrance.source is None:
                    scan = own_scan(subject, entrance, place)
                    self._scans.setdefault(scan, []).append(_Step(None, entrance, place))

    def _take(self, edge: ReverseEdge, steps: Sequence[_Step], confirmation: Confirmation) -> None:
        """Go where a tuple leads by each of the steps that read it."""
        for source, entrance, place in steps:
            holds = confirmation.condition(edge, entrance.forms)
            if holds is None:
                continue
            come = source is None or self.reached[source[0]][source[1]]
            certain = holds and entrance.certain and come
            self._arrive(place, edge.object_id, certain, doubtful=not entrance.certain)

    def _arrive(self, place: Place, id_: str, certain: bool, *, doubtful: bool) -> None:
        """Note that an object is reached, and what follows from that alone."""
        stack = [((place, id_), certain, doubtful)]
        while stack:
            goal, certain, doubtful = stack.pop()
            place, id_ = goal
            known = self.reached[place].get(id_)
            if known or (not certain and (known is False or goal in self._refused)):
                continue
            if doubtful:
                if goal not in self._asked:
                    self._asked.add(goal)
                    self._doubtful.append(goal)
                continue
            self.reached[place][id_] = certain
            if known is None:
                self._go_on(goal)
            stack.extend(
                ((into, id_), certain and alias.certain, not alias.certain)
                for into, alias in self._aliases[place]
            )

    def _go_on(self, goal: _Goal) -> None:
        place, id_ = goal
        for into, entrance in self._onward[place]:
            scan = onward_scan(id_, entrance, into)
            self._scans.setdefault(scan, []).append(_Step(goal, entrance, into))

    async def _ask(self, confirmation: Confirmation) -> None:
        """Check who came by an entrance that is not certain. Raises BudgetExceeded."""
        while self._doubtful:
            goals, self._doubtful = self._doubtful, []
            asked = [(self.routes.plan(place), id_) for place, id_ in goals]
            results, stopped = await confirmation.decide(asked)
            if stopped is not None:
                raise stopped
            for goal, result in zip(goals, results, strict=True):
                if isinstance(result, Decision) and result.verdict is Verdict.DENIED:
                    self._refused.add(goal)
                else:
                    allowed = isinstance(result, Decision) and result.allowed
                    self._arrive(*goal, allowed, doubtful=False)
