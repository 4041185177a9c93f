"""Why a check was answered as it was: a proof, and for a denial the nearest ways to yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from engine.asking import Ground
from engine.budget import Budget
from engine.decision import Decision, Verdict
from engine.errors import EngineError
from engine.explain.document import Telling, head, ways_json
from engine.explain.further import Further
from engine.explain.justify import Pace, UnjustifiedError
from engine.explain.steps import Goal, Step
from engine.explain.trial import Trial
from engine.explain.ways import Search, Ways, ranked
from engine.requests import Check
from engine.store.protocol import Snapshot, Storage, TupleFilter
from engine.tuples import RelationTuple, format_time

_MEMBERSHIPS_READ = 100
_FURTHER_SHARE, _SEARCH_SHARE = 0.25, 0.6
"""Of the time that is left after the proof, and then of what is left after that; the rest is for
counting whom the ways let in."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the tuples of a check came from: for their revisions, and for the subject's own."""

    storage: Storage
    snapshot: Snapshot


async def explain(
    ground: Ground, check: Check, decision: Decision, source: Source, deadline: float
) -> Json:
    """The explanation of a decision on a valid check, as JSON of the proof format.

    It retraces the decision and never makes one: where it cannot tell all, for want of time or
    for size, `complete` is false and `reason` says why. `deadline` is a `perf_counter` time.
    """
    told = {
        **head(check, decision),
        "now": format_time(ground.now),
        "revision": source.snapshot.revision,
    }
    limits = ground.limits
    until = min(deadline, perf_counter() + limits.explain_seconds)
    budget = Budget(limits.explain_reads, limits.evaluation_nodes, until)
    try:
        trial = Trial(ground, check)
        tried = await trial.run(budget)
        if tried.decision != decision:
            raise UnjustifiedError(str(trial.root))
        steps = await tried.steps(trial.root, Pace(budget))
        judgements, reason = await _judgements(trial, steps, source)
        told |= _completeness(reason) | {"judgements": judgements}
        if decision.verdict is Verdict.DENIED:
            if not reason:
                told |= await _also_denied(trial, steps, source, until)
            told["ways_to_yes"] = await _ways(trial, source, until)
    except EngineError as error:
        told |= _completeness(error.message) | {"judgements": []}
    except UnjustifiedError as error:
        why = f"the reasons of `{error}` were not found"
        told |= _completeness(why) | {"judgements": []}
    return told


async def explain_each(
    ground: Ground,
    checks: Sequence[Check],
    results: Sequence[Decision | EngineError],
    source: Source,
    deadline: float,
) -> tuple[Json | None, ...]:
    """An explanation for each check that asks for one and was decided, None for the others."""
    if not any(check.explain for check in checks):
        return (None,) * len(checks)
    return tuple(
        [
            await explain(ground, check, result, source, deadline)
            if check.explain and isinstance(result, Decision)
            else None
            for check, result in zip(checks, results, strict=True)
        ]
    )


def _completeness(reason: str) -> Json:
    return {"complete": False, "reason": reason} if reason else {"complete": True}


async def _judgements(
    trial: Trial, steps: Mapping[Goal, Step], source: Source
) -> tuple[list[Json], str]:
    """As many goals as may be told, those near the root first, and why not all if so."""
    limits = trial.ground.limits
    kept: dict[Goal, Step] = {}
    tuples: dict[RelationTuple, None] = {}
    reason = ""
    for goal, step in steps.items():
        tuples.update(dict.fromkeys(step.tuples()))
        if len(kept) == limits.explain_goals or len(tuples) > limits.explain_tuples:
            reason = (
                f"the proof has more than {limits.explain_goals} goals "
                f"or {limits.explain_tuples} tuples"
            )
            break
        kept[goal] = step
    stored = [item for item in tuples if item not in trial.contextual][: limits.explain_tuples]
    created = await source.storage.created(source.snapshot, stored) if stored else []
    telling = Telling(
        trial.ground.compiled.schema,
        trial.planner,
        trial.check,
        {item: one and one.revision for item, one in zip(stored, created, strict=True)},
        trial.contextual,
    )
    return [telling.judgement(goal, step) for goal, step in kept.items()], reason


async def _also_denied(
    trial: Trial, steps: Mapping[Goal, Step], source: Source, until: float
) -> Json:
    """The failing sides that the proof does without, if there are any."""
    further = Further(trial, steps, _share(trial, until, _FURTHER_SHARE))
    found = await further.steps(trial.ground.limits.explain_goals)
    if not found and not further.reason:
        return {}
    judgements, cut = await _judgements(trial, found, source)
    return {"also_denied": {"judgements": judgements, **_completeness(further.reason or cut)}}


async def _ways(trial: Trial, source: Source, until: float) -> Json:
    limits = trial.ground.limits
    try:
        memberships = await _memberships(trial, source)
        search = Search(trial, memberships, limits.explain_ways, limits.explain_trials)
        ways = await search.run(_share(trial, until, _SEARCH_SHARE))
    except EngineError as error:
        ways = Ways(reason=error.message)
    ways.found = await ranked(trial, ways.found, until)
    return ways_json(ways)


def _share(trial: Trial, until: float, share: float) -> Budget:
    """A budget of its own for a part of the time that is left."""
    limits, now = trial.ground.limits, perf_counter()
    return Budget(limits.explain_reads, limits.evaluation_nodes, now + share * (until - now))


async def _memberships(trial: Trial, source: Source) -> list[RelationTuple]:
    """Stored tuples of the subject: what it has something to do with already."""
    subject = trial.check.subject
    removed = {item.identity for item in trial.ground.overlay.remove}
    stored = await source.storage.read(
        source.snapshot,
        TupleFilter(
            subject_type=subject.type, subject_id=subject.id, subject_relation=subject.relation
        ),
        after=None,
        limit=_MEMBERSHIPS_READ,
        now=trial.ground.now,
    )
    return [item for item in stored if item.identity not in removed]
