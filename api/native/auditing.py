"""The calls that look back: what happened to the tuples of an object or a subject."""

from __future__ import annotations

from typing import Any

from api.asgi import Answer
from api.calls import Call
from api.native import render
from api.native.decode import Members, Problems, decode_filter
from api.native.handlers import consistency_of
from engine.history import History, HistoryEvent
from engine.pages import Way
from engine.tuples import format_time

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
