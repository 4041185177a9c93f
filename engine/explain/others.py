"""Whom else a way to yes would let in: the list of subjects as it is, against as it would be.

Both lists are those of `engine.lookup_subjects`, of the form of the subject that is asked about. A
list that a budget cuts makes the count a lower bound and never an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter

from engine.budget import Budget
from engine.decision import Verdict
from engine.errors import EngineError
from engine.explain.trial import Trial
from engine.lookup_subjects import Look
from engine.requests import LookupSubjects
from engine.store.protocol import Update

_DECIDED_AT_ONCE = 256
_RANK = {Verdict.DENIED: 0, Verdict.CONDITIONAL: 1, Verdict.ALLOWED: 2}


@dataclass(frozen=True, slots=True)
class Others:
    """How many others gain what was asked: `gaining` subjects that tuples name, `conditional` of
    them only under a condition, and `everyone` that no tuple names. Without `exact` there may be
    more."""

    gaining: int = 0
    conditional: int = 0
    everyone: bool = False
    exact: bool = False


NOBODY_COUNTED = Others()


@dataclass(slots=True)
class _Members:
    """A list of subjects: what is not in it has the verdict of the wildcard, if it is `whole`."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    wildcard: Verdict = Verdict.DENIED
    whole: bool = False

    def verdict(self, id_: str) -> Verdict:
        return self.verdicts.get(id_, self.wildcard)


class Census:
    """Counts for one check, until a `perf_counter` time; each count may take a fair share."""

    def __init__(self, trial: Trial, counts: int, until: float) -> None:
        self._trial = trial
        self._lists_left = counts + 1
        self._until = until
        self._before: _Members | None = None

    async def others(self, changes: Collection[Update]) -> Others:
        """Whom a set of changes would let in, beside the subject of the check."""
        if self._before is None:
            self._before = await self._members(())
        if not self._before.whole:
            return NOBODY_COUNTED
        after = await self._members(changes)
        return _gaining(self._before, after, self._trial.check.subject.id)

    async def _members(self, changes: Collection[Update]) -> _Members:
        members = _Members()
        try:
            await self._list(members, changes)
        except EngineError:
            members.whole = False
        return members

    async def _list(self, members: _Members, changes: Collection[Update]) -> None:
        trial, ground = self._trial, self._trial.ground
        check, limits = trial.check, ground.limits
        now = perf_counter()
        share = max(self._until - now, 0.0) / max(self._lists_left, 1)
        self._lists_left -= 1
        budget = Budget(limits.explain_reads, limits.evaluation_nodes, now + share)
        asked = LookupSubjects(
            check.object,
            check.relation,
            check.subject.type,
            check.subject.relation,
            check.context,
        )
        look = Look(replace(ground, reader=trial.reader(changes)), asked, budget)
        await look.begin()
        undecided = False
        async for id_, result in look.decided("", _DECIDED_AT_ONCE):
            if isinstance(result, EngineError):
                undecided = True
            else:
                members.verdicts[id_] = result.verdict
        members.wildcard = look.wildcard.verdict
        members.whole = not (look.stopped or look.interrupted or undecided or look.told_gaps())


def _gaining(before: _Members, after: _Members, asked: str) -> Others:
    ids = set(after.verdicts)
    if after.whole:
        ids |= before.verdicts.keys()
    rises: Mapping[str, Verdict] = {
        id_: after.verdict(id_)
        for id_ in ids
        if id_ != asked and _RANK[after.verdict(id_)] > _RANK[before.verdict(id_)]
    }
    conditional = sum(verdict is Verdict.CONDITIONAL for verdict in rises.values())
    everyone = _RANK[after.wildcard] > _RANK[before.wildcard]
    return Others(len(rises), conditional, everyone, after.whole)
