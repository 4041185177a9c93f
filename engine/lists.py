"""Lists of stored tuples and of stores: pages in order, at one snapshot, resumable by cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from engine.consistency import Freshness
from engine.cursor import Call, Cursor, Cursors
from engine.digest import digest
from engine.errors import LimitExceeded, StoreNotFound
from engine.grounds import Grounds, arguments_of
from engine.limits import Limits
from engine.requests import Consistency, Overlay, ReadAnswer
from engine.store.laid_over import LaidOver
from engine.store.protocol import Snapshot, Storage, StoreRecord, TupleFilter
from engine.tuples import Object, RelationTuple, Subject
from engine.zookie import encode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_limit(limit: int, maximum: int) -> None:
    """Raises LimitExceeded unless 1 <= limit <= maximum."""
    if not 1 <= limit <= maximum:
        raise LimitExceeded(f"a limit of {limit}", field="limit", expected=f"from 1 to {maximum}")


class Place(NamedTuple):
    """Where a page begins: after `position` (None: at the start), at one snapshot and one `now`."""

    snapshot: Snapshot
    now: datetime
    position: tuple[str, ...] | None


async def place_of(
    freshness: Freshness,
    cursors: Cursors,
    record: StoreRecord,
    call: Call,
    *,
    cursor: str | None,
    consistency: Consistency,
    objects: Collection[Object] = (),
) -> Place:
    """Where the page that `cursor` names begins; without one, the start of a list at a snapshot
    with this consistency, fit for questions about `objects`.

    A cursor fixes snapshot and `now`, whatever `consistency` says. Raises InvalidCursor, and what
    choosing a snapshot raises.
    """
    if cursor is None:
        return Place(*await freshness.choose(record, consistency, objects), None)
    opened = await cursors.open(cursor, call)
    snapshot = await freshness.exactly(record.id, opened.revision, opened.stamp, "cursor")
    return Place(snapshot, opened.now, opened.position)


class Reading:
    """Reads pages of tuples, as they are stored or as if an overlay had been written.

    An overlay raises what `Grounds.at` raises; its schema is what the added tuples are checked
    against, and nothing else.
    """

    def __init__(
        self,
        storage: Storage,
        freshness: Freshness,
        cursors: Cursors,
        limits: Limits,
        grounds: Grounds,
    ) -> None:
        self._storage = storage
        self._freshness = freshness
        self._cursors = cursors
        self._limits = limits
        self._grounds = grounds

    async def page(
        self,
        record: StoreRecord,
        filter_: TupleFilter,
        limit: int | None,
        cursor: str | None,
        consistency: Consistency,
        overlay: Overlay | None = None,
        *,
        written: bool = False,
    ) -> ReadAnswer:
        """One page, with the times of its tuples if `written`. Raises LimitExceeded, and what
        `place_of` raises."""
        size = self._limits.page_default if limit is None else limit
        check_limit(size, self._limits.page_maximum)
        call = Call(record.id, "read", digest(list(filter_), arguments_of(overlay)))
        snapshot, now, position = await place_of(
            self._freshness, self._cursors, record, call, cursor=cursor, consistency=consistency
        )
        after = None if position is None else _tuple_at(position)
        laid = await self._laid_over(snapshot, now, overlay)
        found = await laid.read(filter_, after=after, limit=size + 1)
        tuples = tuple(found[:size])
        following = None
        if len(found) > size:
            last = (*tuples[-1].object, tuples[-1].relation, *tuples[-1].subject)
            place = Cursor(snapshot.revision, snapshot.stamp, now, last)
            following = await self._cursors.seal(call, place)
        times = await laid.written(tuples) if written else ()
        return ReadAnswer(tuples, following, encode(snapshot), times)

    async def every_page(
        self,
        record: StoreRecord,
        filter_: TupleFilter,
        consistency: Consistency,
        after: RelationTuple | None,
        overlay: Overlay | None = None,
    ) -> AsyncGenerator[ReadAnswer, None]:
        """All pages of one snapshot, each of the maximal size; the last one has no cursor, the
        others have "" for one, as there is no page to ask for."""
        snapshot, now = await self._freshness.choose(record, consistency)
        laid = await self._laid_over(snapshot, now, overlay)
        size = self._limits.page_maximum
        while True:
            found = await laid.read(filter_, after=after, limit=size + 1)
            more = len(found) > size
            yield ReadAnswer(tuple(found[:size]), "" if more else None, encode(snapshot))
            if not more:
                return
            after = found[size - 1]

    async def _laid_over(
        self, snapshot: Snapshot, now: datetime, overlay: Overlay | None
    ) -> LaidOver:
        if overlay is None:
            return LaidOver(self._storage, snapshot, now)
        ground, _ = await self._grounds.at(snapshot, now, overlay)
        return LaidOver(self._storage, snapshot, now, ground.overlay.add, ground.overlay.remove)


def _tuple_at(position: tuple[str, ...]) -> RelationTuple:
    kind, id_, relation, subject_type, subject_id, subject_relation = position
    subject = Subject(subject_type, subject_id, subject_relation)
    return RelationTuple(Object(kind, id_), relation, subject)


class StoresWanted(NamedTuple):
    """Which stores to list: by how their names begin, of one title unless it is None, and of these
    names alone unless they are None."""

    prefix: str = ""
    title: str | None = None
    names: Collection[str] | None = None


async def stores(
    storage: Storage,
    cursors: Cursors,
    limits: Limits,
    limit: int | None,
    cursor: str | None,
    wanted: StoresWanted,
) -> tuple[list[StoreRecord], str | None]:
    """A page of stores by name. Raises InvalidCursor, LimitExceeded."""
    size = limits.page_default if limit is None else limit
    check_limit(size, limits.page_maximum)
    call = Call("", "stores", digest(wanted.prefix, wanted.title))
    after = "" if cursor is None else (await cursors.open(cursor, call)).position[0]
    if wanted.names is None:
        found = await storage.list_stores(after, size + 1, prefix=wanted.prefix, title=wanted.title)
    else:
        found = await _named_stores(storage, after, size + 1, wanted)
    if len(found) <= size:
        return found, None
    place = Cursor(0, 0, _EPOCH, (found[size - 1].name,))
    return found[:size], await cursors.seal(call, place)


async def _named_stores(
    storage: Storage, after: str, limit: int, wanted: StoresWanted
) -> list[StoreRecord]:
    """As `Storage.list_stores`, of the wanted names alone. Each is asked for: a page that was made
    by leaving out others would end at a name that is not to be told."""
    found: list[StoreRecord] = []
    for name in sorted(wanted.names or ()):
        if len(found) == limit:
            break
        if name > after and name.startswith(wanted.prefix):
            with suppress(StoreNotFound):
                record = await storage.get_store(name)
                found += [record] if wanted.title in (None, record.title) else []
    return found
