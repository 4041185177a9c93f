"""What is true in a case: a check of everything, which the oracle confirms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.decision import Decision
from engine.errors import EngineError
from engine.requests import Check
from engine.tuples import Object, Subject
from tests.crosscheck.cases import Case
from tests.crosscheck.layout import Laid
from tests.engine.agreement import simplified
from tests.reference import Oracle

Answer = str | frozenset[str]
Goal = tuple[Object, str]
Truth = dict[tuple[Subject, Goal], Answer]
_BATCH = 1000


async def checked(laid: Laid, checks: Sequence[Check]) -> list[Decision | EngineError]:
    """The answers of as many batches as it takes."""
    found: list[Decision | EngineError] = []
    for start in range(0, len(checks), _BATCH):
        part = checks[start : start + _BATCH]
        answer = await laid.engine.check_batch(laid.store, part, overlay=laid.overlay)
        found += answer.results
    return found


async def brute_force(laid: Laid) -> Truth:
    """Every subject of the case on every goal."""
    case = laid.case
    asked = [(subject, goal) for subject in case.subjects for goal in case.goals]
    checks = [Check(*goal, subject, case.world.context) for subject, goal in asked]
    results = await checked(laid, checks)
    return dict(zip(asked, map(simplified, results), strict=True))


class Oracles:
    """The oracle's answers in one case, made once for all of its layouts."""

    def __init__(self, case: Case, subjects: Sequence[Subject]) -> None:
        self._says = {
            (subject, goal): oracle.answer(*goal)
            for subject in subjects
            for oracle in [Oracle(case.world, subject, case.objects)]
            for goal in case.goals
        }

    def differences(self, truth: Truth, tally: Counter[str]) -> list[str]:
        """Where the checks are not what the oracle says."""
        for is_ in self._says.values():
            tally[is_ if isinstance(is_, str) else "conditional"] += 1
        return [
            f"{goal[0]}#{goal[1]}@{subject} is {is_}, the check says {truth[subject, goal]}"
            for (subject, goal), is_ in self._says.items()
            if truth[subject, goal] != is_
        ]


async def asked_otherwise(
    laid: Laid, truth: Truth, asked: Sequence[tuple[Subject, Goal]]
) -> list[str]:
    """Where checks alone, or in one batch in reverse, differ from the batch of everything."""
    context = laid.case.world.context
    checks = [Check(*goal, subject, context) for subject, goal in asked]
    ways = {"reversed": (await checked(laid, checks[::-1]))[::-1] if checks else []}
    ways["alone"] = [await _alone(laid, check) for check in checks]
    return [
        f"{goal[0]}#{goal[1]}@{subject} is {truth[subject, goal]}, {way} it is {simplified(said)}"
        for way, results in ways.items()
        for (subject, goal), said in zip(asked, results, strict=True)
        if simplified(said) != truth[subject, goal]
    ]


async def _alone(laid: Laid, check: Check) -> Decision | EngineError:
    try:
        return (await laid.engine.check(laid.store, check, overlay=laid.overlay)).decision
    except EngineError as error:
        return error
