"""Typed caveat values: JSON as a client sends it, to canonical JSON and to what CEL computes with.

The accepted forms are SpiceDB's (`pkg/caveats/types`): 64-bit integers as numbers or strings,
integral doubles as integers, `bytes` in base64, `duration` in Go's syntax, `timestamp` in RFC 3339.
A boolean is never a number, though Python thinks so.

Strict caveats read numbers as OpenFGA does (`internal/condition/types`): an integer may be written
with a fraction or an exponent, in a string too, and every number of an `any` is a double.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from engine.caveats.network import address_message
from engine.errors import InvalidContext, InvalidTuple
from engine.jsontext import MAX_DEPTH, type_name
from engine.tuples import parse_time
from schema.model import ParameterType

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_MOST_DIGITS = 19
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_FRACTION = re.compile(r"\.([0-9]{1,9})")
_DURATION = re.compile(r"([+-]?)((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+|0)")
_DURATION_PART = re.compile(r"([0-9]*\.?[0-9]*)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


class Converted(NamedTuple):
    """A value in its canonical JSON form and as CEL takes it."""

    json: Any
    cel: Any


def extent(value: Any) -> tuple[int, int]:
    """The size of a JSON value as a context holds it: its bytes, and its elements or parts."""
    if isinstance(value, str):
        return len(value) if value.isascii() else 4 * len(value), 1
    if isinstance(value, list | dict):
        text = json.dumps(value)
        return len(text), text_items(text)
    return 20, 1


def text_items(text: str) -> int:
    """An upper bound of the values in a JSON text."""
    return text.count(",") + text.count(":") + 1


def strings_in(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings_in(item)


def convert(value: Any, type_: ParameterType, field: str, *, strict: bool = False) -> Converted:
    """Read a JSON value as a parameter of `type_`, of a strict caveat or another one.

    Raises InvalidContext naming `field` (with the index or key of a nested value) and the type.
    """
    if type_.name == "list":
        return _list(value, type_, field, strict)
    if type_.name == "map":
        return _map(value, type_, field, strict)
    if isinstance(value, str) and not _encodable(value):
        raise _wrong(value, type_, field)
    return (_STRICT if strict else _SCALARS)[type_.name](value, type_, field)


def _wrong(value: Any, type_: ParameterType, field: str) -> InvalidContext:
    shown = value if isinstance(value, str) and len(value) <= 64 else ""
    found = f"`{shown}`" if shown.isprintable() and shown else type_name(value)
    return InvalidContext(
        f"{found} is not a value of type {type_}", field=field, expected=_EXPECTED[type_.name]
    )


def _encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _list(value: Any, type_: ParameterType, field: str, strict: bool) -> Converted:
    if not isinstance(value, list) or type_.argument is None:
        raise _wrong(value, type_, field)
    argument = type_.argument
    items = [
        convert(item, argument, f"{field}.{index}", strict=strict)
        for index, item in enumerate(value)
    ]
    return Converted([item.json for item in items], [item.cel for item in items])


def _map(value: Any, type_: ParameterType, field: str, strict: bool) -> Converted:
    if not isinstance(value, dict) or type_.argument is None:
        raise _wrong(value, type_, field)
    items = {}
    for key, item in value.items():
        if not isinstance(key, str) or not _encodable(key):
            raise _wrong(value, type_, field)
        items[key] = convert(item, type_.argument, f"{field}.{key}", strict=strict)
    return Converted(
        {key: item.json for key, item in items.items()},
        {key: item.cel for key, item in items.items()},
    )


def _any(value: Any, type_: ParameterType, field: str, depth: int = 0) -> Converted:
    """Any JSON value; an integral number is an integer however it was written."""
    if depth > MAX_DEPTH:
        raise _wrong(value, type_, field)
    if isinstance(value, dict):
        if not all(isinstance(key, str) and _encodable(key) for key in value):
            raise _wrong(value, type_, field)
        made = {k: _any(v, type_, f"{field}.{k}", depth + 1).json for k, v in value.items()}
        return Converted(made, made)
    if isinstance(value, list):
        items = [_any(v, type_, f"{field}.{i}", depth + 1).json for i, v in enumerate(value)]
        return Converted(items, items)
    if isinstance(value, float) and value.is_integer() and _INT_MIN <= value < 2**63:
        value = int(value)
    fits = (
        value is None
        or isinstance(value, bool)
        or (isinstance(value, int) and _INT_MIN <= value <= _INT_MAX)
        or (isinstance(value, float) and math.isfinite(value))
        or (isinstance(value, str) and _encodable(value))
    )
    if not fits:
        raise _wrong(value, type_, field)
    return Converted(value, value)


def _any_strictly(value: Any, type_: ParameterType, field: str) -> Converted:
    made = _any(value, type_, field).json
    return Converted(made, _with_doubles(made))


def _with_doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_doubles(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _bool(value: Any, type_: ParameterType, field: str) -> Converted:
    if not isinstance(value, bool):
        raise _wrong(value, type_, field)
    return Converted(value, value)


def _string(value: Any, type_: ParameterType, field: str) -> Converted:
    if not isinstance(value, str):
        raise _wrong(value, type_, field)
    return Converted(value, value)


def _int(value: Any, type_: ParameterType, field: str) -> Converted:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str) and _INTEGER.fullmatch(value)
    ):
        number = int(value)
    least = 0 if type_.name == "uint" else _INT_MIN
    if number is None or not least <= number <= _INT_MAX:
        raise _wrong(value, type_, field)
    return Converted(number, number)


def _int_strictly(value: Any, type_: ParameterType, field: str) -> Converted:
    if isinstance(value, str) and len(value) <= 128 and _DOUBLE.fullmatch(value):
        number = Decimal(value)
        # Its exponent may be of four digits, and no integer of 64 bits has so many.
        if number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
            raise _wrong(value, type_, field)
        value = int(number)
    return _int(value, type_, field)


def _double(value: Any, type_: ParameterType, field: str) -> Converted:
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _as_float(value)
    elif isinstance(value, str) and len(value) <= 400 and _DOUBLE.fullmatch(value):
        number = float(value)
    if not math.isfinite(number):
        raise _wrong(value, type_, field)
    return Converted(number, number)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _bytes(value: Any, type_: ParameterType, field: str) -> Converted:
    try:
        if not isinstance(value, str):
            raise ValueError
        raw = b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise _wrong(value, type_, field) from None
    return Converted(b64encode(raw).decode("ascii"), raw)


def _duration(value: Any, type_: ParameterType, field: str) -> Converted:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 128 else None
    if match is None:
        raise _wrong(value, type_, field)
    total = Decimal(0)
    for amount, unit in _DURATION_PART.findall(match[2]):
        total += Decimal(amount) * _NANOSECONDS[unit]
    nanoseconds = -int(total) if match[1] == "-" else int(total)
    if not _INT_MIN <= nanoseconds <= _INT_MAX:
        raise _wrong(value, type_, field)
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    sign = -1 if nanoseconds < 0 else 1
    return Converted(value, Duration(seconds=sign * seconds, nanos=sign * rest))


def _timestamp(value: Any, type_: ParameterType, field: str) -> Converted:
    """Nanoseconds are kept: the fraction is read apart from what a datetime holds."""
    try:
        if not isinstance(value, str):
            raise TypeError
        seconds = (parse_time(value, field) - _EPOCH) // timedelta(seconds=1)
    except (InvalidTuple, TypeError):
        raise _wrong(value, type_, field) from None
    match = _FRACTION.search(value)
    nanos = int(match[1].ljust(9, "0")) if match else 0
    return Converted(value, Timestamp(seconds=seconds, nanos=nanos))


def _ipaddress(value: Any, type_: ParameterType, field: str) -> Converted:
    try:
        if not isinstance(value, str):
            raise ValueError
        message = address_message(value)
    except ValueError:
        raise _wrong(value, type_, field) from None
    return Converted(message.text, message)


_SCALARS: dict[str, Callable[[Any, ParameterType, str], Converted]] = {
    "any": _any,
    "bool": _bool,
    "string": _string,
    "int": _int,
    "uint": _int,
    "double": _double,
    "bytes": _bytes,
    "duration": _duration,
    "timestamp": _timestamp,
    "ipaddress": _ipaddress,
}
_STRICT = {
    **_SCALARS,
    "any": _any_strictly,
    "int": _int_strictly,
    "uint": _int_strictly,
}

_EXPECTED = {
    "any": "any JSON value; integers of 64 bits with a sign",
    "bool": "true or false",
    "string": "a string",
    "int": "an integer of 64 bits with a sign, as a number or a string",
    "uint": "an integer from 0 to 9223372036854775807, as a number or a string",
    "double": "a number, or a string that holds one",
    "bytes": "a string in base64",
    "duration": "a duration such as `1h30m` or `250ms`",
    "timestamp": "an RFC 3339 time such as `2030-01-31T12:00:00Z`",
    "ipaddress": "an IPv4 or IPv6 address such as `10.1.2.3`, without leading zeros or a zone",
    "list": "an array",
    "map": "an object",
}
