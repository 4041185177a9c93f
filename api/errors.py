"""Errors on the wire: RFC 9457 problem documents, from one table of every error there is.

`TABLE` has a row for each leaf of `engine.errors` and for each refusal of the HTTP layer itself,
defined here. `docs/http-api.md` shows the table; tests compare it with both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from engine import errors as e
from engine.errors import EngineError
from schema.errors import Problem


class WireError(EngineError):
    """Abstract: the HTTP layer refused a request before the engine saw it, or gave up on it."""


class Refusal(Exception):
    """Abstract: a refusal in the words of a dialect, which is the only one to tell it."""

    retry_after: int | None = None

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


Failure: TypeAlias = EngineError | Refusal


class Unauthorized(WireError):
    """Keys are configured, and the request has none of them."""

    code = "unauthorized"
    status = 401


class Forbidden(WireError):
    """The key does not have the right that the call needs, or not for this store."""

    code = "forbidden"
    status = 403


class RouteNotFound(WireError):
    """No call has this path."""

    code = "not_found"
    status = 404


class MethodNotAllowed(WireError):
    """The path exists, under other methods: the `Allow` header lists them."""

    code = "method_not_allowed"
    status = 405


class BodyTimeout(WireError):
    """The request body did not arrive in time."""

    code = "body_timeout"
    status = 408


class BodyTooLarge(WireError):
    """The body, or one line of an import, is larger than allowed."""

    code = "body_too_large"
    status = 413


class UrlTooLong(WireError):
    """Path and query are longer than allowed."""

    code = "url_too_long"
    status = 414


class UnsupportedMediaType(WireError):
    """The `Content-Type` or `Content-Encoding` is not one that the call takes."""

    code = "unsupported_media_type"
    status = 415


class TooManyStreams(WireError):
    """The key has as many streams open as one key may."""

    code = "too_many_streams"
    status = 429
    retry_after = 5


class HeadersTooLarge(WireError):
    """The request headers are larger than allowed."""

    code = "headers_too_large"
    status = 431


class Overloaded(WireError):
    """As many requests are under way as this worker takes; nothing was done."""

    code = "overloaded"
    status = 503
    retry_after = 1


class DeadlinePassed(WireError):
    """The call took longer than its deadline; it was not a write."""

    code = "deadline_exceeded"
    status = 503
    retry_after = 1


class WriteDeadlinePassed(WireError):
    """A write took longer than its deadline; it may or may not have been done."""

    code = "outcome_unknown"
    status = 504


class CallFailed(WireError):
    """A fault of the service in a call that writes nothing; the log has it under the request id."""

    code = "internal"
    status = 503


class WriteFailed(WireError):
    """A fault of the service in a write, which may or may not have been done."""

    code = "internal"
    status = 500


class Row(NamedTuple):
    """How one error is told: its status, and a title that is the same for every occurrence."""

    status: int
    title: str


TABLE: Mapping[type[EngineError], Row] = {
    e.InvalidRequest: Row(400, "The request is not well formed"),
    e.InvalidTuple: Row(400, "A tuple, object, subject, name, id or time is not well formed"),
    e.UnknownType: Row(400, "The schema has no such object type"),
    e.UnknownRelation: Row(400, "The object type has no such relation or permission"),
    e.UnknownCaveat: Row(400, "The schema has no such caveat"),
    e.NotWritable: Row(400, "Tuples are written to relations, not to permissions"),
    e.SubjectNotAllowed: Row(400, "The relation does not allow this subject, caveat or expiry"),
    e.InvalidContext: Row(400, "A caveat context does not fit the caveat"),
    e.InvalidZookie: Row(400, "The zookie was not made by this service"),
    e.InvalidCursor: Row(400, "The cursor does not belong to this call"),
    e.LimitExceeded: Row(400, "More was asked for than one request may"),
    e.SchemaRefused: Row(400, "The schema has problems"),
    Unauthorized: Row(401, "A key is needed"),
    Forbidden: Row(403, "The key does not allow this call"),
    e.StoreNotFound: Row(404, "There is no store of this name"),
    e.SchemaNotFound: Row(404, "The store has no schema yet"),
    e.UnknownSchema: Row(404, "The store has no schema of this name"),
    RouteNotFound: Row(404, "There is no call with this path"),
    MethodNotAllowed: Row(405, "The path takes other methods"),
    BodyTimeout: Row(408, "The request body did not arrive in time"),
    e.StoreExists: Row(409, "A store of this name exists already"),
    e.TupleExists: Row(409, "A tuple to be created exists already"),
    e.TupleAbsent: Row(409, "A tuple to be removed is not stored"),
    e.SchemaExists: Row(409, "A schema of this name exists already"),
    e.PreconditionFailed: Row(409, "A precondition does not hold; nothing was written"),
    e.IdempotencyConflict: Row(409, "The idempotency key was used with another request"),
    e.SchemaInUse: Row(409, "Stored tuples do not fit the new schema; nothing was changed"),
    e.ZookieUnknown: Row(409, "The zookie belongs to another history of the store"),
    e.SnapshotExpired: Row(410, "The snapshot lies before the history window"),
    BodyTooLarge: Row(413, "The request body is too large"),
    UrlTooLong: Row(414, "The path and query are too long"),
    UnsupportedMediaType: Row(415, "The call does not take this kind of body"),
    e.BudgetExceeded: Row(422, "The evaluation exceeded its budget; there is no answer"),
    e.CaveatFailed: Row(422, "A caveat could not be evaluated; there is no answer"),
    e.CycleThroughExclusion: Row(422, "A membership depends on its own absence"),
    TooManyStreams: Row(429, "Too many streams are open"),
    HeadersTooLarge: Row(431, "The request headers are too large"),
    WriteFailed: Row(500, "The service failed; the write may or may not have been done"),
    e.OutcomeUnknown: Row(500, "The write may or may not have been done"),
    e.Unavailable: Row(503, "The service cannot answer now; nothing was done"),
    Overloaded: Row(503, "The service has too much to do; nothing was done"),
    DeadlinePassed: Row(503, "The deadline passed; there is no answer"),
    CallFailed: Row(503, "The service failed; there is no answer"),
    WriteDeadlinePassed: Row(504, "The deadline passed; the write may or may not have been done"),
}
UNKNOWN_OUTCOME = frozenset({e.OutcomeUnknown, WriteFailed, WriteDeadlinePassed})
NARROWER_CODES = (
    "duplicate_update",
    "empty_filter",
    "invalid_json",
    "missing_field",
    "unknown_field",
    "wrong_type",
)
_EXTRAS = ("budget", "cycle", "tuple", "tuples", "line", "imported", "zookie", "resume")
_MAX_PROBLEMS = 100


class ProblemAnswer(NamedTuple):
    """A problem document ready to send."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def describe(error: EngineError) -> dict[str, Any]:
    """The members of a problem document that tell this error, in the order they are shown."""
    row = TABLE[type(error)]
    told: dict[str, Any] = {
        "type": f"urn:stonetown:error:{error.code}",
        "title": row.title,
        "status": row.status,
        "code": error.code,
        "detail": error.message,
    }
    if error.field:
        told["field"] = error.field
    if error.expected:
        told["expected"] = error.expected
    if type(error) in UNKNOWN_OUTCOME:
        told["outcome"] = "unknown"
    told |= {key: error.extra[key] for key in _EXTRAS if key in error.extra}
    if listed := _listed(error):
        told["errors"] = listed
    return told


def render_problem(error: Failure, request_id: str) -> ProblemAnswer:
    """The answer that tells `error` to the client, with the request id to ask about it."""
    assert isinstance(error, EngineError)  # the native API has no words but the engine's
    told = {**describe(error), "request_id": request_id}
    headers = [(b"content-type", b"application/problem+json")]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if isinstance(error, Unauthorized):
        headers.append((b"www-authenticate", b'Bearer realm="stonetown"'))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.extra["allow"]).encode()))
    return ProblemAnswer(told["status"], msgspec.json.encode(told), tuple(headers))


def _listed(error: EngineError) -> list[dict[str, Any]]:
    """Every problem of the input, when it has several or when they have places in a text."""
    if isinstance(error, e.SchemaRefused):
        problems: Sequence[Problem] = error.extra.get("problems", ())
        text: str = error.extra.get("text", "")
        return [schema_problem(problem, text) for problem in problems[:_MAX_PROBLEMS]]
    several: Sequence[EngineError] = error.extra.get("errors", ())
    return [
        {"code": one.code, "message": one.message, "field": one.field, "expected": one.expected}
        for one in several[:_MAX_PROBLEMS]
    ]


def schema_problem(problem: Problem, text: str) -> dict[str, Any]:
    """One problem of a schema text, with its place and the line it stands in."""
    told: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.span is not None:
        told |= {"line": problem.span.line, "column": problem.span.column}
        if text:
            told["caret"] = problem.span.caret(text)
    if problem.suggestion:
        told["suggestion"] = problem.suggestion
    return told
