"""Rows to values and values to columns."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.store import refusals
from engine.store.postgres.faults import UnstorableError
from engine.store.protocol import Snapshot, TupleFilter
from engine.tuples import Object, RelationTuple, Subject

_STORE_ID = re.compile(r"[0-9a-f]{32}")
_WRAP = 1 << 64
_SEPARATOR = "\x1f"


def known(store_id: str) -> str:
    """`store_id` if it can be one. Raises StoreNotFound."""
    if not _STORE_ID.fullmatch(store_id):
        raise refusals.store_gone()
    return store_id


def new_stamp() -> int:
    """A random stamp as the signed bigint that holds its 64 bits."""
    return secrets.randbits(64) - (_WRAP >> 1)


def snapshot_of(store_id: str, row: Mapping[str, Any]) -> Snapshot:
    """The snapshot in a row's `revision`, `stamp`, `schema_version` and `committed_at`."""
    return Snapshot(
        store_id,
        row["revision"],
        row["stamp"] % _WRAP,
        row["schema_version"],
        row["committed_at"],
    )


def signed(stamp: int) -> int:
    """The bigint that holds an unsigned stamp's bits."""
    return stamp - _WRAP if stamp >= _WRAP >> 1 else stamp


def tuple_of(row: Sequence[Any]) -> RelationTuple:
    """The tuple in the nine columns that every statement selects for one."""
    return RelationTuple(
        Object(row[0], row[1]), row[2], Subject(row[3], row[4], row[5]), row[6], row[7], row[8]
    )


def identity_columns(tuples: Iterable[RelationTuple]) -> list[list[str]]:
    """Six arrays, one a part of the identity, in the order of the statements' parameters."""
    parts = [(*made[0], made[1], *made[2]) for made in tuples]
    return list(map(list, zip(*parts, strict=True))) or [[], [], [], [], [], []]


def packed(column: Iterable[object]) -> str:
    """A column as one text, for statements that take it apart again.

    The driver looks at each element of an array for a nested array, which costs more than all the
    rest. The last element is dropped by the statement: without it nothing and one empty text would
    look alike. Raises UnstorableError for a value with the separator, which no valid one has.
    """
    values = [*map(str, column), "-"]
    text = _SEPARATOR.join(values)
    if text.count(_SEPARATOR) != len(values) - 1:
        raise UnstorableError("a value holds a control character")
    return text


def packed_identities(tuples: Iterable[RelationTuple]) -> list[str]:
    """As `identity_columns`, each array packed."""
    return list(map(packed, identity_columns(tuples)))


def filter_columns(filters: Iterable[TupleFilter]) -> list[list[str | None]]:
    """Six arrays, one a part of the filter; None matches anything."""
    columns: list[list[str | None]] = [[], [], [], [], [], []]
    for wanted in filters:
        for column, part in zip(columns, wanted, strict=True):
            column.append(part)
    return columns
