"""OpenFGA's errors: every code there is, what the engine's errors are called there, and the body.

`CODES` is the numbered enumeration of OpenFGA's API; the status follows from the number, as there.
`TOLD` has a row for each error of the engine and of the HTTP layer; a test holds it to both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from api import errors as http
from api.errors import Failure, ProblemAnswer, Refusal
from engine import errors as e
from engine.errors import EngineError

_NUMBERED = """
1001 auth_failed_invalid_subject
1002 auth_failed_invalid_audience
1003 auth_failed_invalid_issuer
1004 invalid_claims
1005 auth_failed_invalid_bearer_token
1010 bearer_token_missing
1500 unauthenticated
1600 forbidden
2000 validation_error
2001 authorization_model_not_found
2002 authorization_model_resolution_too_complex
2003 invalid_write_input
2004 cannot_allow_duplicate_tuples_in_one_request
2005 cannot_allow_duplicate_types_in_one_request
2006 cannot_allow_multiple_references_to_one_relation
2007 invalid_continuation_token
2008 invalid_tuple_set
2009 invalid_check_input
2010 invalid_expand_input
2011 unsupported_user_set
2012 invalid_object_format
2017 write_failed_due_to_invalid_input
2018 authorization_model_assertions_not_found
2020 latest_authorization_model_not_found
2021 type_not_found
2022 relation_not_found
2023 empty_relation_definition
2025 invalid_user
2027 invalid_tuple
2028 unknown_relation
2030 store_id_invalid_length
2033 assertions_too_many_items
2034 id_too_long
2036 authorization_model_id_too_long
2037 tuple_key_value_not_specified
2038 tuple_keys_too_many_or_too_few_items
2039 page_size_invalid
2040 param_missing_value
2041 difference_base_missing_value
2042 subtract_base_missing_value
2043 object_too_long
2044 relation_too_long
2045 type_definitions_too_few_items
2046 type_invalid_length
2047 type_invalid_pattern
2048 relations_too_few_items
2049 relations_too_long
2050 relations_invalid_pattern
2051 object_invalid_pattern
2052 query_string_type_continuation_token_mismatch
2053 exceeded_entity_limit
2054 invalid_contextual_tuple
2055 duplicate_contextual_tuple
2056 invalid_authorization_model
2057 unsupported_schema_version
2058 cancelled
2059 invalid_start_time
3500 throttled_timeout_error
4000 internal_error
4004 deadline_exceeded
4005 already_exists
4006 resource_exhausted
4007 failed_precondition
4008 aborted
4009 out_of_range
4010 unavailable
4011 data_loss
5000 undefined_endpoint
5002 store_id_not_found
5004 unimplemented
"""
CODES: Mapping[str, int] = {
    name: int(number) for number, name in map(str.split, _NUMBERED.split("\n")[1:-1])
}
ABORTED = "Aborted"
"""The code of a conflict between writes: a gRPC code without a number of OpenFGA's."""


class Refused(Refusal):
    """A refusal in OpenFGA's words; `code` is one of `CODES`, or `ABORTED`."""


class _Told(NamedTuple):
    """What an error is called. `status` where it is not what the number says; `text` where the
    engine's own words are not to be shown."""

    code: str
    text: str = ""
    status: int = 0


_TOO_COMPLEX = (
    "Authorization Model resolution required too many rewrite rules to be resolved. Check your"
    " authorization model for infinite recursion or too much nesting"
)
_INVALID = _Told("validation_error")
_FAILED = _Told("internal_error", "Internal Server Error")

TOLD: Mapping[type[EngineError], _Told] = {
    e.InvalidRequest: _INVALID,
    e.InvalidTuple: _INVALID,
    e.UnknownType: _INVALID,
    e.UnknownRelation: _INVALID,
    e.UnknownCaveat: _INVALID,
    e.NotWritable: _INVALID,
    e.SubjectNotAllowed: _INVALID,
    e.InvalidContext: _INVALID,
    e.InvalidZookie: _INVALID,
    e.ZookieUnknown: _INVALID,
    e.InvalidCursor: _Told("invalid_continuation_token", "Invalid continuation token"),
    e.SnapshotExpired: _Told("invalid_continuation_token"),
    e.LimitExceeded: _Told("exceeded_entity_limit"),
    e.SchemaRefused: _Told("invalid_authorization_model"),
    e.SchemaInUse: _Told("invalid_authorization_model"),
    http.Unauthorized: _Told("unauthenticated", "unauthenticated"),
    http.Forbidden: _Told(
        "forbidden", "the principal is not authorized to perform the action", 403
    ),
    e.StoreNotFound: _Told("store_id_not_found", "Store ID not found"),
    e.SchemaNotFound: _Told("authorization_model_not_found"),
    http.RouteNotFound: _Told("undefined_endpoint", "Not Found"),
    http.MethodNotAllowed: _Told("unimplemented", "Method Not Allowed"),
    e.UnknownSchema: _Told("authorization_model_not_found"),
    e.StoreExists: _Told("already_exists", status=409),
    e.SchemaExists: _Told("already_exists", status=409),
    e.TupleExists: _Told("write_failed_due_to_invalid_input"),
    e.TupleAbsent: _Told("write_failed_due_to_invalid_input"),
    e.PreconditionFailed: _Told(ABORTED),
    e.IdempotencyConflict: _Told(ABORTED),
    e.BudgetExceeded: _Told("authorization_model_resolution_too_complex", _TOO_COMPLEX),
    e.CaveatFailed: _INVALID,
    e.CycleThroughExclusion: _INVALID,
    http.BodyTimeout: _Told("cancelled", "the request body did not arrive in time"),
    http.BodyTooLarge: _Told("validation_error", "the request body is too large"),
    http.UrlTooLong: _INVALID,
    http.HeadersTooLarge: _INVALID,
    http.UnsupportedMediaType: _INVALID,
    http.TooManyStreams: _Told("resource_exhausted", status=429),
    http.Overloaded: _Told("resource_exhausted", status=429),
    http.DeadlinePassed: _Told("throttled_timeout_error", "the request took too long"),
    http.WriteDeadlinePassed: _Told("deadline_exceeded", "deadline exceeded"),
    e.Unavailable: _Told("unavailable"),
    e.OutcomeUnknown: _FAILED,
    http.CallFailed: _FAILED,
    http.WriteFailed: _FAILED,
}


_OF_TOKENS = {
    "audience": "auth_failed_invalid_audience",
    "issuer": "auth_failed_invalid_issuer",
    "subject": "auth_failed_invalid_subject",
    "claims": "invalid_claims",
}
"""What `api.oidc.verifier.TokenFault` is called here, where it is not an invalid bearer token."""


class Wording(NamedTuple):
    """An error as it is told: its code, its HTTP status, its message."""

    code: str
    status: int
    message: str


def wording(error: Failure) -> Wording:
    """How OpenFGA's clients are told of an error."""
    if isinstance(error, Refusal):
        return Wording(error.code, _status(error.code), error.message)
    if isinstance(error, e.BudgetExceeded) and error.extra.get("budget") == "milliseconds":
        error = http.DeadlinePassed(error.message)
    if isinstance(error, http.Unauthorized) and not error.extra.get("presented"):
        return Wording("bearer_token_missing", 401, "missing bearer token")
    if isinstance(error, http.Unauthorized) and "why" in error.extra:
        code = _OF_TOKENS.get(str(error.extra["why"]), "auth_failed_invalid_bearer_token")
        return Wording(code, 401, error.message)
    told = TOLD.get(type(error), _FAILED)
    return Wording(told.code, told.status or _status(told.code), told.text or _words(error))


def render(error: Failure, _request_id: str) -> ProblemAnswer:
    """The answer that tells `error`: a body of `code` and `message`, and a newline, as there."""
    code, status, message = wording(error)
    headers = [(b"content-type", b"application/json")]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="stonetown"'))
    body = msgspec.json.encode({"code": code, "message": message}) + b"\n"
    return ProblemAnswer(status, body, tuple(headers))


def _words(error: EngineError) -> str:
    return f"{error.message}: expected {error.expected}" if error.expected else error.message


def _status(code: str) -> int:
    """The HTTP status of a code, from the range of its number."""
    if code == ABORTED:
        return 409
    if code == "forbidden":
        return 403
    number = CODES[code]
    for first, status in ((5000, 404), (4000, 500), (3500, 422), (2000, 400)):
        if number >= first:
            return status
    return 401
