"""Why the model does not allow a tuple, in OpenFGA's words."""

from __future__ import annotations

from collections.abc import Sequence

from api.errors import Failure
from api.openfga import keys
from api.openfga.errors import Refused
from engine.errors import (
    EngineError,
    InvalidContext,
    NotWritable,
    SubjectNotAllowed,
    UnknownCaveat,
    UnknownRelation,
    UnknownType,
)
from engine.tuples import WILDCARD, RelationTuple
from schema.model import SubjectType


def tuple_refused(error: EngineError, item: RelationTuple, code: str = "invalid_tuple") -> Failure:
    """The refusal of a tuple that the model does not allow: by `code`, unless its condition is
    what is wrong. Errors that are not about a tuple stay as they are."""
    reason = _of_names(error, item)
    if not reason:
        reason, code = _of_condition(error, item), keys.INVALID
    if not reason:
        return error
    return Refused(code, f"Invalid tuple '{keys.shown_tuple(item)}'. Reason: {reason}")


def _of_names(error: EngineError, item: RelationTuple) -> str:
    """What is wrong with its names; "" for nothing."""
    object_, relation, subject = item.identity
    of_subject = error.field.endswith("subject")
    match error:
        case UnknownType():
            return f"type '{subject.type if of_subject else object_.type}' not found"
        case UnknownRelation() if of_subject:
            return f"relation '{subject.type}#{subject.relation}' not found"
        case UnknownRelation():
            return f"relation '{object_.type}#{relation}' not found"
        case NotWritable():
            return _not_allowed(item)
        case SubjectNotAllowed() if not _allowed_otherwise(error, item):
            return _not_allowed(item)
    return ""


def _of_condition(error: EngineError, item: RelationTuple) -> str:
    """What is wrong with its condition; "" for nothing."""
    match error:
        case SubjectNotAllowed() if item.caveat:
            return "invalid condition for type restriction"
        case SubjectNotAllowed():
            return "condition is missing"
        case UnknownCaveat():
            return "undefined condition"
        case InvalidContext():
            return error.message
    return ""


def _allowed_otherwise(error: EngineError, item: RelationTuple) -> bool:
    """Whether the tuple would be allowed under another condition, or none."""
    subject = item.subject
    form = SubjectType(subject.type, subject.relation, wildcard=subject.id == WILDCARD)
    allowed: Sequence[SubjectType] = error.extra["allowed"]
    return any(_bare(one) == form for one in allowed)


def _bare(form: SubjectType) -> SubjectType:
    return SubjectType(form.type, form.relation, wildcard=form.wildcard)


def _not_allowed(item: RelationTuple) -> str:
    subject = item.subject
    told = f"type '{subject.type}'"
    if subject.relation:
        told = f"'{subject.type}#{subject.relation}'"
    elif subject.id == WILDCARD:
        told = f"the typed wildcard '{subject.type}:*'"
    return f"{told} is not an allowed type restriction for '{item.object.type}#{item.relation}'"
