"""Reading at a snapshot: the rounds of an evaluation, and pages of tuples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any, NoReturn

import asyncpg

from engine.errors import BudgetExceeded, Unavailable
from engine.reader import Edge, Probe, ReverseEdge, ReverseScan, Scan
from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.rows import identity_columns, snapshot_of, tuple_of
from engine.store.postgres.sql import statement
from engine.store.protocol import Head, Snapshot, Standing, TupleFilter, Written
from engine.tuples import RelationTuple

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_HEAD = statement("head")
_WINDOW = statement("window")
_FETCH = statement("fetch")
_CREATED = statement("created")
_STANDING = statement("standing")
_OBJECTS_OF = statement("objects_of")
_READ = {
    name: statement(name)
    for name in (
        "read_relation",
        "read_object",
        "read_type",
        "read_store",
        "read_subject",
        "read_subject_id",
    )
}
_GUARD, _PROBE, _SCAN = 0, 1, 2
_SPAN = 16
_SPAN_GROWS = 4
_NOTHING: list[list[str]] = [[], [], []]


async def head(pool: Pool, store_id: str) -> Head:
    """See `Storage.head`."""
    rows = await pool.fetch(_HEAD, store_id)
    if not rows:
        raise refusals.store_gone()
    return Head(snapshot_of(store_id, rows[0]), rows[0]["oldest_revision"])


class PostgresReader:
    """Reads the tuples of one store at one snapshot, a statement a round."""

    def __init__(self, pool: Pool, snapshot: Snapshot) -> None:
        self._pool = pool
        self._snapshot = snapshot

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """See `Reader.fetch`."""
        everything = [at for at, scan in enumerate(scans) if not scan.only_usersets]
        usersets = [at for at, scan in enumerate(scans) if scan.only_usersets]
        rows = await self._pool.fetch(
            _FETCH,
            self._snapshot.store_id,
            self._snapshot.revision,
            *(zip(*probes, strict=True) if probes else _NOTHING + _NOTHING),
            *_objects(scans, everything),
            *_objects(scans, usersets),
            limit + 1,
        )
        return await self._sort(rows, probes, len(scans), (everything, usersets), limit)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> list[list[ReverseEdge]]:
        """See `ReverseReader.objects_of`."""
        found: list[list[ReverseEdge]] = [[] for _ in scans]
        rows = await self._pool.fetch(
            _OBJECTS_OF,
            self._snapshot.store_id,
            self._snapshot.revision,
            *(zip(*scans, strict=True) if scans else _NOTHING + _NOTHING),
            min(each, limit + 1),
            limit + 1,
        )
        guarded = False
        for item, *edge in rows:
            if item:
                found[item - 1].append(ReverseEdge(*edge))
            else:
                guarded = True
        if not guarded:
            await refuse(self._pool.fetch, self._snapshot)
        if len(rows) - 1 > limit:
            raise BudgetExceeded.of("reads")
        return found

    async def _sort(
        self,
        rows: list[asyncpg.Record],
        probes: Sequence[Probe],
        scans: int,
        positions: tuple[list[int], list[int]],
        limit: int,
    ) -> tuple[list[Edge | None], list[list[Edge]]]:
        """Give each row to the probe or scan that it answers."""
        held: list[Edge | None] = [None] * len(probes)
        edges: list[list[Edge]] = [[] for _ in range(scans)]
        guarded, scanned = False, 0
        for part, item, *found in rows:
            if part == _GUARD:
                guarded = True
            elif part == _PROBE:
                held[item - 1] = Edge(*probes[item - 1][3:], *found[3:])
            else:
                scanned += 1
                edges[positions[part - _SCAN][item - 1]].append(Edge(*found))
        if not guarded:
            await refuse(self._pool.fetch, self._snapshot)
        if scanned > limit:
            raise BudgetExceeded.of("reads")
        return held, edges


def _objects(scans: Sequence[Scan], positions: list[int]) -> Sequence[Sequence[str]]:
    """Three arrays: the types, ids and relations of the scans at `positions`."""
    return list(zip(*(scans[at][:3] for at in positions), strict=True)) or _NOTHING


async def refuse(fetch: Fetch, snapshot: Snapshot) -> NoReturn:
    """Raise what the guard of a statement meant by refusing this snapshot."""
    rows = await fetch(_WINDOW, snapshot.store_id)
    if not rows:
        raise refusals.store_gone()
    oldest, newest, replica = rows[0]
    if replica and snapshot.revision > newest:
        raise Unavailable(f"the replica has not come to revision {snapshot.revision} yet")
    raise refusals.revision_expired(snapshot.revision, oldest)


async def page(
    fetch: Fetch,
    snapshot: Snapshot,
    wanted: TupleFilter,
    after: RelationTuple | None,
    limit: int,
    now: datetime,
) -> list[RelationTuple]:
    """Up to `limit` tuples in identity order, read by `fetch`; see `Storage.read`."""
    name, fixed = _way(wanted)
    start: Sequence[str] = ("",) * 6
    if after is not None:
        start = (*after.object, after.relation, *after.subject)
        reached, fence = tuple(start[:fixed]), tuple(wanted[:fixed])
        if reached > fence:
            return []
        if reached < fence:
            start = ("",) * 6
    arguments: tuple[Any, ...] = (snapshot.store_id, snapshot.revision, now, limit)
    rows = await fetch(_READ[name], *arguments, *wanted, *start)
    if not rows:
        await refuse(fetch, snapshot)
    return [tuple_of(row) for row in takewhile(lambda row: row[0] is not None, rows)]


async def created(
    fetch: Fetch, snapshot: Snapshot, tuples: Sequence[RelationTuple]
) -> list[Written | None]:
    """See `Storage.created`."""
    columns = identity_columns(tuples)
    rows = await fetch(_CREATED, snapshot.store_id, snapshot.revision, *columns)
    if not rows:
        await refuse(fetch, snapshot)
    found: list[Written | None] = [None] * len(tuples)
    for item, *written in rows:
        if item is not None:
            found[item - 1] = Written(*written)
    return found


async def standing(
    fetch: Fetch, snapshot: Snapshot, after: tuple[int, RelationTuple] | None, limit: int
) -> list[Standing]:
    """See `Storage.standing`. Each statement reads a bounded span of revisions, for one that was
    planned on a new table may sort all of it; spans grow, for old ones may be empty."""
    found: list[Standing] = []
    first, start, span = 1, ("",) * 6, _SPAN
    if after is not None:
        first, item = after
        start = (*item.object, item.relation, *item.subject)
    while True:
        last = min(first + span - 1, snapshot.revision)
        here = (snapshot.store_id, snapshot.revision, first, last, *start)
        rows = await fetch(_STANDING, *here, limit - len(found))
        if not rows:
            await refuse(fetch, snapshot)
        for revision, moment, *columns in rows:
            if revision is not None:
                found.append(Standing(Written(revision, moment), tuple_of(columns)))
        if len(found) == limit or last >= snapshot.revision:
            return found
        first, start, span = last + 1, ("",) * 6, span * _SPAN_GROWS


def _way(wanted: TupleFilter) -> tuple[str, int]:
    """The statement for a filter, and how many leading parts of the identity it fixes."""
    if wanted.object_type is not None and wanted.object_id is not None:
        return ("read_object", 2) if wanted.relation is None else ("read_relation", 3)
    if wanted.subject_type is not None and wanted.subject_id is not None:
        return ("read_subject_id" if wanted.subject_relation is None else "read_subject"), 0
    return ("read_store", 0) if wanted.object_type is None else ("read_type", 1)
