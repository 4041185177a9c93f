"""Assertions: kept with a model for whoever tests it, and never run by the server."""

from __future__ import annotations

from typing import Any

import msgspec

from api.asgi import Answer
from api.calls import Call
from api.fga_ids import store_id
from api.openfga import fields, keys
from api.openfga.answers import answer, no_content
from api.openfga.asking import Terms
from api.openfga.errors import Refused
from api.openfga.fields import Message, body_of
from engine.errors import EngineError
from engine.requests import MINIMIZE_LATENCY

_KIND = "openfga.assertions"
_MOST = 100
_MOST_TUPLES = 20
_MOST_BYTES = 64_000


async def write_assertions(call: Call) -> Answer:
    """`PUT /assertions/{authorization_model_id}`: in place of those before."""
    body = body_of(await call.text(), "WriteAssertionsRequest")
    given = [_assertion(item) for item in body.messages("assertions", "Assertion", high=_MOST)]
    text = msgspec.json.encode(given).decode()
    if len(text.encode()) > _MOST_BYTES:
        raise Refused(
            "exceeded_entity_limit",
            f"The assertions exceed the allowed limit of {_MOST_BYTES} bytes",
        )
    model = _model(call)
    try:
        await call.engine.schema_named(call.store, model)
    except EngineError as error:
        terms = Terms(store_id(call.store) or "", model, MINIMIZE_LATENCY)
        raise terms.no_model(error) or error from None
    await call.engine.put_document(call.store, _KIND, model, text)
    return no_content()


async def read_assertions(call: Call) -> Answer:
    """`GET /assertions/{authorization_model_id}`."""
    await call.no_body()
    model = _model(call)
    text = await call.engine.document(call.store, _KIND, model)
    kept = msgspec.Raw((text or "[]").encode())
    return answer({"authorization_model_id": model, "assertions": kept})


def _model(call: Call) -> str:
    path: str = call.scope["path"]
    return path.rpartition("/")[2]


def _assertion(item: Message) -> dict[str, Any]:
    """An assertion as it is told."""
    key = item.required("tuple_key", "AssertionTupleKey")
    user = key.text("user", fields.USER)
    relation = key.text("relation", fields.RELATION)
    object_ = key.text("object", fields.OBJECT)
    told = keys.shown(object_, relation, user)
    keys.subject_of(user, told)
    keys.object_of(object_, told)
    tuples = item.messages("contextual_tuples", "TupleKey", high=_MOST_TUPLES)
    return {
        "tuple_key": {"object": object_, "relation": relation, "user": user},
        "expectation": item.flag("expectation"),
        "contextual_tuples": [keys.key_told(keys.tuple_of(one)) for one in tuples],
        "context": item.struct("context") or None,
    }
