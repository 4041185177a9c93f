"""Diff: who gained and who lost access between two snapshots, and what caused it.

Both snapshots are asked by the one evaluator, each with its own schema and its own `now`, and the
two sorted lists are compared; so expiries and schema changes count like writes. What a difference
rests on is what deciding it reads, at either snapshot (`engine.causes`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import perf_counter

from engine.causes import Cause, Changes, causes_of
from engine.check import Budget
from engine.consistency import Chosen, Freshness
from engine.cursor import Call, Cursor, Cursors
from engine.decision import Decision, Verdict
from engine.digest import Part, digest
from engine.errors import BudgetExceeded, EngineError, InvalidRequest
from engine.pages import Pages, Way
from engine.requests import FULLY_CONSISTENT, AtTime, Consistency, Gap
from engine.sides import Side, Sides, Target
from engine.store.protocol import Storage, StoreRecord
from engine.tuples import Object, Subject
from engine.zookie import encode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_GAPS_TOLD = 10


@dataclass(frozen=True, slots=True)
class Diff:
    """Ask for what changed between two snapshots."""

    target: Target
    from_: Consistency
    to: Consistency = FULLY_CONSISTENT


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


@dataclass(slots=True)
class _Found:
    differences: list[Difference] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    reached: tuple[str, ...] | None = None
    more: bool = False


class Diffs:
    """Answers in pages; a cursor fixes both snapshots and both times."""

    def __init__(
        self, storage: Storage, freshness: Freshness, pages: Pages, cursors: Cursors
    ) -> None:
        self._storage = storage
        self._freshness = freshness
        self._pages = pages
        self._cursors = cursors

    async def page(self, store: str, asked: Diff, way: Way) -> DiffAnswer:
        """One page.

        Raises InvalidRequest when `to` lies before `from`, UnknownType and UnknownRelation for
        what neither schema has, LimitExceeded, InvalidCursor, and what choosing the snapshots
        raises. A budget that is used up is a gap.
        """
        size = self._pages.size(way)
        deadline = perf_counter() + self._pages.seconds(way)
        record = await self._freshness.store(store, fresh=True)
        call = Call(record.id, "diff", digest(asked.target.parts, _spelled(asked)))
        before, after, position = await self._sides(record, call, asked, way.cursor)
        changes = await Changes.between(self._storage, before.snapshot, after.snapshot)
        budget = Budget(
            self._pages.limits.evaluation_reads, self._pages.limits.evaluation_nodes, deadline
        )
        sides = Sides(before, after, self._storage, changes, budget, call)
        found = await _collect(sides, asked.target, position, size)
        shown = found.differences[:size]
        pairs = [(one.object, one.subject) for one in shown]
        relation = asked.target.relation
        causes, whole = await causes_of(pairs, relation, (before, after), changes, budget)
        cursor = None
        if found.more and found.reached is not None and found.reached != position:
            moment = (before.now - _EPOCH) // _MICROSECOND
            pinned = (str(before.snapshot.revision), str(before.snapshot.stamp), str(moment))
            place = Cursor(
                after.snapshot.revision, after.snapshot.stamp, after.now, (*pinned, *found.reached)
            )
            cursor = await self._cursors.seal(call, place)
        zookies = encode(before.snapshot), encode(after.snapshot)
        gaps = tuple(found.gaps[:_GAPS_TOLD])
        return DiffAnswer(tuple(shown), causes, whole, cursor, gaps, *zookies)

    async def _choose(self, record: StoreRecord, asked: Consistency, field: str) -> Chosen:
        try:
            return await self._freshness.choose(record, asked)
        except EngineError as error:
            if error.field == "consistency":
                error.field = field
            raise

    async def _sides(
        self, record: StoreRecord, call: Call, asked: Diff, cursor: str | None
    ) -> tuple[Side, Side, tuple[str, ...] | None]:
        """Both sides, and the position that the cursor names."""
        grounds, position = self._pages.grounds, None
        if cursor is None:
            first = await self._choose(record, asked.from_, "from")
            second = await self._choose(record, asked.to, "to")
        else:
            opened = await self._cursors.open(cursor, call)
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
        before = await Side.at(grounds, *first, asked.target)
        after = await Side.at(grounds, *second, asked.target)
        if before.refusal is not None and after.refusal is not None:
            raise after.refusal
        return before, after, position


async def _collect(
    sides: Sides, target: Target, position: tuple[str, ...] | None, size: int
) -> _Found:
    """The differences of one page, and where the next one begins."""
    found = _Found(reached=position)
    try:
        async for one in sides.compared(target, position):
            if one.before is not None and one.after is not None and one.before != one.after:
                if len(found.differences) == size:
                    found.more = True
                    break
                found.differences.append(Difference(one.object, one.subject, one.before, one.after))
            found.reached = one.position
    except BudgetExceeded as error:
        found.more = True
        found.gaps.append(Gap("", error))
    found.gaps += sides.gaps
    return found


def _spelled(asked: Diff) -> Part:
    """Both consistencies, for a digest."""
    return (repr(asked.from_), repr(asked.to))
