"""What every storage says when it refuses: the same words, fields and expectations from each."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import (
    IdempotencyConflict,
    PreconditionFailed,
    SchemaExists,
    SchemaInUse,
    SchemaNotFound,
    SnapshotExpired,
    StoreExists,
    StoreNotFound,
    TupleAbsent,
    TupleExists,
    UnknownSchema,
    ZookieUnknown,
)
from engine.store.commands import PreconditionOp, UpdateOp
from engine.tuples import RelationTuple

NAMED_TUPLES = 10
"""How many of the tuples in the way of a schema are named."""


def no_store(name: str) -> StoreNotFound:
    """No store has this name."""
    return StoreNotFound(f"there is no store `{name}`", field="store")


def store_gone() -> StoreNotFound:
    """The store of an id is not there any more."""
    return StoreNotFound("the store was deleted", field="store")


def store_exists(name: str) -> StoreExists:
    """Another store has this name."""
    return StoreExists(f"store `{name}` exists already", field="name")


def revision_expired(revision: int, oldest: int) -> SnapshotExpired:
    """A revision lies before `oldest`, the first that can be read."""
    return SnapshotExpired(
        f"revision {revision} is outside the history that is kept",
        expected=f"a snapshot from revision {oldest} on",
    )


def time_expired() -> SnapshotExpired:
    """A moment lies before the first revision that can be read."""
    return SnapshotExpired(
        "the time lies before the history that is kept",
        expected="a time inside the history window",
    )


def not_reached(revision: int) -> ZookieUnknown:
    """A revision lies beyond the head."""
    return ZookieUnknown(f"the store has not reached revision {revision}")


def no_schema(version: int) -> SchemaNotFound:
    """The store has no schema of this version."""
    return SchemaNotFound(f"the store has no schema of version {version}")


def unknown_schema(name: str) -> UnknownSchema:
    """No version of the store's schema has this name."""
    return UnknownSchema(f"the store has no schema named `{name}`")


def schema_exists(name: str) -> SchemaExists:
    """Another version of the store's schema has this name."""
    return SchemaExists(f"the store has a schema named `{name}` already", field="name")


def schema_in_use(tuples: Sequence[RelationTuple]) -> SchemaInUse:
    """A schema would orphan these tuples, of which there is at least one."""
    return SchemaInUse(
        f"the schema would orphan stored tuples, such as `{tuples[0]}`",
        field="schema",
        expected="a schema that allows every stored tuple",
        tuples=tuple(map(str, tuples)),
    )


def tuple_exists(item: RelationTuple, index: int, op: UpdateOp) -> TupleExists:
    """The update at `index` would create a tuple that is there, or ensure one that stands
    otherwise."""
    how = " with another caveat, context or expiry" if op is UpdateOp.ENSURE else ""
    return TupleExists(
        f"`{item}` exists already{how}",
        field=f"updates[{index}].tuple",
        tuple=str(item),
        op=op.value,
    )


def tuple_absent(item: RelationTuple, index: int) -> TupleAbsent:
    """The update at `index` would remove a tuple that is not there."""
    return TupleAbsent(f"`{item}` is not stored", field=f"updates[{index}].tuple", tuple=str(item))


def precondition_failed(op: PreconditionOp, index: int) -> PreconditionFailed:
    """The precondition at `index` does not hold."""
    return PreconditionFailed(
        "no tuple matches" if op is PreconditionOp.MUST_MATCH else "a tuple matches",
        field=f"preconditions[{index}]",
        expected=op.value,
    )


def key_used() -> IdempotencyConflict:
    """An idempotency key was used before, and not for this request."""
    return IdempotencyConflict(
        "the idempotency key was used for another request",
        field="Idempotency-Key",
        expected="a key of its own for every request",
    )
