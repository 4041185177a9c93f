"""`POST /impact`: what a proposed write or schema would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from api.asgi import Answer
from api.calls import Call
from api.members import Members, Problems
from api.native import render
from api.native.auditing import difference
from api.native.decode import relation_name
from api.native.listing import ending, way_of
from engine.impact import Counts, Impact, ImpactAnswer, ImpactRow
from engine.tuples import MAX_TYPE_BYTES, check_name

T = TypeVar("T")
IMPACT_FIELDS = (
    "overlay",
    "types",
    "permissions",
    "subjects",
    "include_relations",
    "limit",
    "cursor",
    "consistency",
)
_KINDS = ("gained", "lost", "changed")


async def impact(call: Call) -> Answer:
    """`POST /impact`."""
    problems = Problems()
    body = Members(await call.json(), "", IMPACT_FIELDS, problems)
    body.required("overlay")
    way = way_of(call, body, problems)
    types = _names(body, "types", _type_name, problems)
    permissions = _names(body, "permissions", relation_name, problems)
    subjects = _names(body, "subjects", _form, problems)
    relations = body.flag("include_relations")
    problems.raise_any()
    assert way.overlay is not None
    asked = Impact(way.overlay, types, permissions, subjects, relations)
    answer = await call.engine.impact(call.store, asked, way)
    return Answer(200, render.encode(told(answer)))


def _names(
    body: Members, name: str, parse: Callable[[str, str], T], problems: Problems
) -> list[T] | None:
    """The parsed strings of an array, None if it is absent."""
    if body.get(name) is None:
        return None
    made: list[T] = []
    for index, item in enumerate(body.items(name)):
        path = f"{name}[{index}]"
        if type(item) is not str:
            problems.add("wrong_type", "found something else", path, "a string")
        elif (parsed := problems.attempt(parse, item, path)) is not None:
            made.append(parsed)
    return made


def _type_name(text: str, field: str) -> str:
    return check_name(text, field, MAX_TYPE_BYTES)


def _form(text: str, field: str) -> tuple[str, str]:
    """A form of subject: `type` or `type#relation`."""
    kind, mark, relation = text.partition("#")
    return _type_name(kind, field), relation_name(relation, field) if mark else ""


def told(answer: ImpactAnswer) -> dict[str, Any]:
    """The whole answer."""
    rows = [_row(row) | {"sample": _sample(row)} for row in answer.rows]
    return {
        **_counts(answer.total),
        "permissions": rows,
        "cursor": answer.cursor,
        **ending(answer.gaps, answer.zookie),
    }


def summary(answer: ImpactAnswer) -> dict[str, Any]:
    """The numbers alone."""
    return {
        **_counts(answer.total),
        "permissions": [_row(row) for row in answer.rows],
        **ending(answer.gaps, answer.zookie),
    }


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "gained": counts.gained,
        "lost": counts.lost,
        "changed": counts.changed,
        "new_access": counts.new_access,
    }


def _row(row: ImpactRow) -> dict[str, Any]:
    relation = f"#{row.subject_relation}" if row.subject_relation else ""
    return {
        "type": row.type,
        "permission": row.permission,
        "subjects": f"{row.subject_type}{relation}",
        **_counts(row.counts),
    }


def _sample(row: ImpactRow) -> dict[str, Any]:
    sample: dict[str, Any] = {kind: [] for kind in _KINDS}
    for one in row.sample:
        sample[one.kind].append(difference(one))
    return sample
