"""What changed between two schemas: the nineteen kinds that SpiceDB's `DiffSchema` tells apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TypeVar

from schema.model import (
    Caveat,
    ObjectType,
    ParameterType,
    Permission,
    Relation,
    Schema,
    SubjectType,
)

T = TypeVar("T")


class ChangeKind(StrEnum):
    """The kinds of change."""

    DEFINITION_ADDED = "definition_added"
    DEFINITION_REMOVED = "definition_removed"
    DEFINITION_DOC_CHANGED = "definition_doc_comment_changed"
    RELATION_ADDED = "relation_added"
    RELATION_REMOVED = "relation_removed"
    RELATION_DOC_CHANGED = "relation_doc_comment_changed"
    SUBJECT_TYPE_ADDED = "relation_subject_type_added"
    SUBJECT_TYPE_REMOVED = "relation_subject_type_removed"
    PERMISSION_ADDED = "permission_added"
    PERMISSION_REMOVED = "permission_removed"
    PERMISSION_DOC_CHANGED = "permission_doc_comment_changed"
    PERMISSION_EXPRESSION_CHANGED = "permission_expr_changed"
    CAVEAT_ADDED = "caveat_added"
    CAVEAT_REMOVED = "caveat_removed"
    CAVEAT_DOC_CHANGED = "caveat_doc_comment_changed"
    CAVEAT_EXPRESSION_CHANGED = "caveat_expr_changed"
    PARAMETER_ADDED = "caveat_parameter_added"
    PARAMETER_REMOVED = "caveat_parameter_removed"
    PARAMETER_TYPE_CHANGED = "caveat_parameter_type_changed"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One change. Which fields are set follows from `kind`; all others are empty.

    `object_type` and `name` (of a relation or permission) say where; `subject_type` what a relation
    allows; `caveat` and `parameter` which of those, with its types before and after.
    """

    kind: ChangeKind
    object_type: str = ""
    name: str = ""
    subject_type: SubjectType | None = None
    caveat: str = ""
    parameter: str = ""
    old_type: ParameterType | None = None
    new_type: ParameterType | None = None

    def __str__(self) -> str:
        return _SENTENCES[self.kind].format(
            type=self.object_type,
            name=f"{self.object_type}#{self.name}",
            subject=self.subject_type,
            caveat=self.caveat,
            parameter=self.parameter,
            old=self.old_type,
            new=self.new_type,
        )


_SENTENCES = {
    ChangeKind.DEFINITION_ADDED: "object type `{type}` added",
    ChangeKind.DEFINITION_REMOVED: "object type `{type}` removed",
    ChangeKind.DEFINITION_DOC_CHANGED: "doc comment of object type `{type}` changed",
    ChangeKind.RELATION_ADDED: "relation `{name}` added",
    ChangeKind.RELATION_REMOVED: "relation `{name}` removed",
    ChangeKind.RELATION_DOC_CHANGED: "doc comment of relation `{name}` changed",
    ChangeKind.SUBJECT_TYPE_ADDED: "relation `{name}` allows `{subject}`",
    ChangeKind.SUBJECT_TYPE_REMOVED: "relation `{name}` no longer allows `{subject}`",
    ChangeKind.PERMISSION_ADDED: "permission `{name}` added",
    ChangeKind.PERMISSION_REMOVED: "permission `{name}` removed",
    ChangeKind.PERMISSION_DOC_CHANGED: "doc comment of permission `{name}` changed",
    ChangeKind.PERMISSION_EXPRESSION_CHANGED: "expression of `{name}` changed",
    ChangeKind.CAVEAT_ADDED: "caveat `{caveat}` added",
    ChangeKind.CAVEAT_REMOVED: "caveat `{caveat}` removed",
    ChangeKind.CAVEAT_DOC_CHANGED: "doc comment of caveat `{caveat}` changed",
    ChangeKind.CAVEAT_EXPRESSION_CHANGED: "expression of caveat `{caveat}` changed",
    ChangeKind.PARAMETER_ADDED: "parameter `{parameter}` of caveat `{caveat}` added as `{new}`",
    ChangeKind.PARAMETER_REMOVED: "parameter `{parameter}` of caveat `{caveat}` removed",
    ChangeKind.PARAMETER_TYPE_CHANGED: (
        "parameter `{parameter}` of caveat `{caveat}` changed from `{old}` to `{new}`"
    ),
}


def diff_schemas(old: Schema, new: Schema) -> tuple[SchemaChange, ...]:
    """Every change that turns `old` into `new`: object types first, then caveats, sorted by name.

    What is added or removed as a whole is one change. A relation that became a permission is
    removed and added. The order of declarations is no part of a schema, nor are the types that a
    permission is annotated with, which cannot change an answer.
    """
    object_types = _each(
        (old.object_types, new.object_types),
        (ChangeKind.DEFINITION_ADDED, ChangeKind.DEFINITION_REMOVED),
        SchemaChange,
        _object_type,
    )
    caveats = _each(
        (old.caveats, new.caveats),
        (ChangeKind.CAVEAT_ADDED, ChangeKind.CAVEAT_REMOVED),
        lambda kind, name: SchemaChange(kind, caveat=name),
        _caveat,
    )
    return (*object_types, *caveats)


def _each(
    both: tuple[Mapping[str, T], Mapping[str, T]],
    kinds: tuple[ChangeKind, ChangeKind],
    named: Callable[[ChangeKind, str], SchemaChange],
    changes: Callable[[T, T], Iterator[SchemaChange]],
) -> Iterator[SchemaChange]:
    """By name, what was added or removed as a whole, and the changes within what is in both."""
    old, new = both
    added, removed = kinds
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is None:
            yield named(added, name)
        elif after is None:
            yield named(removed, name)
        else:
            yield from changes(before, after)


def _object_type(old: ObjectType, new: ObjectType) -> Iterator[SchemaChange]:
    def of_this(kind: ChangeKind, name: str) -> SchemaChange:
        return SchemaChange(kind, old.name, name)

    if old.doc != new.doc:
        yield SchemaChange(ChangeKind.DEFINITION_DOC_CHANGED, old.name)
    yield from _each(
        (old.relations, new.relations),
        (ChangeKind.RELATION_ADDED, ChangeKind.RELATION_REMOVED),
        of_this,
        partial(_relation, old.name),
    )
    yield from _each(
        (old.permissions, new.permissions),
        (ChangeKind.PERMISSION_ADDED, ChangeKind.PERMISSION_REMOVED),
        of_this,
        partial(_permission, old.name),
    )


def _relation(object_type: str, old: Relation, new: Relation) -> Iterator[SchemaChange]:
    if old.doc != new.doc:
        yield SchemaChange(ChangeKind.RELATION_DOC_CHANGED, object_type, old.name)
    if old.rewrite != new.rewrite:
        yield SchemaChange(ChangeKind.PERMISSION_EXPRESSION_CHANGED, object_type, old.name)
    before, after = set(old.subject_types), set(new.subject_types)
    for subject_type in sorted(before - after, key=str):
        yield SchemaChange(ChangeKind.SUBJECT_TYPE_REMOVED, object_type, old.name, subject_type)
    for subject_type in sorted(after - before, key=str):
        yield SchemaChange(ChangeKind.SUBJECT_TYPE_ADDED, object_type, old.name, subject_type)


def _permission(object_type: str, old: Permission, new: Permission) -> Iterator[SchemaChange]:
    if old.doc != new.doc:
        yield SchemaChange(ChangeKind.PERMISSION_DOC_CHANGED, object_type, old.name)
    if old.rewrite != new.rewrite:
        yield SchemaChange(ChangeKind.PERMISSION_EXPRESSION_CHANGED, object_type, old.name)


def _caveat(old: Caveat, new: Caveat) -> Iterator[SchemaChange]:
    if old.doc != new.doc:
        yield SchemaChange(ChangeKind.CAVEAT_DOC_CHANGED, caveat=old.name)
    if (old.expression, old.strict) != (new.expression, new.strict):
        yield SchemaChange(ChangeKind.CAVEAT_EXPRESSION_CHANGED, caveat=old.name)
    for name in sorted({*old.parameters, *new.parameters}):
        before, after = old.parameters.get(name), new.parameters.get(name)
        if before == after:
            continue
        if before is None:
            kind = ChangeKind.PARAMETER_ADDED
        elif after is None:
            kind = ChangeKind.PARAMETER_REMOVED
        else:
            kind = ChangeKind.PARAMETER_TYPE_CHANGED
        yield SchemaChange(kind, caveat=old.name, parameter=name, old_type=before, new_type=after)
