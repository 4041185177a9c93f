"""Whether a model makes sense, by the rules and in the words of OpenFGA's server.

Source: `pkg/typesystem/typesystem.go` of openfga/openfga. Types and relations are looked at in the
order of their names, conditions last, and the first thing wrong is what is told. That an
expression compiles is `engine.caveats`' to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from schema.errors import Problem
from schema.fga.entrypoints import Entrypoints
from schema.fga.model import (
    VERSIONS,
    AuthorizationModel,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    TypeRef,
    is_assignable,
    leaves,
    tuplesets,
)
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Nil, Rewrite, This, Union

INVALID_MODEL = "invalid_authorization_model"
"""The code of every problem told here; OpenFGA's own name for it (2056)."""
RESERVED = ("self", "this")
GENERIC_TYPES = ("list", "map")


def validate(model: AuthorizationModel) -> Problem | None:
    """The first problem of `model` in OpenFGA's words, or None."""
    for message in _problems(model):
        return Problem(INVALID_MODEL, message)
    return None


def _problems(model: AuthorizationModel) -> Iterator[str]:
    if model.schema_version not in VERSIONS:
        yield "invalid schema version"
    counted = Counter(kind.name for kind in model.types)
    if any(count > 1 for count in counted.values()):
        yield "an authorization model cannot contain duplicate types"
    in_order = sorted(model.types, key=lambda kind: kind.name)
    for kind in in_order:
        yield from _names(kind)
    yield from _Names(model, in_order).problems()
    for key in sorted(model.conditions):
        condition = model.conditions[key]
        if key != condition.name:
            yield f"condition key '{key}' does not match condition name '{condition.name}'"
        for name, type_ref in sorted(condition.parameters.items()):
            why = _type_problem(type_ref)
            if why:
                yield (
                    f"failed to compile expression on condition '{key}' - failed to decode "
                    f"parameter type for parameter '{name}': {why}"
                )


def _names(kind: TypeDefinition) -> Iterator[str]:
    if not kind.name:
        yield "the type name of a type definition cannot be an empty string"
    if kind.name in RESERVED:
        yield f"the definition of type '{kind.name}' is invalid"
    for name in sorted(kind.relations):
        if not name:
            yield f"type '{kind.name}' defines a relation with an empty string for a name"
        if name in RESERVED:
            yield _wrong(kind, name, "self and this are reserved keywords")


def _wrong(kind: TypeDefinition, relation: str, why: str) -> str:
    return f"the definition of relation '{relation}' in object type '{kind.name}' is invalid: {why}"


class _Names:
    """Checks the relations of a model whose type names are unique."""

    def __init__(self, model: AuthorizationModel, in_order: list[TypeDefinition]) -> None:
        self._model = model
        self._in_order = in_order
        self._types = {kind.name: kind for kind in model.types}
        self._entry = Entrypoints(model)

    def problems(self) -> Iterator[str]:
        for kind in self._in_order:
            walked = tuplesets(kind)
            for name in sorted(kind.relations):
                relation = kind.relations[name]
                yield from self._rewrite(kind, name, relation.rewrite)
                yield from self._restrictions(kind, relation, tupleset=name in walked)
                yield from _operators(kind, name, relation.rewrite)
                yield from self._entrypoints(kind, name)

    def _has(self, type_name: str, relation: str) -> bool:
        kind = self._types.get(type_name)
        return kind is not None and relation in kind.relations

    def _rewrite(self, kind: TypeDefinition, name: str, rewrite: Rewrite) -> Iterator[str]:
        for leaf in leaves(rewrite):
            match leaf:
                case Nil():
                    yield _wrong(kind, name, "invalid userset rewrite definition")
                case Computed(relation) if relation == name:
                    yield _wrong(kind, name, "invalid userset rewrite definition")
                case Computed(relation) if relation not in kind.relations:
                    yield f"'{kind.name}#{relation}' relation is undefined"
                case Arrow():
                    yield from self._arrow(kind, leaf)
                case _:
                    pass

    def _arrow(self, kind: TypeDefinition, arrow: Arrow) -> Iterator[str]:
        walked = kind.relations.get(arrow.relation)
        if walked is None:
            yield f"'{kind.name}#{arrow.relation}' relation is undefined"
            return
        if not isinstance(walked.rewrite, This):
            yield (
                f"the '{kind.name}#{arrow.relation}' relation is referenced in at least one "
                f"tupleset and thus must be a direct relation"
            )
        target = arrow.target.relation
        if not any(self._has(item.type, target) for item in walked.restrictions):
            shown = " ".join(_shown(item) for item in walked.restrictions)
            yield (
                f"undefined relation: {target} does not appear as a relation in any of the "
                f"directly related user types [{shown}]"
            )

    def _restrictions(
        self, kind: TypeDefinition, relation: RelationDefinition, *, tupleset: bool
    ) -> Iterator[str]:
        name, assignable = relation.name, is_assignable(relation.rewrite)
        if assignable and not relation.restrictions:
            yield (
                f"the assignable relation '{name}' in object type '{kind.name}' must contain at "
                f"least one relation type"
            )
        if not assignable and relation.restrictions:
            yield (
                f"the non-assignable relation '{name}' in object type '{kind.name}' should not "
                f"contain a relation type"
            )
        for item in relation.restrictions:
            known = item.type in self._types
            if item.relation:
                known = self._has(item.type, item.relation)
            if not known or (tupleset and (item.relation or item.wildcard)):
                shown = f"{item.type}#{item.relation}" if item.relation else item.type
                yield (
                    f"the relation type '{shown}' on '{name}' in object type '{kind.name}' "
                    f"is not valid"
                )
            if item.condition and item.condition not in self._model.conditions:
                yield f"condition {item.condition} is undefined for relation {name}"

    def _entrypoints(self, kind: TypeDefinition, name: str) -> Iterator[str]:
        """Comes last for a relation: those looked at later may still have names unresolved."""
        if not self._entry.has(kind.name, name):
            loop = self._entry.loops(kind.name, name)
            yield _wrong(kind, name, "potential loop" if loop else "no entrypoints defined")
        if self._entry.has_cycle(kind.name, name):
            yield _wrong(kind, name, "an authorization model cannot contain a cycle")


def _shown(item: Restriction) -> str:
    """As Go prints the message: `type:"group" relation:"member"`."""
    parts = [f'type:"{item.type}"']
    if item.relation:
        parts.append(f'relation:"{item.relation}"')
    if item.wildcard:
        parts.append("wildcard:{}")
    if item.condition:
        parts.append(f'condition:"{item.condition}"')
    return " ".join(parts)


def _operators(kind: TypeDefinition, name: str, rewrite: Rewrite) -> Iterator[str]:
    stack: list[Rewrite] = [rewrite]
    while stack:
        node = stack.pop()
        match node:
            case Union(children) | Intersection(children):
                if len(children) < 2:
                    operator = "union" if isinstance(node, Union) else "intersection"
                    yield (
                        f"invalid relation: '{kind.name}#{name}' as {operator} has less than 2 "
                        f"children"
                    )
                stack.extend(reversed(children))
            case Exclusion(base, subtracted):
                stack.extend((subtracted, base))
            case _:
                pass


def _type_problem(type_ref: TypeRef) -> str:
    name = f"TYPE_NAME_{type_ref.name.upper() or 'UNSPECIFIED'}"
    if not type_ref.name:
        return f"unknown condition parameter type `{name}`"
    wanted, found = int(type_ref.name in GENERIC_TYPES), len(type_ref.generics)
    if found != wanted:  # OpenFGA's own message has the two numbers in this order
        return f"condition parameter type `{name}` requires {found} generic types; found {wanted}"
    return next((why for why in map(_type_problem, type_ref.generics) if why), "")


def in_openfga_words(problem: Problem) -> Problem:
    """A problem of a model as OpenFGA would tell it: those of conditions, which the engine finds
    when it compiles their expressions, are reworded; any other is as it was."""
    if not problem.about:
        return problem
    why = problem.detail or problem.message
    if problem.code == "caveat_not_boolean":
        why = f"expected a bool condition expression output, but got '{problem.detail}'"
    message = f"failed to compile expression on condition '{problem.about}' - {why}"
    return Problem(INVALID_MODEL, message)
