"""An OpenFGA authorization model as it was written: what its DSL and its JSON form both say.

Rewrites are those of the one algebra; here a union or intersection may still have fewer than two
children, and `Nil` stands where the JSON gives no rewrite, until `schema.fga.validate` has looked.
Source: `openfga/v1/authzmodel.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schema.rewrite import Arrow, Exclusion, Intersection, Rewrite, This, Union
from schema.source import Span

VERSIONS = ("1.1", "1.2")
"""The versions of the model language that there are today."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A form of user that a relation may be given to: `type`, `type#relation` or `type:*`."""

    type: str
    relation: str = ""
    wildcard: bool = False
    condition: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        text = f"{self.type}:*" if self.wildcard else self.type
        if self.relation:
            text = f"{self.type}#{self.relation}"
        return f"{text} with {self.condition}" if self.condition else text


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of a modular model comes from; both are empty elsewhere."""

    module: str = ""
    file: str = ""


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class RelationDefinition:
    """A relation. `restrictions` say whom it may be given to, if tuples may be written to it."""

    name: str
    rewrite: Rewrite
    restrictions: tuple[Restriction, ...] = ()
    origin: Origin = NOWHERE
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class TypeDefinition:
    """A type and its relations by name, in the order of the text."""

    name: str
    relations: Mapping[str, RelationDefinition] = field(
        default_factory=lambda: MappingProxyType({})
    )
    origin: Origin = NOWHERE
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TypeRef:
    """The type of a condition's parameter: `any bool string int uint double duration timestamp
    ipaddress list map`, "" where it is unspecified. `generics` are the types of list and map."""

    name: str
    generics: tuple[TypeRef, ...] = ()

    def __str__(self) -> str:
        if not self.generics:
            return self.name
        return f"{self.name}<{', '.join(str(item) for item in self.generics)}>"


@dataclass(frozen=True)
class Condition:
    """A named CEL expression over typed parameters."""

    name: str
    expression: str
    parameters: Mapping[str, TypeRef]
    origin: Origin = NOWHERE
    span: Span | None = field(default=None, compare=False, repr=False)
    expression_span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class AuthorizationModel:
    """A whole model. `conditions` is by key, which in a valid model is the condition's name.

    Spans are there where the model was made from DSL; each is that of the name.
    """

    schema_version: str
    types: tuple[TypeDefinition, ...]
    conditions: Mapping[str, Condition] = field(default_factory=lambda: MappingProxyType({}))
    id: str = ""
    version_span: Span | None = field(default=None, compare=False, repr=False)


def is_assignable(rewrite: Rewrite) -> bool:
    """Whether tuples may be written to a relation of this rewrite: `This` is among its leaves."""
    return any(isinstance(leaf, This) for leaf in leaves(rewrite))


def leaves(rewrite: Rewrite) -> list[Rewrite]:
    """The leaves of a rewrite from left to right."""
    found: list[Rewrite] = []
    stack = [rewrite]
    while stack:
        node = stack.pop()
        match node:
            case Union(children) | Intersection(children):
                stack.extend(reversed(children))
            case Exclusion(base, subtracted):
                stack.extend((subtracted, base))
            case _:
                found.append(node)
    return found


def tuplesets(type_definition: TypeDefinition) -> frozenset[str]:
    """The relations that a `from` of this type walks."""
    return frozenset(
        leaf.relation
        for relation in type_definition.relations.values()
        for leaf in leaves(relation.rewrite)
        if isinstance(leaf, Arrow)
    )
