"""From an OpenFGA model to a schema that the `.zed` language can say.

In `.zed` a relation is either stored or computed. One that is both keeps its name as a permission,
so that every question is asked as before, and its tuples move to a relation `…_direct`. The same
is done with a relation that allows a wildcard and stands in usersets, which `.zed` refuses for
relations and allows for permissions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from schema.errors import SchemaError
from schema.fga.convert.notes import Effect, Note, Notes
from schema.fga.lower import lower
from schema.fga.model import AuthorizationModel
from schema.model import Caveat, ObjectType, Permission, Relation, Schema
from schema.rewrite import Computed, Exclusion, Intersection, Rewrite, This, Union
from schema.zed.language import parse_zed
from schema.zed.print import print_schema
from schema.zed.syntax import KEYWORDS

Moves = Mapping[tuple[str, str], str]
"""By object type and relation: the relation that its tuples are written to instead."""
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:/[a-z][a-z0-9_]*)*")
STRICT = (
    "without a parameter, a condition of OpenFGA is an error; a caveat is decided where its "
    "expression does without it, and conditional where it does not"
)


class ZedConversion(NamedTuple):
    """The schema, its text, where tuples move, and what does not carry over."""

    schema: Schema
    text: str
    moves: Moves
    notes: tuple[Note, ...]


def to_zed(model: AuthorizationModel) -> ZedConversion:
    """The `.zed` schema that answers as `model` does, once tuples have moved.

    The model must have passed `schema.fga.validate`. Raises CannotConvertError.
    """
    notes = Notes()
    whole = lower(model)
    if any(kind.origin.module for kind in model.types):
        notes.add(Effect.LOST, "", "which module and file a part comes from")
    shared = _wildcards_in_usersets(whole)
    moves: dict[tuple[str, str], str] = {}
    types = {
        name: _object_type(object_type, shared, moves)
        for name, object_type in whole.object_types.items()
    }
    for (type_name, relation), direct in moves.items():
        message = f"its tuples are those of `{type_name}#{direct}`"
        notes.add(Effect.CHANGED, f"{type_name}#{relation}", message)
    caveats = {name: _caveat(caveat, notes) for name, caveat in whole.caveats.items()}
    _check_names(whole, notes)
    schema = Schema(MappingProxyType(types), MappingProxyType(caveats))
    notes.settled()
    text = _text(schema, notes)
    return ZedConversion(schema, text, MappingProxyType(moves), notes.settled())


def _wildcards_in_usersets(schema: Schema) -> frozenset[tuple[str, str]]:
    relations = [
        (object_type.name, relation)
        for object_type in schema.object_types.values()
        for relation in object_type.relations.values()
    ]
    used = {(form.type, form.relation) for _, item in relations for form in item.subject_types}
    return frozenset(
        (type_name, relation.name)
        for type_name, relation in relations
        if any(form.wildcard for form in relation.subject_types)
        and (type_name, relation.name) in used
    )


def _object_type(
    object_type: ObjectType,
    shared: frozenset[tuple[str, str]],
    moves: dict[tuple[str, str], str],
) -> ObjectType:
    relations: dict[str, Relation] = {}
    permissions: dict[str, Permission] = {}
    names = set(object_type.names)
    for name, relation in object_type.relations.items():
        if isinstance(relation.rewrite, This) and (object_type.name, name) not in shared:
            relations[name] = relation
            continue
        direct = f"{name}_direct"
        while direct in names:
            direct += "_"
        names.add(direct)
        moves[object_type.name, name] = direct
        relations[direct] = Relation(direct, relation.subject_types)
        permissions[name] = Permission(name, _without_this(relation.rewrite, direct))
    permissions |= object_type.permissions
    return replace(
        object_type,
        relations=MappingProxyType(relations),
        permissions=MappingProxyType(permissions),
    )


def _without_this(rewrite: Rewrite, direct: str) -> Rewrite:
    match rewrite:
        case This():
            return Computed(direct)
        case Union(children):
            return Union(tuple(_without_this(child, direct) for child in children))
        case Intersection(children):
            return Intersection(tuple(_without_this(child, direct) for child in children))
        case Exclusion(base, subtracted):
            return Exclusion(_without_this(base, direct), _without_this(subtracted, direct))
        case _:
            return rewrite


def _caveat(caveat: Caveat, notes: Notes) -> Caveat:
    notes.add(Effect.CHANGED, caveat.name, STRICT)
    if not caveat.parameters:
        notes.add(Effect.REFUSED, caveat.name, "a caveat needs a parameter")
    return replace(caveat, strict=False)


def _check_names(schema: Schema, notes: Notes) -> None:
    for kind in schema.object_types.values():
        for where, name in ((kind.name, kind.name), *((f"{kind.name}#{n}", n) for n in kind.names)):
            if name in KEYWORDS or not _NAME.fullmatch(name):
                notes.add(Effect.REFUSED, where, f"`{name}` cannot be a name in `.zed`")


def _text(schema: Schema, notes: Notes) -> str:
    """The schema in `.zed`; what stands against it becomes notes."""
    try:
        text = print_schema(schema)
        if parse_zed(text) != schema:
            notes.add(Effect.REFUSED, "", "the `.zed` language does not say it as it is")
    except SchemaError as error:
        for problem in error.problems:
            notes.add(Effect.REFUSED, "", problem.message)
        return ""
    return text
