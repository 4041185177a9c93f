"""Tuple keys: OpenFGA's objects, users and conditions to the engine's tuples, and back.

The forms are those of `pkg/tuple` in OpenFGA: an object has one `:` and neither `#` nor a space; a
user is an object, a userset `type:id#relation` or a typed wildcard `type:*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from api.openfga import fields
from api.openfga.errors import Refused
from api.openfga.fields import Message
from engine.errors import EngineError
from engine.jsontext import canonical_json, parse_json_object
from engine.tuples import (
    WILDCARD,
    Object,
    RelationTuple,
    Subject,
    check_id,
    check_name,
    format_time,
    make_subject,
)

NOBODY = ""
"""The id of a subject that no tuple names: whoever it may be, it is a member only through a
wildcard. To ask about `user:*` is to ask about it."""
INVALID = "validation_error"
MAX_CONDITION_BYTES = 32 * 1024

_OBJECT = re.compile(r"([^:#@\s]{1,254}):([^:#\s]+)")
_USER = re.compile(r"([^:#@\s]{1,254}):([^:#\s]+)(?:#([^:#@\s]{1,64}))?")


def object_of(text: str, told: str, code: str = INVALID) -> Object:
    """An object. Raises Refused with this code, which shows `told` as the tuple."""
    match = _OBJECT.fullmatch(text)
    if match is None:
        raise _refused(told, "invalid 'object' field format", code)
    if match[2] == WILDCARD:
        raise _refused(told, "the 'object' field cannot reference a typed wildcard", code)
    try:
        return Object(check_name(match[1], "object", 254), check_id(match[2], "object"))
    except EngineError:
        raise _refused(told, "invalid 'object' field format", code) from None


def subject_of(text: str, told: str, code: str = INVALID) -> Subject:
    """A user. Raises Refused with this code, which shows `told` as the tuple."""
    found = _subject(text)
    if found is None:
        raise _refused(told, "the 'user' field is malformed", code)
    return found


# Few users ask at a time, each often.
@lru_cache(2048)
def _subject(text: str) -> Subject | None:
    match = _USER.fullmatch(text)
    if match is None:
        return None
    try:
        return make_subject(match[1], match[2], match[3] or "", "user")
    except EngineError:
        return None


def listed_user(text: str) -> Subject:
    """The subject whose objects are asked for. Raises Refused."""
    found = _subject(text)
    if found is None:
        raise Refused(INVALID, f"invalid 'user' value: the 'user' field is malformed: '{text}'")
    return asked(found)


def asked(subject: Subject) -> Subject:
    """The subject to ask about for a user: nobody in particular for a typed wildcard."""
    return subject._replace(id=NOBODY) if subject.id == WILDCARD else subject


def told_user(subject: Subject) -> str:
    """A subject as a user; nobody in particular is the typed wildcard."""
    return str(subject if subject.id != NOBODY else subject._replace(id=WILDCARD))


def tuple_of(key: Message, *, conditions: bool = True, code: str = INVALID) -> RelationTuple:
    """The tuple that a `TupleKey` says. Raises Refused with this code."""
    user = key.text("user", fields.KEY_USER)
    relation = key.text("relation", fields.KEY_RELATION)
    object_ = key.text("object", fields.KEY_OBJECT)
    condition = key.message("condition", "RelationshipCondition") if conditions else None
    caveat, context = "", ""
    if condition is not None:
        caveat = condition.text("name", fields.CONDITION)
        context = _context(condition)
    told = shown(object_, relation, user, caveat)
    subject = subject_of(user, told, code)
    made = object_of(object_, told, code)
    if not relation:
        raise _refused(told, "the 'relation' field is malformed", code)
    return RelationTuple(made, relation, subject, caveat, context)


def _context(condition: Message) -> str:
    context = canonical_json(condition.struct("context"))
    if len(context.encode()) > MAX_CONDITION_BYTES:
        raise Refused(
            "validation_error",
            f"condition context size limit exceeded: {len(context.encode())} bytes exceeds"
            f" {MAX_CONDITION_BYTES} bytes",
        )
    return context


def shown(object_: str, relation: str, user: str, condition: str = "") -> str:
    """A tuple as OpenFGA's messages show it."""
    text = f"{object_}#{relation}@{user}"
    return f"{text} (condition {condition})" if condition else text


def shown_tuple(item: RelationTuple) -> str:
    """The same of a tuple of the engine."""
    return shown(str(item.object), item.relation, str(item.subject), item.caveat)


def shown_identity(item: RelationTuple) -> str:
    """A tuple by its parts, as messages about writes show it."""
    return f"user: '{item.subject}', relation: '{item.relation}', object: '{item.object}'"


def key_told(item: RelationTuple) -> Mapping[str, Any]:
    """The `TupleKey` of a tuple."""
    condition = None
    if item.caveat:
        context = parse_json_object(item.context) if item.context else {}
        condition = {"name": item.caveat, "context": context}
    return {
        "user": str(item.subject),
        "relation": item.relation,
        "object": str(item.object),
        "condition": condition,
    }


def timestamp(moment: datetime) -> str:
    """A time as OpenFGA writes it."""
    return format_time(moment)


def _refused(told: str, reason: str, code: str) -> Refused:
    return Refused(code, f"Invalid tuple '{told}'. Reason: {reason}")
