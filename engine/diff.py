"""Diff: who gained and who lost access between two snapshots, and what caused it.

Both snapshots are asked by the one evaluator, each with its own schema and its own `now`, and the
two sorted lists are compared; so expiries and schema changes count like writes. What a difference
rests on is what deciding it reads, at either snapshot (`engine.causes`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from engine.asking import checked_context
from engine.budget import Budget
from engine.causes import Cause, Changes, causes_of
from engine.consistency import Chosen, Freshness
from engine.cursor import Call, Cursor, Cursors
from engine.decision import Decision, Verdict
from engine.digest import digest
from engine.errors import BudgetExceeded, EngineError, InvalidRequest
from engine.grounds import arguments_of
from engine.jsontext import canonical_json
from engine.pages import Pages, Way
from engine.requests import FULLY_CONSISTENT, AtTime, Consistency, Gap, Overlay
from engine.sides import Compared, Side, Sides, Target
from engine.store.protocol import Storage, StoreRecord
from engine.tuples import Object, Subject
from engine.zookie import encode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_GAPS_TOLD = 10


@dataclass(frozen=True, slots=True)
class Diff:
    """Ask for what changed between two snapshots; `context` is given to the caveats of both."""

    target: Target
    from_: Consistency
    to: Consistency = FULLY_CONSISTENT
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One subject's membership in one object, before and after. The wildcard stands for every
    subject that is not listed."""

    object: Object
    subject: Subject
    before: Decision
    after: Decision

    @property
    def kind(self) -> str:
        """`gained`, `lost`, or `changed` between allowed and conditional."""
        if self.before.verdict is Verdict.DENIED:
            return "gained"
        return "lost" if self.after.verdict is Verdict.DENIED else "changed"


@dataclass(frozen=True, slots=True)
class DiffAnswer:
    """One page, sorted by object and subject. `causes` are those of this page's differences, and
    `causes_complete` says whether they are all."""

    differences: tuple[Difference, ...]
    causes: tuple[Cause, ...]
    causes_complete: bool
    cursor: str | None
    gaps: tuple[Gap, ...]
    from_zookie: str
    zookie: str


class Diffs:
    """Answers in pages and as a stream; a cursor fixes both snapshots and both times.

    Both methods raise InvalidRequest when `to` lies before `from`, UnknownType and UnknownRelation
    for what neither schema has, LimitExceeded, InvalidContext, InvalidCursor, what choosing the
    snapshots raises, and what `Grounds.at` raises for the overlay, which lies over both sides. A
    budget that is used up is a gap.
    """

    def __init__(
        self, storage: Storage, freshness: Freshness, pages: Pages, cursors: Cursors
    ) -> None:
        self._storage = storage
        self._freshness = freshness
        self._pages = pages
        self._cursors = cursors

    async def page(self, store: str, asked: Diff, way: Way) -> DiffAnswer:
        """One page."""
        size = self._pages.size(way)
        return await self._page(await self._begin(store, asked, way), size)

    async def stream(self, store: str, asked: Diff, way: Way) -> AsyncGenerator[DiffAnswer, None]:
        """All pages after a cursor, of one comparison; the deadline is each page's."""
        size = self._pages.size(way)
        comparison = await self._begin(store, asked, way)
        while True:
            answer = await self._page(comparison, size)
            yield answer
            if answer.cursor is None or comparison.stopped:
                return
            comparison.allow_until(perf_counter() + self._pages.seconds(way))

    async def _begin(self, store: str, asked: Diff, way: Way) -> _Comparison:
        deadline = perf_counter() + self._pages.seconds(way)
        record = await self._freshness.store(store, fresh=True)
        spelled = (repr(asked.from_), repr(asked.to), canonical_json(dict(asked.context)))
        arguments = digest(asked.target.parts, spelled, arguments_of(way.overlay))
        call = Call(record.id, "diff", arguments)
        before, after, position = await self._sides(record, call, asked, way)
        for side in (before, after):
            if side.ground is not None:
                checked_context(side.ground, asked.context, "context")
        changes = await Changes.between(self._storage, before.snapshot, after.snapshot)
        return _Comparison(
            asked,
            call,
            (before, after),
            changes.under(way.overlay),
            self._storage,
            self._budget(deadline),
            position=position,
        )

    def _budget(self, deadline: float) -> Budget:
        limits = self._pages.limits
        return Budget(limits.evaluation_reads, limits.evaluation_nodes, deadline)

    async def _page(self, comparison: _Comparison, size: int) -> DiffAnswer:
        """The next page of a comparison."""
        start = comparison.reached
        shown, more = await comparison.next(size)
        before, after = comparison.both
        causes, whole = await causes_of(
            [(one.object, one.subject) for one in shown],
            comparison.asked.target.relation,
            comparison.both,
            comparison.changes,
            self._budget(comparison.budget.deadline),
            comparison.asked.context,
        )
        cursor = None
        if more and comparison.reached is not None and comparison.reached != start:
            moment = (before.now - _EPOCH) // _MICROSECOND
            pinned = (str(before.snapshot.revision), str(before.snapshot.stamp), str(moment))
            position = (*pinned, *comparison.reached)
            place = Cursor(after.snapshot.revision, after.snapshot.stamp, after.now, position)
            cursor = await self._cursors.seal(comparison.call, place)
        zookies = encode(before.snapshot), encode(after.snapshot)
        gaps = comparison.told_gaps()
        return DiffAnswer(tuple(shown), causes, whole, cursor, gaps, *zookies)

    async def _choose(self, record: StoreRecord, asked: Consistency, field: str) -> Chosen:
        try:
            return await self._freshness.choose(record, asked)
        except EngineError as error:
            if error.field == "consistency":
                error.field = field
            raise

    async def _sides(
        self, record: StoreRecord, call: Call, asked: Diff, way: Way
    ) -> tuple[Side, Side, tuple[str, ...] | None]:
        """Both sides, and the position that the cursor names."""
        position = None
        if way.cursor is None:
            first = await self._choose(record, asked.from_, "from")
            second = await self._choose(record, asked.to, "to")
        else:
            opened = await self._cursors.open(way.cursor, call)
            revision, stamp, moment, *rest = opened.position
            exactly = self._freshness.exactly
            first_snapshot = await exactly(record.id, int(revision), int(stamp), "cursor")
            second_snapshot = await exactly(record.id, opened.revision, opened.stamp, "cursor")
            first = Chosen(first_snapshot, _EPOCH + int(moment) * _MICROSECOND)
            second = Chosen(second_snapshot, opened.now)
            position = tuple(rest)
        backwards = isinstance(asked.from_, AtTime) and isinstance(asked.to, AtTime)
        if first.snapshot.revision > second.snapshot.revision or (
            backwards and first.now > second.now
        ):
            raise InvalidRequest(
                "`to` lies before `from`", field="to", expected="a later zookie or time"
            )
        before = await self._side(first, asked.target, way.overlay, "from")
        after = await self._side(second, asked.target, way.overlay, "to")
        if before.refusal is not None and after.refusal is not None:
            raise after.refusal
        return before, after, position

    async def _side(
        self, chosen: Chosen, target: Target, overlay: Overlay | None, name: str
    ) -> Side:
        try:
            return await Side.at(self._pages.grounds, *chosen, target, overlay)
        except EngineError as error:
            if error.field.startswith("overlay.add"):
                error.message += f", at `{name}`"
            raise


class _Comparison:
    """One diff under way: `reached` is the place after what `next` has returned, and `stopped`
    the budget that ended it."""

    def __init__(
        self,
        asked: Diff,
        call: Call,
        both: tuple[Side, Side],
        changes: Changes,
        storage: Storage,
        budget: Budget,
        *,
        position: tuple[str, ...] | None,
    ) -> None:
        self.asked = asked
        self.call = call
        self.both = both
        self.changes = changes
        self.budget = budget
        self.reached = position
        self.stopped: BudgetExceeded | None = None
        self._sides = Sides(*both, storage, changes, budget, call, context=asked.context)
        self._entries = self._sides.compared(asked.target, position)
        self._held: Compared | None = None

    def allow_until(self, deadline: float) -> None:
        """Go on until a `perf_counter` time."""
        self._sides.allow_until(deadline)

    async def next(self, size: int) -> tuple[list[Difference], bool]:
        """The next differences, and whether there may be more."""
        found: list[Difference] = []
        try:
            while (one := self._held or await anext(self._entries, None)) is not None:
                self._held = None
                if one.before is not None and one.after is not None and one.before != one.after:
                    if len(found) == size:
                        self._held = one
                        return found, True
                    found.append(Difference(one.object, one.subject, one.before, one.after))
                self.reached = one.position
        except BudgetExceeded as error:
            self.stopped = error
            return found, True
        return found, False

    def told_gaps(self) -> tuple[Gap, ...]:
        """The gaps since this was last asked."""
        gaps, self._sides.gaps = self._sides.gaps, []
        if self.stopped is not None:
            gaps.insert(0, Gap("", self.stopped))
        return tuple(gaps[:_GAPS_TOLD])
