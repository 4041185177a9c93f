"""What one update comes to: the same from every storage."""

from __future__ import annotations

from datetime import datetime

from engine.store import refusals
from engine.store.commands import Update, UpdateOp, UpdateResult

Depends = tuple[str, str, datetime | None]
"""What a tuple depends on beside its identity: caveat, context, expiry."""


def result_of(update: Update, index: int, stored: Depends | None) -> UpdateResult:
    """What the update at `index` does to the tuple of its identity as it is `stored`: None if it
    is absent or expired. Raises TupleExists and TupleAbsent."""
    op, wanted = update
    if stored is None:
        match op:
            case UpdateOp.DELETE:
                return UpdateResult.ABSENT
            case UpdateOp.REMOVE:
                raise refusals.tuple_absent(wanted, index)
            case _:
                return UpdateResult.CREATED
    if op in (UpdateOp.DELETE, UpdateOp.REMOVE):
        return UpdateResult.DELETED
    same = tuple(stored) == wanted[3:]
    if op is UpdateOp.CREATE or (op is UpdateOp.ENSURE and not same):
        raise refusals.tuple_exists(wanted, index, op)
    return UpdateResult.UNCHANGED if same else UpdateResult.UPDATED
