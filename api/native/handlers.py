"""The calls that have one body and one answer: parse, ask, render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from api.asgi import Answer
from api.auth import Right
from api.calls import Call, Question
from api.consistencies import decode_consistency
from api.errors import Forbidden
from api.members import Members, Problems
from api.native import hot, render
from api.native.decode import decode_filter, decode_tuple, relation_name
from api.native.overlay import overlay_of, tuples_of
from engine.errors import EngineError, InvalidRequest
from engine.jsontext import parse_json
from engine.pages import Way
from engine.requests import Check, CheckAnswer, Consistency, DeleteRequest, Overlay, WriteRequest
from engine.store.protocol import Precondition, PreconditionOp, Update
from engine.tuples import parse_object, parse_subject

T = TypeVar("T")
CHECK_FIELDS = ("object", "relation", "subject", "context", "contextual_tuples", "explain")
READ_FIELDS = ("filter", "limit", "cursor", "consistency", "overlay")
EXPAND_FIELDS = ("object", "relation", "recursive", "limit", "cursor", "consistency", "overlay")
_PRECONDITION_OPS = {op.value: op for op in PreconditionOp}


def _json(body: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, render.encode(body))


async def check(call: Call) -> Answer:
    """`POST /check`."""
    return await question(call, await call.text()).asked(call)


def question(call: Call, text: bytes) -> Question:
    """The check that a body asks for. Raises InvalidRequest with every problem, and Forbidden."""
    plain = hot.plain_check(text)
    if plain is not None:
        return Question(*plain, None, _told)
    asked, consistency, overlay = decode_check(text)
    _may_explain(call, (asked,))
    return Question(asked, consistency, overlay, _told)


def _told(call: Call, found: CheckAnswer | EngineError) -> Answer:
    if isinstance(found, EngineError):
        raise found
    call.metrics.decided((found.decision,))
    return Answer(200, hot.rendered_check(found))


def decode_check(text: bytes) -> tuple[Check, Consistency, Overlay | None]:
    """What the body of a check asks for. Raises InvalidRequest with every problem."""
    problems = Problems()
    body = Members(parse_json(text), "", (*CHECK_FIELDS, "consistency", "overlay"), problems)
    asked = _check(body, problems)
    consistency, overlay = consistency_of(body, problems), overlay_of(body, problems)
    problems.raise_any()
    assert asked is not None
    return asked, consistency, overlay


async def check_batch(call: Call) -> Answer:
    """`POST /check/batch`."""
    text = await call.text()
    plain = hot.plain_batch(text)
    if plain is None:
        checks, consistency, overlay = decode_batch(text)
        _may_explain(call, checks)
    else:
        (checks, consistency), overlay = plain, None
    answer = await call.engine.check_batch(
        call.store, checks, consistency, deadline=call.deadline, overlay=overlay
    )
    call.metrics.decided(answer.results)
    return Answer(200, hot.rendered_batch(answer))


def decode_batch(text: bytes) -> tuple[list[Check], Consistency, Overlay | None]:
    """What the body of a batch asks for. Raises InvalidRequest with every problem."""
    problems = Problems()
    body = Members(parse_json(text), "", ("checks", "consistency", "overlay"), problems)
    told = [
        _check(Members(item, f"checks[{index}]", CHECK_FIELDS, problems), problems)
        for index, item in enumerate(body.items("checks", required=True))
    ]
    consistency, overlay = consistency_of(body, problems), overlay_of(body, problems)
    problems.raise_any()
    checks = [check for check in told if check is not None]
    assert len(checks) == len(told)
    return checks, consistency, overlay


def _check(members: Members, problems: Problems) -> Check | None:
    """The check, or None if a problem was noted."""
    object_ = members.parsed("object", parse_object)
    relation = members.parsed("relation", relation_name)
    subject = members.parsed("subject", parse_subject)
    context = members.object("context")
    contextual = tuple(tuples_of(members, "contextual_tuples", problems))
    explain = members.flag("explain")
    if object_ is None or relation is None or subject is None:
        return None
    return Check(object_, relation, subject, context, contextual, explain)


def _may_explain(call: Call, checks: Sequence[Check]) -> None:
    """An explanation tells stored tuples: who may not read them may not have it."""
    if Right.READ not in call.principal.rights and any(check.explain for check in checks):
        raise Forbidden(
            f"the key lacks the right `{Right.READ}`",
            field="explain",
            expected="a key with this right, or no `explain`",
        )


def consistency_of(members: Members, problems: Problems) -> Consistency:
    """The member `consistency`."""
    return decode_consistency(members.get("consistency"), "consistency", problems)


async def expand(call: Call) -> Answer:
    """`POST /expand`."""
    problems = Problems()
    body = Members(await call.json(), "", EXPAND_FIELDS, problems)
    object_ = body.parsed("object", parse_object)
    relation = body.parsed("relation", relation_name)
    recursive = body.flag("recursive")
    limit, cursor = body.optional_count("limit"), body.optional_text("cursor")
    overlay = overlay_of(body, problems)
    way = Way(limit, cursor, consistency_of(body, problems), call.deadline, overlay)
    if not recursive and (limit or cursor):
        problems.add(
            "invalid_request",
            "one tree has no pages",
            "limit" if limit else "cursor",
            "`recursive`: true",
        )
    problems.raise_any()
    assert object_ is not None
    assert relation is not None
    try:
        if recursive:
            page = await call.engine.expand_further(call.store, object_, relation, way)
            return _json(render.expand_page(page))
        answer = await call.engine.expand(
            call.store,
            object_,
            relation,
            way.consistency,
            deadline=call.deadline,
            overlay=overlay,
        )
    except RecursionError:
        raise render.too_deep() from None
    return _json(render.expand(answer))


async def read(call: Call) -> Answer:
    """`POST /read`."""
    problems = Problems()
    body = Members(await call.json(), "", READ_FIELDS, problems)
    wanted = decode_filter(body.required("filter"), "filter", problems)
    limit = body.optional_count("limit")
    cursor = body.optional_text("cursor")
    consistency, overlay = consistency_of(body, problems), overlay_of(body, problems)
    problems.raise_any()
    answer = await call.engine.read(
        call.store, wanted, limit=limit, cursor=cursor, consistency=consistency, overlay=overlay
    )
    return _json(render.read(answer))


async def write(call: Call) -> Answer:
    """`POST /write`."""
    text = await call.text()
    updates = hot.plain_write(text)
    asked = decode_write(text) if updates is None else WriteRequest(updates)
    who, key = call.principal.name, call.idempotency_key()
    request = WriteRequest(asked.updates, asked.preconditions, asked.metadata, who, key)
    return _json(render.write(await call.engine.write(call.store, request)))


def decode_write(text: bytes) -> WriteRequest:
    """What the body of a write asks for. Raises InvalidRequest with every problem."""
    problems = Problems()
    body = Members(parse_json(text), "", ("updates", "preconditions", "metadata"), problems)
    updates = [
        _update(item, f"updates[{index}]", problems)
        for index, item in enumerate(body.items("updates", required=True))
    ]
    preconditions = _preconditions(body, problems)
    metadata = body.object("metadata")
    problems.raise_any()
    return WriteRequest(
        [update for update in updates if update is not None], tuple(preconditions), metadata
    )


def _update(value: Any, path: str, problems: Problems) -> Update | None:
    members = Members(value, path, ("op", "tuple"), problems)
    op = _choice(members, "op", hot.UPDATE_OPS, problems)
    stated = members.required("tuple")
    if stated is None or op is None:
        return None
    item = decode_tuple(stated, members.path("tuple"), problems)
    return None if item is None else Update(op, item)


def _preconditions(body: Members, problems: Problems) -> list[Precondition]:
    made = []
    for index, item in enumerate(body.items("preconditions")):
        members = Members(item, f"preconditions[{index}]", ("op", "filter"), problems)
        op = _choice(members, "op", _PRECONDITION_OPS, problems)
        stated = members.required("filter")
        if op is not None and stated is not None:
            made.append(Precondition(op, decode_filter(stated, members.path("filter"), problems)))
    return made


def _choice(members: Members, name: str, choices: Mapping[str, T], problems: Problems) -> T | None:
    text = members.text(name)
    if text and text not in choices:
        problems.add(
            "invalid_request",
            "not one of the choices",
            members.path(name),
            " or ".join(f"`{choice}`" for choice in choices),
        )
    return choices.get(text)


async def delete(call: Call) -> Answer:
    """`POST /delete`."""
    problems = Problems()
    body = Members(
        await call.json(), "", ("filter", "preconditions", "limit", "metadata"), problems
    )
    request = DeleteRequest(
        decode_filter(body.required("filter"), "filter", problems),
        _preconditions(body, problems),
        body.optional_count("limit"),
        body.object("metadata"),
        call.principal.name,
        call.idempotency_key(),
    )
    problems.raise_any()
    return _json(render.delete(await call.engine.delete(call.store, request)))


async def create_store(call: Call) -> Answer:
    """`POST /v1/stores`."""
    problems = Problems()
    body = Members(await call.json(), "", ("name",), problems)
    name = body.text("name")
    problems.raise_any()
    if not call.principal.sees(name):
        raise Forbidden("the key's stores do not include this one", field="name")
    return _json(render.store(await call.engine.create_store(name)), 201)


async def list_stores(call: Call) -> Answer:
    """`GET /v1/stores`. A key that is scoped to stores sees those alone."""
    query = call.query()
    limit = query.get("limit")
    if limit is not None and (not limit.isascii() or not limit.isdecimal() or len(limit) > 9):
        raise InvalidRequest("not a number", field="query.limit", expected="a whole number from 1")
    await call.no_body()
    records, cursor = await call.engine.list_stores(
        limit=None if limit is None else int(limit),
        cursor=query.get("cursor"),
        names=call.principal.stores,
    )
    return _json({"stores": [render.store(record) for record in records], "cursor": cursor})


async def get_store(call: Call) -> Answer:
    """`GET /v1/stores/{store}`."""
    await call.no_body()
    return _json(render.store(await call.engine.get_store(call.store)))


async def delete_store(call: Call) -> Answer:
    """`DELETE /v1/stores/{store}`."""
    await call.no_body()
    await call.engine.delete_store(call.store)
    return Answer(204, b"", ())
