"""A Storage in this process's memory, with the guarantees of the one on Postgres.

For tests, `stonetown validate`, what-if questions and embedding; nothing survives the process.
No method suspends except `wait_for_change`, so each one is atomic on its event loop. An instance
belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from secrets import token_bytes
from typing import TypeVar

from engine.reader import ReverseReader
from engine.store import refusals
from engine.store.history import StoreHistory
from engine.store.memory_reader import MemoryReader
from engine.store.multiversion import TupleTable
from engine.store.protocol import (
    Change,
    Collected,
    DeleteCommand,
    DeleteOutcome,
    Head,
    Idempotency,
    Precondition,
    PreconditionOp,
    RevisionChanges,
    SchemaCommand,
    SchemaMoved,
    SchemaRecord,
    Shape,
    Snapshot,
    Standing,
    StoreRecord,
    TupleEvent,
    TupleFilter,
    Update,
    UpdateOp,
    UpdateResult,
    WriteCommand,
    WriteOutcome,
    Written,
)
from engine.store.results import result_of
from engine.tuples import RelationTuple

IDEMPOTENCY_LIFETIME = timedelta(hours=24)

Outcome = TypeVar("Outcome", WriteOutcome, DeleteOutcome, Snapshot)


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


class MemoryStorage:
    """See `engine.store.protocol.Storage`. `clock` gives the times of commits, aware, in UTC."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._stores: dict[str, StoreHistory] = {}
        self._ids: dict[str, str] = {}
        self._secrets: list[bytes] = []

    async def create_store(self, name: str, title: str = "") -> StoreRecord:
        if name in self._ids:
            raise refusals.store_exists(name)
        store = StoreHistory(name, title, self._clock())
        self._ids[name] = store.record.id
        self._stores[store.record.id] = store
        return store.record

    async def get_store(self, name: str) -> StoreRecord:
        if name not in self._ids:
            raise refusals.no_store(name)
        return self._stores[self._ids[name]].record

    async def list_stores(
        self, after: str, limit: int, *, prefix: str = "", title: str | None = None
    ) -> list[StoreRecord]:
        names = sorted(name for name in self._ids if name > after and name.startswith(prefix))
        records = (self._stores[self._ids[name]].record for name in names)
        return list(islice((one for one in records if title in (None, one.title)), limit))

    async def retitle_store(self, name: str, title: str) -> StoreRecord:
        record = await self.get_store(name)
        store = self._stores[record.id]
        store.record = record._replace(title=title, updated_at=self._clock())
        return store.record

    async def delete_store(self, name: str) -> None:
        record = await self.get_store(name)
        del self._ids[name]
        store = self._stores.pop(record.id)
        store.deleted = True
        store.wake()

    async def head(self, store_id: str) -> Head:
        store = self._store(store_id)
        return Head(store.head, store.oldest_revision)

    async def snapshot(self, store_id: str, revision: int) -> Snapshot:
        store = self._store(store_id)
        if revision > store.head.revision:
            raise refusals.not_reached(revision)
        store.require(revision)
        return store.snapshot_of(revision)

    async def snapshot_at(self, store_id: str, moment: datetime) -> Snapshot:
        store = self._store(store_id)
        snapshot = store.newest_at(moment)
        if snapshot is None or snapshot.revision < store.oldest_revision:
            raise refusals.time_expired()
        return snapshot

    async def schema(self, store_id: str, version: int) -> SchemaRecord:
        record = self._store(store_id).schemas.get(version)
        if record is None:
            raise refusals.no_schema(version)
        return record

    async def named_schema(self, store_id: str, name: str) -> SchemaRecord:
        for record in self._store(store_id).schemas.values():
            if name and record.name == name:
                return record
        raise refusals.unknown_schema(name)

    async def named_schemas(self, store_id: str, before: int, limit: int) -> list[SchemaRecord]:
        newest = reversed(self._store(store_id).schemas.values())
        return list(islice((one for one in newest if one.name and one.version < before), limit))

    async def put_schema(self, store_id: str, command: SchemaCommand) -> Snapshot:
        store = self._store(store_id)
        replay = self._replay(store, command.idempotency, Snapshot)
        if replay is not None:
            return replay
        version = store.head.schema_version
        if command.expected_version not in (None, version):
            raise SchemaMoved(version)
        if command.name and any(one.name == command.name for one in store.schemas.values()):
            raise refusals.schema_exists(command.name)
        written = (command.text, command.language, command.name)
        current = store.schemas.get(version)
        if current is not None and not command.name and current[1:3] == written[:2]:
            return self._keep(store, command.idempotency, store.head)
        orphans = await self.tuples_of_shapes(
            store_id, command.removed, command.now, refusals.NAMED_TUPLES
        )
        if orphans:
            raise refusals.schema_in_use(orphans)
        head = store.commit([], self._clock, command.metadata, command.actor, written)
        return self._keep(store, command.idempotency, head)

    async def tuples_of_shapes(
        self, store_id: str, shapes: Sequence[Shape], now: datetime, limit: int
    ) -> list[RelationTuple]:
        store = self._store(store_id)
        revision = store.head.revision
        found: dict[RelationTuple, None] = {}
        for shape in shapes:
            if len(found) >= limit:
                break
            found.update(dict.fromkeys(islice(store.tuples.shaped(shape, revision, now), limit)))
        return list(found)[:limit]

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        return MemoryReader(self._store(snapshot.store_id), snapshot.revision)

    async def read(
        self,
        snapshot: Snapshot,
        filter_: TupleFilter,
        *,
        after: RelationTuple | None,
        limit: int,
        now: datetime,
    ) -> list[RelationTuple]:
        store = self._store(snapshot.store_id)
        store.require(snapshot.revision)
        return list(islice(store.tuples.select(filter_, snapshot.revision, now, after), limit))

    async def created(
        self, snapshot: Snapshot, tuples: Sequence[RelationTuple]
    ) -> list[Written | None]:
        store = self._store(snapshot.store_id)
        store.require(snapshot.revision)
        return [store.tuples.created(item, snapshot.revision) for item in tuples]

    async def standing(
        self, snapshot: Snapshot, after: tuple[int, RelationTuple] | None, limit: int
    ) -> list[Standing]:
        store = self._store(snapshot.store_id)
        store.require(snapshot.revision)
        found = store.tuples.standing(snapshot.revision)
        if after is not None:
            first = (after[0], after[1].identity)
            found = [one for one in found if (one.written.revision, one.tuple.identity) > first]
        return found[:limit]

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        store = self._store(store_id)
        replay = self._replay(store, command.idempotency, WriteOutcome)
        if replay is not None:
            return replay._replace(replayed=True)
        if command.schema_version not in (None, store.head.schema_version):
            raise SchemaMoved(store.head.schema_version)
        _require_preconditions(store, command.preconditions, command.now)
        results, changes = _plan(store.tuples, command.updates, command.now)
        head = store.head
        if changes:
            head = store.commit(changes, self._clock, command.metadata, command.actor)
        return self._keep(store, command.idempotency, WriteOutcome(head, results))

    async def delete(self, store_id: str, command: DeleteCommand) -> DeleteOutcome:
        store = self._store(store_id)
        replay = self._replay(store, command.idempotency, DeleteOutcome)
        if replay is not None:
            return replay._replace(objects=(), replayed=True)
        _require_preconditions(store, command.preconditions, command.now)
        selected = store.tuples.select(command.filter, store.head.revision, command.now)
        found = list(islice(selected, command.limit + 1))
        outcome = self._delete(store, found, command.limit, command.metadata, command.actor)
        return self._keep(store, command.idempotency, outcome)

    async def remove_expired(self, store_id: str, now: datetime, limit: int) -> DeleteOutcome:
        store = self._store(store_id)
        return self._delete(store, store.tuples.expired(now), limit, "", "")

    async def changes(
        self, store_id: str, after_revision: int, limit: int
    ) -> list[RevisionChanges]:
        store = self._store(store_id)
        if after_revision < store.oldest_revision:
            raise refusals.revision_expired(after_revision, store.oldest_revision)
        start = after_revision + 1 - store.revisions[0].snapshot.revision
        taken: list[RevisionChanges] = []
        for entry in islice(store.revisions, start, None):
            taken.append(entry)
            limit -= max(1, len(entry.changes))
            if limit <= 0:
                break
        return taken

    async def tuple_history(
        self,
        snapshot: Snapshot,
        filter_: TupleFilter,
        *,
        after: tuple[int, RelationTuple] | None,
        newest_first: bool,
        limit: int,
        most: int,
    ) -> list[TupleEvent]:
        del most  # nothing is gathered to be sorted
        store = self._store(snapshot.store_id)
        store.require(snapshot.revision)
        events = store.events(filter_, snapshot.revision, after, newest_first=newest_first)
        return list(islice(events, limit))

    async def put_document(self, store_id: str, kind: str, name: str, text: str) -> None:
        self._store(store_id).documents[kind, name] = text

    async def document(self, store_id: str, kind: str, name: str) -> str | None:
        return self._store(store_id).documents.get((kind, name))

    async def wait_for_change(self, store_id: str, after_revision: int, within: float) -> None:
        store = self._store(store_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while store.head.revision <= after_revision and not store.deleted:
                    await store.changed.wait()

    async def collect_garbage(self, store_id: str, horizon: datetime, batch: int) -> Collected:
        store = self._store(store_id)
        kept = store.newest_at(horizon)
        if kept is not None:
            store.oldest_revision = max(store.oldest_revision, kept.revision)
        removed, done = store.tuples.collect(store.oldest_revision, batch)
        unread = store.oldest_revision - store.revisions[0].snapshot.revision
        step = min(unread, batch - removed)
        del store.revisions[:step]
        current = store.revisions[0].snapshot.schema_version
        for old in [one for one in store.schemas.values() if one.version < current]:
            if not old.name:
                del store.schemas[old.version]
        too_old = self._clock() - IDEMPOTENCY_LIFETIME
        for key in [key for key, kept in store.outcomes.items() if kept[1] < too_old]:
            del store.outcomes[key]
        return Collected(removed + step, done and step == unread)

    async def secrets(self) -> list[bytes]:
        if not self._secrets:
            await self.rotate_secret()
        return list(self._secrets)

    async def rotate_secret(self) -> None:
        self._secrets = [token_bytes(32), *self._secrets[:1]]

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def _store(self, store_id: str) -> StoreHistory:
        store = self._stores.get(store_id)
        if store is None:
            raise refusals.store_gone()
        return store

    def _delete(
        self, store: StoreHistory, found: list[RelationTuple], limit: int, metadata: str, actor: str
    ) -> DeleteOutcome:
        complete = len(found) <= limit
        del found[limit:]
        head = store.head
        if found:
            changes = [Change(UpdateOp.DELETE, tuple_) for tuple_ in found]
            head = store.commit(changes, self._clock, metadata, actor)
        objects = tuple(dict.fromkeys((tuple_.object.type, tuple_.object.id) for tuple_ in found))
        return DeleteOutcome(head, len(found), complete, objects)

    def _replay(
        self, store: StoreHistory, idempotency: Idempotency | None, kind: type[Outcome]
    ) -> Outcome | None:
        kept = None if idempotency is None else store.outcomes.get(idempotency.key)
        if idempotency is None or kept is None:
            return None
        digest, _, outcome = kept
        if digest != idempotency.digest or not isinstance(outcome, kind):
            raise refusals.key_used()
        return outcome

    def _keep(
        self, store: StoreHistory, idempotency: Idempotency | None, outcome: Outcome
    ) -> Outcome:
        if idempotency is not None:
            kept = (idempotency.digest, self._clock(), outcome)
            store.outcomes[idempotency.key] = kept
        return outcome


def _require_preconditions(
    store: StoreHistory, preconditions: Sequence[Precondition], now: datetime
) -> None:
    """Raise PreconditionFailed for the first precondition that does not hold at the head."""
    for index, (op, filter_) in enumerate(preconditions):
        found = next(store.tuples.select(filter_, store.head.revision, now), None)
        if (found is not None) != (op is PreconditionOp.MUST_MATCH):
            raise refusals.precondition_failed(op, index)


def _plan(
    tuples: TupleTable, updates: Sequence[Update], now: datetime
) -> tuple[tuple[UpdateResult, ...], list[Change]]:
    """What each update comes to, and the changes to make. Raises TupleExists and TupleAbsent."""
    results: list[UpdateResult] = []
    changes: list[Change] = []
    for index, update in enumerate(updates):
        tuple_ = update.tuple
        edge = tuples.living(tuple_, now)
        result = result_of(update, index, None if edge is None else edge[3:])
        results.append(result)
        if result is UpdateResult.DELETED and edge is not None:
            changes.append(Change(UpdateOp.DELETE, RelationTuple(*tuple_.identity, *edge[3:])))
        elif result in (UpdateResult.CREATED, UpdateResult.UPDATED):
            changes.append(Change(UpdateOp.TOUCH, tuple_))
    return tuple(results), changes
