"""Runs the published cases against a server, as OpenFGA's own runner does."""

from __future__ import annotations

from typing import Any

import httpx

from tests.openfga.cases import Case, Question
from tests.openfga.client import Fga, Refusal

_CHUNK = 40


async def failures(http: httpx.AsyncClient, case: Case) -> tuple[int, dict[str, str]]:
    """How many questions a case asks, and what is wrong with the answers, by question."""
    asked, wrong = 0, {}
    fga = await Fga.create(http)
    for number, stage in enumerate(case.stages):
        await fga.write_model(stage.model)
        tuples = () if case.contextual else stage.tuples
        for start in range(0, len(tuples), _CHUNK):
            await fga.write(*tuples[start : start + _CHUNK])
        for index, question in enumerate(stage.questions):
            asked += 1
            given = (*stage.tuples, *question.tuples) if case.contextual else question.tuples
            problem = await _ask(fga, question, given)
            if problem:
                wrong[f"{number}/{question.kind}/{index}"] = f"{problem}: {question}"
    return asked, wrong


async def _ask(fga: Fga, question: Question, tuples: tuple[Any, ...]) -> str:
    """What is wrong with the answer to a question, "" for nothing."""
    more = {} if question.context is None else {"context": question.context}
    try:
        found = await _answer(fga, question, tuples, more)
    except Refusal as refusal:
        if refusal.number == question.error:
            return ""
        return f"refused with {refusal}"
    if question.error:
        return f"answered {found} and not refused with {question.error}"
    return await _compared(fga, question, tuples, more, found)


async def _answer(fga: Fga, question: Question, tuples: tuple[Any, ...], more: Any) -> Any:
    asked = question.asked
    if question.kind == "check":
        return await fga.check(asked, tuples, **more)
    if question.kind in {"objects", "has_object"}:
        parts = (asked["user"], asked["relation"], asked["type"])
        return await fga.list_objects(*parts, tuples, **more)
    parts = (asked["object"], asked["relation"], asked["filter"])
    return await fga.list_users(*parts, tuples, **more)


async def _compared(
    fga: Fga, question: Question, tuples: tuple[Any, ...], more: Any, found: Any
) -> str:
    wanted = question.wanted
    match question.kind:
        case "check":
            return "" if found == wanted else f"answered {found}"
        case "has_object" | "has_user":
            one, there = wanted
            covered = question.kind == "has_user" and any(user.endswith(":*") for user in found)
            if there is None or covered or (one in found) == there:
                return ""
            return f"listed {found}"
    if sorted(found) != sorted(wanted):
        return f"listed {found}"
    return await _checked(fga, question, tuples, more, found)


async def _checked(
    fga: Fga, question: Question, tuples: tuple[Any, ...], more: Any, found: list[str]
) -> str:
    """Whoever is listed must be allowed by a check."""
    asked = question.asked
    for one in found:
        key = {"relation": asked["relation"], "object": one, "user": asked.get("user")}
        if question.kind == "users":
            key = {"relation": asked["relation"], "object": asked["object"], "user": one}
        if not await fga.check(key, tuples, **more):
            return f"listed {one}, whom a check denies"
    return ""
