"""What the AuthZEN calls have in common: options, freshness, and what is told beside a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.asgi import JSON_HEADERS, Answer
from api.auth import Right
from api.authzen.decode import Open, Question
from api.authzen.errors import told
from api.authzen.mapping import NO_MAPPING, StoreMapping
from api.calls import Call
from api.consistencies import decode_consistency
from api.errors import Forbidden
from api.fga_ids import store_id
from api.members import Problems
from engine.decision import Decision
from engine.errors import EngineError
from engine.requests import MINIMIZE_LATENCY, AtLeastAsFresh, Check, Consistency, Overlay

Json = dict[str, Any]

ZOOKIE = b"stonetown-zookie"
"""Of an answer: the snapshot that it was made at. Of a request: a snapshot that is as fresh."""

_MODEL = b"openfga-authorization-model-id"

encode = msgspec.json.Encoder().encode
ALLOWED: Json = {"decision": True}
DENIED: Json = {"decision": False}


def mapping_of(call: Call) -> StoreMapping:
    """What is configured for the store of the call."""
    return call.settings.authzen.get(call.store, NO_MAPPING)


def options_of(body: Open, problems: Problems) -> Open:
    """The member `options`."""
    return Open(body.object("options"), "options", problems)


def consistency_of(call: Call, options: Open, problems: Problems) -> Consistency:
    """`options.consistency`, as natively; else what the header `Stonetown-Zookie` asks for."""
    asked = options.get("consistency")
    header = call.headers.get(ZOOKIE)
    if asked is None and header is not None:
        return AtLeastAsFresh(header.decode("latin-1"))
    if asked is None:
        return MINIMIZE_LATENCY
    return decode_consistency(asked, "options.consistency", problems)


def overlay_of(call: Call) -> Overlay | None:
    """The model that the header `Openfga-Authorization-Model-Id` asks for; other stores than
    OpenFGA's have no models to choose from."""
    asked = call.headers.get(_MODEL)
    if not asked or store_id(call.store) is None:
        return None
    return Overlay(named=asked.decode("latin-1"))


def explain_of(call: Call, options: Open) -> bool:
    """`options.explain`. Raises Forbidden: an explanation tells stored tuples."""
    if not options.flag("explain"):
        return False
    if Right.READ not in call.principal.rights:
        raise Forbidden(
            f"the key lacks the right `{Right.READ}`",
            field="options.explain",
            expected="a key with this right, or no `explain`",
        )
    return True


def check_of(question: Question, mapping: StoreMapping, *, explain: bool) -> Check:
    """The check that a question is. Raises as `Question.object` and its others."""
    return Check(
        question.object(),
        question.relation(mapping),
        question.asker(),
        question.caveat_context(),
        question.contextual_tuples(mapping),
        explain,
    )


def decided(decision: Decision, explanation: Mapping[str, Any] | None) -> Json:
    """A decision: a conditional one is a denial that names what it misses."""
    if explanation is None and not decision.missing:
        return ALLOWED if decision.allowed else DENIED
    context: Json = {}
    if decision.missing:
        context["missing_context"] = sorted(decision.missing)
    if explanation is not None:
        context["explanation"] = explanation
    return {"decision": decision.allowed, "context": context}


def failed(error: EngineError) -> Json:
    """An evaluation that could not be made: denied, with the error beside it."""
    return {"decision": False, "context": {"error": told(error)}}


def answered(body: Json, zookie: str | None) -> Answer:
    """A whole response, and its snapshot if it has one."""
    if zookie is None:
        return Answer(200, encode(body))
    return Answer(200, encode(body), (*JSON_HEADERS, (ZOOKIE, zookie.encode())))
