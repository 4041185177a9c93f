"""Checks against one snapshot: validated, grouped so that they share work, and evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.budget import Budget
from engine.check import Evaluation, begin, evaluate, finishing, look_once
from engine.decision import ALLOWED, DENIED, Decision
from engine.errors import BudgetExceeded, EngineError, InvalidRequest
from engine.formula import Node, Value, decided, decision_of
from engine.jsontext import canonical_json
from engine.limits import Limits
from engine.plan import Plan
from engine.reader import Reader
from engine.requests import Check, Overlay
from engine.schemas import CompiledSchema
from engine.sight import Asked, Closed, NearReader
from engine.store.overlay import OverlayReader
from engine.tuples import WILDCARD, RelationTuple, Subject
from engine.write import check_count, check_size, checked_tuple

NO_OVERLAY = Overlay()
_QUESTIONS = 10_000
_MANY = 16
"""Checks of one subject for which it is worth finding out beforehand what it reaches."""
_DECISIONS = (DENIED, ALLOWED)
"""The decisions of the formula's values 0 and 1."""
_NOT_ASKED = "not asked yet"


@dataclass(slots=True)
class Ground:
    """What every check of a request stands on: one schema, one reader, one `now`. Never changed.

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
    results: list[Decision | EngineError | None] = [None] * len(checks)
    asked: dict[tuple[object, ...], _Group] = {}
    for index, check in enumerate(checks):
        path = f"{field}[{index}]." if field else ""
        try:
            plan = _plan(ground, check, path)
            group = _group(ground, check, plan, asked, path)
            if plan is None:
                results[index] = DENIED
            else:
                group.asked.append((index, plan, check.object.id))
        except EngineError as error:
            results[index] = error
    stopped: BudgetExceeded | None = None
    try:
        for group in asked.values():
            await group.begin(ground, results, budget)
        await _evaluate([group for group in asked.values() if group.roots], ground, budget)
    except BudgetExceeded as error:
        stopped = error
    for group in asked.values():
        for index, root in group.roots:
            if root.value is not None or stopped is None:
                results[index] = decided(root)
        group.end()
    return [_certain(result, stopped) for result in results]


def _certain(
    result: Decision | EngineError | None, stopped: BudgetExceeded | None
) -> Decision | EngineError:
    """The result, or what kept it from being found. Nothing is decided by running out."""
    if result is not None:
        return result
    assert stopped is not None  # or everything has a result
    return stopped


async def answer_one(ground: Ground, check: Check, budget: Budget) -> tuple[Decision, bool]:
    """The decision of one check, as `answer` gives it, and whether it would be the same at any
    other time. Raises its error."""
    if check.contextual_tuples:
        (result,) = await answer(ground, (check,), budget)
        if isinstance(result, EngineError):
            raise result
        return result, False
    looked = _look(ground, check, budget)
    if looked is None:
        return DENIED, True
    evaluation, closing, root = looked
    if isinstance(root, int):
        return _DECISIONS[root], not evaluation.timed
    await evaluate((evaluation,), ground.reader, budget)
    closing.walked(evaluation.size)
    decision = decision_of(root)
    evaluation.end()
    return decision, not evaluation.timed


def answer_now(ground: Ground, check: Check, budget: Budget, until: float) -> Decision | None:
    """The decision of one check, as `answer` gives it, if its tuples are at hand and it does not
    take longer than until a time of `perf_counter`; else None. Raises its error."""
    reader = ground.reader
    if check.contextual_tuples or not isinstance(reader, NearReader):
        return None
    looked = _look(ground, check, budget)
    if looked is None:
        return DENIED
    evaluation, closing, root = looked
    if isinstance(root, int):
        return _DECISIONS[root]
    for _ in finishing(evaluation, reader, budget):
        if budget.check_time() > until:
            break
    if not evaluation.settled():
        return None
    closing.walked(evaluation.size)
    decision = decision_of(root)
    evaluation.end()
    return decision


def _look(
    ground: Ground, check: Check, budget: Budget
) -> tuple[Evaluation, _Closing, Value] | None:
    """An evaluation of one check, begun, and its value where a look was enough, else its root;
    None if the schema alone denies it. Raises its error."""
    plan = _plan(ground, check, "")
    if check.context:
        checked_context(ground, check.context, "context")
    if plan is None:
        return None
    bound = ground.compiled.caveats.bind(check.context)
    closing = _Closing(ground, check, plan)
    evaluation = Evaluation(check.subject, bound, ground.now, find=closing.find)
    budget.check_time()
    reader = ground.reader
    if not isinstance(reader, NearReader):
        return evaluation, closing, evaluation.ask(plan, check.object.id)
    sights = reader.sights(budget.reads)
    root = look_once(evaluation, plan, check.object.id, reader, sights)
    budget.spend_reads(evaluation.looked())
    return evaluation, closing, root


class _Closing:
    """What may be known beforehand of the subject of checks, for those like `check`."""

    __slots__ = ("_asked", "_check", "_found", "_ground", "_near", "_plan")

    def __init__(self, ground: Ground, check: Check, plan: Plan) -> None:
        reader = ground.reader
        self._near = reader if isinstance(reader, NearReader) else None
        self._ground = ground
        self._check = check
        self._plan = plan
        self._found: Closed | None = None
        self._asked: Asked | None = None

    def find(self) -> Closed | None:
        """What is known, if anything."""
        if self._near is not None:
            check = self._check
            entrances = self._ground.compiled.entrances(self._plan.form)
            place = (check.object.type, check.relation)
            self._asked = Asked(check.subject, entrances, place)
            self._found = self._near.closure(self._asked)
        return self._found

    def walked(self, goals: int) -> None:
        """Take note of what it cost that nothing was known."""
        if self._near is not None and self._asked is not None and self._found is None:
            self._near.walked(self._asked, goals)


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

    def __init__(
        self, evaluation: Evaluation, closing: _Closing | None, overlay: tuple[RelationTuple, ...]
    ) -> None:
        self.evaluation = evaluation
        self.overlay = overlay
        self.asked: list[tuple[int, Plan, str]] = []
        self.roots: list[tuple[int, Node]] = []
        self._closing = closing

    async def begin(
        self, ground: Ground, results: list[Decision | EngineError | None], budget: Budget
    ) -> None:
        """Ask all that was asked; what is not decided by that becomes a root."""
        reader = OverlayReader(ground.reader, self.overlay) if self.overlay else ground.reader
        if self._closing is not None and len(self.asked) >= _MANY:
            self._closing.find()
            self._closing.walked(len(self.asked))
        asked = [(plan, id_) for _, plan, id_ in self.asked]
        values = await begin(self.evaluation, asked, reader, budget)
        for (index, _, _), value in zip(self.asked, values, strict=True):
            if isinstance(value, int):
                results[index] = _DECISIONS[value]
            else:
                self.roots.append((index, value))

    def end(self) -> None:
        """Take note of what was walked, and let go of it."""
        if self._closing is not None:
            self._closing.walked(self.evaluation.size)
        self.evaluation.end()


def _group(
    ground: Ground,
    check: Check,
    plan: Plan | None,
    asked: dict[tuple[object, ...], _Group],
    path: str,
) -> _Group:
    """The group of a check, made if need be. Raises EngineError naming the field."""
    subject = check.subject
    if not check.context and not check.contextual_tuples:
        group = asked.get((subject, "", ()))
        if group is not None:
            return group
    context = checked_context(ground, check.context, f"{path}context")
    overlay = checked_overlay(ground, check.contextual_tuples, f"{path}contextual_tuples")
    key = (subject, context, overlay)
    group = asked.get(key)
    if group is None:
        bound = ground.compiled.caveats.bind(check.context)
        closing = None if plan is None or overlay else _Closing(ground, check, plan)
        find = None if closing is None else closing.find
        evaluation = Evaluation(subject, bound, ground.now, find=find)
        group = asked[key] = _Group(evaluation, closing, overlay)
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
