"""AuthZEN's requests to engine values.

Unknown members are ignored, as the standard wants it. A member that is required and missing, or of
the wrong type, is a 400 that names it; `null` means absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from api.authzen.mapping import SIDES, StoreMapping
from api.members import Members, Problems
from engine.errors import InvalidRequest, InvalidTuple, UnknownRelation, UnknownType
from engine.jsontext import type_name
from engine.tuples import (
    MAX_RELATION_BYTES,
    MAX_TYPE_BYTES,
    Object,
    RelationTuple,
    Subject,
    check_id,
    check_name,
)

Json = Mapping[str, Any]
QUESTION = (*SIDES, "context")


class Open(Members):
    """The members of an object that may have others, too."""

    __slots__ = ()

    def __init__(self, value: Any, path: str, problems: Problems) -> None:
        super().__init__(value, path, (), problems)

    def _refuse_unknown(self, known: tuple[str, ...]) -> None:
        """They are ignored."""


class Entity(NamedTuple):
    """A subject, a resource, or an action, whose `type` is its name. What is searched has the id
    ""."""

    type: str
    id: str
    properties: Json


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as it was sent. `action` is None in a search for actions."""

    subject: Entity
    action: Entity | None
    resource: Entity
    context: Json

    def resource_type(self) -> str:
        """The type of the resource. Raises UnknownType if no schema can have it."""
        return _type(self.resource.type, "object")

    def subject_type(self) -> str:
        """The type of the subject. Raises UnknownType if no schema can have it."""
        return _type(self.subject.type, "subject")

    def object(self) -> Object:
        """The resource. Raises UnknownType, and InvalidTuple for an id that none can have."""
        id_ = check_id(self.resource.id, "resource.id")
        return Object(self.resource_type(), id_)

    def asker(self) -> Subject:
        """The subject. Raises as `object`."""
        id_ = check_id(self.subject.id, "subject.id")
        return Subject(self.subject_type(), id_)

    def relation(self, mapping: StoreMapping) -> str:
        """The permission that the action asks for. Raises UnknownRelation."""
        assert self.action is not None
        found = mapping.permission(self.resource.type, self.action.type)
        if found is None:
            known = ", ".join(f"`{name}`" for name in mapping.actions[self.resource.type])
            raise UnknownRelation(
                "the type of resource has no such action", field="relation", expected=known
            )
        try:
            return check_name(found, "relation", MAX_RELATION_BYTES)
        except InvalidTuple as error:
            raise UnknownRelation(error.message, field="relation") from None

    def caveat_context(self) -> dict[str, Any]:
        """Each property as `<side>_<name>`, all of a side as `<side>_properties`; the request's own
        context stands over both."""
        made: dict[str, Any] = {}
        for side, entity in self._sides():
            made[f"{side}_properties"] = entity.properties
        for side, entity in self._sides():
            for name, value in entity.properties.items():
                made[f"{side}_{name}"] = value
        return made | dict(self.context)

    def contextual_tuples(self, mapping: StoreMapping) -> tuple[RelationTuple, ...]:
        """The tuples that the properties make, each once.

        Raises InvalidRequest for a property that is neither a text nor a list of texts, and
        InvalidTuple for one that is no id.
        """
        if not mapping.templates:
            return ()
        made: dict[RelationTuple, None] = {}
        sides = dict(self._sides())
        types = {"subject": self.subject.type, "resource": self.resource.type}
        ids = {f"{side}.id": sides[side].id for side in ("subject", "resource") if sides[side].id}
        for template in mapping.templates:
            entity = sides.get(template.side)
            if entity is None:
                continue
            known = ids | ({"id": entity.id} if entity.id else {})
            for value in _texts(entity.properties, template.path, template.name):
                found = template.make(known | {"value": value}, types)
                if found is not None:
                    made[found] = None
        return tuple(made)

    def _sides(self) -> list[tuple[str, Entity]]:
        given = zip(SIDES, (self.subject, self.resource, self.action), strict=True)
        return [(side, entity) for side, entity in given if entity is not None]


def read_question(body: Open, problems: Problems, searched: str = "") -> Question | None:
    """What a request or one evaluation of many asks; None if a problem was noted. The id of what
    is searched is not looked at, and a search for actions has no action."""
    before = len(problems.found)
    subject = _entity(body, "subject", problems, with_id=searched != "subject")
    resource = _entity(body, "resource", problems, with_id=searched != "resource")
    action = None
    if searched != "action":
        action = _entity(body, "action", problems, with_id=False)
    context = body.object("context")
    if len(problems.found) > before or subject is None or resource is None:
        return None
    return Question(subject, action, resource, context)


def merged(defaults: Json, item: Any) -> Any:
    """One of many evaluations: what it has stands for the whole default of that name."""
    if not isinstance(item, dict):
        return item
    made = {name: defaults[name] for name in QUESTION if defaults.get(name) is not None}
    return made | {name: item[name] for name in QUESTION if item.get(name) is not None}


def _entity(body: Open, side: str, problems: Problems, *, with_id: bool) -> Entity | None:
    value = body.get(side)
    if value is None:
        problems.add("missing_field", "it is missing", body.path(side), "an object")
        return None
    members = Open(value, body.path(side), problems)
    before = len(problems.found)
    kind = _filled(members, "name" if side == "action" else "type", problems)
    id_ = _filled(members, "id", problems) if with_id else ""
    properties = members.object("properties")
    return Entity(kind, id_, properties) if len(problems.found) == before else None


def _filled(members: Open, name: str, problems: Problems) -> str:
    before = len(problems.found)
    text = members.text(name)
    if not text and len(problems.found) == before:
        problems.add("invalid_request", "it is empty", members.path(name), "a text")
    return text


def _type(text: str, field: str) -> str:
    try:
        return check_name(text, field, MAX_TYPE_BYTES)
    except InvalidTuple as error:
        raise UnknownType(error.message, field=field) from None


def _texts(properties: Json, path: tuple[str, ...], name: str) -> list[str]:
    value: Any = properties
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    for each in values:
        if not isinstance(each, str):
            raise InvalidRequest(
                f"found {type_name(each)}",
                field=name,
                expected="a text, or a list of texts: tuples are made of it",
                code="wrong_type",
            )
    return values
