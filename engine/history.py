"""History: what happened to the tuples of one object or one subject, by whom, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.consistency import Freshness
from engine.cursor import Call, Cursor, Cursors
from engine.digest import digest
from engine.errors import InvalidRequest
from engine.jsontext import parse_json_object
from engine.limits import Limits
from engine.lists import check_limit, place_of
from engine.pages import Way
from engine.requests import FullyConsistent
from engine.store.protocol import Storage, TupleEvent, TupleFilter, UpdateOp
from engine.tuples import Object, RelationTuple, Subject
from engine.write import check_filter
from engine.zookie import encode


@dataclass(frozen=True, slots=True)
class History:
    """Ask for what happened to the tuples that a filter matches; it names an object or a subject
    by type and id."""

    filter: TupleFilter
    newest_first: bool = True


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """What one revision did to one tuple. `op` is `touch` or `delete`; a deleted tuple is told as
    it stood before, and `expired` says that it went because its time was over."""

    zookie: str
    committed_at: datetime
    actor: str
    metadata: Mapping[str, Any]
    op: str
    tuple: RelationTuple
    expired: bool


@dataclass(frozen=True, slots=True)
class HistoryAnswer:
    """A page by revision; `cursor` is None at the end, `zookie` the last snapshot looked at."""

    events: tuple[HistoryEvent, ...]
    cursor: str | None
    zookie: str


class Histories:
    """Answers in pages; every page of a list is of the history up to the same snapshot."""

    def __init__(
        self, storage: Storage, freshness: Freshness, cursors: Cursors, limits: Limits
    ) -> None:
        self._storage = storage
        self._freshness = freshness
        self._cursors = cursors
        self._limits = limits

    async def page(self, store: str, asked: History, way: Way) -> HistoryAnswer:
        """One page, of the history up to the snapshot of the consistency.

        Raises InvalidRequest for a filter that names neither an object nor a subject,
        BudgetExceeded when too many versions of tuples match, LimitExceeded, and what `place_of`
        raises.
        """
        _check(asked.filter)
        size = self._limits.page_default if way.limit is None else way.limit
        check_limit(size, self._limits.page_maximum)
        fresh = isinstance(way.consistency, FullyConsistent)
        record = await self._freshness.store(store, fresh=fresh)
        call = Call(record.id, "history", digest([*asked.filter, asked.newest_first]))
        snapshot, now, position = await place_of(
            self._freshness,
            self._cursors,
            record,
            call,
            cursor=way.cursor,
            consistency=way.consistency,
        )
        found = await self._storage.tuple_history(
            snapshot,
            asked.filter,
            after=None if position is None else _after(position),
            newest_first=asked.newest_first,
            limit=size + 1,
            most=self._limits.evaluation_reads,
        )
        cursor = None
        if len(found) > size:
            reached = _position(found[size - 1])
            place = Cursor(snapshot.revision, snapshot.stamp, now, reached)
            cursor = await self._cursors.seal(call, place)
        return HistoryAnswer(tuple(map(told, found[:size])), cursor, encode(snapshot))


def told(event: TupleEvent) -> HistoryEvent:
    """An event as it is answered."""
    item, done = event.change.tuple, event.snapshot
    deleted = event.change.op is UpdateOp.DELETE
    over = item.expires_at is not None and item.expires_at <= done.committed_at
    return HistoryEvent(
        encode(done),
        done.committed_at,
        event.actor,
        parse_json_object(event.metadata, "metadata") if event.metadata else {},
        str(event.change.op),
        item,
        # Nobody can delete what has expired; the service does, and names neither actor nor reason.
        deleted and over and not event.actor and not event.metadata,
    )


def _check(wanted: TupleFilter) -> None:
    check_filter(wanted, "filter")
    an_object = wanted.object_type is not None and wanted.object_id is not None
    a_subject = wanted.subject_type is not None and wanted.subject_id is not None
    if not an_object and not a_subject:
        raise InvalidRequest(
            "the filter names neither an object nor a subject",
            field="filter",
            expected="`object_type` and `object_id`, or `subject_type` and `subject_id`",
        )


def _position(event: TupleEvent) -> tuple[str, ...]:
    item = event.change.tuple
    return (str(event.snapshot.revision), *item.object, item.relation, *item.subject)


def _after(position: tuple[str, ...]) -> tuple[int, RelationTuple]:
    revision, kind, id_, relation, *subject = position
    return int(revision), RelationTuple(Object(kind, id_), relation, Subject(*subject))
