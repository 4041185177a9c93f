"""Check: is a subject a member of an object's relation? (Zanzibar paper §2.4.4, §3.2.3)

An `Evaluation` answers for one subject and any number of objects at once. It does no I/O: in
rounds, it says what it needs to read of all goals that matter now and is given what was found.
Goals are shared: each (plan, object) is evaluated once, however many paths lead to it. `evaluate`
drives evaluations together, so that one fetch serves a round of all of them, and keeps the budget,
the deadline and the event loop's patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import assert_never

from engine.caveats import Bound
from engine.decision import Decision
from engine.errors import BudgetExceeded, EngineError
from engine.formula import (
    ALLOWED,
    DENIED,
    Formula,
    Node,
    Op,
    Value,
    all_of,
    any_of,
    decision_of,
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
from engine.reader import Edge, Probe, Reader, ReverseEdge, Scan
from engine.tuples import WILDCARD, Subject
from schema.rewrite import ArrowMode

_GOALS_PER_ROUND = 10_000
_WORK_PER_PAUSE = 256
_SECONDS_PER_TURN = 0.001


@dataclass(slots=True)
class Budget:
    """What evaluations may still cost: stored tuples read, goals, and a `perf_counter` time."""

    reads: int
    nodes: int
    deadline: float

    def spend_nodes(self, count: int) -> None:
        """Raises BudgetExceeded when no goals are left."""
        self.nodes -= count
        if self.nodes < 0:
            raise BudgetExceeded.of("nodes")

    def spend_reads(self, count: int) -> None:
        """Raises BudgetExceeded when no reads are left."""
        self.reads -= count
        if self.reads < 0:
            raise BudgetExceeded.of("reads")

    def check_time(self) -> float:
        """The time now. Raises BudgetExceeded after the deadline."""
        moment = perf_counter()
        if moment > self.deadline:
            raise BudgetExceeded.of("milliseconds")
        return moment


class Evaluation:
    """Decides goals for one subject, at one `now`, with one bound caveat context.

    `known` tells the goals that have been found to be allowed before, which are not read again.
    Not promised: which goals are read when a part of them decides the roots.
    """

    def __init__(
        self,
        subject: Subject,
        bound: Bound,
        now: datetime,
        known: Callable[[Plan, str], bool] | None = None,
    ) -> None:
        self._subject = subject
        self._bound = bound
        self._now = now
        self._known = known
        self._formula = Formula()
        self._goals: dict[tuple[Plan, str], Node] = {}
        self._roots: list[Node] = []
        self._reading: list[Node] = []
        self._edges: Sequence[Edge | None] = ()
        self._scanned: Sequence[Sequence[Edge]] = ()

    def ask(self, plan: Plan, object_id: str) -> Node:
        """Make a root of `object_id` under the plan; the node holds its value when finished."""
        root = self._goal(plan, object_id)
        self._roots.append(root)
        self._formula.want(root)
        return root

    def settled(self) -> bool:
        """Whether every root is decided, or there is nothing left to read."""
        if all(root.value is not None for root in self._roots):
            return True
        if self._formula.wanted:
            return False
        self._formula.settle(self._roots)
        return True

    def reads(self) -> tuple[list[Probe], list[Scan]]:
        """What this round's goals read. To be followed by one `feed` of the answers."""
        wanted = self._formula.wanted
        taken, self._formula.wanted = wanted[:_GOALS_PER_ROUND], wanted[_GOALS_PER_ROUND:]
        self._reading = []
        probes: list[Probe] = []
        scans: list[Scan] = []
        subject = self._subject
        for goal in taken:
            if goal.value is not None or not goal.live or goal.label is None:
                goal.queued = False
                continue
            self._reading.append(goal)
            plan, object_id = goal.label
            program = plan.program
            kind = plan.object_type
            for relation, wildcard in program.probes:
                id_ = WILDCARD if wildcard else subject.id
                probes.append(Probe(kind, object_id, relation, subject.type, id_, subject.relation))
            for relation, only_usersets in program.scans:
                scans.append(Scan(kind, object_id, relation, only_usersets))
        return probes, scans

    def feed(
        self, edges: Sequence[Edge | None], scanned: Sequence[Sequence[Edge]]
    ) -> Iterator[int]:
        """Take the answers to `reads`. Yields the number of goals made since the last yield,
        every so often, so that the driver can look at the clock."""
        first_probe = first_scan = 0
        made, work = len(self._goals), 0
        self._edges, self._scanned = edges, scanned
        for goal in self._reading:
            assert goal.label is not None  # only labelled goals are read
            plan, object_id = goal.label
            program = plan.program
            value = self._value(program.step, object_id, first_probe, first_scan)
            self._formula.expand(goal, value)
            first_probe += len(program.probes)
            for index in range(first_scan, first_scan + len(program.scans)):
                work += len(scanned[index])
            first_scan += len(program.scans)
            work += 1
            if work >= _WORK_PER_PAUSE:
                yield len(self._goals) - made
                made, work = len(self._goals), 0
        yield len(self._goals) - made

    def _goal(self, plan: Plan, object_id: str) -> Node:
        key = (plan, object_id)
        node = self._goals.get(key)
        if node is None:
            node = self._goals[key] = Node(Op.GOAL)
            node.label = key
            if self._known is not None and self._known(plan, object_id):
                node.value = ALLOWED
        return node

    def _value(self, step: Step, object_id: str, probe: int, scan: int) -> Value:
        """The step's formula for one object; `probe` and `scan` are where its answers begin."""
        match step:
            case Direct():
                return self._direct(step, probe, scan)
            case AnyOf(parts=parts):
                return any_of(self._value(part, object_id, probe, scan) for part in parts)
            case Walk():
                return self._walk(step, scan)
            case Goal(plan=plan):
                return self._goal(plan, object_id)
            case AllOf(parts=parts):
                return all_of(self._value(part, object_id, probe, scan) for part in parts)
            case Minus(base=base, subtracted=subtracted):
                return minus(
                    self._value(base, object_id, probe, scan),
                    self._value(subtracted, object_id, probe, scan),
                )
            case Identity():
                return ALLOWED if object_id == self._subject.id else DENIED
            case Never():
                return DENIED
        assert_never(step)

    def _direct(self, step: Direct, probe: int, scan: int) -> Value:
        parts: list[Value] = []
        for probed in (step.exact, step.wildcard):
            if probed is not None:
                edge = self._edges[probe + probed[0]]
                if edge is not None:
                    holds = self.holds(edge, probed[1])
                    if holds == ALLOWED:
                        return ALLOWED
                    parts.append(DENIED if holds is None else holds)
        if step.usersets:
            for edge in self._scanned[scan + step.scan]:
                target = step.usersets.get((edge.subject_type, edge.subject_relation))
                if target is not None:
                    parts.append(self._through(edge, *target))
        return any_of(parts)

    def _walk(self, step: Walk, scan: int) -> Value:
        parts: list[Value] = []
        for edge in self._scanned[scan + step.scan]:
            target = step.targets.get((edge.subject_type, edge.subject_relation))
            if target is None or edge.subject_id == WILDCARD:
                continue
            if step.mode is ArrowMode.ANY or self.holds(edge, target[0]) is not None:
                parts.append(self._through(edge, *target))
        if step.mode is ArrowMode.ANY:
            return any_of(parts)
        return all_of(parts) if parts else DENIED

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
        if edge.expires_at is not None and edge.expires_at <= self._now:
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


async def evaluate(evaluations: Sequence[Evaluation], reader: Reader, budget: Budget) -> None:
    """Drive evaluations until each is finished, one fetch a round for all of them.

    Raises BudgetExceeded, and what the reader raises.
    """
    turn = budget.check_time()
    pending = [evaluation for evaluation in evaluations if not evaluation.settled()]
    while pending:
        asked = [evaluation.reads() for evaluation in pending]
        probes = [probe for some, _ in asked for probe in some]
        scans = [scan for _, some in asked for scan in some]
        edges: Sequence[Edge | None] = ()
        scanned: Sequence[Sequence[Edge]] = ()
        if probes or scans:
            edges, scanned = await reader.fetch(probes, scans, budget.reads)
            budget.spend_reads(len(probes) + sum(map(len, scanned)))
        probe = scan = 0
        for evaluation, (its_probes, its_scans) in zip(pending, asked, strict=True):
            next_probe, next_scan = probe + len(its_probes), scan + len(its_scans)
            for made in evaluation.feed(edges[probe:next_probe], scanned[scan:next_scan]):
                budget.spend_nodes(made)
                if budget.check_time() - turn > _SECONDS_PER_TURN:
                    await asyncio.sleep(0)
                    turn = perf_counter()
            probe, scan = next_probe, next_scan
        pending = [evaluation for evaluation in pending if not evaluation.settled()]


def decided(root: Node) -> Decision | EngineError:
    """A finished root's decision, or the error that stands for it."""
    try:
        return decision_of(root)
    except EngineError as error:
        return error
