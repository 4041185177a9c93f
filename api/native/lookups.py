"""The lookups that begin at an object: who is a member, how many, and what one subject may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from api.asgi import Answer, Patience
from api.calls import Call
from api.errors import DeadlinePassed, describe
from api.native import render
from api.native.decode import Members, Problems, relation_name
from api.native.handlers import consistency_of, tuples_of
from api.native.streaming import Stream
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import (
    FoundSubject,
    Gap,
    LookupPermissions,
    LookupSubjects,
    PermissionsAnswer,
    SubjectCount,
    SubjectsAnswer,
)
from engine.tuples import MAX_TYPE_BYTES, check_name, check_subject_id, parse_object, parse_subject

COUNT_FIELDS = (
    "object",
    "relation",
    "subject_type",
    "subject_relation",
    "context",
    "contextual_tuples",
    "candidates",
    "consistency",
)
SUBJECTS_FIELDS = (*COUNT_FIELDS, "limit", "cursor")
_GRACE = 1.0
PERMISSIONS_FIELDS = (
    "object",
    "subject",
    "context",
    "contextual_tuples",
    "include_relations",
    "consistency",
)


async def lookup_subjects(call: Call) -> Answer | None:
    """`POST /lookup/subjects`: a page, or all of them as lines."""
    problems = Problems()
    body = Members(await _json(call), "", SUBJECTS_FIELDS, problems)
    asked = _subjects(body, problems)
    way = Way(
        body.optional_count("limit"),
        body.optional_text("cursor"),
        consistency_of(body, problems),
        call.deadline,
    )
    problems.raise_any()
    if call.streams:
        await _send_lines(call, call.engine.stream_subjects(call.store, asked, way))
        return None
    answer = await call.engine.lookup_subjects(call.store, asked, way)
    return Answer(200, render.encode(_page(answer)))


async def _json(call: Call) -> Any:
    """The body; a stream has nothing around it that bounds how long that may take to arrive."""
    if not call.streams:
        return await call.json()
    with Patience(call.settings.read_timeout):
        return await call.json()


async def count_subjects(call: Call) -> Answer:
    """`POST /lookup/subjects/count`."""
    problems = Problems()
    body = Members(await call.json(), "", COUNT_FIELDS, problems)
    asked = _subjects(body, problems)
    way = Way(consistency=consistency_of(body, problems), deadline=call.deadline)
    problems.raise_any()
    answer = await call.engine.count_subjects(call.store, asked, way)
    return Answer(200, render.encode(_count(answer)))


async def lookup_permissions(call: Call) -> Answer:
    """`POST /lookup/permissions`."""
    problems = Problems()
    body = Members(await call.json(), "", PERMISSIONS_FIELDS, problems)
    object_ = body.parsed("object", parse_object)
    subject = body.parsed("subject", parse_subject)
    context = body.object("context")
    contextual = tuples_of(body, "contextual_tuples", problems)
    relations = body.flag("include_relations")
    way = Way(consistency=consistency_of(body, problems), deadline=call.deadline)
    problems.raise_any()
    assert object_ is not None
    assert subject is not None
    asked = LookupPermissions(object_, subject, context, contextual, relations)
    answer = await call.engine.lookup_permissions(call.store, asked, way)
    return Answer(200, render.encode(_permissions(answer)))


def _subjects(body: Members, problems: Problems) -> LookupSubjects:
    object_ = body.parsed("object", parse_object)
    relation = body.parsed("relation", relation_name)
    kind = body.parsed("subject_type", lambda text, at: check_name(text, at, MAX_TYPE_BYTES))
    subject_relation = body.optional_text("subject_relation") or ""
    if subject_relation:
        problems.attempt(relation_name, subject_relation, "subject_relation")
    context = body.object("context")
    contextual = tuples_of(body, "contextual_tuples", problems)
    candidates = _candidates(body, problems)
    if object_ is None or relation is None or kind is None:
        return None  # type: ignore[return-value]  # a problem is noted: this is never used
    return LookupSubjects(
        object_, relation, kind, subject_relation, context, contextual, candidates
    )


def _candidates(body: Members, problems: Problems) -> list[str] | None:
    if body.get("candidates") is None:
        return None
    made: list[str] = []
    for index, item in enumerate(body.items("candidates")):
        path = f"candidates[{index}]"
        if type(item) is not str:
            problems.add("wrong_type", "found something else", path, "a string: an id")
        elif problems.attempt(check_subject_id, item, path) is not None:
            made.append(item)
    return made


async def _send_lines(call: Call, pages: AsyncIterator[SubjectsAnswer]) -> None:
    """An entry a line; the last line says whether these are all, and where to go on if not."""
    stream = Stream(call, b"application/x-ndjson")
    gaps: list[Gap] = []
    found = 0
    page = await _next(call, pages)
    assert page is not None  # a list has a page, be it an empty one
    last = page
    await stream.start(((b"x-stonetown-zookie", page.zookie.encode()),))
    try:
        while page is not None:
            last = page
            if page.subjects:
                await stream.send(_lines(page))
            found += len(page.subjects)
            gaps += page.gaps
            page = await _next(call, pages)
    except EngineError as error:
        gaps.append(Gap("", error))
    finally:
        await pages.aclose()  # type: ignore[attr-defined]  # it is an asynchronous generator
    end = {"cursor": last.cursor, "found": found, **_ending(tuple(gaps), last.zookie)}
    await stream.finish(render.encode(end) + b"\n")


async def _next(call: Call, pages: AsyncIterator[SubjectsAnswer]) -> SubjectsAnswer | None:
    """The next page. Raises DeadlinePassed when the engine is stuck beyond its own deadline."""
    try:
        async with asyncio.timeout(call.deadline + _GRACE):
            return await anext(pages, None)
    except TimeoutError:
        raise DeadlinePassed("a page was late", budget="milliseconds") from None


def _lines(page: SubjectsAnswer) -> bytes:
    return b"".join(render.encode(_found(item)) + b"\n" for item in page.subjects)


def _page(answer: SubjectsAnswer) -> dict[str, Any]:
    return {
        "subjects": [_found(item) for item in answer.subjects],
        "cursor": answer.cursor,
        **_ending(answer.gaps, answer.zookie),
    }


def _found(item: FoundSubject) -> dict[str, Any]:
    decision = item.decision
    return {
        "subject": str(item.subject),
        "decision": decision.verdict.value,
        "missing_context": sorted(decision.missing),
    }


def _count(answer: SubjectCount) -> dict[str, Any]:
    wildcard = None if answer.wildcard is None else answer.wildcard.verdict.value
    return {
        "allowed": answer.allowed,
        "conditional": answer.conditional,
        "denied": answer.denied,
        "wildcard": wildcard,
        **_ending(answer.gaps, answer.zookie),
    }


def _permissions(answer: PermissionsAnswer) -> dict[str, Any]:
    told = [
        {
            "permission": name,
            "decision": decision.verdict.value,
            "missing_context": sorted(decision.missing),
        }
        for name, decision in answer.permissions
    ]
    return {"permissions": told, **_ending(answer.gaps, answer.zookie)}


def _ending(gaps: tuple[Gap, ...], zookie: str) -> dict[str, Any]:
    return {"complete": not gaps, "gaps": [_gap(gap) for gap in gaps], "zookie": zookie}


def _gap(gap: Gap) -> dict[str, Any]:
    return {"about": gap.about or None, "error": describe(gap.error)}
