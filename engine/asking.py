"""Checks against one snapshot: validated, grouped so that they share work, and evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.check import Budget, Evaluation, decided, evaluate, sees_at_once
from engine.decision import ALLOWED, DENIED, Decision
from engine.errors import BudgetExceeded, EngineError, InvalidRequest
from engine.formula import Node, decision_of
from engine.jsontext import canonical_json
from engine.limits import Limits
from engine.plan import Plan
from engine.reader import Reader
from engine.requests import Check, Overlay
from engine.schemas import CompiledSchema
from engine.sight import Asked, NearReader
from engine.store.overlay import OverlayReader
from engine.tuples import WILDCARD, RelationTuple, Subject
from engine.write import check_count, check_size, checked_tuple

NO_OVERLAY = Overlay()
_QUESTIONS = 10_000
_NOT_ASKED = "not asked yet"


@dataclass(frozen=True, slots=True)
class Ground:
    """What every check of a request stands on: one schema, one reader, one `now`.

    `overlay` tells what the schema and the reader are made to show that is not stored.
    """

    compiled: CompiledSchema
    reader: Reader
    now: datetime
    limits: Limits
    overlay: Overlay = NO_OVERLAY


async def answer(
    ground: Ground, checks: Sequence[Check], budget: Budget, field: str = ""
) -> list[Decision | EngineError]:
    """A decision or an error for each check, in order.

    Checks with one subject, context and contextual tuples are one evaluation, which shares every
    goal; evaluations without contextual tuples read together. `field` is the path of the checks
    in the request, "" for a single one. Raises what the reader raises.
    """
    results: list[Decision | EngineError] = [DENIED] * len(checks)
    asked: dict[tuple[object, ...], _Group] = {}
    for index, check in enumerate(checks):
        path = f"{field}[{index}]." if field else ""
        try:
            plan = _plan(ground, check, path)
            group = _group(ground, check, asked, path)
            if plan is not None:
                root = group.evaluation.ask(plan, check.object.id)
                group.roots.append((index, root))
        except EngineError as error:
            results[index] = error
    stopped: BudgetExceeded | None = None
    try:
        await _evaluate(list(asked.values()), ground, budget)
    except BudgetExceeded as error:
        stopped = error
    for group in asked.values():
        for index, root in group.roots:
            undecided = root.value is None and stopped is not None
            results[index] = stopped if undecided and stopped else decided(root)
    return results


async def answer_one(ground: Ground, check: Check, budget: Budget) -> Decision:
    """The decision of one check, as `answer` gives it. Raises its error."""
    if check.contextual_tuples:
        (result,) = await answer(ground, (check,), budget)
        if isinstance(result, EngineError):
            raise result
        return result
    plan = _plan(ground, check, "")
    checked_context(ground, check.context, "context")
    if plan is None:
        return DENIED
    budget.check_time()
    if sees_at_once(plan, check.object.id, check.subject, ground.reader, budget):
        return ALLOWED
    bound = ground.compiled.caveats.bind(check.context)
    closed, asked = None, None
    near = ground.reader if isinstance(ground.reader, NearReader) else None
    if near is not None:
        entrances = ground.compiled.entrances(plan.form)
        asked = Asked(check.subject, entrances, (check.object.type, check.relation))
        closed = near.closure(asked)
    evaluation = Evaluation(check.subject, bound, ground.now, closed=closed)
    root = evaluation.ask(plan, check.object.id)
    await evaluate((evaluation,), ground.reader, budget)
    if near is not None and asked is not None and closed is None:
        near.walked(asked, evaluation.size)
    return decision_of(root)


def _plan(ground: Ground, check: Check, path: str) -> Plan | None:
    """The plan of a valid check, None if the schema alone denies it. Raises EngineError naming
    the field."""
    compiled, (object_type, _), subject = ground.compiled, check.object, check.subject
    question = (object_type, check.relation, subject.type, subject.relation)
    plan = compiled.questions.get(question, _NOT_ASKED)
    if subject.id == WILDCARD or isinstance(plan, str):
        compiled.require(object_type, check.relation, f"{path}object", f"{path}relation")
        checked_subject(compiled, subject, f"{path}subject")
        planner = compiled.plans.for_subject(subject.type, subject.relation)
        plan = planner.plan(object_type, check.relation)
        if len(compiled.questions) < _QUESTIONS:
            compiled.questions[question] = plan
    return plan


class _Group:
    """Checks that share one evaluation."""

    def __init__(self, evaluation: Evaluation, overlay: tuple[RelationTuple, ...]) -> None:
        self.evaluation = evaluation
        self.overlay = overlay
        self.roots: list[tuple[int, Node]] = []


def _group(
    ground: Ground, check: Check, asked: dict[tuple[object, ...], _Group], path: str
) -> _Group:
    """The group of a check, made if need be. Raises EngineError naming the field."""
    subject = check.subject
    context = checked_context(ground, check.context, f"{path}context")
    overlay = checked_overlay(ground, check.contextual_tuples, f"{path}contextual_tuples")
    key = (subject, context, overlay)
    group = asked.get(key)
    if group is None:
        bound = ground.compiled.caveats.bind(check.context)
        group = asked[key] = _Group(Evaluation(subject, bound, ground.now), overlay)
    return group


def checked_subject(compiled: CompiledSchema, subject: Subject, field: str) -> None:
    """Make sure that a subject can be asked about. Raises InvalidRequest for a wildcard,
    UnknownType and UnknownRelation."""
    if subject.id == WILDCARD:
        raise InvalidRequest("a wildcard is not one subject", field=field, expected="one subject")
    if subject.relation:
        compiled.require(subject.type, subject.relation, field, field)
    else:
        compiled.object_type(subject.type, field)


def checked_context(ground: Ground, context: Mapping[str, Any], field: str) -> str:
    """The canonical text of a request's caveat context. Raises LimitExceeded."""
    text = canonical_json(dict(context)) if context else ""
    if text:
        check_size(text, ground.limits.request_context_bytes, field)
    return text


def checked_overlay(
    ground: Ground, tuples: Sequence[RelationTuple], field: str
) -> tuple[RelationTuple, ...]:
    """Contextual tuples as they may be used; their order does not matter.

    Raises LimitExceeded, InvalidRequest for one that stands twice, and as a write of them would.
    """
    if not tuples:
        return ()
    check_count(len(tuples), ground.limits.contextual_tuples, field)
    seen: set[object] = set()
    for index, item in enumerate(tuples):
        if item.identity in seen:
            raise InvalidRequest(
                f"`{item}` stands twice", field=f"{field}[{index}]", expected="each tuple once"
            )
        seen.add(item.identity)
    checked = [
        checked_tuple(ground.compiled, item, ground.limits, f"{field}[{index}]")
        for index, item in enumerate(tuples)
    ]
    return tuple(sorted(checked, key=str))


async def _evaluate(groups: list[_Group], ground: Ground, budget: Budget) -> None:
    plain = [group.evaluation for group in groups if not group.overlay]
    if plain:
        await evaluate(plain, ground.reader, budget)
    for group in groups:
        if group.overlay:
            reader = OverlayReader(ground.reader, group.overlay)
            await evaluate([group.evaluation], reader, budget)
