"""What a lookup asks of the evaluator: does this tuple hold, and is the subject a member there?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from engine import decision
from engine.budget import Budget
from engine.caveats import Bound
from engine.check import Evaluation, begin, evaluate
from engine.decision import Decision
from engine.errors import BudgetExceeded, EngineError, InvalidContext
from engine.formula import ALLOWED, DENIED, Value, decided
from engine.limits import Limits
from engine.plan import Forms, Plan
from engine.reader import PlainEdges, Reader, ReverseEdge
from engine.tuples import Subject

_DECISIONS = (decision.DENIED, decision.ALLOWED)
"""The decisions of the formula's values 0 and 1."""
_PLAIN = ("", False)
"""The form of a tuple without caveat and expiry."""
_FEWER = 8
_BEGUN_AT_ONCE = 256
_REMEMBERED = 10_000


class Confirmation:
    """Checks of one subject on behalf of one lookup, which ends at `deadline` (`perf_counter`).

    `known` tells what the lookup has found to be allowed, so that no check finds it again; what
    checks have found on their way, folders and groups, is remembered for later ones.
    """

    def __init__(
        self,
        subject: Subject,
        bound: Bound,
        now: datetime,
        reader: Reader,
        limits: Limits,
        deadline: float,
    ) -> None:
        self.subject = subject
        self.deadline = deadline
        self.known: Callable[[Plan, str], bool] | None = None
        self._bound = bound
        self._now = now
        self._reader = reader
        self._limits = limits
        self._tuples = Evaluation(subject, bound, now)
        self._allowed: set[tuple[Plan, str]] = set()

    def condition(self, edge: ReverseEdge, forms: Forms) -> bool | None:
        """Whether a tuple of these allowed forms holds: True, None for not at all, and False if
        that hangs on missing context or ends in an error."""
        holds = self._tuples.holds(edge, forms)
        return None if holds is None or holds == DENIED else holds == ALLOWED

    def candidates(
        self, edges: Sequence[ReverseEdge], forms: Forms
    ) -> tuple[list[str], Collection[str]]:
        """The objects of those tuples of allowed forms that may hold, and which of them may not."""
        if isinstance(edges, PlainEdges):
            return (edges.ids if _PLAIN in forms else []), ()
        ids: list[str] = []
        unsure: set[str] = set()
        for edge in edges:
            holds = self.condition(edge, forms)
            if holds is not None:
                ids.append(edge.object_id)
                if not holds:
                    unsure.add(edge.object_id)
        return ids, unsure

    def budget(self) -> Budget:
        """What one step of the lookup may cost. Raises BudgetExceeded after the deadline."""
        limits = self._limits
        made = Budget(limits.evaluation_reads, limits.evaluation_nodes, self.deadline)
        made.check_time()
        return made

    async def decide(
        self, asked: Sequence[tuple[Plan, str]]
    ) -> tuple[list[Decision | EngineError], BudgetExceeded | None]:
        """The results of the first checks, in order; of all of them unless the time ran out.

        One that uses up the budget of a step by itself has that as its error. Raises
        InvalidContext, which is the request's fault and not the candidate's.
        """
        results: list[Decision | EngineError] = []
        at_once = len(asked)
        while len(results) < len(asked):
            part = asked[len(results) : len(results) + at_once]
            found, stopped = await self._decide_together(part)
            results += found
            if stopped is not None and stopped.extra["budget"] == "milliseconds":
                return results, stopped
            if stopped is not None and not found:
                if at_once == 1:
                    results.append(stopped)
                at_once = max(1, at_once // _FEWER)
        return results, None

    async def _decide_together(
        self, asked: Sequence[tuple[Plan, str]]
    ) -> tuple[list[Decision | EngineError], BudgetExceeded | None]:
        met: list[tuple[Plan, str]] = []
        candidates = set(asked)  # nobody asks for one of these again
        room = _REMEMBERED - len(self._allowed)

        def known(plan: Plan, id_: str) -> bool:
            if (plan, id_) in self._allowed or (self.known and self.known(plan, id_)):
                return True
            if len(met) < room and (plan, id_) not in candidates:
                met.append((plan, id_))
            return False

        evaluation = Evaluation(self.subject, self._bound, self._now, known)
        roots: list[Value] = []
        stopped = None
        try:
            budget = self.budget()
            for start in range(0, len(asked), _BEGUN_AT_ONCE):
                some = asked[start : start + _BEGUN_AT_ONCE]
                roots += await begin(evaluation, some, self._reader, budget)
            await evaluate([evaluation], self._reader, budget)
            self._allowed.update(goal for goal in met if evaluation.ask(*goal).value == ALLOWED)
        except BudgetExceeded as error:
            stopped = error
        results: list[Decision | EngineError] = []
        for root in roots:
            if isinstance(root, int):
                results.append(_DECISIONS[root])
                continue
            if stopped is not None and root.value is None:
                break
            result = decided(root)
            if isinstance(result, InvalidContext):
                raise result
            results.append(result)
        evaluation.end()
        return results, stopped
