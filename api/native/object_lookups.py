"""The lookups that begin at a subject: what it may reach, and how much of it."""

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
from engine.requests import LookupObjects, ObjectCount, ObjectsAnswer
from engine.tuples import MAX_TYPE_BYTES, check_name, parse_subject

_COUNT_FIELDS = (
    "type",
    "types",
    "relation",
    "subject",
    "context",
    "contextual_tuples",
    "candidates",
    "consistency",
    "overlay",
)
_FIELDS = (*_COUNT_FIELDS, "limit", "cursor")


async def lookup_objects(call: Call) -> Answer | None:
    """`POST /lookup/objects`: a page, or all of them as lines."""
    problems = Problems()
    body = Members(await body_of(call), "", _FIELDS, problems)
    asked = _asked(body, problems)
    way = way_of(call, body, problems)
    problems.raise_any()
    assert asked is not None
    if call.streams:
        pages = call.engine.stream_objects(call.store, asked, way)
        await send_lines(call, pages, _entries)
        return None
    answer = await call.engine.lookup_objects(call.store, asked, way)
    told = {
        "objects": _entries(answer),
        "cursor": answer.cursor,
        **ending(answer.gaps, answer.zookie),
    }
    return Answer(200, render.encode(told))


async def count_objects(call: Call) -> Answer:
    """`POST /lookup/objects/count`."""
    problems = Problems()
    body = Members(await call.json(), "", _COUNT_FIELDS, problems)
    asked = _asked(body, problems)
    way = way_of(call, body, problems)
    problems.raise_any()
    assert asked is not None
    return Answer(
        200, render.encode(_count(await call.engine.count_objects(call.store, asked, way)))
    )


def _asked(body: Members, problems: Problems) -> LookupObjects | None:
    """The question, or None if a problem was noted."""
    kinds = _types(body, problems)
    relation = body.parsed("relation", relation_name)
    subject = body.parsed("subject", parse_subject)
    context = body.object("context")
    contextual = tuples_of(body, "contextual_tuples", problems)
    candidates = candidates_of(body, problems)
    if relation is None or subject is None:
        return None
    return LookupObjects(kinds, relation, subject, context, contextual, candidates)


def _types(body: Members, problems: Problems) -> list[str]:
    """The types: one as `type`, or some as `types`."""
    if body.get("types") is None:
        kind = body.parsed("type", _type_name)
        return [] if kind is None else [kind]
    if body.get("type") is not None:
        problems.add("invalid_request", "it contradicts `type`", "types", "`type` or `types`")
    made: list[str] = []
    for index, item in enumerate(body.items("types")):
        path = f"types[{index}]"
        if type(item) is not str:
            problems.add("wrong_type", "found something else", path, "a string: an object type")
        elif problems.attempt(_type_name, item, path) is not None:
            made.append(item)
    return made


def _type_name(text: str, field: str) -> str:
    return check_name(text, field, MAX_TYPE_BYTES)


class _Found(Struct, gc=False):
    object: str
    decision: Verdict
    missing_context: Sequence[str]


def _entries(page: ObjectsAnswer) -> list[_Found]:
    return [
        _Found(f"{kind}:{id_}", decision.verdict, missing(decision))
        for (kind, id_), decision in page.objects
    ]


def _count(answer: ObjectCount) -> dict[str, Any]:
    numbers = {"allowed": answer.allowed, "conditional": answer.conditional}
    return {**numbers, **ending(answer.gaps, answer.zookie)}
