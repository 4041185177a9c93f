"""The JSON form of an OpenFGA model, read into an `AuthorizationModel`.

Both spellings of every field are accepted, and fields that are not known are ignored, as by
protojson (`google.golang.org/protobuf/encoding/protojson`), which OpenFGA reads models with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from schema.errors import Problem, SchemaSyntaxError
from schema.fga.model import (
    NOWHERE,
    AuthorizationModel,
    Condition,
    Origin,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    TypeRef,
)
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    This,
    Union,
)

MAX_DEPTH = 100
"""How deep a rewrite may be nested, as in the `.zed` language."""
MAX_JSON_DEPTH = 8 * MAX_DEPTH

TYPE_NAMES = (
    "",
    "any",
    "bool",
    "string",
    "int",
    "uint",
    "double",
    "duration",
    "timestamp",
    "map",
    "list",
    "ipaddress",
)
"""Parameter types by their number in the protocol; the first is `TYPE_NAME_UNSPECIFIED`."""
TYPE_PREFIX = "TYPE_NAME_"
UNSPECIFIED = "UNSPECIFIED"

_ONE_OF = ("this", "computedUserset", "tupleToUserset", "union", "intersection", "difference")
_CAMEL = re.compile(r"_([a-z])")


class DecodeError(ValueError):
    """A JSON value is not a model; the text says where and what."""


def parse_json_model(text: str) -> AuthorizationModel:
    """The model that a JSON text holds.

    Raises SchemaSyntaxError when it is no JSON, names a field twice or has a value of the wrong
    type.
    """
    try:
        return decode_model(json_value(text))
    except DecodeError as error:
        raise SchemaSyntaxError((Problem("validation_error", str(error)),), text) from None


def json_value(text: str) -> Any:
    """A JSON text's value. Raises DecodeError; a field given twice, NaN and lone surrogates are
    errors."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise DecodeError("the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DecodeError(f"not JSON: {error.msg} ({where})") from None
    except UnicodeEncodeError:
        raise DecodeError("not JSON: a lone surrogate") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DecodeError("a field is given twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise DecodeError(f"not JSON: {name}")


def decode_model(value: Any) -> AuthorizationModel:
    """The model of a JSON value: the body of a write, or a model with its `id`.

    Raises DecodeError.
    """
    body = _Message(value, "")
    types = [_type_definition(item) for item in body.messages("type_definitions")]
    conditions = {key: _condition(item) for key, item in body.map("conditions").items()}
    return AuthorizationModel(
        schema_version=body.text("schema_version"),
        types=tuple(types),
        conditions=MappingProxyType(conditions),
        id=body.text("id"),
    )


def _camel(name: str) -> str:
    return _CAMEL.sub(lambda match: match[1].upper(), name)


class _Message:
    """One JSON object read as a protobuf message: fields under either name, null as absent."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, Mapping):
            raise DecodeError(f"{path or 'the model'} must be an object")
        self.path = path
        self._fields: dict[str, Any] = {}
        for key, item in value.items():
            name = _camel(str(key))
            if name in self._fields:
                raise DecodeError(f"{self._at(name)} is given twice")
            self._fields[name] = item

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _get(self, name: str) -> Any:
        return self._fields.get(_camel(name))

    def has(self, name: str) -> bool:
        return self._get(name) is not None

    def text(self, name: str) -> str:
        value = self._get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise DecodeError(f"{self._at(name)} must be a string")
        return value

    def message(self, name: str) -> _Message | None:
        value = self._get(name)
        return None if value is None else _Message(value, self._at(name))

    def messages(self, name: str) -> list[_Message]:
        value = self._get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise DecodeError(f"{self._at(name)} must be an array")
        return [_Message(item, f"{self._at(name)}[{i}]") for i, item in enumerate(value)]

    def map(self, name: str) -> dict[str, _Message]:
        value = self._get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise DecodeError(f"{self._at(name)} must be an object")
        return {str(key): _Message(item, f"{self._at(name)}.{key}") for key, item in value.items()}

    def value(self, name: str) -> Any:
        return self._get(name)


def _type_definition(body: _Message) -> TypeDefinition:
    metadata = body.message("metadata")
    known = {} if metadata is None else metadata.map("relations")
    relations = {}
    for name, rewrite in body.map("relations").items():
        about = known.get(name)
        restrictions = () if about is None else about.messages("directly_related_user_types")
        relations[name] = RelationDefinition(
            name=name,
            rewrite=_rewrite(rewrite, 0),
            restrictions=tuple(_restriction(item) for item in restrictions),
            origin=_origin(about),
        )
    return TypeDefinition(body.text("type"), MappingProxyType(relations), _origin(metadata))


def _origin(metadata: _Message | None) -> Origin:
    if metadata is None:
        return NOWHERE
    source = metadata.message("source_info")
    return Origin(metadata.text("module"), "" if source is None else source.text("file"))


def _restriction(body: _Message) -> Restriction:
    wildcard = body.message("wildcard") is not None
    if wildcard and body.has("relation"):
        raise DecodeError(f"{body.path} has both a relation and a wildcard")
    return Restriction(
        body.text("type"), body.text("relation"), wildcard, condition=body.text("condition")
    )


def _rewrite(body: _Message | None, depth: int) -> Rewrite:
    """The rewrite of a `Userset` message; `Nil` if there is none or it holds none of the six."""
    if body is None:
        return Nil()
    if depth > MAX_DEPTH:
        raise DecodeError(f"{body.path.split('.')[0]}: nested more than {MAX_DEPTH} levels deep")
    given = [name for name in _ONE_OF if body.has(name)]
    if len(given) > 1:
        raise DecodeError(f"{body.path} has both {given[0]} and {given[1]}")
    inner = body.message(given[0]) if given else None
    if inner is None:
        return Nil()
    match given[0]:
        case "this":
            return This()
        case "computedUserset":
            return Computed(inner.text("relation"))
        case "tupleToUserset":
            return _arrow(inner)
        case "union":
            return Union(_children(inner, depth))
        case "intersection":
            return Intersection(_children(inner, depth))
        case _:
            return _difference(inner, depth)


def _arrow(body: _Message) -> Arrow:
    ends = [body.message(name) for name in ("tupleset", "computed_userset")]
    tupleset, computed = ("" if end is None else end.text("relation") for end in ends)
    return Arrow(tupleset, ArrowMode.ANY, Computed(computed))


def _children(body: _Message, depth: int) -> tuple[Rewrite, ...]:
    return tuple(_rewrite(item, depth + 1) for item in body.messages("child"))


def _difference(body: _Message, depth: int) -> Rewrite:
    base, subtracted = body.message("base"), body.message("subtract")
    return Exclusion(_rewrite(base, depth + 1), _rewrite(subtracted, depth + 1))


def _condition(body: _Message) -> Condition:
    parameters = {key: _type_ref(item, 0) for key, item in body.map("parameters").items()}
    return Condition(
        name=body.text("name"),
        expression=body.text("expression"),
        parameters=MappingProxyType(parameters),
        origin=_origin(body.message("metadata")),
    )


def _type_ref(body: _Message, depth: int) -> TypeRef:
    if depth > MAX_DEPTH:
        raise DecodeError("a parameter type is nested too deeply")
    name = body.value("type_name")
    generics = tuple(_type_ref(item, depth + 1) for item in body.messages("generic_types"))
    if name is None:
        return TypeRef("", generics)
    if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < len(TYPE_NAMES):
        return TypeRef(TYPE_NAMES[name], generics)
    known = {TYPE_PREFIX + (kind.upper() or UNSPECIFIED): kind for kind in TYPE_NAMES}
    if not isinstance(name, str) or name not in known:
        raise DecodeError(f"{body.path}.type_name is not the name of a type")
    return TypeRef(known[name], generics)
