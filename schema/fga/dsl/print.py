"""A model as DSL: the inverse of reading it, in the layout and the order of OpenFGA's own tools.

Source: `pkg/js/transformer/jsontodsl.ts` and `pkg/go/transformer/jsontodsl.go` of openfga/language.
"""

from __future__ import annotations

from typing import assert_never

from schema.fga.dsl.problems import DslError, DslProblem
from schema.fga.model import (
    NOWHERE,
    AuthorizationModel,
    Condition,
    Origin,
    RelationDefinition,
    TypeDefinition,
    TypeRef,
)
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Nil, Rewrite, Self, This, Union

DEFAULT_VERSION = "1.1"


def print_model(model: AuthorizationModel, *, sources: bool = False) -> str:
    """The DSL that says `model`; with `sources`, comments say which module each part is from.

    A modular model is printed as one, module by module. Raises DslError for a relation that the
    DSL cannot say: one with two direct assignments, or with one that cannot stand first.
    """
    modular = any(kind.origin.module for kind in model.types)
    types, conditions = list(model.types), [model.conditions[key] for key in model.conditions]
    conditions.sort(key=lambda condition: condition.name)
    if modular:
        types.sort(key=lambda kind: (_order(kind.origin), kind.name))
        conditions.sort(key=lambda condition: _order(condition.origin))
    for key, condition in model.conditions.items():
        if key != condition.name:
            message = f"the '{key}' condition has a different nested condition name"
            raise DslError([DslProblem(f"{message} ('{condition.name}')")])
    text = f"model\n  schema {model.schema_version or DEFAULT_VERSION}\n"
    for kind in types:
        text += "\n" + _type(kind, modular=modular, sources=sources)
    for condition in conditions:
        text += "\n" + _condition(condition, sources=sources)
    return text


def modules_of(model: AuthorizationModel) -> list[str]:
    """The names of the modules that a model is made of, sorted."""
    origins = [kind.origin for kind in model.types]
    origins += [item.origin for kind in model.types for item in kind.relations.values()]
    origins += [condition.origin for condition in model.conditions.values()]
    return sorted({origin.module for origin in origins if origin.module})


def _order(origin: Origin) -> tuple[str, str]:
    return (origin.module, origin.file)


def _comment(origin: Origin, *, sources: bool, said: str = "") -> str:
    if not sources or not origin.module:
        return ""
    file = f", file: {origin.file}" if origin.file else ""
    return f" # {said}module: {origin.module}{file}"


def _type(kind: TypeDefinition, *, modular: bool, sources: bool) -> str:
    text = f"type {kind.name}{_comment(kind.origin, sources=sources)}\n"
    relations = list(kind.relations.values())
    if modular:
        relations.sort(key=lambda item: (item.origin != NOWHERE, _order(item.origin), item.name))
    if relations:
        text += "  relations\n"
    for relation in relations:
        note = _comment(relation.origin, sources=sources, said="extended by: ")
        text += f"    define {relation.name}: {_Relation(kind.name, relation).text()}{note}\n"
    return text


class _Relation:
    def __init__(self, type_name: str, relation: RelationDefinition) -> None:
        self._relation = relation
        self._direct = 0
        self._message = (
            f"the '{relation.name}' relation definition under the '{type_name}' type is not "
            f"supported by the OpenFGA DSL syntax yet"
        )

    def text(self) -> str:
        text = self._expression(self._relation.rewrite)
        if self._direct > 1 or (self._direct and not _begins_direct(self._relation.rewrite)):
            raise self._unsupported()
        return text

    def _unsupported(self) -> DslError:
        return DslError([DslProblem(self._message, symbol=self._relation.name)])

    def _expression(self, rewrite: Rewrite) -> str:
        match rewrite:
            case This():
                self._direct += 1
                return f"[{', '.join(str(item) for item in self._relation.restrictions)}]"
            case Computed(relation):
                return relation
            case Arrow():
                return f"{rewrite.target.relation} from {rewrite.relation}"
            case Union(children):
                return " or ".join(self._operand(child) for child in _direct_first(children))
            case Intersection(children):
                return " and ".join(self._operand(child) for child in _direct_first(children))
            case Exclusion(base, subtracted):
                return f"{self._operand(base)} but not {self._operand(subtracted)}"
            case Nil() | Self():
                raise self._unsupported()
        assert_never(rewrite)

    def _operand(self, rewrite: Rewrite) -> str:
        text = self._expression(rewrite)
        return f"({text})" if isinstance(rewrite, Union | Intersection | Exclusion) else text


def _direct_first(children: tuple[Rewrite, ...]) -> tuple[Rewrite, ...]:
    """The order means nothing in a union or intersection; the DSL wants the assignment first."""
    index = next((i for i, child in enumerate(children) if isinstance(child, This)), 0)
    return (*children[index : index + 1], *children[:index], *children[index + 1 :])


def _begins_direct(rewrite: Rewrite) -> bool:
    while True:
        match rewrite:
            case Exclusion(base, _):
                rewrite = base
            case Union(children) | Intersection(children) if children:
                rewrite = _direct_first(children)[0]
            case _:
                return isinstance(rewrite, This)


def _condition(condition: Condition, *, sources: bool) -> str:
    parameters = ", ".join(
        f"{name}: {_parameter(type_ref)}" for name, type_ref in sorted(condition.parameters.items())
    )
    note = _comment(condition.origin, sources=sources)
    return f"condition {condition.name}({parameters}) {{\n  {condition.expression}\n}}{note}\n"


def _parameter(type_ref: TypeRef) -> str:
    return str(type_ref) or "unspecified"
