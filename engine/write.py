"""Validation of tuples and write requests against a schema, before storage is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import (
    InvalidRequest,
    InvalidTuple,
    LimitExceeded,
    NotWritable,
    SubjectNotAllowed,
    UnknownCaveat,
    UnknownRelation,
)
from engine.jsontext import canonical_json, parse_json_object
from engine.limits import Limits
from engine.schemas import CompiledSchema, one_of
from engine.store.protocol import Precondition, TupleFilter, Update, UpdateOp
from engine.tuples import WILDCARD, RelationTuple
from schema.model import Relation, SubjectType


def checked_tuple(
    compiled: CompiledSchema, item: RelationTuple, limits: Limits, field: str
) -> RelationTuple:
    """The tuple as it may be stored: allowed by the schema, its context typed and canonical.

    Raises UnknownType, UnknownRelation, NotWritable, SubjectNotAllowed, UnknownCaveat,
    InvalidContext or LimitExceeded, naming `field`.
    """
    relation = _relation(compiled, item, field)
    subject = item.subject
    subject_type = compiled.object_type(subject.type, f"{field}.subject")
    if subject.relation and subject_type.rewrite_of(subject.relation) is None:
        raise UnknownRelation(
            f"`{subject.type}` has no relation or permission `{subject.relation}`",
            field=f"{field}.subject",
            expected=one_of(subject.relation, subject_type.names, "relations and permissions"),
        )
    if item.caveat and item.caveat not in compiled.schema.caveats:
        raise UnknownCaveat(
            f"the schema has no caveat `{item.caveat}`",
            field=f"{field}.caveat",
            expected=one_of(item.caveat, compiled.schema.caveats, "caveats"),
        )
    form = SubjectType(
        subject.type,
        subject.relation,
        wildcard=subject.id == WILDCARD,
        caveat=item.caveat,
        expiration=item.expires_at is not None,
    )
    if form not in relation.subject_types:
        allowed = " | ".join(str(one) for one in relation.subject_types)
        raise SubjectNotAllowed(
            f"`{item.object.type}#{item.relation}` does not allow `{form}`",
            field=f"{field}.subject",
            expected=f"`{allowed}`",
            allowed=relation.subject_types,
        )
    if not item.context:
        return item
    if not item.caveat:
        raise InvalidTuple(
            "a context without a caveat", field=f"{field}.caveat", expected="a caveat's name"
        )
    context = compiled.caveats.normalize_context(
        item.caveat, parse_json_object(item.context, field), f"{field}.caveat.context"
    )
    check_size(context, limits.tuple_context_bytes, f"{field}.caveat.context")
    return item._replace(context=context)


def _relation(compiled: CompiledSchema, item: RelationTuple, field: str) -> Relation:
    object_type = compiled.object_type(item.object.type, f"{field}.object")
    relation = object_type.relations.get(item.relation)
    if relation is not None:
        return relation
    if item.relation in object_type.permissions:
        raise NotWritable(
            f"`{item.object.type}#{item.relation}` is a permission",
            field=f"{field}.relation",
            expected=one_of("", object_type.relations, "relations"),
        )
    raise UnknownRelation(
        f"`{item.object.type}` has no relation `{item.relation}`",
        field=f"{field}.relation",
        expected=one_of(item.relation, object_type.relations, "relations"),
    )


_TAKING_AWAY = (UpdateOp.DELETE, UpdateOp.REMOVE)


def checked_updates(
    compiled: CompiledSchema, updates: Sequence[Update], limits: Limits, maximum: int
) -> list[Update]:
    """The updates as they may be stored. A delete or remove is looked at by its identity alone, so
    that tuples which the schema no longer allows can be removed. Raises as `checked_tuple`, and
    LimitExceeded or InvalidRequest for too many updates, none, or the same tuple twice."""
    check_count(len(updates), maximum, "updates")
    if not updates:
        raise InvalidRequest("there is nothing to write", field="updates", expected="an update")
    seen: dict[object, int] = {}
    allowed: set[tuple[object, ...]] = set()
    checked: list[Update] = []
    for index, update in enumerate(updates):
        op, item = update
        first = seen.setdefault(item.identity, index)
        if first != index:
            raise InvalidRequest(
                f"`{item}` stands in updates[{first}], too",
                field=f"updates[{index}].tuple",
                expected="each tuple once in a request",
                code="duplicate_update",
            )
        form = _form(item)
        if op in _TAKING_AWAY or form in allowed:
            checked.append(update)
            continue
        made = checked_tuple(compiled, item, limits, f"updates[{index}].tuple")
        checked.append(Update(op, made))
        if not item.context:
            allowed.add(form)
    return checked


def _form(item: RelationTuple) -> tuple[object, ...]:
    """All that the schema has a say in; a context makes every tuple a form of its own."""
    kind, id_, relation = item.subject
    wildcard, expires = id_ == WILDCARD, item.expires_at is not None
    return (
        *(item.object.type, item.relation, kind, relation, wildcard),
        *(item.caveat, item.context, expires),
    )


def check_preconditions(preconditions: Sequence[Precondition], limits: Limits) -> None:
    """Raises LimitExceeded for too many and InvalidRequest for an empty filter."""
    check_count(len(preconditions), limits.preconditions, "preconditions")
    for index, precondition in enumerate(preconditions):
        check_filter(precondition.filter, f"preconditions[{index}].filter")


def check_filter(filter_: TupleFilter, field: str) -> None:
    """Raises InvalidRequest for a filter that names nothing at all."""
    if filter_ == TupleFilter():
        raise InvalidRequest(
            "the filter is empty",
            field=field,
            expected="at least one of " + ", ".join(f"`{name}`" for name in TupleFilter._fields),
            code="empty_filter",
        )


def checked_metadata(metadata: Mapping[str, Any], limits: Limits) -> str:
    """A revision's metadata as canonical text. Raises LimitExceeded."""
    text = canonical_json(dict(metadata))
    check_size(text, limits.metadata_bytes, "metadata")
    return text


def check_size(text: str, maximum: int, field: str) -> None:
    """Raises LimitExceeded if the text takes more than `maximum` bytes of UTF-8."""
    size = len(text.encode())
    if size > maximum:
        raise LimitExceeded(
            f"`{field}` takes {size} bytes", field=field, expected=f"at most {maximum} bytes"
        )


def check_count(count: int, maximum: int, field: str) -> None:
    """Raises LimitExceeded if there are more than `maximum` items."""
    if count > maximum:
        raise LimitExceeded(
            f"`{field}` has {count} items", field=field, expected=f"at most {maximum} items"
        )
