"""Check and BatchCheck."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from api.asgi import Answer
from api.calls import Call, Question
from api.errors import Failure
from api.openfga import fields, hot, keys
from api.openfga.answers import encode, headers
from api.openfga.asking import About, Terms, conditional, contextual_of, terms_of
from api.openfga.errors import CODES, Refused, wording
from api.openfga.fields import Message, body_of, invalid
from engine.decision import ALLOWED, DENIED, Decision, Verdict
from engine.errors import CycleThroughExclusion, EngineError
from engine.requests import Check, CheckAnswer

_INTERNAL = 4000
_ALLOWED, _DENIED = b'{"allowed":true}', b'{"allowed":false}'


async def check(call: Call) -> Answer:
    """`POST /check`."""
    return await question(call, await call.text()).asked(call)


def question(call: Call, text: bytes) -> Question:
    """The check that a body asks for. Raises Refused."""
    asked, terms = hot.plain_check(text, call.store) or decode_check(call, text)
    return Question(asked, terms.consistency, terms.overlay, partial(_answer, asked, terms))


def _answer(asked: Check, terms: Terms, call: Call, found: CheckAnswer | EngineError) -> Answer:
    if isinstance(found, CycleThroughExclusion):  # what depends on its own absence is denied
        return Answer(200, hot.DENIED, headers(None, terms.model))
    if isinstance(found, EngineError):
        raise terms.refusal(found, _about(asked)) from None
    decision = found.decision
    call.metrics.decided((decision,))
    if decision.verdict is Verdict.CONDITIONAL:
        raise conditional(decision, _shown(asked))
    body = hot.ALLOWED if decision.allowed else hot.DENIED
    return Answer(200, body, headers(found.zookie, found.schema_name))


def decode_check(call: Call, text: bytes) -> tuple[Check, Terms]:
    """What the body of a check asks for. Raises Refused."""
    body = body_of(text, "CheckRequest")
    key = body.required("tuple_key", "CheckRequestTupleKey")
    texts = _texts(key)
    terms = terms_of(call, body)
    context = body.struct("context")
    return _check(texts, body, context, call), terms


def _texts(key: Message) -> tuple[str, str, str]:
    user = key.text("user", fields.USER)
    return user, key.text("relation", fields.RELATION), key.text("object", fields.OBJECT)


def _check(
    texts: tuple[str, str, str], body: Message, context: dict[str, Any], call: Call
) -> Check:
    user, relation, object_ = texts
    told = keys.shown(object_, relation, user)
    subject = keys.asked(keys.subject_of(user, told))
    made = keys.object_of(object_, told)
    return Check(made, relation, subject, context, contextual_of(call, body))


async def batch_check(call: Call) -> Answer:
    """`POST /batch-check`: each check has its own answer or its own error."""
    text = await call.text()
    plain = hot.plain_batch(text, call.store)
    asked: dict[str, Check | Refused]
    if plain is None:
        asked, terms = decode_batch(call, text)
    else:
        asked, terms = dict(plain[0]), plain[1]
    most = call.settings.openfga_max_checks_per_batch
    if not asked:
        raise invalid("BatchCheckRequest", "checks", "value must contain at least 1 item(s)")
    if len(asked) > most:
        raise Refused(
            keys.INVALID,
            f"batchCheck received {len(asked)} checks, the maximum allowed is {most}",
        )
    checks = {id_: check for id_, check in asked.items() if isinstance(check, Check)}
    told = {id_: _failed(item) for id_, item in asked.items() if isinstance(item, Refused)}
    if not checks:
        return Answer(200, _results(told), headers())
    try:
        found = await call.engine.check_batch(
            call.store,
            list(checks.values()),
            terms.consistency,
            deadline=call.deadline,
            overlay=terms.overlay,
        )
    except EngineError as error:
        raise terms.no_model(error) or error from None
    call.metrics.decided(found.results)
    for (id_, item), result in zip(checks.items(), found.results, strict=True):
        told[id_] = _told(item, result, terms)
    return Answer(200, _results(told), headers(found.zookie, found.schema_name))


def _results(told: Mapping[str, bytes]) -> bytes:
    """The body of a batch's answer; correlation ids need no escapes."""
    return b'{"result":{%b}}' % b",".join(
        [b'"%b":%b' % (id_.encode(), item) for id_, item in told.items()]
    )


def decode_batch(call: Call, text: bytes) -> tuple[dict[str, Check | Refused], Terms]:
    """What the body of a batch asks for: the checks by correlation id, and what refuses some of
    them. Raises Refused for what refuses them all."""
    body = body_of(text, "BatchCheckRequest")
    made: dict[str, Check | Refused] = {}
    for item in body.messages("checks", "BatchCheckItem"):
        texts = _texts(item.required("tuple_key", "CheckRequestTupleKey"))
        id_ = item.text("correlation_id", fields.CORRELATION_ID)
        if id_ in made:
            raise Refused(keys.INVALID, f"received duplicate correlation id: {id_}")
        context = item.struct("context")
        try:
            made[id_] = _check(texts, item, context, call)
        except Refused as error:
            made[id_] = error
    return made, terms_of(call, body)


def _told(check: Check, result: Decision | EngineError, terms: Terms) -> bytes:
    """What became of one check of a batch."""
    if result is ALLOWED:
        return _ALLOWED
    if result is DENIED or isinstance(result, CycleThroughExclusion):
        return _DENIED
    if isinstance(result, EngineError):
        return _failed(terms.refusal(result, _about(check)))
    if result.verdict is Verdict.CONDITIONAL:
        return _failed(conditional(result, _shown(check)))
    return _ALLOWED if result.allowed else _DENIED


def _failed(error: Failure) -> bytes:
    code, _, message = wording(error)
    kind = "internal_error" if CODES.get(code, _INTERNAL) >= _INTERNAL else "input_error"
    return encode({"error": {kind: code, "message": message}})


def _about(check: Check) -> About:
    return About(check.object.type, check.relation, check.subject, check.contextual_tuples)


def _shown(check: Check) -> str:
    return keys.shown(str(check.object), check.relation, keys.told_user(check.subject))
