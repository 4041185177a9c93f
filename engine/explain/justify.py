"""From single goals to a whole proof: in an order in which nothing rests on itself.

Data may be cyclic, so a set of steps that each look right is not yet a proof. Goals are settled
as the well-founded semantics has it (`engine.formula`): what follows from settled goals is
settled; when nothing more follows, goals that could only be allowed by one another are denied
together; what is left then rests on conditions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter

from engine.budget import Budget
from engine.explain.rules import Rules
from engine.explain.steps import CONDITIONAL, DENIED, Goal, Step

_SECONDS_PER_TURN = 0.001


class UnjustifiedError(Exception):
    """What was read does not lead to a verdict: a defect, told as an explanation cut short."""


class Pace:
    """Keeps to the deadline of a budget, and lets other tasks run."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._turn = perf_counter()

    async def step(self) -> None:
        """One small piece of work was done. Raises BudgetExceeded after the deadline."""
        if self._budget.check_time() - self._turn > _SECONDS_PER_TURN:
            await asyncio.sleep(0)
            self._turn = perf_counter()


async def justified(rules: Rules, root: Goal, pace: Pace) -> dict[Goal, Step]:
    """The steps of the root and of every goal that it rests on, the root first.

    Raises BudgetExceeded and UnjustifiedError.
    """
    await _explore(rules, root, pace)
    while root not in rules.settled:
        if not await _derive(rules, root, pace) and not await _refute(rules, pace):
            await _leave_open(rules, root, pace)
    return _resting(rules, root)


async def _explore(rules: Rules, root: Goal, pace: Pace) -> None:
    """Meet every goal that the root may rest on, settling what is plain at once."""
    rules.met[root] = None
    stack = [root]
    while stack and root not in rules.settled:
        goal = stack.pop()
        before = len(rules.met)
        step = rules.judge(goal)
        if step is not None:
            rules.settled[goal] = step
        stack.extend(list(rules.met)[before:])
        await pace.step()


def _open(rules: Rules) -> list[Goal]:
    """The goals that are met and not settled, those met last first: they are the deepest."""
    return [goal for goal in reversed(rules.met) if goal not in rules.settled]


async def _derive(rules: Rules, root: Goal, pace: Pace) -> bool:
    """Settle what follows from settled goals; whether anything did."""
    progress, again = False, True
    while again and root not in rules.settled:
        again = False
        for goal in _open(rules):
            step = rules.judge(goal)
            if step is not None:
                rules.settled[goal] = step
                progress = again = True
            await pace.step()
    return progress


async def _refute(rules: Rules, pace: Pace) -> bool:
    """Deny the largest set of open goals that nothing but one another could allow."""
    rules.assumed = dict.fromkeys(_open(rules), DENIED)
    steps: dict[Goal, Step] = {}
    changed = True
    while changed:
        changed = False
        for goal in list(rules.assumed):
            step = rules.judge(goal)
            if step is not None and step.verdict is DENIED:
                steps[goal] = step
            else:
                del rules.assumed[goal]
                changed = True
            await pace.step()
    for goal in rules.assumed:
        rules.settled[goal] = steps[goal]
    settled = bool(rules.assumed)
    rules.assumed = {}
    return settled


async def _leave_open(rules: Rules, root: Goal, pace: Pace) -> None:
    """Settle as conditional what the root rests on and no rule has decided."""
    rules.assumed = dict.fromkeys(_open(rules), CONDITIONAL)
    rules.assumed_below = True
    steps: dict[Goal, Step] = {}
    stack = [root]
    while stack:
        goal = stack.pop()
        if goal in steps or goal in rules.settled:
            continue
        step = rules.judge(goal)
        if step is None or step.verdict is not CONDITIONAL:
            raise UnjustifiedError(str(goal))
        steps[goal] = step
        stack.extend(step.goals())
        await pace.step()
    rules.settled |= steps
    rules.assumed = {}


def _resting(rules: Rules, root: Goal) -> dict[Goal, Step]:
    """The settled steps that the root rests on, breadth first."""
    found = {root: rules.settled[root]}
    pending: Iterable[Goal] = [root]
    while pending:
        following = []
        for goal in pending:
            for other in found[goal].goals():
                if other not in found:
                    found[other] = rules.settled[other]
                    following.append(other)
        pending = following
    return found
