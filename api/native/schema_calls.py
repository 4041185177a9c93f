"""`PUT /schema`, its dry run, and `GET /schema`."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from api.asgi import Answer
from api.auth import Right
from api.calls import Call
from api.members import Members, Problems
from api.native import render
from api.native.decode import consistency_of_query
from api.native.impact import summary
from engine.errors import InvalidRequest
from engine.requests import FULLY_CONSISTENT

_SHARE_OF_IMPACT = 0.5


async def write_schema(call: Call) -> Answer:
    """`PUT /schema`."""
    problems = Problems()
    dry_run = _flag(call.query(), "dry_run")
    body = Members(await call.json(), "", ("schema", "language", "metadata"), problems)
    started = perf_counter()
    text = body.text("schema")
    language = body.optional_text("language") or "zed"
    metadata = body.object("metadata")
    if language != "zed":
        problems.add("invalid_request", "not a schema language", "language", "`zed`")
    problems.raise_any()
    written = await call.engine.write_schema(
        call.store,
        text,
        language,
        dry_run=dry_run,
        actor=call.principal.name,
        metadata=metadata,
        idempotency_key=call.idempotency_key(),
    )
    told = render.schema_written(written, dry_run=dry_run)
    if dry_run:
        told["impact"] = await _impact(call, text, written.zookie, started)
    return Answer(200, render.encode(told))


async def _impact(call: Call, text: str, zookie: str, started: float) -> dict[str, Any] | None:
    """What the schema would do, as far as a share of the time that is left goes. It tells of
    stored tuples: who may not read them may not have it."""
    if Right.READ not in call.principal.rights:
        return None
    left = max(0.0, started + call.deadline - perf_counter())
    answer = await call.engine.schema_impact(call.store, text, zookie, left * _SHARE_OF_IMPACT)
    return summary(answer)


def _flag(query: dict[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in {"true", "false"}:
        raise InvalidRequest("not a flag", field=f"query.{name}", expected="`true` or `false`")
    return value == "true"


async def read_schema(call: Call) -> Answer:
    """`GET /schema`."""
    problems = Problems()
    consistency = consistency_of_query(call.query(), problems) or FULLY_CONSISTENT
    problems.raise_any()
    await call.no_body()
    return Answer(
        200, render.encode(render.schema(await call.engine.read_schema(call.store, consistency)))
    )
