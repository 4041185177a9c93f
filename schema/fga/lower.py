"""From a valid OpenFGA model to a `Schema`.

A relation that tuples may be written to becomes a `Relation`, whose rewrite has `This` among its
leaves; any other becomes a `Permission`. `X from Y` is an arrow over any object; a condition is a
caveat that wants all of its parameters.
"""

from __future__ import annotations

from types import MappingProxyType

from schema.fga.model import (
    AuthorizationModel,
    Condition,
    RelationDefinition,
    TypeDefinition,
    TypeRef,
    is_assignable,
)
from schema.model import (
    Caveat,
    ObjectType,
    ParameterType,
    Permission,
    Relation,
    Schema,
    SubjectType,
)


def lower(model: AuthorizationModel) -> Schema:
    """The schema that `model` says. The model must have passed `schema.fga.validate`."""
    types = {kind.name: _object_type(kind) for kind in model.types}
    caveats = {condition.name: _caveat(condition) for condition in model.conditions.values()}
    return Schema(MappingProxyType(types), MappingProxyType(caveats))


def _object_type(kind: TypeDefinition) -> ObjectType:
    relations = {}
    permissions = {}
    for name, definition in kind.relations.items():
        if is_assignable(definition.rewrite):
            relations[name] = Relation(
                name, _subject_types(definition), definition.rewrite, span=definition.span
            )
        else:
            permissions[name] = Permission(name, definition.rewrite, span=definition.span)
    return ObjectType(
        kind.name, MappingProxyType(relations), MappingProxyType(permissions), span=kind.span
    )


def _subject_types(definition: RelationDefinition) -> tuple[SubjectType, ...]:
    """Each form once: the JSON model may name it twice."""
    forms = [
        SubjectType(item.type, item.relation, item.wildcard, item.condition, span=item.span)
        for item in definition.restrictions
    ]
    return tuple(dict.fromkeys(forms))


def _caveat(condition: Condition) -> Caveat:
    parameters = {name: _parameter(type_ref) for name, type_ref in condition.parameters.items()}
    return Caveat(
        condition.name,
        MappingProxyType(parameters),
        condition.expression,
        span=condition.span,
        expression_span=condition.expression_span,
        strict=True,
    )


def _parameter(type_ref: TypeRef) -> ParameterType:
    argument = _parameter(type_ref.generics[0]) if type_ref.generics else None
    return ParameterType(type_ref.name, argument)
