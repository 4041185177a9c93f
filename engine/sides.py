"""The two sides of a diff, compared entry by entry in the order of their lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from engine.asking import NO_OVERLAY, Ground, checked_subject
from engine.budget import Budget
from engine.causes import Changes
from engine.cursor import Call
from engine.decision import DENIED, Decision
from engine.digest import Part
from engine.errors import (
    EngineError,
    InvalidContext,
    SchemaNotFound,
    UnknownRelation,
    UnknownType,
)
from engine.grounds import Grounds
from engine.listing import Listing
from engine.lookup_subjects import Look
from engine.pages import Page
from engine.reader import ReverseReader
from engine.requests import Gap, LookupObjects, LookupSubjects, Overlay
from engine.store.laid_over import LaidOver
from engine.store.protocol import Snapshot, Storage, TupleFilter
from engine.touched import touched
from engine.tuples import WILDCARD, Object, RelationTuple, Subject

_AT_ONCE = 256
_OBJECTS_READ = 100
_LAST = "\U0010ffff"
"""It sorts after every name of a relation."""


@dataclass(frozen=True, slots=True)
class OfObject:
    """Who gained or lost `object#relation`, of one form of subject."""

    object: Object
    relation: str
    subject_type: str
    subject_relation: str = ""

    @property
    def type(self) -> str:
        """The type of the objects that are asked about."""
        return self.object.type

    @property
    def parts(self) -> Part:
        """All of it, for a digest."""
        return ("object", *self.object, self.relation, self.subject_type, self.subject_relation)


@dataclass(frozen=True, slots=True)
class OfSubject:
    """What a subject gained or lost among the objects of a type."""

    subject: Subject
    type: str
    relation: str

    @property
    def parts(self) -> Part:
        """All of it, for a digest."""
        return ("subject", *self.subject, self.type, self.relation)


@dataclass(frozen=True, slots=True)
class OfType:
    """Both, over all objects of a type that have tuples."""

    type: str
    relation: str
    subject_type: str
    subject_relation: str = ""

    @property
    def parts(self) -> Part:
        """All of it, for a digest."""
        return ("type", self.type, self.relation, self.subject_type, self.subject_relation)


Target = OfObject | OfSubject | OfType


@dataclass(frozen=True, slots=True)
class Side:
    """One snapshot and one time. Without a ground, and with a `refusal`, its schema does not know
    what is asked about: then nobody is a member of it there."""

    snapshot: Snapshot
    now: datetime
    ground: Ground | None
    reader: ReverseReader | None
    refusal: EngineError | None

    @classmethod
    async def at(
        cls,
        grounds: Grounds,
        snapshot: Snapshot,
        now: datetime,
        target: Target,
        overlay: Overlay | None = None,
    ) -> Side:
        """The side at a snapshot. Raises InvalidRequest for a wildcard as the subject, and what
        `Grounds.at` raises for the overlay; one that adds tuples needs a schema."""
        try:
            ground, reader = await grounds.at(snapshot, now, overlay)
        except SchemaNotFound as error:
            if overlay is not None and overlay.add:
                raise
            return cls(snapshot, now, None, None, error)
        try:
            compiled = ground.compiled
            compiled.require(target.type, target.relation, "type", "relation")
            if isinstance(target, OfSubject):
                checked_subject(compiled, target.subject, "subject")
            elif target.subject_relation:
                fields = "subject_type", "subject_relation"
                compiled.require(target.subject_type, target.subject_relation, *fields)
            else:
                compiled.object_type(target.subject_type, "subject_type")
        except (UnknownType, UnknownRelation) as error:
            return cls(snapshot, now, None, None, error)
        return cls(snapshot, now, ground, reader, None)

    def tuples(self, storage: Storage) -> LaidOver:
        """The tuples of this side in order, under its overlay."""
        laid = NO_OVERLAY if self.ground is None else self.ground.overlay
        return LaidOver(storage, self.snapshot, self.now, laid.add, laid.remove)


class Compared(NamedTuple):
    """An entry on which the sides may differ. `position` is the place after it; a decision that
    is an error is None, and `gap` says which."""

    position: tuple[str, ...]
    object: Object
    subject: Subject
    before: Decision | None
    after: Decision | None


_Result = Decision | EngineError
_Entry = tuple[str, _Result]


class _Timed(Protocol):
    """Part of a comparison that ends at a time."""

    deadline: float


class Sides:
    """Compares two sides, given one caveat `context`; `gaps` holds what could not be compared, and
    why."""

    def __init__(
        self,
        before: Side,
        after: Side,
        storage: Storage,
        changes: Changes,
        budget: Budget,
        call: Call,
        *,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        self.gaps: list[Gap] = []
        self._context = context or {}
        self._timed: list[_Timed] = []
        self._sides = (before, after)
        self._storage = storage
        self._changes = changes
        self._budget = budget
        self._call = call

    def compared(self, target: Target, position: tuple[str, ...] | None) -> AsyncIterator[Compared]:
        """Every entry of either side after a position, in order. Raises BudgetExceeded."""
        if isinstance(target, OfSubject):
            return self._objects(target, position)
        if isinstance(target, OfObject):
            return self._subjects(target, target.object, None if position is None else position[1])
        return self._type(target, position)

    def allow_until(self, deadline: float) -> None:
        """Let the comparison that is under way go on until a `perf_counter` time."""
        for each in (self._budget, *self._timed):
            each.deadline = deadline

    async def _type(
        self, target: OfType, position: tuple[str, ...] | None
    ) -> AsyncIterator[Compared]:
        start, within = (position[0], position[1]) if position is not None else ("", None)
        async for id_ in self._candidates(target.type, start):
            self._budget.check_time()
            after = within if id_ == start else None
            async for entry in self._subjects(target, Object(target.type, id_), after):
                yield entry

    async def _candidates(self, kind: str, start: str) -> AsyncIterator[str]:
        """The ids, from `start` on, of all objects of a type whose answers may differ."""
        grounds = [side.ground for side in self._sides]
        readers = [side.reader for side in self._sides if side.reader is not None]
        if grounds[0] is not None and grounds[0].compiled is (grounds[1] and grounds[1].compiled):
            schema = grounds[0].compiled.schema
            reached = await touched(schema, readers, self._changes, self._budget)
            if reached is not None:
                for id_ in sorted(one.id for one in reached if one.type == kind):
                    if id_ >= start:
                        yield id_
                return
        one, two = (_ids(side.tuples(self._storage), kind, start) for side in self._sides)
        async for id_, _, _ in _merged(one, two):
            yield id_

    async def _subjects(
        self, target: OfObject | OfType, object_: Object, after: str | None
    ) -> AsyncIterator[Compared]:
        """The subjects of one object, the wildcard first, after an id ("" is after it)."""
        asked = LookupSubjects(
            object_,
            target.relation,
            target.subject_type,
            target.subject_relation,
            self._context,
        )
        looks: list[Look | None] = []
        self._timed.clear()
        for side in self._sides:
            look = None
            if side.ground is not None:
                budget = side.ground.limits
                spent = Budget(
                    budget.evaluation_reads, budget.evaluation_nodes, self._budget.deadline
                )
                self._timed.append(spent)
                look = Look(side.ground, asked, spent)
                await look.begin()
            looks.append(look)
        everyone: list[Decision | None] = []
        for look in looks:
            gaps = () if look is None else look.told_gaps()
            if look is not None and look.stopped:
                self._budget.check_time()
                self.gaps += [Gap(f"{object_}#{target.relation}", gap.error) for gap in gaps]
                return
            self._tell(object_, target.relation, gaps)
            everyone.append(None if gaps else DENIED if look is None else look.wildcard)

        def made(id_: str, one: _Result | None, two: _Result | None) -> Compared:
            subject = Subject(target.subject_type, id_ or WILDCARD, target.subject_relation)
            results = [
                each if found is None else self._decision(object_, target.relation, subject, found)
                for each, found in zip(everyone, (one, two), strict=True)
            ]
            return Compared((object_.id, id_), object_, subject, *results)

        if after is None:
            yield made("", None, None)
        left, right = (
            _none() if look is None else look.decided(after or "", _AT_ONCE) for look in looks
        )
        async for id_, one, two in _merged(left, right, check=lambda: _interrupted(looks)):
            yield made(id_, one, two)

    async def _objects(
        self, target: OfSubject, position: tuple[str, ...] | None
    ) -> AsyncIterator[Compared]:
        asked = LookupObjects([target.type], target.relation, target.subject, self._context)
        listings: list[Listing | None] = []
        for side in self._sides:
            listing = None
            if side.ground is not None and side.reader is not None:
                page = Page(
                    self._call,
                    side.snapshot,
                    side.ground,
                    side.reader,
                    self._budget,
                    None if position is None else (target.type, position[0]),
                )
                listing = Listing(page, asked, _AT_ONCE)
                self._timed.append(listing.confirmation)
                await listing.begin(None)
            listings.append(listing)

        def stopped() -> None:
            for listing in listings:
                if listing is not None and listing.stopped is not None:
                    raise listing.stopped

        stopped()
        left, right = (_none() if one is None else _listed(one) for one in listings)
        async for id_, one, two in _merged(left, right, check=stopped):
            object_ = Object(target.type, id_)
            results = [
                DENIED
                if found is None
                else self._decision(object_, target.relation, target.subject, found)
                for found in (one, two)
            ]
            yield Compared((id_,), object_, target.subject, *results)

    def _decision(
        self, object_: Object, relation: str, subject: Subject, result: _Result
    ) -> Decision | None:
        if isinstance(result, Decision):
            return result
        if isinstance(result, InvalidContext):
            raise result  # the request's fault and not the entry's
        self.gaps.append(Gap(f"{object_}#{relation}@{subject}", result))
        return None

    def _tell(self, object_: Object, relation: str, gaps: Sequence[Gap]) -> None:
        for gap in gaps:
            self.gaps.append(Gap(f"{object_}#{relation}@{gap.about}", gap.error))


def _interrupted(looks: Sequence[Look | None]) -> None:
    for look in looks:
        if look is not None and look.interrupted:
            raise next(gap.error for gap in look.told_gaps() if not gap.about)


async def _none() -> AsyncIterator[_Entry]:
    nothing: tuple[_Entry, ...] = ()
    for entry in nothing:
        yield entry


async def _listed(listing: Listing) -> AsyncIterator[_Entry]:
    while (item := await listing.next()) is not None:
        yield item[0].id, item[1]


async def _ids(tuples: LaidOver, kind: str, start: str) -> AsyncIterator[_Entry]:
    """The ids of the objects of a type that have tuples, from `start` on."""
    after = RelationTuple(Object(kind, start), "", Subject("", ""))
    while True:
        wanted = TupleFilter(object_type=kind)
        found = await tuples.read(wanted, after=after, limit=_OBJECTS_READ)
        for id_ in dict.fromkeys(item.object.id for item in found):
            yield id_, DENIED
        if len(found) < _OBJECTS_READ:
            return
        after = RelationTuple(found[-1].object, _LAST, Subject("", ""))


async def _merged(
    left: AsyncIterator[_Entry],
    right: AsyncIterator[_Entry],
    check: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[str, _Result | None, _Result | None]]:
    """Both sorted lists as one, with what each says of an id. `check` raises when a list that
    seems to have ended was broken off."""
    one, two = await anext(left, None), await anext(right, None)
    check()
    while one is not None or two is not None:
        id_ = min(entry[0] for entry in (one, two) if entry is not None)
        first = one[1] if one is not None and one[0] == id_ else None
        second = two[1] if two is not None and two[0] == id_ else None
        yield id_, first, second
        if one is not None and one[0] == id_:
            one = await anext(left, None)
        if two is not None and two[0] == id_:
            two = await anext(right, None)
        check()
