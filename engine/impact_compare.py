"""The entries on which a proposed change makes a difference, in order, and where to go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import NamedTuple

from engine.asking import Ground, answer
from engine.budget import Budget
from engine.causes import Changes
from engine.conditions import conditions
from engine.decision import DENIED, Decision, Verdict
from engine.diff import Difference
from engine.errors import BudgetExceeded, EngineError
from engine.impact_scope import Aim, Scope
from engine.pages import Page
from engine.reader import ReverseReader
from engine.requests import Check, Gap
from engine.sides import Compared, OfObject, Side, Sides
from engine.store.protocol import Storage
from engine.tuples import WILDCARD, Object, Subject

_CHECKS_AT_ONCE = 1_000
_ENTRIES_AT_ONCE = 64
_STRANGER = ""
"""The id of a subject that no tuple names: what the wildcard says, it is."""
_NO_CHANGES = Changes((), whole=False)


class Entry(NamedTuple):
    """A place that was reached, and the difference there, if there is one. `position` is an
    object's id, and a subject's where the object is not done yet."""

    position: tuple[str, ...]
    difference: Difference | None


class Standing(NamedTuple):
    """One side: the ground and its reader; no ground where there is no schema yet."""

    ground: Ground | None
    reader: ReverseReader


class Comparison:
    """Compares a snapshot with itself as a change would make it. `gaps` holds what could not be
    compared, and why; every step has a budget of its own, and all of them one deadline."""

    def __init__(self, storage: Storage, page: Page, before: Standing, scope: Scope) -> None:
        self.gaps: list[Gap] = []
        self._storage = storage
        self._page = page
        self._standings = (before, Standing(page.ground, page.reader))
        self._scope = scope
        self._budget = page.budget

    async def entries(self, aim: Aim, position: tuple[str, ...]) -> AsyncIterator[Entry]:
        """The entries of one aim after a position, () for the start. Raises BudgetExceeded."""
        sides = (self._ground(aim, 0), self._ground(aim, 1))
        people = None
        if not aim.everywhere:
            people = await self._scope.people.of(aim.form, self._budget)
        if people is None:
            found = self._all_subjects(aim, sides, position)
        else:
            found = self._these(aim, sides, people, position)
        async for part, stopped in _parts(found):
            for entry in await self._resolved(aim, sides, part):
                yield entry
            if stopped is not None:
                raise stopped

    def _ground(self, aim: Aim, index: int) -> Ground | None:
        """What a side's answers stand on; None where its schema does not know what is asked about,
        so that nobody is a member."""
        ground = self._standings[index].ground
        if ground is None:
            return None
        types = ground.compiled.schema.object_types
        for kind, name in ((aim.type, aim.name), aim.form):
            known = types.get(kind)
            if known is None or (name and known.rewrite_of(name) is None):
                return None
        return ground

    def _fresh(self) -> Budget:
        self._budget.check_time()
        limits = self._page.ground.limits
        return Budget(limits.evaluation_reads, limits.evaluation_nodes, self._budget.deadline)

    # -- any subject ----------------------------------------------------------------------------

    async def _all_subjects(
        self, aim: Aim, grounds: Sequence[Ground | None], position: tuple[str, ...]
    ) -> AsyncGenerator[Compared, None]:
        page, now = self._page, self._page.ground.now
        before, after = (
            Side(page.snapshot, now, ground, standing.reader, None)
            for ground, standing in zip(grounds, self._standings, strict=True)
        )
        sides = Sides(before, after, self._storage, _NO_CHANGES, self._budget, page.call)
        start, within = (*position, "", "")[:2]
        async for id_ in self._scope.objects(aim, start, self._budget):
            self._budget.check_time()
            resumed = id_ == start and len(position)
            if resumed == 1:
                continue
            target = OfObject(Object(aim.type, id_), aim.name, *aim.form)
            try:
                async for one in sides.compared(target, (id_, within) if resumed else None):
                    yield one
            finally:
                self._take(sides)
            yield _done(aim, id_)

    def _take(self, sides: Sides) -> None:
        self.gaps += sides.gaps
        sides.gaps.clear()

    # -- a few subjects -------------------------------------------------------------------------

    async def _these(
        self,
        aim: Aim,
        grounds: Sequence[Ground | None],
        people: Sequence[str],
        position: tuple[str, ...],
    ) -> AsyncGenerator[Compared, None]:
        if not people:
            return
        ids: list[str] = []
        start, within = (*position, "", "")[:2]
        if within:
            rest = [one for one in people if one > within]
            for one in await self._decided(aim, grounds, rest, [start]):
                yield one
        at_once = max(1, _CHECKS_AT_ONCE // len(people))
        async for id_ in self._scope.objects(aim, start, self._budget):
            if not position or id_ != start:
                ids.append(id_)
            if len(ids) == at_once:
                for one in await self._decided(aim, grounds, people, ids):
                    yield one
                ids = []
        for one in await self._decided(aim, grounds, people, ids):
            yield one

    async def _decided(
        self,
        aim: Aim,
        grounds: Sequence[Ground | None],
        people: Sequence[str],
        ids: Sequence[str],
    ) -> list[Compared]:
        subjects = [Subject(aim.form.type, id_, aim.form.relation) for id_ in people]
        checks = [
            Check(Object(aim.type, id_), aim.name, subject) for id_ in ids for subject in subjects
        ]
        before, after = [await self._answered(ground, checks) for ground in grounds]
        found: list[Compared] = []
        for check, one, two in zip(checks, before, after, strict=True):
            for result in (one, two):
                if isinstance(result, EngineError):
                    about = f"{check.object}#{check.relation}@{check.subject}"
                    self.gaps.append(Gap(about, result))
            if isinstance(one, Decision) and isinstance(two, Decision):
                place = (check.object.id, check.subject.id)
                found.append(Compared(place, check.object, check.subject, one, two))
            if check.subject == subjects[-1]:
                found.append(_done(aim, check.object.id))
        return found

    async def _answered(
        self, ground: Ground | None, checks: Sequence[Check]
    ) -> list[Decision | EngineError]:
        """The checks' results; fewer at once where they use up a budget together."""
        if ground is None:
            return [DENIED] * len(checks)
        if not checks:
            return []
        results = await answer(ground, checks, self._fresh())
        stopped = [one for one in results if isinstance(one, BudgetExceeded)]
        for error in stopped:
            if error.extra["budget"] == "milliseconds":
                raise error
        if not stopped or len(checks) == 1:
            return results
        half = len(checks) // 2
        first = await self._answered(ground, checks[:half])
        return [*first, *await self._answered(ground, checks[half:])]

    # -- what a condition is --------------------------------------------------------------------

    async def _resolved(
        self, aim: Aim, grounds: Sequence[Ground | None], part: Sequence[Compared]
    ) -> list[Entry]:
        """These entries with their differences; conditional ones are looked at more closely."""
        alike = [one for one in part if _conditional(one.before) and one.before == one.after]
        other = await self._with_another_condition(aim, grounds, alike) if alike else set()
        entries = []
        for one in part:
            difference = None
            if (
                one.before is not None
                and one.after is not None
                and (one.before != one.after or one.position in other)
            ):
                difference = Difference(one.object, one.subject, one.before, one.after)
            entries.append(Entry(one.position, difference))
        return entries

    async def _with_another_condition(
        self, aim: Aim, grounds: Sequence[Ground | None], alike: Sequence[Compared]
    ) -> set[tuple[str, ...]]:
        pairs = [(one.object, _asked(one.subject)) for one in alike]
        made = []
        for ground in grounds:
            assert ground is not None  # somebody may be a member there
            try:
                made.append(await conditions(ground, pairs, aim.name, self._fresh()))
            except BudgetExceeded as error:
                if error.extra["budget"] == "milliseconds":
                    raise
                for one in alike:
                    about = f"{one.object}#{aim.name}@{one.subject}"
                    self.gaps.append(Gap(about, error))
                return set()
        return {
            one.position
            for one, before, after in zip(alike, *made, strict=True)
            if before is None or before != after
        }


def _done(aim: Aim, id_: str) -> Compared:
    """The mark that an object is done."""
    return Compared((id_,), Object(aim.type, id_), Subject(aim.form.type, ""), None, None)


def _conditional(decision: Decision | None) -> bool:
    return decision is not None and decision.verdict is Verdict.CONDITIONAL


def _asked(subject: Subject) -> Subject:
    return subject._replace(id=_STRANGER) if subject.id == WILDCARD else subject


async def _parts(
    found: AsyncGenerator[Compared, None],
) -> AsyncIterator[tuple[list[Compared], BudgetExceeded | None]]:
    """Some entries at a time; with the last ones, what stopped them."""
    part: list[Compared] = []
    stopped: BudgetExceeded | None = None
    try:
        async for one in found:
            part.append(one)
            if len(part) == _ENTRIES_AT_ONCE:
                yield part, None
                part = []
    except BudgetExceeded as error:
        stopped = error
    finally:
        await found.aclose()
    yield part, stopped
