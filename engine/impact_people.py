"""Whose answers alone can differ, where a change of tuples says so.

A tuple of one subject that no arrow walks is followed for that subject alone. A tuple of a userset
makes a difference only to those who may be in the userset, before or after: to the subjects that
the data beneath it mention. A wildcard, and what an arrow walks, may concern everyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.asking import Ground
from engine.budget import Budget
from engine.check import Evaluation
from engine.errors import BudgetExceeded
from engine.mentions import Mentions
from engine.plan import SubjectForm
from engine.tuples import WILDCARD, RelationTuple, Subject
from schema.walk import Node

_MOST = 100
"""People; of more it is cheaper to list who is there."""


class People:
    """The subjects that a change of tuples can make a difference to, by form."""

    def __init__(
        self, changed: Sequence[RelationTuple], walked: set[Node], grounds: Iterable[Ground | None]
    ) -> None:
        self._subjects = {item.subject for item in changed}
        self._everyone = any(
            item.subject.id == WILDCARD or (item.object.type, item.relation) in walked
            for item in changed
        )
        self._grounds = [ground for ground in grounds if ground is not None]
        self._found: dict[SubjectForm, list[str] | None] = {}

    async def of(self, form: SubjectForm, budget: Budget) -> list[str] | None:
        """Their ids in order, None for everyone. Raises BudgetExceeded after the deadline."""
        if form not in self._found:
            self._found[form] = await self._find(form, budget)
        return self._found[form]

    async def _find(self, form: SubjectForm, budget: Budget) -> list[str] | None:
        if self._everyone:
            return None
        ids = {one.id for one in self._subjects if (one.type, one.relation) == form}
        for ground in self._grounds:
            if form.type not in ground.compiled.schema.object_types:
                continue
            for userset in self._subjects:
                if userset.relation:
                    beneath = await _beneath(ground, userset, form, budget)
                    if beneath is None:
                        return None
                    ids |= beneath
            if len(ids) > _MOST:
                return None
        return sorted(ids)


async def _beneath(
    ground: Ground, userset: Subject, form: SubjectForm, budget: Budget
) -> set[str] | None:
    """The ids of a form that are mentioned beneath a userset; None where that may be anyone."""
    plan = ground.compiled.plans.for_subject(*form).plan(userset.type, userset.relation)
    if plan is None:
        return set()
    limits = ground.limits
    own = Budget(limits.evaluation_reads, limits.evaluation_nodes, budget.deadline)
    bound = ground.compiled.caveats.bind({})
    mentions = Mentions(form, Evaluation(Subject(form.type, "", form.relation), bound, ground.now))
    try:
        await mentions.gather(plan, userset.id, ground.reader, own)
    except BudgetExceeded:
        budget.check_time()
        return None
    return None if mentions.wildcard else set(mentions.standings)
