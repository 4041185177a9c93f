"""Digests and encodings that tell all inputs apart: for seals, idempotency keys and cache keys."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

from engine.tuples import RelationTuple

Part = None | bool | int | str | bytes | Sequence["Part"]

_LENGTH = struct.Struct(">I")


def digest(*parts: Part) -> bytes:
    """SHA-256 of `parts`, typed and length-prefixed: different parts give different digests.

    `1`, `True`, `"1"`, `b"1"` and `["1"]` all differ, as do `("ab", "c")` and `("a", "bc")`.
    """
    return hashlib.sha256(encoded(parts)).digest()


def of_tuples(tuples: Iterable[RelationTuple]) -> list[bytes]:
    """Tuples as a part: the same in whatever order they come. Their text would not do, for ids may
    hold what looks like a caveat there."""
    return sorted(
        encoded((*object_, relation, *subject, caveat, context, str(expires_at)))
        for object_, relation, subject, caveat, context, expires_at in tuples
    )


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
