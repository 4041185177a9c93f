"""Checks against one snapshot: validated, grouped so that they share work, and evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.check import Budget, Evaluation, decided, evaluate
from engine.decision import DENIED, Decision
from engine.errors import BudgetExceeded, EngineError, InvalidRequest
from engine.formula import Node
from engine.jsontext import canonical_json
from engine.limits import Limits
from engine.reader import Reader
from engine.requests import Check, Overlay
from engine.schemas import CompiledSchema
from engine.store.overlay import OverlayReader
from engine.tuples import WILDCARD, RelationTuple, Subject
from engine.write import check_count, check_size, checked_tuple

NO_OVERLAY = Overlay()


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
            group = _group(ground, check, asked, path)
            root = group.ask(ground, check)
            if root is not None:
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


class _Group:
    """Checks that share one evaluation."""

    def __init__(self, evaluation: Evaluation, overlay: tuple[RelationTuple, ...]) -> None:
        self.evaluation = evaluation
        self.overlay = overlay
        self.roots: list[tuple[int, Node]] = []

    def ask(self, ground: Ground, check: Check) -> Node | None:
        """The root of a check, or None if the schema alone denies it."""
        subject = check.subject
        planner = ground.compiled.plans.for_subject(subject.type, subject.relation)
        plan = planner.plan(check.object.type, check.relation)
        return None if plan is None else self.evaluation.ask(plan, check.object.id)


def _group(
    ground: Ground, check: Check, asked: dict[tuple[object, ...], _Group], path: str
) -> _Group:
    """The group of a valid check, made if need be. Raises EngineError naming the field."""
    compiled, subject = ground.compiled, check.subject
    compiled.require(check.object.type, check.relation, f"{path}object", f"{path}relation")
    checked_subject(compiled, subject, f"{path}subject")
    context = checked_context(ground, check.context, f"{path}context")
    overlay = checked_overlay(ground, check.contextual_tuples, f"{path}contextual_tuples")
    key = (subject, context, overlay)
    group = asked.get(key)
    if group is None:
        bound = compiled.caveats.bind(check.context)
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
