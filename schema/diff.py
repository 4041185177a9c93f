"""What changed between two schemas: the nineteen kinds that SpiceDB's `DiffSchema` tells apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from schema.model import (
    Caveat,
    ObjectType,
    ParameterType,
    Permission,
    Relation,
    Schema,
    SubjectType,
)


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
    return (*_object_types(old, new), *_caveats(old, new))


def _object_types(old: Schema, new: Schema) -> Iterator[SchemaChange]:
    for name in sorted({*old.object_types, *new.object_types}):
        before, after = old.object_types.get(name), new.object_types.get(name)
        if before is None:
            yield SchemaChange(ChangeKind.DEFINITION_ADDED, name)
        elif after is None:
            yield SchemaChange(ChangeKind.DEFINITION_REMOVED, name)
        else:
            if before.doc != after.doc:
                yield SchemaChange(ChangeKind.DEFINITION_DOC_CHANGED, name)
            yield from _relations(before, after)
            yield from _permissions(before, after)


def _relations(old: ObjectType, new: ObjectType) -> Iterator[SchemaChange]:
    for name in sorted({*old.relations, *new.relations}):
        before, after = old.relations.get(name), new.relations.get(name)
        if before is None:
            yield SchemaChange(ChangeKind.RELATION_ADDED, old.name, name)
        elif after is None:
            yield SchemaChange(ChangeKind.RELATION_REMOVED, old.name, name)
        else:
            yield from _relation(old.name, before, after)


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


def _permissions(old: ObjectType, new: ObjectType) -> Iterator[SchemaChange]:
    for name in sorted({*old.permissions, *new.permissions}):
        before, after = old.permissions.get(name), new.permissions.get(name)
        if before is None:
            yield SchemaChange(ChangeKind.PERMISSION_ADDED, old.name, name)
        elif after is None:
            yield SchemaChange(ChangeKind.PERMISSION_REMOVED, old.name, name)
        else:
            yield from _permission(old.name, before, after)


def _permission(object_type: str, old: Permission, new: Permission) -> Iterator[SchemaChange]:
    if old.doc != new.doc:
        yield SchemaChange(ChangeKind.PERMISSION_DOC_CHANGED, object_type, old.name)
    if old.rewrite != new.rewrite:
        yield SchemaChange(ChangeKind.PERMISSION_EXPRESSION_CHANGED, object_type, old.name)


def _caveats(old: Schema, new: Schema) -> Iterator[SchemaChange]:
    for name in sorted({*old.caveats, *new.caveats}):
        before, after = old.caveats.get(name), new.caveats.get(name)
        if before is None:
            yield SchemaChange(ChangeKind.CAVEAT_ADDED, caveat=name)
        elif after is None:
            yield SchemaChange(ChangeKind.CAVEAT_REMOVED, caveat=name)
        else:
            yield from _caveat(before, after)


def _caveat(old: Caveat, new: Caveat) -> Iterator[SchemaChange]:
    if old.doc != new.doc:
        yield SchemaChange(ChangeKind.CAVEAT_DOC_CHANGED, caveat=old.name)
    if old.expression != new.expression:
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
