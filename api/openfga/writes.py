"""Write: tuples written and deleted, all or nothing.

Beside OpenFGA's `error` and `ignore`, `on_duplicate` takes `update`: the tuple is written whether
it is there or not, and its condition becomes the one given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from api.asgi import Answer
from api.calls import Call
from api.errors import Failure
from api.fga_ids import store_id
from api.openfga import fields, keys
from api.openfga.answers import answer
from api.openfga.asking import Terms
from api.openfga.errors import ABORTED, Refused
from api.openfga.fields import Message, body_of
from api.openfga.tuples import tuple_refused
from engine.errors import EngineError, TupleAbsent, TupleExists
from engine.requests import MINIMIZE_LATENCY, WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Subject

_PLACE = re.compile(r"updates\[(\d+)\]")
_ON_DUPLICATE = {
    "": UpdateOp.CREATE,
    "error": UpdateOp.CREATE,
    "ignore": UpdateOp.ENSURE,
    "update": UpdateOp.TOUCH,
}
_ON_MISSING = {"": UpdateOp.REMOVE, "error": UpdateOp.REMOVE, "ignore": UpdateOp.DELETE}
_EXISTS = "tuple to be written already existed or the tuple to be deleted did not exist"


async def write(call: Call) -> Answer:
    """`POST /write`."""
    body = body_of(await call.text(), "WriteRequest")
    model = body.text("authorization_model_id", fields.MODEL_ID)
    terms = Terms(store_id(call.store) or "", model, MINIMIZE_LATENCY)
    written = body.message("writes", "WriteRequestWrites")
    deleted = body.message("deletes", "WriteRequestDeletes")
    if written is None and deleted is None:
        raise Refused(
            "invalid_write_input",
            "Invalid input. Make sure you provide at least one write, or at least one delete",
        )
    updates = [*_deletes(deleted), *_writes(written)]
    _check_count(call, updates)
    request = WriteRequest(
        updates,
        actor=call.principal.name,
        idempotency_key=call.idempotency_key(),
        schema_name=model,
    )
    try:
        done = await call.engine.write(call.store, request)
    except EngineError as error:
        raise _refusal(error, updates, terms) from None
    return answer({}, zookie=done.zookie, model=done.schema_name)


def _writes(written: Message | None) -> list[Update]:
    if written is None:
        return []
    op = _option(written, "on_duplicate", _ON_DUPLICATE)
    made = []
    for key in written.messages("tuple_keys", "TupleKey", low=1):
        item = keys.tuple_of(key)
        if item.subject == Subject(*item.object, item.relation):
            told = keys.shown_tuple(item)
            reason = "cannot write a tuple that is implicit"
            raise Refused(keys.INVALID, f"Invalid tuple '{told}'. Reason: {reason}")
        made.append(Update(op, item))
    return made


def _deletes(deleted: Message | None) -> list[Update]:
    if deleted is None:
        return []
    op = _option(deleted, "on_missing", _ON_MISSING)
    given = deleted.messages("tuple_keys", "TupleKeyWithoutCondition", low=1)
    return [Update(op, keys.tuple_of(key, conditions=False)) for key in given]


def _option(message: Message, name: str, choices: Mapping[str, UpdateOp]) -> UpdateOp:
    given = message.text(name, fields.ANY_TEXT)
    if given not in choices:
        raise Refused(keys.INVALID, f"invalid {name} option: {given}")
    return choices[given]


def _check_count(call: Call, updates: Sequence[Update]) -> None:
    seen: set[object] = set()
    for update in updates:
        if update.tuple.identity in seen:
            told = keys.shown_identity(update.tuple)
            raise Refused(
                "cannot_allow_duplicate_tuples_in_one_request",
                f"duplicate tuple in write: {told}",
            )
        seen.add(update.tuple.identity)
    most = call.settings.openfga_max_tuples_per_write
    if len(updates) > most:
        raise Refused(
            "exceeded_entity_limit",
            f"The number of write operations exceeds the allowed limit of {most}",
        )


def _refusal(error: EngineError, updates: Sequence[Update], terms: Terms) -> Failure:
    """What kept a write from being done, as OpenFGA tells it."""
    place = _PLACE.search(error.field)
    update = updates[int(place[1])] if place is not None else None
    if update is not None and isinstance(error, TupleExists | TupleAbsent):
        return _conflict(error, update)
    if update is not None:
        return tuple_refused(error, update.tuple, keys.INVALID)
    return terms.no_model(error) or error


def _conflict(error: EngineError, update: Update) -> Refused:
    """The refusal for a tuple that is there, is not, or is there with another condition."""
    told = keys.shown_identity(update.tuple)
    code = "write_failed_due_to_invalid_input"
    if isinstance(error, TupleAbsent):
        return Refused(code, f"cannot delete a tuple which does not exist: {told}: {_EXISTS}")
    if update.op is UpdateOp.ENSURE:
        return Refused(
            ABORTED,
            "transactional write failed due to conflict: tuple exists with a different condition:"
            f" {told}",
        )
    return Refused(code, f"cannot write a tuple which already exists: {told}: {_EXISTS}")
