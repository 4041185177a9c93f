"""Strict JSON in, canonical JSON out: the only place where client JSON becomes Python values.

Python's `json` keeps the last of duplicate keys, takes `NaN` and `1e400`, recurses without bound
and keeps lone surrogates. Here each of these is an error, and integers end at 64 bits, so that a
value means the same to every reader and equal values have equal canonical text.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import msgspec

from engine.errors import InvalidRequest

MAX_DEPTH = 32
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1

JsonObject = dict[str, Any]


class _Refused(ValueError):
    """Why a JSON text was refused, in words for the client."""


def parse_json(text: str | bytes, field: str = "body", *, deepest: int = MAX_DEPTH) -> Any:
    """Parse one JSON value. Raises InvalidRequest naming `field` for anything not strict JSON, and
    for what is nested deeper than `deepest`."""
    found = _plain(text)
    return _carefully(text, field, deepest) if found is None else found


def _plain(text: str | bytes) -> Any:
    """The value of an ordinary text, at several times the speed; None if it is not one.

    Ordinary means: objects, arrays, printable strings, whole numbers, true, false and null, nested
    no deeper than allowed. The fast parser reads over a key that stands twice; but a text without
    `\\` has two `"` for each of its strings and no others, so that more of them than the value's
    strings have tell of one.
    """
    try:
        if isinstance(text, str):
            text = text.encode()
        if b"\\" in text:
            return None
        value = _FAST.decode(text)
        return value if text.count(b'"') == 2 * _strings(value, MAX_DEPTH) else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError, _Refused):
        return None


def _strings(value: Any, depth: int) -> int:
    """How many strings a value holds. Raises _Refused where it is not ordinary."""
    kind = type(value)
    if kind is str:
        if not value.isprintable():
            raise _Refused
        return 1
    if kind is dict:
        if not depth:
            raise _Refused
        count = 0
        for key, item in value.items():
            count += _strings(key, 0) + _strings(item, depth - 1)
        return count
    if kind is list:
        if not depth:
            raise _Refused
        return sum([_strings(item, depth - 1) for item in value])
    if kind is float or (kind is int and not _INT_MIN <= value <= _INT_MAX):
        raise _Refused
    return 0


def _carefully(text: str | bytes, field: str, deepest: int = MAX_DEPTH) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        _check_depth(text, deepest)
        value = _DECODER.decode(text)
        _check_strings(text, value)
    except UnicodeDecodeError as error:
        _refuse(field, f"not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        _refuse(field, f"{error.msg.lower()} at line {error.lineno}, column {error.colno}")
    except (_Refused, RecursionError) as error:
        _refuse(field, str(error) if isinstance(error, _Refused) else "nested too deeply")
    return value


def parse_json_object(text: str | bytes, field: str = "body") -> JsonObject:
    """Parse a JSON text that must be an object. Raises InvalidRequest naming `field`."""
    value = parse_json(text, field)
    if not isinstance(value, dict):
        _refuse(field, f"found {type_name(value)}")
    return value


def canonical_json(value: JsonObject) -> str:
    """The one text of a JSON object: sorted keys, no spaces, "" for the empty object."""
    if not value:
        return ""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def type_name(value: object) -> str:
    """A JSON value's type as its sender would call it."""
    names: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _refuse(field: str, why: str) -> NoReturn:
    raise InvalidRequest(
        f"not valid JSON: {why}",
        field=field,
        expected="JSON with unique keys, in UTF-8",
        code="invalid_json",
    )


def _check_depth(text: str, deepest: int) -> None:
    """Refuse deep nesting before the recursive parser sees it; brackets in strings count not."""
    depth, quoted, escaped = 0, False, False
    if text.count("[") + text.count("{") <= deepest:
        return
    for char in text:
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            else:
                quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
            if depth > deepest:
                raise _Refused(f"nested deeper than {deepest}")
        elif char in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Refused(f"key `{key[:64]}` stands twice")
            seen.add(key)
    return made


def _constant(name: str) -> NoReturn:
    raise _Refused(f"`{name}` is not JSON")


def _integer(text: str) -> int:
    if len(text) > 20 or not _INT_MIN <= int(text) <= _INT_MAX:
        raise _Refused("an integer does not fit in 64 bits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("a number does not fit in 64 bits")
    return value


def _check_strings(text: str, value: Any) -> None:
    """Lone surrogates come only from `\\ud800`-like escapes; NUL only from `\\u0000`."""
    if "\\u" in text:
        _walk_strings(value)


def _walk_strings(value: Any) -> None:
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise _Refused("a string holds half of a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _walk_strings(key)
            _walk_strings(item)
    elif isinstance(value, list):
        for item in value:
            _walk_strings(item)


_FAST = msgspec.json.Decoder()
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_constant,
    parse_int=_integer,
    parse_float=_number,
)
