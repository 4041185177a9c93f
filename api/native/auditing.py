"""The calls that look back: what happened to tuples, and who gained and lost access."""

from __future__ import annotations

from typing import Any

from api.asgi import Answer
from api.calls import Call
from api.members import Members, Problems
from api.native import render
from api.native.decode import decode_filter, relation_name
from api.native.handlers import consistency_of
from api.native.listing import body_of, ending, send_lines
from api.native.overlay import overlay_of
from engine.causes import Cause
from engine.decision import Decision
from engine.diff import Diff, DiffAnswer, Difference
from engine.history import History, HistoryEvent
from engine.pages import Way
from engine.requests import FULLY_CONSISTENT, AtExactSnapshot, AtTime, Consistency
from engine.sides import OfObject, OfSubject, OfType, Target
from engine.tuples import (
    MAX_TYPE_BYTES,
    check_name,
    format_time,
    parse_object,
    parse_subject,
    parse_time,
)

HISTORY_FIELDS = ("filter", "order", "limit", "cursor", "consistency")
_ORDERS = {"newest_first": True, "oldest_first": False}


async def history(call: Call) -> Answer:
    """`POST /history`."""
    problems = Problems()
    body = Members(await call.json(), "", HISTORY_FIELDS, problems)
    wanted = decode_filter(body.required("filter"), "filter", problems)
    order = body.optional_text("order") or "newest_first"
    if order not in _ORDERS:
        expected = " or ".join(f"`{name}`" for name in _ORDERS)
        problems.add("invalid_request", "not one of the choices", "order", expected)
    way = Way(
        body.optional_count("limit"),
        body.optional_text("cursor"),
        consistency_of(body, problems),
        call.deadline,
    )
    problems.raise_any()
    answer = await call.engine.history(call.store, History(wanted, _ORDERS[order]), way)
    told = {
        "events": [_event(item) for item in answer.events],
        "cursor": answer.cursor,
        "zookie": answer.zookie,
    }
    return Answer(200, render.encode(told))


def _event(item: HistoryEvent) -> dict[str, Any]:
    return {
        "op": item.op,
        "expired": item.expired,
        "tuple": render.tuple_(item.tuple),
        "zookie": item.zookie,
        "committed_at": format_time(item.committed_at),
        "actor": item.actor,
        "metadata": dict(item.metadata),
    }


DIFF_FIELDS = (
    "from",
    "to",
    "object",
    "subject",
    "type",
    "relation",
    "subject_type",
    "subject_relation",
    "context",
    "limit",
    "cursor",
    "overlay",
)


async def diff(call: Call) -> Answer | None:
    """`POST /diff`: a page, or all of them as lines."""
    problems = Problems()
    body = Members(await body_of(call), "", DIFF_FIELDS, problems)
    target = _target(body, problems)
    start = body.parsed("from", _moment)
    end: Consistency | None = FULLY_CONSISTENT
    if body.get("to") is not None:
        end = body.parsed("to", _moment)
    context, overlay = body.object("context"), overlay_of(body, problems)
    way = Way(
        body.optional_count("limit"),
        body.optional_text("cursor"),
        deadline=call.deadline,
        overlay=overlay,
    )
    problems.raise_any()
    assert target is not None
    assert start is not None
    assert end is not None
    asked = Diff(target, start, end, context)
    if call.streams:
        lines = _Lines()
        pages = call.engine.stream_diff(call.store, asked, way)
        await send_lines(call, pages, _entries, beside=lines.causes, more=lines.last)
        return None
    answer = await call.engine.diff(call.store, asked, way)
    return Answer(200, render.encode(_diff(answer)))


def _entries(page: DiffAnswer) -> list[Any]:
    return [{"change": one.kind, **difference(one)} for one in page.differences]


class _Lines:
    """What a stream of differences tells beside them."""

    def __init__(self) -> None:
        self._whole = True
        self._start = ""

    def causes(self, page: DiffAnswer) -> list[Any]:
        """The causes of a page's differences, a line each."""
        self._whole = self._whole and page.causes_complete
        self._start = page.from_zookie
        return [{"cause": _cause(one)} for one in page.causes]

    def last(self) -> dict[str, Any]:
        """What the last line says of all pages that were sent."""
        return {"causes_complete": self._whole, "from_zookie": self._start}


def _moment(text: str, field: str) -> Consistency:
    """A time, which has colons, or a zookie, which has none."""
    return AtTime(parse_time(text, field)) if ":" in text else AtExactSnapshot(text)


def _target(body: Members, problems: Problems) -> Target | None:
    """What is asked about: exactly one of the three ways. None after a problem."""
    given = tuple(name for name in ("object", "subject", "type") if body.get(name) is not None)
    relation = body.parsed("relation", relation_name)
    if given == ("subject", "type"):
        subject = body.parsed("subject", parse_subject)
        kind = body.parsed("type", _type_name)
        if subject is None or kind is None or relation is None:
            return None
        for name in ("subject_type", "subject_relation"):
            if body.get(name) is not None:
                problems.add("invalid_request", "it contradicts `subject`", name, "nothing")
        return OfSubject(subject, kind, relation)
    if given not in {("object",), ("type",)}:
        problems.add(
            "invalid_request",
            "it does not say what to compare",
            given[-1] if given else "object",
            "`object` and `subject_type`, `subject` and `type`, or `type` and `subject_type`",
        )
        return None
    form = body.parsed("subject_type", _type_name)
    of = body.optional_text("subject_relation") or ""
    if of:
        problems.attempt(relation_name, of, "subject_relation")
    if given == ("object",):
        object_ = body.parsed("object", parse_object)
        if object_ is None or relation is None or form is None:
            return None
        return OfObject(object_, relation, form, of)
    kind = body.parsed("type", _type_name)
    if kind is None or relation is None or form is None:
        return None
    return OfType(kind, relation, form, of)


def _type_name(text: str, field: str) -> str:
    return check_name(text, field, MAX_TYPE_BYTES)


def _diff(answer: DiffAnswer) -> dict[str, Any]:
    told: dict[str, Any] = {"gained": [], "lost": [], "changed": []}
    for one in answer.differences:
        told[one.kind].append(difference(one))
    return {
        **told,
        "causes": [_cause(one) for one in answer.causes],
        "causes_complete": answer.causes_complete,
        "cursor": answer.cursor,
        "from_zookie": answer.from_zookie,
        **ending(answer.gaps, answer.zookie),
    }


def difference(one: Difference) -> dict[str, Any]:
    """One difference, with both decisions."""
    return {
        "object": str(one.object),
        "subject": str(one.subject),
        "before": _decision(one.before),
        "after": _decision(one.after),
    }


def _decision(one: Decision) -> dict[str, Any]:
    return {"decision": one.verdict.value, "missing_context": sorted(one.missing)}


def _cause(one: Cause) -> dict[str, Any]:
    return {
        "zookie": one.zookie,
        "committed_at": format_time(one.at),
        "actor": one.actor,
        "metadata": dict(one.metadata),
        "schema_changed": one.schema_changed,
        "updates": [{"op": op, "tuple": render.tuple_(item)} for op, item in one.updates],
    }
