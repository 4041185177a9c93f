"""What happened to the tuples of one object or one subject."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from engine.errors import BudgetExceeded
from engine.store.postgres.pool import Pool
from engine.store.postgres.read import refuse
from engine.store.postgres.rows import snapshot_of, tuple_of
from engine.store.postgres.sql import statement
from engine.store.protocol import Change, Snapshot, TupleEvent, TupleFilter, UpdateOp
from engine.tuples import RelationTuple

_OF_OBJECT = statement("history_of_object")
_OF_SUBJECT = statement("history_of_subject")
_BEYOND = 2**63 - 1


async def tuple_history(
    pool: Pool,
    snapshot: Snapshot,
    wanted: TupleFilter,
    after: tuple[int, RelationTuple] | None,
    *,
    newest_first: bool,
    limit: int,
    most: int,
) -> list[TupleEvent]:
    """See `Storage.tuple_history`."""
    named = wanted.object_type is not None and wanted.object_id is not None
    place: Sequence[int | str] = (_BEYOND if newest_first else 0, *[""] * 6)
    if after is not None:
        revision, last = after
        place = (revision, *last.object, last.relation, *last.subject)
    rows = await pool.fetch(
        _OF_OBJECT if named else _OF_SUBJECT,
        snapshot.store_id,
        snapshot.revision,
        *wanted,
        most + 1,
        -1 if newest_first else 1,
        *place,
        limit,
    )
    if not rows:
        await refuse(pool.fetch, snapshot)
    if rows[0]["versions"] > most:
        raise BudgetExceeded(
            f"the history has more than {most} versions of tuples",
            expected="a filter that matches fewer tuples",
            budget="reads",
        )
    return [
        TupleEvent(
            snapshot_of(snapshot.store_id, row),
            Change(UpdateOp.DELETE if row["closed"] else UpdateOp.TOUCH, tuple_of(row[2:])),
            row["metadata"],
            row["actor"],
        )
        for row in takewhile(lambda row: row["closed"] is not None, rows)
    ]
