"""Zookies: opaque tokens for one revision of one store (Zanzibar paper §2.2).

Layout, big-endian, then URL-safe base64 without padding: version (1 byte), store id (16), revision
(8), stamp (8), CRC-32 of all before it (4). The checksum catches slips of the hand, not forgery: a
zookie grants nothing, and whoever accepts one compares its stamp with the store's.
"""

from __future__ import annotations

import binascii
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from typing import NamedTuple

from engine.errors import InvalidZookie
from engine.store.protocol import Snapshot

_VERSION = 1
_BODY = struct.Struct(">B16sQQ")
_CHECKSUM = struct.Struct(">I")
_LENGTH = 50
_KEPT = 256
_TEXT = re.compile(rf"[A-Za-z0-9_-]{{{_LENGTH}}}")
MAX_REVISION = 2**63 - 1


class Zookie(NamedTuple):
    """What a zookie says: a revision of a store, and the stamp of the lineage it belongs to."""

    store_id: str
    revision: int
    stamp: int


def encode(snapshot: Snapshot) -> str:
    """The zookie of `snapshot`: 50 characters of `A-Za-z0-9_-`."""
    return _encoded(snapshot.store_id, snapshot.revision, snapshot.stamp)


@lru_cache(maxsize=_KEPT)
def _encoded(store_id: str, revision: int, stamp: int) -> str:
    body = _BODY.pack(_VERSION, bytes.fromhex(store_id), revision, stamp)
    text = urlsafe_b64encode(body + _CHECKSUM.pack(binascii.crc32(body)))
    return text.rstrip(b"=").decode("ascii")


def decode(text: str, field: str = "zookie") -> Zookie:
    """What `text` says, for any text at all. Raises InvalidZookie naming `field`."""
    if not _TEXT.fullmatch(text):
        raise _invalid(field)
    padded = text + "=" * (-_LENGTH % 4)
    raw = urlsafe_b64decode(padded)
    body = raw[: _BODY.size]
    version, store_id, revision, stamp = _BODY.unpack(body)
    # The last character holds spare bits: only one spelling of them is a zookie.
    canonical = urlsafe_b64encode(body + _CHECKSUM.pack(binascii.crc32(body))).decode("ascii")
    if canonical != padded or version != _VERSION or revision > MAX_REVISION:
        raise _invalid(field)
    return Zookie(store_id.hex(), revision, stamp)


def _invalid(field: str) -> InvalidZookie:
    return InvalidZookie(
        "not a zookie of this service",
        field=field,
        expected="a zookie as an earlier answer returned it, unchanged",
    )
