"""Access Evaluation and Access Evaluations: one decision, or many at one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.asgi import Answer
from api.authzen.asking import (
    answered,
    check_of,
    consistency_of,
    decided,
    explain_of,
    failed,
    mapping_of,
    options_of,
    overlay_of,
)
from api.authzen.decode import QUESTION, Open, merged, read_question
from api.authzen.errors import is_unknown_name
from api.calls import Call
from api.members import Problems
from engine.decision import Decision
from engine.errors import EngineError
from engine.requests import Check, Consistency
from engine.write import check_count

Json = dict[str, Any]

EXECUTE_ALL = "execute_all"
_ENDS: dict[str, bool | None] = {
    EXECUTE_ALL: None,
    "deny_on_first_deny": False,
    "permit_on_first_permit": True,
}
"""The decision that ends an answer, by semantic."""


async def evaluation(call: Call) -> Answer:
    """`POST /access/v1/evaluation`."""
    problems = Problems()
    return await _single(call, Open(await call.json(), "", problems), problems)


async def evaluations(call: Call) -> Answer:
    """`POST /access/v1/evaluations`: without any it is a single evaluation."""
    problems = Problems()
    sent = await call.json()
    body = Open(sent, "", problems)
    items = body.items("evaluations")
    if not items:
        return await _single(call, body, problems)
    check_count(len(items), call.settings.limit_checks, "evaluations")
    for name in QUESTION:
        body.object(name)  # a default of the wrong type is wrong for the whole request
    options = options_of(body, problems)
    end = _end(options, problems)
    consistency = consistency_of(call, options, problems)
    explain = explain_of(call, options)
    problems.raise_any()
    asked = [
        _read(call, merged(sent, item), f"evaluations[{index}]", explain=explain)
        for index, item in enumerate(items)
    ]
    results, zookie = await _answers(call, asked, consistency)
    told = [item if isinstance(item, dict) else failed(item) for item in results]
    if end is not None:
        told = _until(told, end)
    return answered({"evaluations": told}, zookie)


async def _single(call: Call, body: Open, problems: Problems) -> Answer:
    question = read_question(body, problems)
    options = options_of(body, problems)
    consistency = consistency_of(call, options, problems)
    explain = explain_of(call, options)
    problems.raise_any()
    assert question is not None
    try:
        check = check_of(question, mapping_of(call), explain=explain)
        answer = await call.engine.check(
            call.store, check, consistency, deadline=call.deadline, overlay=overlay_of(call)
        )
    except EngineError as error:
        if not is_unknown_name(error):
            raise
        return answered(failed(error), None)
    call.metrics.decided((answer.decision,))
    return answered(decided(answer.decision, answer.explanation), answer.zookie)


def _end(options: Open, problems: Problems) -> bool | None:
    """The decision that ends the answer, None if none does."""
    semantic = options.optional_text("evaluations_semantic") or EXECUTE_ALL
    if semantic not in _ENDS:
        known = ", ".join(f"`{name}`" for name in _ENDS)
        path = options.path("evaluations_semantic")
        problems.add("invalid_request", "it is not a semantic", path, f"one of {known}")
    return _ENDS.get(semantic)


def _read(call: Call, item: Any, path: str, *, explain: bool) -> Check | EngineError:
    """One of many, or what is wrong with it."""
    problems = Problems()
    try:
        question = read_question(Open(item, path, problems), problems)
        problems.raise_any()
        assert question is not None
        return check_of(question, mapping_of(call), explain=explain)
    except EngineError as error:
        return error


async def _answers(
    call: Call, asked: Sequence[Check | EngineError], consistency: Consistency
) -> tuple[list[Json | EngineError], str | None]:
    """What becomes of each, in order, and the zookie if anything could be asked."""
    results: list[Json | EngineError] = [
        item if isinstance(item, EngineError) else {} for item in asked
    ]
    places = [index for index, item in enumerate(asked) if isinstance(item, Check)]
    checks = [item for item in asked if isinstance(item, Check)]
    if not checks:
        return results, None
    answer = await call.engine.check_batch(
        call.store, checks, consistency, deadline=call.deadline, overlay=overlay_of(call)
    )
    call.metrics.decided(answer.results)
    for place, result, why in zip(places, answer.results, answer.explanations, strict=True):
        results[place] = decided(result, why) if isinstance(result, Decision) else result
    return results, answer.zookie


def _until(told: list[Json], end: bool) -> list[Json]:
    """The decisions up to the first one that is `end`, all if there is none."""
    for index, item in enumerate(told):
        if item["decision"] is end:
            return told[: index + 1]
    return told
