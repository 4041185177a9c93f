"""Check: is a subject a member of an object's relation? (Zanzibar paper §2.4.4, §3.2.3)

An `Evaluation` answers for one subject and any number of objects at once. It does no I/O: in
rounds, it says which goals matter now and is given a sight of the tuples of each. Goals are shared:
each (plan, object) is evaluated once, however many paths lead to it. `evaluate` drives evaluations
together, so that one fetch serves a round of all of them, and keeps the budget, the deadline and
the event loop's patience. Where a reader has its tuples at hand, each is read when it is asked for,
and what an answer does not depend on is not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from time import perf_counter
from typing import assert_never

from engine.budget import Budget
from engine.caveats import Bound
from engine.errors import EngineError
from engine.formula import (
    ALLOWED,
    DENIED,
    Formula,
    Node,
    Op,
    Value,
    all_of,
    any_of,
    minus,
    unknown,
)
from engine.plan import (
    AllOf,
    AnyOf,
    Direct,
    Forms,
    Goal,
    Identity,
    Minus,
    Never,
    Plan,
    Step,
    Walk,
)
from engine.reader import Edge, Reader, ReverseEdge
from engine.sight import Closed, NearReader, Sight, Sights, fetch
from engine.tuples import WILDCARD, Subject
from schema.rewrite import ArrowMode

_GOALS_PER_ROUND = 10_000
_WORK_PER_PAUSE = 256
_LOOKS_PER_PAUSE = 64
_FEW = 50
_SECONDS_PER_TURN = 0.001


class Evaluation:
    """Decides goals for one subject, at one `now`, with one bound caveat context.

    `known` tells goals that were found to be allowed before, which are not read again, and `find`
    finds what else is known without reading, once there is a goal to ask for. `timed` says that a
    tuple that expires was met. Not promised: which goals are read when a part decides the roots.
    """

    __slots__ = (
        *("subject", "timed", "_bound", "_now", "_known", "_find", "_closed"),
        *("_formula", "_goals", "_roots", "_looked"),
    )

    def __init__(
        self,
        subject: Subject,
        bound: Bound,
        now: datetime,
        known: Callable[[Plan, str], bool] | None = None,
        find: Callable[[], Closed | None] | None = None,
    ) -> None:
        self.subject = subject
        self._bound = bound
        self._now = now
        self._known = known
        self._find = find
        self._closed: Closed | None = None
        self._formula = Formula()
        self._goals: dict[tuple[Plan, str], Node] = {}
        self._roots: list[Node] = []
        self._looked = 0
        self.timed = False

    def ask(self, plan: Plan, object_id: str) -> Node:
        """Make a root of `object_id` under the plan; the node holds its value when finished."""
        root = self._goal(plan, object_id)
        self._roots.append(root)
        self._formula.want(root)
        return root

    def look(self, plan: Plan, object_id: str, sights: Sights) -> Value:
        """As `ask`, but look at once: the value where that is enough to tell, else the root."""
        node = self._goals.get((plan, object_id))
        if node is None:
            sight = sights(plan, object_id, self.subject)
            value = self._value(plan.program.step, object_id, sight)
            self._looked += sight.read
            if isinstance(value, int):
                return value
            # It may have been met on a cycle by now.
            node = self._goal(plan, object_id)
            if node.value is None:
                self._formula.expand(node, value)
        self._roots.append(node)
        self._formula.want(node)
        return node

    def looked(self) -> int:
        """How many tuples `look` has looked at since this was asked last."""
        looked, self._looked = self._looked, 0
        return looked

    @property
    def size(self) -> int:
        """How many goals there are."""
        return len(self._goals)

    def settled(self) -> bool:
        """Whether every root is decided, or there is nothing left to read."""
        if any(root.value is None for root in self._roots):
            if self._formula.wanted:
                return False
            self._formula.settle(self._roots)
        return True

    def end(self) -> None:
        """Let its memory be freed as soon as it is not used: nothing is asked of it any more."""
        self._formula.end(self._goals.values())

    def take(self) -> list[Node]:
        """The goals of the next round. To be followed by one `work` on them."""
        wanted = self._formula.wanted
        taken, self._formula.wanted = wanted[:_GOALS_PER_ROUND], wanted[_GOALS_PER_ROUND:]
        goals: list[Node] = []
        for goal in taken:
            if goal.value is None and goal.live:
                goals.append(goal)
            else:
                goal.queued = False
        return goals

    def work(
        self, goals: Sequence[Node], sights: Sights, budget: Budget, *, paid: bool
    ) -> Iterator[None]:
        """Expand the goals of a round; `paid` says that what they read was spent before. Yields
        every so often, so that the driver can look at the clock. Raises BudgetExceeded."""
        made, read, done = len(self._goals), 0, 0
        for goal in goals:
            plan, object_id = _label(goal)
            sight = sights(plan, object_id, self.subject)
            if goal.value is not None or not (goal.live or paid):
                # What was found meanwhile has made it superfluous; it may yet be wanted again.
                goal.queued = False
                continue
            self._formula.expand(goal, self._value(plan.program.step, object_id, sight))
            read += sight.read
            done += 1
            if read + done >= _WORK_PER_PAUSE:
                budget.spend_nodes(len(self._goals) - made)
                budget.spend_reads(0 if paid else read)
                made, read, done = len(self._goals), 0, 0
                yield
        budget.spend_nodes(len(self._goals) - made)
        budget.spend_reads(0 if paid else read)

    def work_on(self, sights: Sights, budget: Budget) -> Iterator[None]:
        """Work on a round, and on all that follow from it, to the end. If a sight raises, the goals
        that nothing was seen of yet are those of the next round."""
        goals = self.take()
        try:
            while goals:
                yield from self.work(goals, sights, budget, paid=False)
                goals = self.take()
        except Exception:
            unseen = [goal for goal in goals if goal.queued and goal.op is Op.GOAL]
            self._formula.wanted[:0] = unseen
            raise

    def _goal(self, plan: Plan, object_id: str) -> Node:
        key = (plan, object_id)
        node = self._goals.get(key)
        if node is None:
            node = self._goals[key] = Node(Op.GOAL)
            node.label = key
            if self._known is not None and self._known(plan, object_id):
                node.value = ALLOWED
                return node
            closed = self._known_before()
            if closed is not None:
                node.value = closed.value(plan, object_id)
        return node

    def _value(self, step: Step, object_id: str, sight: Sight) -> Value:
        """The step's formula for one object, by what is seen of it. The most frequent first."""
        match step:
            case Direct():
                return self._direct(step, sight)
            case AnyOf(parts=parts):
                return self._until(ALLOWED, parts, object_id, sight)
            case Walk():
                return self._walk(step, sight)
            case Goal(plan=plan):
                return self._goal(plan, object_id)
            case AllOf(parts=parts):
                return self._until(DENIED, parts, object_id, sight)
            case Minus(base=base, subtracted=subtracted):
                left = self._value(base, object_id, sight)
                return minus(left, self._value(subtracted, object_id, sight))
            case Identity():
                return ALLOWED if object_id == self.subject.id else DENIED
            case Never():
                return DENIED
        assert_never(step)

    def _until(self, decisive: int, steps: Sequence[Step], object_id: str, sight: Sight) -> Value:
        """The union (intersection) of steps, until one allows (denies)."""
        parts: list[Value] = []
        for step in steps:
            value = self._value(step, object_id, sight)
            if value == decisive:
                return decisive
            if not isinstance(value, int):
                parts.append(value)
        return any_of(parts) if decisive == ALLOWED else all_of(parts)

    def _direct(self, step: Direct, sight: Sight) -> Value:
        parts: list[Value] = []
        for probed in (step.exact, step.wildcard):
            if probed is not None:
                edge = sight.edge(probed[0])
                if edge is not None:
                    holds = self.holds(edge, probed[1])
                    if holds == ALLOWED:
                        return ALLOWED
                    parts.append(DENIED if holds is None else holds)
        if step.usersets:
            for edge in sight.edges(step.scan):
                target = step.usersets.get((edge.subject_type, edge.subject_relation))
                if target is not None:
                    parts.append(self._through(edge, *target))
        return any_of(parts) if parts else DENIED

    def _walk(self, step: Walk, sight: Sight) -> Value:
        parts: list[Value] = []
        few = self._members(step) if step.mode is ArrowMode.ANY else None
        edges = sight.edges(step.scan) if few is None else sight.edges_to(step.scan, few)
        for edge in edges:
            target = step.targets.get((edge.subject_type, edge.subject_relation))
            if target is None or edge.subject_id == WILDCARD:
                continue
            if step.mode is ArrowMode.ANY or self.holds(edge, target[0]) is not None:
                parts.append(self._through(edge, *target))
        if step.mode is ArrowMode.ANY:
            return any_of(parts) if parts else DENIED
        return all_of(parts) if parts else DENIED

    def _members(self, step: Walk) -> dict[tuple[str, str], Collection[str]] | None:
        """The only objects worth walking to, by their kind, if they are known and few."""
        closed = self._known_before()
        if closed is None:
            return None
        found: dict[tuple[str, str], Collection[str]] = {}
        for kind, (_, plan) in step.targets.items():
            members = () if plan is None else closed.members(plan, _FEW)
            if members is None:
                return None
            found[kind] = members
        return found

    def _known_before(self) -> Closed | None:
        if self._find is not None:
            self._closed, self._find = self._find(), None
        return self._closed

    def _through(self, edge: Edge, forms: Forms, plan: Plan | None) -> Value:
        """What a tuple gives by leading to another goal: its own condition and that goal."""
        if plan is None:
            return DENIED
        holds = self.holds(edge, forms)
        if holds is None:
            return DENIED
        goal = self._goal(plan, edge.subject_id)
        return goal if holds == ALLOWED else all_of((holds, goal))

    def holds(self, edge: Edge | ReverseEdge, forms: Forms) -> Value | None:
        """Whether the tuple holds: None if it is expired or not allowed by the schema, and so
        does not exist; else what its caveat says."""
        if (edge.caveat, edge.expires_at is not None) not in forms:
            return None
        if edge.expires_at is not None:
            self.timed = True
            if edge.expires_at <= self._now:
                return None
        if not edge.caveat:
            return ALLOWED
        try:
            result = self._bound.evaluate(edge.caveat, edge.context)
        except EngineError as error:
            return unknown(error)
        if isinstance(result, bool):
            return ALLOWED if result else DENIED
        return unknown(result)


def look_once(
    evaluation: Evaluation, plan: Plan, object_id: str, near: NearReader, sights: Sights | None
) -> Value:
    """The value of one object where a look at tuples that are at hand is enough, else the root."""
    if sights is not None:
        try:
            return evaluation.look(plan, object_id, sights)
        except Exception as error:
            if not near.lost(error):
                raise
    return evaluation.ask(plan, object_id)


async def begin(
    evaluation: Evaluation, asked: Sequence[tuple[Plan, str]], reader: Reader, budget: Budget
) -> list[Value]:
    """As `look_once`, of each object under its plan. Raises BudgetExceeded."""
    turn = budget.check_time()
    if not isinstance(reader, NearReader):
        return [evaluation.ask(*one) for one in asked]
    found: list[Value] = []
    while len(found) < len(asked):
        made, sights = evaluation.size, reader.sights(budget.reads)
        part = asked[len(found) : len(found) + _LOOKS_PER_PAUSE]
        found += [look_once(evaluation, *one, reader, sights) for one in part]
        budget.spend_reads(evaluation.looked())
        budget.spend_nodes(evaluation.size - made)
        if len(asked) > 1:
            turn = await _breath(turn, budget)
    return found


def finishing(evaluation: Evaluation, near: NearReader, budget: Budget) -> Iterator[None]:
    """Drive an evaluation to the end, as long as its tuples are at hand. Yields every so often, so
    that the driver can look at the clock. Raises BudgetExceeded."""
    while not evaluation.settled():
        sights = near.sights(budget.reads)
        if sights is None:
            return
        try:
            yield from evaluation.work_on(sights, budget)
        except Exception as error:
            if not near.lost(error):
                raise
        yield


async def evaluate(evaluations: Sequence[Evaluation], reader: Reader, budget: Budget) -> None:
    """Drive evaluations to the end; one fetch a round serves all, unless tuples are at hand.
    Raises BudgetExceeded, and what the reader raises."""
    turn = budget.check_time()
    if isinstance(reader, NearReader):
        for evaluation in evaluations:
            for _ in finishing(evaluation, reader, budget):
                turn = await _breath(turn, budget)
    pending = evaluations
    while pending := [evaluation for evaluation in pending if not evaluation.settled()]:
        rounds = [(evaluation, evaluation.take()) for evaluation in pending]
        for work in await _fetch(rounds, reader, budget):
            for _ in work:
                turn = await _breath(turn, budget)
        turn = await _breath(turn, budget)


async def _breath(turn: float, budget: Budget) -> float:
    """Let others have the loop if this turn has been long; when the turn then began."""
    if budget.check_time() - turn <= _SECONDS_PER_TURN:
        return turn
    await asyncio.sleep(0)
    return perf_counter()


async def _fetch(
    rounds: Sequence[tuple[Evaluation, list[Node]]], reader: Reader, budget: Budget
) -> list[Iterator[None]]:
    """Read for all rounds at once; the work that is then to be done."""
    asked = [(evaluation.subject, list(map(_label, goals))) for evaluation, goals in rounds]
    sights, cost = await fetch(asked, reader, budget.reads)
    budget.spend_reads(cost)
    return [
        evaluation.work(goals, its.next, budget, paid=True)
        for (evaluation, goals), its in zip(rounds, sights, strict=True)
    ]


def _label(goal: Node) -> tuple[Plan, str]:
    assert goal.label is not None  # it is a goal
    return goal.label
