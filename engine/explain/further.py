"""All that a denial lacked, for the reader: the sides that its proof does without.

A proof of a denied intersection holds one side that fails, and the evaluation may not have looked
at the others. Here they are decided by the same evaluator and told in the same steps. They stand
beside the proof and not in it: it must not rest on what it does not need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from engine.budget import Budget
from engine.decision import Decision
from engine.errors import EngineError
from engine.explain.justify import Pace, UnjustifiedError, justified
from engine.explain.steps import DENIED, Goal, Step
from engine.explain.trial import Trial


class Further:
    """Looks again at every denied goal of a proof. `steps` are those of the proof."""

    def __init__(self, trial: Trial, steps: Mapping[Goal, Step], budget: Budget) -> None:
        self.reason = ""
        self._trial = trial
        self._proof = steps
        self._budget = budget
        self._rules = trial.rules(every_side=True)
        self._rules.settled = dict(steps)
        self._undecided: set[Goal] = set()

    async def steps(self, most: int) -> dict[Goal, Step]:
        """At most `most` goals, the nearest first, that have more failing sides than the proof
        tells, and those that these rest on. `reason` then says why it is not all."""
        seen: set[Goal] = set()
        found: dict[Goal, Step] = {}
        waiting = deque([self._trial.root])
        while waiting:
            goal = waiting.popleft()
            if goal in seen:
                continue
            seen.add(goal)
            step = self._rules.settled[goal]
            try:
                if step.verdict is DENIED:
                    step = await self._whole(goal, step)
            except EngineError as error:
                self.reason = error.message
                return found
            if step != self._proof.get(goal):
                if len(found) == most:
                    self.reason = f"more than {most} goals have other sides that fail"
                    return found
                found[goal] = step
            waiting.extend(step.goals())
        return found

    async def _whole(self, goal: Goal, told: Step) -> Step:
        """The step of a denied goal with every side that fails."""
        rules, read = self._rules, self._rules.read
        pace = Pace(self._budget)
        while True:
            rules.met.clear()
            read.forget_unread()
            step = rules.judge(goal)
            await pace.step()
            probes, scans = read.unread()
            unknown = [other for other in rules.met if other not in self._undecided]
            if not probes and not scans and not unknown:
                return step if step is not None and step.verdict is DENIED else told
            _, lists = await read.fetch(probes, scans, self._budget.reads)
            self._budget.spend_reads(len(probes) + len(scans) + sum(map(len, lists)))
            await self._settle(unknown, pace)

    async def _settle(self, goals: list[Goal], pace: Pace) -> None:
        """Decide goals and find their reasons. One that ends in an error decides nothing."""
        for goal in goals:
            tried = await self._trial.run(self._budget, goal=goal)
            tried.rules.settled = dict(self._rules.settled)
            try:
                steps = await justified(tried.rules, goal, pace)
            except UnjustifiedError:
                steps = {}
            verdict = tried.decision.verdict if isinstance(tried.decision, Decision) else None
            if goal in steps and steps[goal].verdict is verdict:
                self._rules.settled = {**steps, **self._rules.settled}
            else:
                self._undecided.add(goal)
