"""The lookups that begin at an object: who is a member, how many, and what one subject may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from api.asgi import Answer
from api.calls import Call
from api.members import Members, Problems
from api.native import render
from api.native.decode import relation_name
from api.native.listing import body_of, candidates_of, ending, missing, send_lines, way_of
from api.native.overlay import tuples_of
from engine.decision import Verdict
from engine.requests import (
    LookupPermissions,
    LookupSubjects,
    PermissionsAnswer,
    SubjectCount,
    SubjectsAnswer,
)
from engine.tuples import MAX_TYPE_BYTES, check_name, parse_object, parse_subject

COUNT_FIELDS = (
    "object",
    "relation",
    "subject_type",
    "subject_relation",
    "context",
    "contextual_tuples",
    "candidates",
    "consistency",
    "overlay",
)
SUBJECTS_FIELDS = (*COUNT_FIELDS, "limit", "cursor")
PERMISSIONS_FIELDS = (
    "object",
    "subject",
    "context",
    "contextual_tuples",
    "include_relations",
    "consistency",
    "overlay",
)


async def lookup_subjects(call: Call) -> Answer | None:
    """`POST /lookup/subjects`: a page, or all of them as lines."""
    problems = Problems()
    body = Members(await body_of(call), "", SUBJECTS_FIELDS, problems)
    asked = _subjects(body, problems)
    way = way_of(call, body, problems)
    problems.raise_any()
    assert asked is not None
    if call.streams:
        pages = call.engine.stream_subjects(call.store, asked, way)
        await send_lines(call, pages, _entries)
        return None
    answer = await call.engine.lookup_subjects(call.store, asked, way)
    return Answer(200, render.encode(_page(answer)))


async def count_subjects(call: Call) -> Answer:
    """`POST /lookup/subjects/count`."""
    problems = Problems()
    body = Members(await call.json(), "", COUNT_FIELDS, problems)
    asked = _subjects(body, problems)
    way = way_of(call, body, problems)
    problems.raise_any()
    assert asked is not None
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
    way = way_of(call, body, problems)
    problems.raise_any()
    assert object_ is not None
    assert subject is not None
    asked = LookupPermissions(object_, subject, context, contextual, relations)
    answer = await call.engine.lookup_permissions(call.store, asked, way)
    return Answer(200, render.encode(_permissions(answer)))


def _subjects(body: Members, problems: Problems) -> LookupSubjects | None:
    """The question, or None if a problem was noted."""
    object_ = body.parsed("object", parse_object)
    relation = body.parsed("relation", relation_name)
    kind = body.parsed("subject_type", lambda text, at: check_name(text, at, MAX_TYPE_BYTES))
    subject_relation = body.optional_text("subject_relation") or ""
    if subject_relation:
        problems.attempt(relation_name, subject_relation, "subject_relation")
    context = body.object("context")
    contextual = tuples_of(body, "contextual_tuples", problems)
    candidates = candidates_of(body, problems)
    if object_ is None or relation is None or kind is None:
        return None
    return LookupSubjects(
        object_, relation, kind, subject_relation, context, contextual, candidates
    )


def _page(answer: SubjectsAnswer) -> dict[str, Any]:
    return {
        "subjects": _entries(answer),
        "cursor": answer.cursor,
        **ending(answer.gaps, answer.zookie),
    }


class _Found(Struct, gc=False):
    subject: str
    decision: Verdict
    missing_context: Sequence[str]


def _entries(page: SubjectsAnswer) -> list[_Found]:
    return [
        _Found(str(subject), decision.verdict, missing(decision))
        for subject, decision in page.subjects
    ]


def _count(answer: SubjectCount) -> dict[str, Any]:
    wildcard = None if answer.wildcard is None else answer.wildcard.verdict.value
    return {
        "allowed": answer.allowed,
        "conditional": answer.conditional,
        "denied": answer.denied,
        "wildcard": wildcard,
        **ending(answer.gaps, answer.zookie),
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
    return {"permissions": told, **ending(answer.gaps, answer.zookie)}
