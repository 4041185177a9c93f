"""The calls about authorization models: written under an id of their own, and kept for ever.

A model is a version of the store's schema in the language `fga`, named by the model's id; the
version in force is the latest model.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from time import perf_counter

import msgspec

from api.asgi import Answer
from api.calls import Call
from api.fga_ids import store_id
from api.openfga import fields
from api.openfga.answers import answer, encode
from api.openfga.asking import Terms
from api.openfga.chosen import chosen_id
from api.openfga.errors import CODES, Refused
from api.openfga.fields import Message, body_of, check, invalid
from api.openfga.paging import page_of, query_of
from engine.errors import EngineError, SchemaRefused
from engine.requests import MINIMIZE_LATENCY
from schema.fga.decode import MAX_DEPTH
from schema.fga.encode import encode_model
from schema.fga.language import parse_model
from schema.fga.validate import in_openfga_words

_REQUEST = "WriteAuthorizationModelRequest"
_LANGUAGE = "fga"
_VERSIONS = ("1.0", "1.1", "1.2")
_MOST_CONDITIONS = 25
_AT_ONCE = 5
"""How many models are read between looks at the time."""
_LARGE = 4096
"""Characters of a model that is shown without a thread of its own."""
_DEEPEST = 8 + 3 * MAX_DEPTH
"""An operator within an operator is three levels of JSON, and a rewrite stands in some more."""


async def write_model(call: Call) -> Answer:
    """`POST /authorization-models`."""
    text = await call.text()
    if len(text) > call.settings.openfga_max_model_bytes:
        raise Refused(
            "exceeded_entity_limit",
            f"model exceeds size limit: {len(text)} bytes vs"
            f" {call.settings.openfga_max_model_bytes} bytes",
        )
    body = body_of(text, _REQUEST, deepest=_DEEPEST)
    types = body.items("type_definitions", low=1)
    most = call.settings.openfga_max_types_per_model
    if len(types) > most:
        raise Refused(
            "exceeded_entity_limit",
            "The number of type definitions in an authorization model exceeds the allowed limit of"
            f" {most}",
        )
    _check_fields(body)
    model = chosen_id(call)
    stated = {
        "id": model,
        "schema_version": body.get("schema_version"),
        "type_definitions": types,
        "conditions": body.struct("conditions"),
    }
    try:
        written = await call.engine.write_schema(
            call.store,
            msgspec.json.encode(stated).decode(),
            _LANGUAGE,
            name=model,
            actor=call.principal.name,
        )
    except SchemaRefused as error:
        raise _refused(error) from None
    return answer({"authorization_model_id": model}, status=201, zookie=written.zookie)


def _check_fields(body: Message) -> None:
    """Raises Refused for names and sizes that the fields of a model do not take."""
    version = body.text("schema_version", fields.ANY_TEXT)
    if version not in _VERSIONS:
        listed = f"value must be in list [{' '.join(_VERSIONS)}]"
        raise invalid(body.name, "schema_version", listed)
    for kind in body.messages("type_definitions", "TypeDefinition"):
        kind.text("type", fields.TYPE)
        for name in kind.struct("relations"):
            check(fields.RELATION, name, kind.name, f"relations[{name}]")
    conditions = body.struct("conditions")
    if len(conditions) > _MOST_CONDITIONS:
        many = f"value must contain no more than {_MOST_CONDITIONS} pair(s)"
        raise invalid(body.name, "conditions", many)
    for name, value in conditions.items():
        check(fields.RELATION, name, body.name, f"conditions[{name}]")
        condition = Message(value, "Condition")
        condition.text("expression", fields.EXPRESSION)
        parameters = condition.struct("parameters")
        if len(parameters) > _MOST_CONDITIONS:
            many = f"value must contain no more than {_MOST_CONDITIONS} pair(s)"
            raise invalid(condition.name, "parameters", many)
        for parameter in parameters:
            check(fields.RELATION, parameter, condition.name, f"parameters[{parameter}]")


def _refused(error: SchemaRefused) -> Refused:
    first = in_openfga_words(error.extra["problems"][0])
    code = first.code if first.code in CODES else "invalid_authorization_model"
    return Refused(code, first.message)


async def read_models(call: Call) -> Answer:
    """`GET /authorization-models`: the newest first."""
    query = query_of(call, "ReadAuthorizationModelsRequest")
    size, cursor = page_of(query)
    await call.no_body()
    models: list[msgspec.Raw] = []
    begun = perf_counter()
    while True:  # a page of large models ends early instead of taking too long
        found, cursor = await call.engine.schemas(
            call.store, limit=min(size, _AT_ONCE), cursor=cursor
        )
        models += [await _shown(one.text) for one in found if one.language == _LANGUAGE]
        size -= len(found)
        if cursor is None or not size or perf_counter() - begun > call.deadline / 2:
            break
    return answer({"authorization_models": models, "continuation_token": cursor or ""})


async def read_model(call: Call) -> Answer:
    """`GET /authorization-models/{id}`."""
    await call.no_body()
    model = call.scope["path"].rpartition("/")[2]
    terms = Terms(store_id(call.store) or "", model, MINIMIZE_LATENCY)
    try:
        found = await call.engine.schema_named(call.store, model)
    except EngineError as error:
        raise terms.no_model(error) or error from None
    return answer({"authorization_model": await _shown(found.text)}, model=model)


async def _shown(text: str) -> msgspec.Raw:
    """`_told`, of a large model in a thread: it takes a tenth of a second."""
    return await asyncio.to_thread(_told, text) if len(text) > _LARGE else _told(text)


@lru_cache(64)
def _told(text: str) -> msgspec.Raw:
    """A model as it is shown. A type of which nothing is told beside its name has no metadata."""
    told = encode_model(parse_model(text), defaults=True)
    for kind in told["type_definitions"]:
        if not any((kind["metadata"] or {}).values()):
            kind["metadata"] = None
    return msgspec.Raw(encode(told))
