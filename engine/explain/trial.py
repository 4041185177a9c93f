"""One check, tried as often as an explanation needs it: as things stand, and under changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from engine.asking import Ground, checked_overlay
from engine.budget import Budget
from engine.check import Evaluation, evaluate
from engine.decision import DENIED, Decision
from engine.errors import EngineError
from engine.explain.justify import Pace, justified
from engine.explain.remembered import Remembered
from engine.explain.rules import Rules
from engine.explain.steps import Goal, Step
from engine.formula import decided
from engine.reader import Reader
from engine.requests import Check
from engine.store.overlay import OverlayReader
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple


@dataclass(frozen=True, slots=True)
class Tried:
    """What one trial came to, and what it read: enough to say why."""

    decision: Decision | EngineError
    rules: Rules

    async def steps(self, root: Goal, pace: Pace) -> Mapping[Goal, Step]:
        """The steps of the root and of all that it rests on."""
        return await justified(self.rules, root, pace)


def changed(reader: Reader, changes: Collection[Update]) -> OverlayReader:
    """A reader that reads as if the changes, one of each identity at most, had been written."""
    removed = [item for op, item in changes if op is UpdateOp.DELETE]
    return OverlayReader(
        reader, (item for op, item in changes if op is not UpdateOp.DELETE), removed
    )


class Trial:
    """A valid check on its ground. Everything that is stored is read once."""

    def __init__(self, ground: Ground, check: Check) -> None:
        self.ground = ground
        self.check = check
        self.root = Goal(check.object, check.relation)
        self.planner = ground.compiled.plans.for_subject(check.subject.type, check.subject.relation)
        contextual = checked_overlay(ground, check.contextual_tuples, "contextual_tuples")
        self.contextual: Sequence[RelationTuple] = (*contextual, *ground.overlay.add)
        self._bound = ground.compiled.caveats.bind(check.context)
        self._stored = Remembered(
            OverlayReader(ground.reader, contextual) if contextual else ground.reader
        )

    def reader(self, changes: Collection[Update]) -> Reader:
        """What is read if `changes` were made."""
        return changed(self._stored, changes) if changes else self._stored

    def rules(self, read: Remembered | None = None, *, every_side: bool = False) -> Rules:
        """The rules over what was read, of what is stored unless told."""
        read = self._stored if read is None else read
        now = self.ground.now
        return Rules(self.planner, self.check.subject, self._bound, now, read, every_side)

    async def run(
        self, budget: Budget, changes: Collection[Update] = (), goal: Goal | None = None
    ) -> Tried:
        """Decide a goal, the root unless told, with the evaluator that decides every check, as if
        `changes` were made.

        Raises BudgetExceeded, and what the reader raises.
        """
        asked = self.root if goal is None else goal
        read = Remembered(self.reader(changes)) if changes else self._stored
        rules = self.rules(read)
        plan = self.planner.plan(asked.object.type, asked.relation)
        if plan is None:
            return Tried(DENIED, rules)
        evaluation = Evaluation(self.check.subject, self._bound, self.ground.now)
        root = evaluation.ask(plan, asked.object.id)
        await evaluate([evaluation], read, budget)
        return Tried(decided(root), rules)
