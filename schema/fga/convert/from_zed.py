"""From a schema of the `.zed` language to an OpenFGA model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import NamedTuple, assert_never

from schema.fga.convert.live import without_dead
from schema.fga.convert.notes import Effect, Note, Notes
from schema.fga.dsl.check import RELATION_RULE, TYPE_RULE
from schema.fga.limits import beyond_limits
from schema.fga.model import (
    AuthorizationModel,
    Condition,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    TypeRef,
)
from schema.fga.validate import validate
from schema.model import Caveat, ObjectType, ParameterType, Schema
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    This,
    Union,
)
from schema.walk import ArrowWalk

VERSION = "1.1"
_NOT_IN_OPENFGA = re.compile(r"\bisSubtreeOf\b|\boptional\s*\.|\.\?|\[\?")
_STRICT = (
    "a caveat is decided where its expression does without a missing parameter; a condition of "
    "OpenFGA is an error then"
)


class ModelConversion(NamedTuple):
    """The model, and what does not carry over."""

    model: AuthorizationModel
    notes: tuple[Note, ...]


def to_model(schema: Schema) -> ModelConversion:
    """The OpenFGA model that answers as `schema` does.

    The schema must have passed `schema.typecheck`. Raises CannotConvertError.
    """
    notes = Notes()
    made = _Converter(schema, notes).model()
    notes.settled()
    model = without_dead(made, notes)
    problem = validate(model)
    if problem is not None:
        notes.add(Effect.REFUSED, "", f"OpenFGA's server would refuse it: {problem.message}")
    for where, limit in beyond_limits(model):
        notes.add(Effect.LIMIT, where, f"a server of OpenFGA may refuse {limit}")
    return ModelConversion(model, notes.settled())


class _Converter:
    def __init__(self, schema: Schema, notes: Notes) -> None:
        self._schema = schema
        self._notes = notes
        self._walk = ArrowWalk(schema)
        self._helpers: dict[str, dict[str, RelationDefinition]] = {}
        self._where = ""

    def model(self) -> AuthorizationModel:
        types = [self._type(object_type) for object_type in self._schema.object_types.values()]
        whole = [
            TypeDefinition(
                kind.name,
                MappingProxyType({**kind.relations, **self._helpers.get(kind.name, {})}),
            )
            for kind in types
        ]
        conditions = {name: self._condition(item) for name, item in self._schema.caveats.items()}
        return AuthorizationModel(VERSION, tuple(whole), MappingProxyType(conditions))

    def _lost(self, message: str) -> None:
        self._notes.add(Effect.LOST, self._where, message)

    def _refuse(self, message: str) -> None:
        self._notes.add(Effect.REFUSED, self._where, message)

    def _check_name(self, name: str, rule: str) -> None:
        if re.fullmatch(rule.strip("^$"), name) is None:
            self._refuse(f"the name does not match OpenFGA's rule {rule}")

    def _type(self, object_type: ObjectType) -> TypeDefinition:
        self._where = object_type.name
        self._check_name(object_type.name, TYPE_RULE)
        if object_type.doc:
            self._lost("its comment")
        relations: dict[str, RelationDefinition] = {}
        for relation in object_type.relations.values():
            self._where = f"{object_type.name}#{relation.name}"
            self._check_name(relation.name, RELATION_RULE)
            if relation.doc:
                self._lost("its comment")
            if any(form.expiration for form in relation.subject_types):
                self._refuse("tuples of OpenFGA do not expire")
            allowed = [
                Restriction(form.type, form.relation, form.wildcard, form.caveat)
                for form in relation.subject_types
            ]
            unique = tuple(dict.fromkeys(allowed))
            relations[relation.name] = RelationDefinition(relation.name, This(), unique)
        for permission in object_type.permissions.values():
            self._where = f"{object_type.name}#{permission.name}"
            self._check_name(permission.name, RELATION_RULE)
            if permission.doc:
                self._lost("its comment")
            if permission.annotation:
                self._lost("the types that it says it may have")
            rewrite = self._rewrite(permission.rewrite, object_type.name)
            relations[permission.name] = RelationDefinition(permission.name, rewrite)
        return TypeDefinition(object_type.name, MappingProxyType(relations))

    def _rewrite(self, rewrite: Rewrite, source: str) -> Rewrite:
        match rewrite:
            case Union(children):
                return Union(tuple(self._rewrite(child, source) for child in children))
            case Intersection(children):
                return Intersection(tuple(self._rewrite(child, source) for child in children))
            case Exclusion(base, subtracted):
                return Exclusion(self._rewrite(base, source), self._rewrite(subtracted, source))
            case Arrow():
                return self._arrow(rewrite, frozenset((source,)))
            case Self():
                self._refuse("OpenFGA has no word for the object itself")
                return Nil()
            case Computed() | Nil() | This():
                return rewrite
        assert_never(rewrite)

    def _arrow(self, arrow: Arrow, sources: frozenset[str]) -> Arrow:
        """A nested arrow asks, of the objects that it walks to first, a relation made for it."""
        if arrow.mode is ArrowMode.ALL:
            self._refuse("OpenFGA has no arrow over all objects")
        for form in self._forms(arrow.relation, sources):
            if form:
                self._refuse(
                    f"`{arrow.relation}` is walked and allows the userset `{form}`, and OpenFGA "
                    f"walks only relations of objects"
                )
        if isinstance(arrow.target, Computed):
            return Arrow(arrow.relation, ArrowMode.ANY, arrow.target)
        types = self._walk.step(arrow.relation, sources)
        having = self._walk.sources(arrow.target.relation, types)
        inner = self._arrow(arrow.target, having)
        name = self._helper(inner, having)
        return Arrow(arrow.relation, ArrowMode.ANY, Computed(name))

    def _forms(self, relation: str, sources: frozenset[str]) -> Iterator[str]:
        for source in self._walk.in_order(sources):
            known = self._schema.object_types[source].relations.get(relation)
            for form in () if known is None else known.subject_types:
                yield f"{form.type}#{form.relation}" if form.relation else ""

    def _helper(self, arrow: Arrow, types: frozenset[str]) -> str:
        """The relation, of all these types, that says `arrow`."""
        stem = f"{arrow.relation}_to_{arrow.target.relation}"
        taken = {name for kind in self._schema.object_types.values() for name in kind.names}
        for others in self._helpers.values():
            taken |= {n for n, other in others.items() if other.rewrite != arrow}
        name = stem
        while name in taken:
            name += "_"
        for kind in self._walk.in_order(types):
            self._helpers.setdefault(kind, {})[name] = RelationDefinition(name, arrow)
            message = "a relation made for a nested arrow"
            self._notes.add(Effect.CHANGED, f"{kind}#{name}", message)
        return name

    def _condition(self, caveat: Caveat) -> Condition:
        self._where = caveat.name
        self._check_name(caveat.name, RELATION_RULE)
        if caveat.doc:
            self._lost("its comment")
        if _NOT_IN_OPENFGA.search(caveat.expression):
            self._refuse("OpenFGA's expressions have neither `isSubtreeOf` nor optional values")
        self._notes.add(Effect.CHANGED, self._where, _STRICT)
        parameters = {name: self._parameter(kind) for name, kind in caveat.parameters.items()}
        return Condition(caveat.name, caveat.expression, MappingProxyType(parameters))

    def _parameter(self, kind: ParameterType) -> TypeRef:
        """`uint` is an int in the `.zed` language, and its values may not be negative."""
        if kind.name == "bytes":
            self._refuse("OpenFGA has no parameters of type `bytes`")
        if kind.name == "uint":
            self._lost("that values of type `uint` are not negative: they are of type `int`")
            return TypeRef("int")
        argument = () if kind.argument is None else (self._parameter(kind.argument),)
        return TypeRef(kind.name, argument)
