"""ReadChanges: what was written and deleted, by revision, from a place on.

The place is behind a revision, which is never filled in later: no change is skipped however late
its transaction ends.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from api.asgi import Answer
from api.calls import Call
from api.openfga import fields, keys
from api.openfga.answers import answer
from api.openfga.errors import Refused
from api.openfga.paging import page_of, query_of
from engine.changelog import Changes, ChangesPage, LoggedChange
from engine.errors import InvalidTuple, SnapshotExpired, ZookieUnknown
from engine.store.protocol import UpdateOp
from engine.tuples import parse_time

_LENGTH = struct.Struct(">H")
_INVALID = "Invalid continuation token"
_OTHER_TYPE = "The type in the querystring and the continuation token don't match"


async def read_changes(call: Call) -> Answer:
    """`GET /changes`."""
    query = query_of(call, "ReadChangesRequest")
    kind = query.text("type", fields.CHANGED_TYPE)
    size, token = page_of(query)
    begin = _start(query.text("start_time", fields.ANY_TEXT))
    await call.no_body()
    after = None if token is None else _position(token, kind)
    asked = Changes(after, kind, size, begin if after is None else None)
    try:
        page = await _page(call, asked)
    except (SnapshotExpired, ZookieUnknown) as error:
        raise Refused("invalid_continuation_token", f"{_INVALID}: {error.message}") from None
    told = {
        "changes": [_told(change) for change in page.changes],
        "continuation_token": _token(page.position, kind),
    }
    return answer(told, zookie=page.zookie)


async def _page(call: Call, asked: Changes) -> ChangesPage:
    """The next page that holds something: where there is more to look at, an empty one would look
    like the end."""
    begun = perf_counter()
    page = await call.engine.changes(call.store, asked)
    while page.more and not page.changes and perf_counter() - begun < call.deadline / 2:
        asked = replace(asked, after=page.position, start_time=None)
        page = await call.engine.changes(call.store, asked)
    return page


def _told(change: LoggedChange) -> dict[str, Any]:
    """A change; of what was deleted the condition is not told."""
    deleted = change.op == UpdateOp.DELETE
    key = keys.key_told(change.tuple)
    return {
        "tuple_key": {**key, "condition": None} if deleted else key,
        "operation": "TUPLE_OPERATION_DELETE" if deleted else "TUPLE_OPERATION_WRITE",
        "timestamp": keys.timestamp(change.moment),
    }


def _start(text: str) -> datetime | None:
    """The time to begin at. Raises Refused for what is no time, and for the future."""
    if not text:
        return None
    try:
        found = parse_time(text, "start_time")
    except InvalidTuple:
        raise Refused(keys.INVALID, f"start_time: '{text}' is not RFC 3339") from None
    if found > datetime.now(UTC):
        raise Refused("invalid_start_time", "start_time cannot be in the future")
    return found


def _token(position: str, kind: str) -> str:
    """A position together with the type that it is of: the lengths keep them apart."""
    raw = position.encode("ascii")
    return urlsafe_b64encode(_LENGTH.pack(len(raw)) + raw + kind.encode()).decode("ascii")


def _position(token: str, kind: str) -> str:
    """The position in a token. Raises Refused for what is none, and for one of another type."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        (length,) = _LENGTH.unpack_from(raw)
        position = raw[_LENGTH.size : _LENGTH.size + length].decode("ascii")
        of = raw[_LENGTH.size + length :].decode()
    except (NotBase64, struct.error, UnicodeDecodeError, ValueError):
        raise Refused("invalid_continuation_token", _INVALID) from None
    if of != kind:
        raise Refused("query_string_type_continuation_token_mismatch", _OTHER_TYPE)
    return position
