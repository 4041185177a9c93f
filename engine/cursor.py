"""Sealed cursors: where a list goes on, and at which snapshot and time.

A cursor is readable by its holder but not writable: HMAC-SHA256 seals it together with the call it
belongs to, so that it opens only for the same store, call and arguments. The secrets live in
storage; the newest signs and all verify, so that rotation breaks no list that is being read.
"""

from __future__ import annotations

import binascii
import hmac
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from engine.cache.shared import SharedRead, elapsed
from engine.digest import encoded
from engine.errors import InvalidCursor

_VERSION = b"\x01"
_SEAL_BYTES = 32
_HEADER = struct.Struct(">QQq")
_LENGTH = struct.Struct(">I")
_MAX_CHARACTERS = 32_768
_TEXT = re.compile(r"[A-Za-z0-9_-]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SecretSource(Protocol):
    """The part of Storage that cursors need."""

    async def secrets(self) -> list[bytes]:
        """Secrets, the newest first. Raises Unavailable."""
        ...


class Call(NamedTuple):
    """What a cursor is bound to: `arguments` is the digest (`engine.digest`) of all but the limit.

    `store_id` is "" for lists that belong to no store.
    """

    store_id: str
    name: str
    arguments: bytes


class Cursor(NamedTuple):
    """Where a list goes on: after `position`, at the snapshot (`revision`, `stamp`) and `now`.

    Whoever resumes compares the stamp with the store's, as for a zookie.
    """

    revision: int
    stamp: int
    now: datetime
    position: tuple[str, ...]


class Cursors:
    """Seals and opens cursors with the secrets of `storage`.

    Secrets are asked for again when they are `refresh` seconds old, and, at most once a second,
    when a cursor fits none of them: it may have been sealed by a node that rotated them.
    """

    def __init__(
        self,
        storage: SecretSource,
        *,
        refresh: float = 60.0,
        clock: Callable[[], float] = elapsed,
    ) -> None:
        self._clock = clock
        self._refresh = refresh
        self._secrets = SharedRead(storage.secrets, clock=clock)

    async def seal(self, call: Call, cursor: Cursor) -> str:
        """The text of `cursor`, bound to `call`. Raises Unavailable."""
        secrets = await self._secrets.since(self._clock() - self._refresh)
        body = _VERSION + _pack(cursor)
        return urlsafe_b64encode(_seal(secrets[0], call, body) + body).rstrip(b"=").decode("ascii")

    async def open(self, text: str, call: Call, field: str = "cursor") -> Cursor:
        """The cursor in `text` if it was sealed for `call`.

        Raises InvalidCursor naming `field` for every other text, and Unavailable.
        """
        raw = _raw(text)
        if raw is None:
            raise _invalid(field)
        seal, body = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        started = self._clock()
        for oldest in (started - self._refresh, started - 1.0):
            secrets = await self._secrets.since(oldest)
            # Every secret is tried, whichever fits: the time taken tells nothing.
            fits = [hmac.compare_digest(_seal(secret, call, body), seal) for secret in secrets]
            if any(fits) and body[:1] == _VERSION:
                return _unpack(body[1:])
        raise _invalid(field)


def _seal(secret: bytes, call: Call, body: bytes) -> bytes:
    message = encoded(("cursor", call.store_id, call.name, call.arguments, body))
    return hmac.digest(secret, message, "sha256")


def _pack(cursor: Cursor) -> bytes:
    moment = (cursor.now - _EPOCH) // _MICROSECOND
    header = _HEADER.pack(cursor.revision, cursor.stamp, moment)
    fields = [part.encode("utf-8") for part in cursor.position]
    return header + b"".join(_LENGTH.pack(len(field)) + field for field in fields)


def _unpack(body: bytes) -> Cursor:
    """The inverse of `_pack`; what it is given bears a valid seal, so it is well formed."""
    revision, stamp, moment = _HEADER.unpack_from(body)
    position: list[str] = []
    at = _HEADER.size
    while at < len(body):
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        position.append(body[at : at + length].decode("utf-8"))
        at += length
    return Cursor(revision, stamp, _EPOCH + moment * _MICROSECOND, tuple(position))


def _raw(text: str) -> bytes | None:
    """The bytes that `text` spells in the one way `seal` spells them, or None."""
    if len(text) > _MAX_CHARACTERS or not _TEXT.fullmatch(text):
        return None
    padded = text + "=" * (-len(text) % 4)
    try:
        raw = urlsafe_b64decode(padded)
    except binascii.Error:
        return None
    return raw if urlsafe_b64encode(raw).decode("ascii") == padded else None


def _invalid(field: str) -> InvalidCursor:
    return InvalidCursor(
        "not a cursor of this list",
        field=field,
        expected="the cursor that the same call returned, with the same arguments except `limit`",
    )
