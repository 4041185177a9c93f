"""What a store's administrator says about its AuthZEN requests: a file, read and checked at start.

    {"stores": {"todo": {
        "tuples": {"resource.properties.ownerID": "todo:{id}#owner@user:{value}"},
        "actions": {"todo": {"GET": "can_read", "PUT": "can_update"}}}}}

`tuples` makes contextual tuples of properties: `{value}` is the property, `{id}` the id of the
entity that has it, `{subject.id}` and `{resource.id}` those of the two. `actions` names, for a type
of resource, all the actions that it has, and the permission that each one asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from engine.errors import EngineError
from engine.jsontext import parse_json
from engine.store.protocol import STORE_NAME
from engine.tuples import (
    MAX_RELATION_BYTES,
    MAX_TYPE_BYTES,
    WILDCARD,
    Object,
    RelationTuple,
    check_id,
    check_name,
    make_subject,
    make_tuple,
    parse_tuple,
)

SIDES = ("subject", "resource", "action")
_PROPERTY = re.compile(r"(subject|resource|action)\.properties\.([^.\s]+(?:\.[^.\s]+)*)")
_PLACE = re.compile(r"\{([^{}]*)\}")
_PLACES = ("id", "value", "subject.id", "resource.id")
_MAX_TEMPLATES = 100


class MappingError(Exception):
    """The file does not make a mapping; the message says where and what is wrong."""


class Part(NamedTuple):
    """An id in a template: texts, and between them the names of places."""

    texts: tuple[str, ...]
    places: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> str | None:
        """The id, None if a place has no value."""
        if any(place not in values for place in self.places):
            return None
        filled = [self.texts[0]]
        for place, text in zip(self.places, self.texts[1:], strict=True):
            filled += (values[place], text)
        return "".join(filled)


@dataclass(frozen=True, slots=True)
class Template:
    """One contextual tuple that a property makes."""

    side: str
    path: tuple[str, ...]
    object_type: str
    object_id: Part
    relation: str
    subject_type: str
    subject_id: Part
    subject_relation: str

    @property
    def name(self) -> str:
        """The property, as the file names it."""
        return ".".join((self.side, "properties", *self.path))

    def make(self, values: Mapping[str, str], types: Mapping[str, str]) -> RelationTuple | None:
        """The tuple, None if it is not about the entities of the request. `types` are those of
        subject and resource. Raises InvalidTuple for a value that is no id."""
        if not self._about(self.object_id, self.object_type, types):
            return None
        if not self._about(self.subject_id, self.subject_type, types):
            return None
        object_id, subject_id = self.object_id.fill(values), self.subject_id.fill(values)
        if object_id is None or subject_id is None:
            return None
        subject = make_subject(
            self.subject_type, check_id(subject_id, self.name), self.subject_relation, self.name
        )
        object_ = Object(self.object_type, check_id(object_id, self.name))
        return make_tuple(object_, self.relation, subject, field=self.name)

    def _about(self, part: Part, kind: str, types: Mapping[str, str]) -> bool:
        """Whether an id that is nothing but an entity's own stands for an entity of this type."""
        if part.texts != ("", ""):
            return True
        (place,) = part.places
        side = self.side if place == "id" else place.partition(".")[0]
        return types.get(side, kind) == kind


@dataclass(frozen=True, slots=True)
class StoreMapping:
    """What is configured for one store; by default nothing."""

    templates: tuple[Template, ...] = ()
    actions: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))

    def permission(self, resource_type: str, action: str) -> str | None:
        """The permission that an action asks for, None if the type has no such action."""
        named = self.actions.get(resource_type)
        return action if named is None else named.get(action)


NO_MAPPING = StoreMapping()


def read_mapping(path: Path) -> Mapping[str, StoreMapping]:
    """The mappings in a file, by store. Raises MappingError, which shows nothing of its values."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise MappingError(f"it cannot be read: {error.strerror}") from None
    try:
        stores = _members(parse_json(text), "", ("stores",)).get("stores", {})
    except EngineError as error:
        raise MappingError(error.message) from None
    found = {}
    for name, value in _object(stores, "stores").items():
        if not STORE_NAME.fullmatch(name):
            raise MappingError(f"stores: `{name[:64]}` is not a store's name")
        found[name] = _store(value, f"stores.{name}")
    return MappingProxyType(found)


def _store(value: Any, at: str) -> StoreMapping:
    members = _members(value, at, ("tuples", "actions"))
    templates = tuple(_templates(members.get("tuples", {}), f"{at}.tuples"))
    if len(templates) > _MAX_TEMPLATES:
        raise MappingError(f"{at}.tuples: at most {_MAX_TEMPLATES} tuples")
    actions = {
        kind: _actions(named, f"{at}.actions.{kind}")
        for kind, named in _object(members.get("actions", {}), f"{at}.actions").items()
    }
    for kind in actions:
        _named(kind, MAX_TYPE_BYTES, f"{at}.actions")
    return StoreMapping(templates, MappingProxyType(actions))


def _actions(value: Any, at: str) -> Mapping[str, str]:
    named = _object(value, at)
    for action, permission in named.items():
        if not action or not isinstance(permission, str):
            raise MappingError(f"{at}: expected names of actions with the permissions they ask for")
        _named(permission, MAX_RELATION_BYTES, f"{at}.{action}")
    return MappingProxyType(named)


def _templates(value: Any, at: str) -> Iterator[Template]:
    for name, texts in _object(value, at).items():
        match = _PROPERTY.fullmatch(name)
        if match is None:
            raise MappingError(
                f"{at}: `{name[:64]}` is not a property; expected `resource.properties.NAME`,"
                " or the same of `subject` or `action`"
            )
        for text in texts if isinstance(texts, list) else [texts]:
            yield _template(match[1], tuple(match[2].split(".")), text, f"{at}.{name}")


def _template(side: str, path: tuple[str, ...], text: Any, at: str) -> Template:
    if not isinstance(text, str):
        raise MappingError(f"{at}: expected a tuple such as `todo:{{id}}#owner@user:{{value}}`")
    try:
        shape = parse_tuple(text)
    except EngineError as error:
        raise MappingError(f"{at}: {error.message}") from None
    if shape.caveat or shape.expires_at is not None or "{" in str(shape.subject.relation):
        raise MappingError(f"{at}: a tuple of a property has no caveat and no expiration")
    if shape.subject.id == WILDCARD:
        raise MappingError(f"{at}: a property makes no one's tuple everyone's")
    if "{" in shape.object.type + shape.relation + shape.subject.type:
        raise MappingError(f"{at}: only ids have places")
    made = Template(
        side,
        path,
        shape.object.type,
        _part(shape.object.id, side, at),
        shape.relation,
        shape.subject.type,
        _part(shape.subject.id, side, at),
        shape.subject.relation,
    )
    if "value" not in (*made.object_id.places, *made.subject_id.places):
        raise MappingError(f"{at}: `{{value}}` must stand in it")
    return made


def _part(text: str, side: str, at: str) -> Part:
    pieces = _PLACE.split(text)
    places = tuple(pieces[1::2])
    for place in places:
        if place not in _PLACES or (place == "id" and side == "action"):
            known = ", ".join(f"`{{{each}}}`" for each in _PLACES)
            raise MappingError(f"{at}: `{{{place}}}` is no place here; known are {known}")
    return Part(tuple(pieces[0::2]), places)


def _members(value: Any, at: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    members = _object(value, at)
    for name in members:
        if name not in known:
            raise MappingError(
                f"{at or 'the file'}: `{name[:64]}` is not one of {', '.join(known)}"
            )
    return members


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MappingError(f"{at or 'the file'}: expected an object")
    return value


def _named(text: str, limit: int, at: str) -> None:
    try:
        check_name(text, at, limit)
    except EngineError as error:
        raise MappingError(f"{at}: {error.message}") from None
