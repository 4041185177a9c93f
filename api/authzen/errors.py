"""What AuthZEN is told when something is refused or cannot be decided.

The standard asks for a message and names few statuses; here the body has a stable code, too. A
wrong content type is 400 on this wire. In answers to many evaluations the same members stand in the
`context` of the one that failed.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from api.errors import Failure, ProblemAnswer, UnsupportedMediaType, describe, render_problem
from engine.errors import EngineError, UnknownRelation, UnknownType

Json = dict[str, Any]

_BAD_REQUEST = 400
_OF_A_BATCH = re.compile(r"checks\[\d+\]\.")
_FIELDS = {
    "object": "resource",
    "relation": "action.name",
    "subject": "subject",
    "type": "resource.type",
    "types": "resource.type",
    "subject_type": "subject.type",
}
"""What the engine's fields of a question are called here."""


def told(error: EngineError) -> Json:
    """The members that tell an error: `status`, `code`, `message`, and `field` if there is one."""
    whole = describe(error)
    status = _BAD_REQUEST if isinstance(error, UnsupportedMediaType) else whole["status"]
    message = error.message
    if error.expected:
        message = f"{message}; expected {error.expected}"
    made: Json = {"status": status, "code": error.code, "message": message}
    if error.field:
        made["field"] = _field(error)
    if "errors" in whole:
        made["errors"] = whole["errors"]
    return made


def render(error: Failure, request_id: str) -> ProblemAnswer:
    """The answer that tells an error of a whole request."""
    assert isinstance(error, EngineError)  # no other dialect's words
    body = {**told(error), "request_id": request_id}
    kept = [
        (name, value)
        for name, value in render_problem(error, request_id).headers
        if name != b"content-type"
    ]
    headers = ((b"content-type", b"application/json"), *kept)
    return ProblemAnswer(body["status"], msgspec.json.encode(body), headers)


def is_unknown_name(error: EngineError) -> bool:
    """Whether the question names a type or an action that the schema does not have.

    Nobody has an action that does not exist: the standard wants such a search to be empty, and an
    evaluation agrees with the search. The same error about a contextual tuple is none of the
    question's.
    """
    return isinstance(error, UnknownType | UnknownRelation) and _place(error) in _FIELDS


def _place(error: EngineError) -> str:
    return re.split(r"[.\[]", _OF_A_BATCH.sub("", error.field, count=1), maxsplit=1)[0]


def _field(error: EngineError) -> str:
    field = _OF_A_BATCH.sub("", error.field, count=1)
    return _FIELDS.get(field, field)
