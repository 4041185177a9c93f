"""Digests and encodings that tell all inputs apart: for seals, idempotency keys and cache keys."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

Part = None | bool | int | str | bytes | Sequence["Part"]

_LENGTH = struct.Struct(">I")


def digest(*parts: Part) -> bytes:
    """SHA-256 of `parts`, typed and length-prefixed: different parts give different digests.

    `1`, `True`, `"1"`, `b"1"` and `["1"]` all differ, as do `("ab", "c")` and `("a", "bc")`.
    """
    return hashlib.sha256(encoded(parts)).digest()


def encoded(part: Part) -> bytes:
    """`part` as bytes, so that different parts are different bytes and none begins another."""
    match part:
        case None:
            return b"n"
        case bool():
            return b"t" if part else b"f"
        case int():
            return _tagged(b"i", str(part).encode("ascii"))
        case str():
            # A lone surrogate is text to Python; a digest must not fail on it.
            return _tagged(b"s", part.encode("utf-8", "surrogatepass"))
        case bytes():
            return _tagged(b"b", part)
        case _:
            items = [encoded(item) for item in part]
            return b"l" + _LENGTH.pack(len(items)) + b"".join(items)


def _tagged(tag: bytes, value: bytes) -> bytes:
    return tag + _LENGTH.pack(len(value)) + value
