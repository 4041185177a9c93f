"""The entries of one lookup of objects at one snapshot, in order, as far as they are asked for."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import repeat
from time import perf_counter
from typing import NamedTuple

from engine.asking import Ground, checked_context, checked_overlay, checked_subject
from engine.candidates import Approach, Candidates, Part, approach
from engine.confirm import Confirmation
from engine.decision import ALLOWED, Verdict
from engine.entrances import Place
from engine.errors import BudgetExceeded, EngineError, InvalidRequest
from engine.pages import Page
from engine.plan import SubjectForm
from engine.reach import Reach, Routes
from engine.requests import FoundObject, Gap, LookupObjects
from engine.store.reverse_overlay import ReverseOverlayReader
from engine.tuples import Object, check_id
from engine.write import check_count

_AT_LEAST, _AT_MOST = 100, 20_000
_QUICK = 8
"""What took less than one part in so many of the time left may be done twice as large."""

_NOTHING = Part([], ())


class Spoiled(NamedTuple):
    """An object that could not be decided."""

    object: Object
    error: EngineError


Listed = FoundObject | Spoiled
_found = partial(tuple.__new__, FoundObject)
_object = partial(tuple.__new__, Object)


class Listing:
    """One question at one snapshot: its entries in order, as far as they are asked for.

    `position` is where the list goes on after what `next` has returned; `stopped` is the budget
    that ended the list early, if one did; `spoiled` says that there was an error among the
    entries. It begins with `at_once` candidates at a time, and
    takes more and more as long as that is quick.
    """

    def __init__(self, page: Page, asked: LookupObjects, at_once: int) -> None:
        ground = page.ground
        self._ids = checked_candidates(ground, asked)
        overlay = checked_overlay(ground, asked.contextual_tuples, "contextual_tuples")
        bound = ground.compiled.caveats.bind(asked.context)
        form = SubjectForm(asked.subject.type, asked.subject.relation)
        planner = ground.compiled.plans.for_subject(*form)
        self.reach: Reach | None = None
        self.position = self._start = page.position
        self.stopped: BudgetExceeded | None = None
        self._reader = page.reader
        if overlay:
            self._reader = ReverseOverlayReader(page.reader, overlay)
        self.confirmation = Confirmation(
            asked.subject, bound, ground.now, self._reader, ground.limits, page.budget.deadline
        )
        self._routes = Routes(
            ground.compiled.entrances(form),
            [
                (kind, asked.relation)
                for kind in asked.types
                if planner.plan(kind, asked.relation) is not None
            ],
        )
        first = "" if page.position is None else page.position[0]
        self._targets = deque(t for t in sorted(self._routes.targets) if t[0] >= first)
        self._target: Place | None = None
        self._at_first = self._at_once = min(max(at_once, _AT_LEAST), _AT_MOST)
        self._examined = page.position
        self._candidates: Candidates | None = None
        self._part = _NOTHING
        self._ready: list[Listed] = []
        self._taken = 0
        self.spoiled = False

    @property
    def size(self) -> int:
        """How many objects, candidates and scans are held in memory."""
        size = len(self._part.ids) + len(self._ready) - self._taken
        if self._candidates is not None:
            size += self._candidates.size
        return size + (0 if self.reach is None else self.reach.size)

    def go_on(self, deadline: float) -> None:
        """Go on for another page, until another deadline."""
        self.confirmation.deadline = deadline
        self._start = self.position
        self._at_once = self._at_first

    async def begin(self, reach: Reach | None) -> None:
        """Walk, unless that was done before or nothing is to be found by it."""
        if self._ids is not None or reach is not None or not self._targets:
            self.reach = reach
            self.confirmation.known = None if reach is None else reach.knows
            return
        walk = Reach(self._routes)
        self.confirmation.known = walk.knows
        try:
            await walk.walk(self._reader, self.confirmation)
            self.reach = walk
        except BudgetExceeded as error:
            self.stopped = error

    async def next(self) -> Listed | None:
        """The next object that is not denied, or its error; None at the end."""
        taken = await self.take(1)
        return taken[0] if taken else None

    async def take(self, most: int) -> list[Listed]:
        """The next objects that are not denied, and errors, `most` of them unless the list ends."""
        taken: list[Listed] = []
        while len(taken) < most:
            if not await self._fill():
                self.position = self._examined
                return taken
            end = self._taken + most - len(taken)
            taken += self._ready[self._taken : end]
            self._taken = min(end, len(self._ready))
        if taken:
            self.position = tuple(taken[-1].object)
        return taken

    async def more(self) -> bool:
        """Whether the list goes on after `position`."""
        if await self._fill():
            return True
        self.position = self._examined
        return self.stopped is not None and self.position != self._start

    def told_stop(self) -> tuple[Gap, ...]:
        """The budget that ended the list early, as a gap."""
        return () if self.stopped is None else (Gap("", self.stopped),)

    async def _fill(self) -> bool:
        """Decide candidates until there is one to return. Whether there is."""
        if self._taken < len(self._ready):
            return True
        self._ready, self._taken = [], 0
        while not self._ready and self.stopped is None:
            begun = perf_counter()
            try:
                if not self._part.ids and not await self._read_on():
                    break
                await self._decide()
            except BudgetExceeded as error:
                self.stopped = error
            ended = perf_counter()
            if _QUICK * (ended - begun) < self.confirmation.deadline - ended:
                self._at_once = min(2 * self._at_once, _AT_MOST)
        return bool(self._ready)

    async def _read_on(self) -> bool:
        """Get the next candidates. Whether there are any."""
        while True:
            if self._candidates is not None:
                self._part = await self._candidates.part(self._reader, self._at_once)
                if self._part.ids:
                    return True
            if not self._targets:
                return False
            self._target = self._targets.popleft()
            after = ""
            if self._start is not None and self._start[0] == self._target[0]:
                after = self._start[1]
            way = self._approach(self._target)
            self._candidates = Candidates(way, after, self.confirmation)

    def _approach(self, target: Place) -> Approach:
        if self._ids is not None:
            return Approach(dict.fromkeys(self._ids, False), {})
        assert self.reach is not None  # or the list is stopped
        return approach(target, self.reach, self.confirmation.subject)

    async def _decide(self) -> None:
        """Decide some of the candidates at hand."""
        assert self._target is not None  # the candidates are its
        (ids, doubtful), at_once = self._part, self._at_once
        ids, self._part = ids[:at_once], Part(ids[at_once:], doubtful)
        kind = self._target[0]
        if not doubtful:
            objects = map(_object, zip(repeat(kind), ids, strict=False))
            self._ready.extend(map(_found, zip(objects, repeat(ALLOWED), strict=False)))
            self._examined = (kind, ids[-1])
            return
        plan = self._routes.plan(self._target)
        asked = [(plan, id_) for id_ in ids if id_ in doubtful]
        results, stopped = await self.confirmation.decide(asked)
        answers = iter(results)
        for id_ in ids:
            result = next(answers, None) if id_ in doubtful else ALLOWED
            if result is None:
                self.stopped = stopped
                return
            object_ = Object(kind, id_)
            self._examined = tuple(object_)
            if isinstance(result, EngineError):
                self._ready.append(Spoiled(object_, result))
                self.spoiled = True
            elif result.verdict is not Verdict.DENIED:
                self._ready.append(FoundObject(object_, result))


def checked_candidates(ground: Ground, asked: LookupObjects) -> list[str] | None:
    """The candidates that were given. Raises what is wrong with the question."""
    compiled = ground.compiled
    if not asked.types:
        raise InvalidRequest("no type is asked for", field="types", expected="an object type")
    for index, kind in enumerate(asked.types):
        field = "type" if len(asked.types) == 1 else f"types[{index}]"
        compiled.require(kind, asked.relation, field, "relation")
        if kind in asked.types[:index]:
            raise InvalidRequest(
                "it stands twice", field=f"types[{index}]", expected="each type once"
            )
    checked_subject(compiled, asked.subject, "subject")
    checked_context(ground, asked.context, "context")
    if asked.candidates is None:
        return None
    check_count(len(asked.candidates), ground.limits.checks, "candidates")
    return [check_id(id_, f"candidates[{at}]") for at, id_ in enumerate(asked.candidates)]
