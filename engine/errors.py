"""Every way the engine refuses or fails, as one closed tree.

`code` is stable and part of the API; `status` is the HTTP status each wire uses unless its dialect
says otherwise; `field` is the path of the offending input; `expected` says what would be right.
The messages are lower case, without a full stop, with client input in backticks. Only leaves are
raised. A wire maps this tree exactly once (`api/errors.py` for the native one).
"""

from __future__ import annotations

from typing import Any, ClassVar


class EngineError(Exception):
    """Abstract root: what the engine refused or could not do."""

    code: str = "internal"
    status: ClassVar[int] = 500
    retry_after: ClassVar[int | None] = None

    def __init__(self, message: str, *, field: str = "", expected: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.expected = expected
        self.extra = extra


class InvalidRequest(EngineError):
    """The request itself is wrong. `code=` narrows the stable code, as in `invalid_json`."""

    status = 400

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        expected: str = "",
        code: str = "invalid_request",
        **extra: Any,
    ) -> None:
        super().__init__(message, field=field, expected=expected, **extra)
        self.code = code


class InvalidTuple(EngineError):
    """A tuple, object, subject, name, id or time is not well formed."""

    code = "invalid_tuple"
    status = 400


class UnknownType(EngineError):
    """The schema of the snapshot has no such object type."""

    code = "unknown_type"
    status = 400


class UnknownRelation(EngineError):
    """The object type has no such relation or permission."""

    code = "unknown_relation"
    status = 400


class UnknownCaveat(EngineError):
    """The schema has no such caveat."""

    code = "unknown_caveat"
    status = 400


class NotWritable(EngineError):
    """A tuple names a permission, and only relations are written."""

    code = "not_writable"
    status = 400


class SubjectNotAllowed(EngineError):
    """The relation does not allow this form of subject, caveat or expiry; `extra["allowed"]` are
    the forms of `schema.model.SubjectType` that it does."""

    code = "subject_not_allowed"
    status = 400


class InvalidContext(EngineError):
    """A caveat context has an unknown key or a value of the wrong type."""

    code = "invalid_context"
    status = 400


class InvalidZookie(EngineError):
    """A zookie that this service did not make."""

    code = "invalid_zookie"
    status = 400


class InvalidCursor(EngineError):
    """A cursor that is damaged, forged, or of another call or other arguments."""

    code = "invalid_cursor"
    status = 400


class LimitExceeded(EngineError):
    """More items, bytes or results asked for than one request may."""

    code = "limit_exceeded"
    status = 400


class SchemaRefused(EngineError):
    """The schema text has problems; `extra["problems"]` is the tuple of schema.errors.Problem
    and `extra["text"]` the text they are in."""

    code = "schema_invalid"
    status = 400


class StoreNotFound(EngineError):
    """No store of this name."""

    code = "store_not_found"
    status = 404


class SchemaNotFound(EngineError):
    """The store has no schema yet at this snapshot."""

    code = "schema_not_found"
    status = 404


class UnknownSchema(EngineError):
    """The store has no version of its schema by this name."""

    code = "unknown_schema"
    status = 404


class StoreExists(EngineError):
    """A store of this name exists already."""

    code = "store_exists"
    status = 409


class SchemaExists(EngineError):
    """A version of the store's schema has this name already."""

    code = "schema_exists"
    status = 409


class TupleExists(EngineError):
    """A `create` named a tuple that is there already, or an `ensure` one that stands otherwise;
    `extra["tuple"]` is its string form and `extra["op"]` the update's."""

    code = "tuple_exists"
    status = 409


class TupleAbsent(EngineError):
    """A `remove` named a tuple that is not there; `extra["tuple"]` is its string form."""

    code = "tuple_absent"
    status = 409


class PreconditionFailed(EngineError):
    """A precondition of a write does not hold; nothing was written."""

    code = "precondition_failed"
    status = 409


class IdempotencyConflict(EngineError):
    """An idempotency key was used before with another body."""

    code = "idempotency_conflict"
    status = 409


class SchemaInUse(EngineError):
    """A schema write would orphan stored tuples; `extra["tuples"]` names some of them."""

    code = "schema_in_use"
    status = 409


class ZookieUnknown(EngineError):
    """A well-formed zookie of another lineage: a deleted, restored or other store."""

    code = "zookie_unknown"
    status = 409


class SnapshotExpired(EngineError):
    """The snapshot asked for lies before the history window."""

    code = "snapshot_expired"
    status = 410


class BudgetExceeded(EngineError):
    """An evaluation was stopped; `extra["budget"]` names what it had too little of: reads, nodes,
    milliseconds, trials or depth."""

    code = "budget_exceeded"
    status = 422

    @classmethod
    def of(cls, budget: str) -> BudgetExceeded:
        """The error of an evaluation that has used up a budget."""
        return cls(f"the evaluation used up its budget of {budget}", budget=budget)


class CaveatFailed(EngineError):
    """A caveat's expression ended in an error that is not a missing parameter."""

    code = "caveat_failed"
    status = 422


class CycleThroughExclusion(EngineError):
    """The data make a membership depend on its own absence; `extra["cycle"]` lists the cycle."""

    code = "cycle_through_exclusion"
    status = 422


class Unavailable(EngineError):
    """Postgres is away, slow or behind; nothing was done and a retry may succeed."""

    code = "unavailable"
    status = 503
    retry_after = 1


class OutcomeUnknown(EngineError):
    """A write may or may not have been done: the connection was lost around its commit."""

    code = "outcome_unknown"
    status = 500
