"""Read: the stored tuples, whatever the models say of them."""

from __future__ import annotations

import re

from api.asgi import Answer
from api.calls import Call
from api.openfga import fields, keys
from api.openfga.answers import answer
from api.openfga.asking import consistency_of
from api.openfga.errors import Refused
from api.openfga.fields import Message, body_of
from api.openfga.paging import page_of
from engine.store.protocol import TupleFilter
from engine.tuples import Subject

_TYPE_OR_OBJECT = re.compile(r"([^:#@\s]{1,254}):([^:#\s]*)")
_REQUIRED = (
    "the 'tuple_key' field was provided but the object type field is required and both the object"
    " id and user cannot be empty"
)


async def read(call: Call) -> Answer:
    """`POST /read`."""
    body = body_of(await call.text(), "ReadRequest")
    key = body.message("tuple_key", "ReadRequestTupleKey")
    size, cursor = page_of(body)
    found = await call.engine.read(
        call.store,
        _filter(key),
        limit=size,
        cursor=cursor,
        consistency=consistency_of(body),
        written=True,
    )
    tuples = [
        {"key": keys.key_told(item), "timestamp": keys.timestamp(written)}
        for item, written in zip(found.tuples, found.written, strict=True)
    ]
    told = {"tuples": tuples, "continuation_token": found.cursor or ""}
    return answer(told, zookie=found.zookie)


def _filter(key: Message | None) -> TupleFilter | None:
    """Which tuples are wanted, None for all. Raises Refused."""
    if key is None:
        return None
    user = key.text("user", fields.READ_USER)
    relation = key.text("relation", fields.KEY_RELATION)
    object_ = key.text("object", fields.READ_OBJECT)
    if not user and not relation and not object_:
        return None
    match = _TYPE_OR_OBJECT.fullmatch(object_)
    if match is None or (not match[2] and not user):
        raise Refused(keys.INVALID, _REQUIRED)
    subject: Subject | tuple[None, None, None] = (None, None, None)
    if user:
        subject = keys.subject_of(user, keys.shown(object_, relation, user))
    return TupleFilter(match[1], match[2] or None, relation or None, *subject)
