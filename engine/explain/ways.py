"""The nearest ways to yes: small sets of tuple changes that would turn a denial to allowed.

Every reason of a denial suggests changes (`engine.explain.ideas`). The search tries the cheapest
set first: it asks the evaluator as if the changes were made, and where the answer is still no, the
reasons of that denial suggest what to add. A set is told only when the evaluator allowed it and
none of its parts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import chain, combinations, count

from engine.budget import Budget
from engine.decision import Decision, Verdict
from engine.errors import BudgetExceeded
from engine.explain.ideas import Cost, Ideas, near
from engine.explain.justify import Pace, UnjustifiedError
from engine.explain.others import NOBODY_COUNTED, Census, Others
from engine.explain.trial import Trial, Tried
from engine.store.protocol import Update
from engine.tuples import RelationTuple

MAX_CHANGES = 4
Changes = frozenset[Update]


@dataclass(frozen=True, slots=True)
class Way:
    """A subset-minimal set of changes, in tuple order, an estimate of how widely it lets in, and
    whom else it would let in."""

    changes: tuple[Update, ...]
    cost: Cost
    others: Others = NOBODY_COUNTED

    @property
    def everyone(self) -> int:
        """Whether it lets in subjects that no tuple names: as counted, else as estimated."""
        return int(self.others.everyone) if self.others.exact else self.cost.everyone

    @property
    def rank(self) -> tuple[object, ...]:
        """What ways are told in the order of: the fewest others first, those that could not be
        counted after them, and those that let everyone in last."""
        exact = self.others.exact
        return (
            bool(self.everyone),
            not exact,
            self.others.gaining,
            0 if exact else self.cost.groups,
            len(self.changes),
            self.cost,
            [(str(change.tuple), change.op.value) for change in self.changes],
        )


@dataclass(slots=True)
class Ways:
    """The ways found, those that let in the fewest first; `reason` says why there may be others."""

    found: list[Way] = field(default_factory=list)
    reason: str = ""


async def ranked(trial: Trial, found: Sequence[Way], until: float) -> list[Way]:
    """The ways with whom else each would let in, in the order of that; what is not counted by
    `until`, a `perf_counter` time, is not known."""
    census = Census(trial, len(found), until)
    counted = [replace(way, others=await census.others(way.changes)) for way in found]
    return sorted(counted, key=lambda way: way.rank)


class Search:
    """One search: at most `most` ways, with at most `trials` questions to the evaluator."""

    def __init__(
        self, trial: Trial, memberships: Sequence[RelationTuple], most: int, trials: int
    ) -> None:
        self._trial = trial
        self._memberships = memberships
        self._most = most
        self._left = trials
        self._known: dict[Changes, Tried] = {}
        self._heap: list[tuple[Cost, int, int, Changes]] = []
        self._pushed: set[Changes] = set()
        self._order = count()
        self._cut = False

    async def run(self, budget: Budget) -> Ways:
        """Search until there are enough ways, nothing is left to try, or a budget is used up."""
        ways = Ways()
        self._push(frozenset(), Cost())
        try:
            while self._heap and len(ways.found) < self._most:
                cost, _, _, changes = heappop(self._heap)
                if any(changes.issuperset(way.changes) for way in ways.found):
                    continue
                tried = await self._try(changes, budget)
                if _allows(tried):
                    if await self._minimal(changes, cost, budget):
                        ways.found.append(Way(tuple(sorted(changes, key=_identity)), cost))
                elif isinstance(tried.decision, Decision):
                    await self._widen(changes, cost, tried, budget)
        except BudgetExceeded as error:
            ways.reason = error.message
        if not ways.reason and self._heap:
            ways.reason = f"{self._most} ways are told"
        if not ways.reason and self._cut:
            ways.reason = f"ways of more than {MAX_CHANGES} changes are not looked for"
        return ways

    def _push(self, changes: Changes, cost: Cost) -> None:
        if changes not in self._pushed:
            self._pushed.add(changes)
            heappush(self._heap, (cost, len(changes), next(self._order), changes))

    async def _try(self, changes: Changes, budget: Budget) -> Tried:
        tried = self._known.get(changes)
        if tried is None:
            if self._left <= 0:
                raise BudgetExceeded.of("trials")
            self._left -= 1
            tried = self._known[changes] = await self._trial.run(budget, changes)
        return tried

    async def _minimal(self, changes: Changes, cost: Cost, budget: Budget) -> bool:
        """Whether no part of the changes is enough; one that is will be tried by itself."""
        sizes = range(1, len(changes))
        for part in chain.from_iterable(combinations(changes, size) for size in sizes):
            if _allows(await self._try(frozenset(part), budget)):
                self._push(frozenset(part), cost)
                return False
        return True

    async def _widen(self, changes: Changes, cost: Cost, tried: Tried, budget: Budget) -> None:
        """Add to a set of changes what the reasons of the denial that it leaves suggest."""
        if len(changes) == MAX_CHANGES:
            self._cut = True
            return
        try:
            steps = await tried.steps(self._trial.root, Pace(budget))
        except UnjustifiedError:
            return
        touched = {change.tuple.identity for change in changes}
        around = near(self._memberships, tried.rules.read.objects())
        for change, more in Ideas(self._trial, steps, around).all():
            if change.tuple.identity not in touched:
                self._push(changes | {change}, cost.plus(more))


def _allows(tried: Tried) -> bool:
    return isinstance(tried.decision, Decision) and tried.decision.verdict is Verdict.ALLOWED


def _identity(change: Update) -> tuple[object, ...]:
    return change.tuple.identity
