"""Bodies read as OpenFGA reads them: protobuf's JSON, then the rules of each field.

Either spelling of a field is taken (`tuple_key`, `tupleKey`), unknown fields are ignored, and null
means absent. The first field that breaks its rule is told, in the words of protoc-gen-validate:
`invalid CheckRequest.TupleKey: value is required`. Some rules have a code of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from api.fga_ids import ID, ID_PATTERN
from api.openfga.errors import Refused
from engine.errors import InvalidRequest
from engine.jsontext import MAX_DEPTH, parse_json, type_name

REQUIRED = "value is required"
_CODES: Mapping[tuple[str, str], str] = {
    ("Assertions", "value must contain no more than"): "assertions_too_many_items",
    ("AuthorizationModelId", "value length must be at most"): "authorization_model_id_too_long",
    ("Base", REQUIRED): "difference_base_missing_value",
    ("Subtract", REQUIRED): "subtract_base_missing_value",
    ("Id", "value length"): "id_too_long",
    ("Object", "value length"): "object_too_long",
    ("Relation", "value length"): "relation_too_long",
    ("PageSize", "value must be inside range"): "page_size_invalid",
    ("Relations", "value length"): "relations_too_long",
    ("Relations", "value does not match"): "relations_invalid_pattern",
    ("StoreId", "value length must be"): "store_id_invalid_length",
    ("TupleKey", REQUIRED): "tuple_key_value_not_specified",
    ("TupleKeys", "value must contain between"): "tuple_keys_too_many_or_too_few_items",
    ("Type", "value length"): "type_invalid_length",
    ("Type", "value does not match"): "type_invalid_pattern",
    ("TypeDefinitions", "value must contain at least"): "type_definitions_too_few_items",
}


class Rule(NamedTuple):
    """What a text must look like. `shown` is the pattern as it is told, "" for none; the length is
    in bytes. An empty text is let through if `optional`, control characters if it is `free`."""

    matches: Callable[[str], object | None]
    shown: str
    most: int = 0
    optional: bool = False
    free: bool = False


def _pattern(text: str, most: int = 0, *, optional: bool = False) -> Rule:
    """A rule from a pattern between `^` and `$`, of which Go's classes are of ASCII alone."""
    return Rule(re.compile(text[1:-1], re.ASCII).fullmatch, text, most, optional)


def _anything(text: str) -> str:
    return text or "empty"


MODEL_ID = Rule(ID.fullmatch, ID_PATTERN, optional=True)
STORE_ID = Rule(ID.fullmatch, ID_PATTERN)
STORE_NAME = _pattern(r"^[a-zA-Z0-9\s\.\-\/^_&@]{3,64}$")
RELATION = _pattern(r"^[^:#@\s]{1,50}$")
TYPE = _pattern(r"^[^:#@\s]{1,254}$")
CHANGED_TYPE = _pattern(r"^[^:#@\s]{1,254}$", optional=True)
OBJECT = _pattern(r"^[^\s]{2,256}$")
USER = _pattern(r"^[^\s]{2,512}$")
KEY_OBJECT = _pattern(r"^[^\s]{2,256}$", optional=True)
KEY_RELATION = _pattern(r"^[^:#@\s]{1,50}$", optional=True)
KEY_USER = Rule(_anything, "", 512, optional=True)
READ_OBJECT = KEY_OBJECT
READ_USER = _pattern(r"^[^\s]{1,511}:[^\s]{1,511}$", 512, optional=True)
LISTED_USER = Rule(_anything, "", 512)
CONDITION = _pattern(r"^[^\s]{2,256}$")
OBJECT_ID = _pattern(r"^[^#:\s]+$")
CORRELATION_ID = _pattern(r"^[\w\d-]{1,36}$")
TOKEN = _pattern(r"^[A-Za-z0-9-_]+={0,2}$", 5120, optional=True)
ANY_TEXT = Rule(_anything, "", optional=True)
EXPRESSION = Rule(_anything, "", 512, optional=True, free=True)


@cache
def _other_spelling(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@cache
def _in_go(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def invalid(message: str, name: str, reason: str) -> Refused:
    """The refusal of the field `name` of a `message`."""
    told = _in_go(name)
    plain = told.partition("[")[0]
    for (field, start), code in _CODES.items():
        if field == plain and reason.startswith(start):
            return Refused(code, f"invalid {message}.{told}: {reason}")
    return Refused("validation_error", f"invalid {message}.{told}: {reason}")


def check(rule: Rule, text: str, message: str, name: str) -> str:
    """`text` if it follows the rule. Raises Refused."""
    if not text and rule.optional:
        return text
    if rule.most and len(text.encode()) > rule.most:
        raise invalid(message, name, f"value length must be at most {rule.most} bytes")
    if rule.matches(text) is None or not text:
        reason = f"value does not match regex pattern {_quoted(rule.shown)}"
        raise invalid(message, name, reason if rule.shown else "value length must be at least 1")
    if not rule.free and not text.isprintable():
        raise invalid(message, name, "value contains forbidden characters")
    return text


def _quoted(pattern: str) -> str:
    return '"' + pattern.replace("\\", "\\\\") + '"'


class Message:
    """A JSON object as a message of the API, called `name` in refusals."""

    __slots__ = ("_values", "name")

    def __init__(self, value: Any, name: str) -> None:
        if type(value) is not dict:
            raise _wrong(name, "an object", value)
        self._values: Mapping[str, Any] = value
        self.name = name

    def get(self, name: str) -> Any:
        """The value of a field, None when absent. Raises Refused when it stands twice."""
        value = self._values.get(name)
        other = _other_spelling(name)
        if other == name or other not in self._values:
            return value
        if name in self._values:
            raise Refused("validation_error", f"duplicate field {name}")
        return self._values[other]

    def text(self, name: str, rule: Rule) -> str:
        """A text that follows the rule, "" when absent if that may be."""
        value = self.get(name)
        if value is None:
            value = ""
        if type(value) is not str:
            raise _wrong(name, "a string", value)
        return check(rule, value, self.name, name)

    def message(self, name: str, kind: str) -> Message | None:
        """A message of the kind `kind`, None when absent."""
        value = self.get(name)
        if value is None:
            return None
        if type(value) is not dict:
            raise _wrong(name, "an object", value)
        return Message(value, kind)

    def required(self, name: str, kind: str) -> Message:
        """A message that must be there."""
        found = self.message(name, kind)
        if found is None:
            raise invalid(self.name, name, REQUIRED)
        return found

    def items(self, name: str, low: int = 0, high: int = 0) -> list[Any]:
        """An array of `low` to `high` items (0: of any number)."""
        value = self.get(name)
        if value is None:
            value = []
        if type(value) is not list:
            raise _wrong(name, "an array", value)
        if len(value) < low or (high and len(value) > high):
            bounds = f"value must contain between {low} and {high} items, inclusive"
            if not high:
                bounds = f"value must contain at least {low} item(s)"
            elif not low:
                bounds = f"value must contain no more than {high} item(s)"
            raise invalid(self.name, name, bounds)
        return value

    def messages(self, name: str, kind: str, low: int = 0, high: int = 0) -> list[Message]:
        """An array of messages."""
        return [Message(item, kind) for item in self.items(name, low, high)]

    def struct(self, name: str) -> dict[str, Any]:
        """Free JSON: an object, the empty one when absent."""
        value = self.get(name)
        if value is None:
            return {}
        if type(value) is not dict:
            raise _wrong(name, "an object", value)
        return value

    def flag(self, name: str) -> bool:
        """True or false; false when absent."""
        value = self.get(name)
        if value is None:
            return False
        if type(value) is not bool:
            raise _wrong(name, "true or false", value)
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of an enumeration, by name or by number; the first one when absent."""
        value = self.get(name)
        if value is None:
            return choices[0]
        if type(value) is int and 0 <= value < len(choices):
            return choices[value]
        if type(value) is not str or value not in choices:
            raise _wrong(name, "one of " + ", ".join(choices), value)
        return value

    def number(self, name: str) -> int | None:
        """A whole number, also as text; None when absent."""
        value = self.get(name)
        if value is None:
            return None
        if type(value) is str and re.fullmatch(r"-?\d{1,10}", value, re.ASCII):
            value = int(value)
        if type(value) is not int or not -(2**31) <= value < 2**31:
            raise _wrong(name, "a 32-bit integer", value)
        return value


def body_of(text: bytes, name: str, *, deepest: int = MAX_DEPTH) -> Message:
    """The body of a request; an empty one is the empty message. Raises Refused."""
    if not text.strip():
        return Message({}, name)
    try:
        return Message(parse_json(text, deepest=deepest), name)
    except InvalidRequest as error:
        raise Refused("validation_error", f"malformed JSON: {error.message}") from None


def _wrong(name: str, expected: str, value: Any) -> Refused:
    return Refused(
        "validation_error", f"invalid value for field {name}: {type_name(value)}, not {expected}"
    )
