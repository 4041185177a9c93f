"""What a schema is, whatever language it was written in. Pure values; no I/O.

A `Schema` is only ever made by a language's `lower` step and passes `schema.typecheck` before the
engine sees it, so that the engine can rely on every name in it resolving.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schema.rewrite import Rewrite, This
from schema.source import Span


@dataclass(frozen=True, slots=True)
class SubjectType:
    """One form of subject that a relation allows.

    `relation` is "" for the object itself; `wildcard` is `type:*`; `caveat` is "" for none;
    `expiration` says that the tuple carries an expiry. A stored tuple is allowed only if its
    subject type, subject relation or wildcard, caveat name and presence of an expiry all equal
    those of one `SubjectType` of its relation.
    """

    type: str
    relation: str = ""
    wildcard: bool = False
    caveat: str = ""
    expiration: bool = False
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        text = self.type
        if self.wildcard:
            text += ":*"
        elif self.relation:
            text += f"#{self.relation}"
        traits = [self.caveat] if self.caveat else []
        if self.expiration:
            traits.append("expiration")
        return f"{text} with {' and '.join(traits)}" if traits else text


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that tuples can be written to.

    `rewrite` is `This` in the `.zed` language; languages whose relations are stored and computed
    at once put `This` among the leaves of a larger rewrite.
    """

    name: str
    subject_types: tuple[SubjectType, ...]
    rewrite: Rewrite = field(default_factory=This)
    doc: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Permission:
    """A computed relation: never written to. `annotation` lists the terminal types it may have."""

    name: str
    rewrite: Rewrite
    annotation: tuple[str, ...] = ()
    doc: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ObjectType:
    """A type of object with its relations and permissions, by name, in source order."""

    name: str
    relations: Mapping[str, Relation]
    permissions: Mapping[str, Permission]
    doc: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)

    def rewrite_of(self, name: str) -> Rewrite | None:
        """The rewrite of the relation or permission `name`, or None if there is none."""
        relation = self.relations.get(name)
        if relation is not None:
            return relation.rewrite
        permission = self.permissions.get(name)
        return None if permission is None else permission.rewrite

    @property
    def names(self) -> tuple[str, ...]:
        """Every relation and permission name, relations first, in source order."""
        return (*self.relations, *self.permissions)


@dataclass(frozen=True, slots=True)
class ParameterType:
    """A caveat parameter's type: `any bool string int uint double bytes duration timestamp
    ipaddress`, or `list`/`map` with one `argument` (the element or value type)."""

    name: str
    argument: ParameterType | None = None

    def __str__(self) -> str:
        return self.name if self.argument is None else f"{self.name}<{self.argument}>"


@dataclass(frozen=True)
class Caveat:
    """A named CEL expression over typed parameters; evaluated by `engine.caveats`.

    Of a `strict` caveat every declared parameter must be given, used or not: the outcome is
    conditional while one is missing, though the expression might do without it. And its `uint` is
    CEL's own, which does not mix with int.
    """

    name: str
    parameters: Mapping[str, ParameterType]
    expression: str
    doc: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)
    expression_span: Span | None = field(default=None, compare=False, repr=False)
    strict: bool = False


@dataclass(frozen=True)
class Schema:
    """A whole schema: object types and caveats by name, in source order."""

    object_types: Mapping[str, ObjectType] = field(default_factory=lambda: MappingProxyType({}))
    caveats: Mapping[str, Caveat] = field(default_factory=lambda: MappingProxyType({}))
