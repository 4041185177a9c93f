"""Writes carried through: validated, committed, and made known before they are acknowledged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from engine import evolve
from engine.consistency import Freshness
from engine.digest import digest
from engine.errors import EngineError
from engine.limits import Limits
from engine.lists import check_limit
from engine.requests import (
    MINIMIZE_LATENCY,
    DeleteAnswer,
    DeleteRequest,
    SchemaRequest,
    SchemaWritten,
    WriteAnswer,
    WriteRequest,
)
from engine.schemas import Schemas
from engine.store.protocol import (
    DeleteCommand,
    Idempotency,
    Precondition,
    SchemaMoved,
    Storage,
    StoreRecord,
    Update,
    WriteCommand,
    WriteOutcome,
)
from engine.tuples import Object
from engine.write import check_filter, check_preconditions, checked_metadata, checked_updates
from engine.zookie import encode

_SCHEMA_RETRIES = 5

Turn = Callable[[], Awaitable[None]]
"""Returns when it is one's turn; raises when it will not be."""


async def at_once() -> None:
    """It is one's turn."""


class Writing:
    """The writes of one engine. What they raise, `engine.engine.Engine` documents."""

    def __init__(
        self,
        storage: Storage,
        freshness: Freshness,
        schemas: Schemas,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._storage = storage
        self._freshness = freshness
        self._schemas = schemas
        self._limits = limits
        self._clock = clock

    async def write(
        self, record: StoreRecord, request: WriteRequest, maximum: int, after: Turn = at_once
    ) -> WriteAnswer:
        """Apply up to `maximum` updates as one revision, once they are valid and `after` lets
        them be written."""
        check_preconditions(request.preconditions, self._limits)
        metadata = checked_metadata(request.metadata, self._limits)
        if request.schema_name:
            outcome, name = await self._apply_named(record, request, metadata, maximum)
        else:
            outcome, name = await self._apply(record, request, metadata, maximum, after)
        touched = {update.tuple.object for update in request.updates}
        await self._freshness.published(outcome.snapshot, touched)
        return WriteAnswer(encode(outcome.snapshot), tuple(outcome.results), name)

    async def _apply_named(
        self, record: StoreRecord, request: WriteRequest, metadata: str, maximum: int
    ) -> tuple[WriteOutcome, str]:
        """Validate against the schema that the request names, whichever is in force, and write."""
        _, compiled = await self._schemas.named(record.id, request.schema_name)
        updates = checked_updates(compiled, request.updates, self._limits, maximum)
        command = self._command(request, updates, None, metadata)
        return await self._storage.write(record.id, command), compiled.name

    def _command(
        self,
        request: WriteRequest,
        updates: Sequence[Update],
        schema_version: int | None,
        metadata: str,
    ) -> WriteCommand:
        return WriteCommand(
            updates,
            request.preconditions,
            schema_version,
            self._clock(),
            metadata,
            request.actor,
            _idempotency_of(request, metadata),
        )

    async def _apply(
        self,
        record: StoreRecord,
        request: WriteRequest,
        metadata: str,
        maximum: int,
        after: Turn,
    ) -> tuple[WriteOutcome, str]:
        """Validate against the current schema and write; again if the schema moved meanwhile.

        Storage compares the schema under its lock, so a head that is not quite fresh will do until
        it refuses something: only the newest schema may.
        """
        snapshot = await self._freshness.recent(record.id)
        newest = False
        for _ in range(_SCHEMA_RETRIES):
            try:
                compiled = await self._schemas.at(snapshot)
                updates = checked_updates(compiled, request.updates, self._limits, maximum)
            except EngineError:
                if newest:
                    raise
                # With an object, a schema written through another node counts, as for a check.
                objects = [update.tuple.object for update in request.updates[:1]]
                snapshot = (
                    await self._freshness.choose(record, MINIMIZE_LATENCY, objects)
                ).snapshot
                newest = True
                continue
            await after()
            command = self._command(request, updates, snapshot.schema_version, metadata)
            try:
                return await self._storage.write(record.id, command), compiled.name
            except SchemaMoved:
                snapshot = (await self._storage.head(record.id)).snapshot
                newest = True
        raise evolve.schema_keeps_moving()

    async def delete(self, record: StoreRecord, request: DeleteRequest) -> DeleteAnswer:
        """Delete by filter, as one revision."""
        check_filter(request.filter, "filter")
        check_preconditions(request.preconditions, self._limits)
        limit = self._limits.updates if request.limit is None else request.limit
        check_limit(limit, self._limits.updates)
        metadata = checked_metadata(request.metadata, self._limits)
        conditions = _conditions(request.preconditions)
        command = DeleteCommand(
            request.filter,
            request.preconditions,
            limit,
            self._clock(),
            metadata,
            request.actor,
            _idempotency(
                request.idempotency_key, "delete", [*request.filter], conditions, limit, metadata
            ),
        )
        outcome = await self._storage.delete(record.id, command)
        touched = None if outcome.replayed else [Object(*pair) for pair in outcome.objects]
        await self._freshness.published(outcome.snapshot, touched)
        return DeleteAnswer(outcome.deleted, outcome.complete, encode(outcome.snapshot))

    async def write_schema(self, record: StoreRecord, request: SchemaRequest) -> SchemaWritten:
        """Replace the schema."""
        change = evolve.Change(self._storage, self._schemas, self._limits)
        written, snapshot = await change.write(record, self._wanted(request))
        await self._freshness.published(snapshot, None)
        return written

    async def preview_schema(self, record: StoreRecord, request: SchemaRequest) -> SchemaWritten:
        """What replacing the schema would do."""
        change = evolve.Change(self._storage, self._schemas, self._limits)
        return await change.preview(record, self._wanted(request))

    def _wanted(self, request: SchemaRequest) -> evolve.Wanted:
        metadata = checked_metadata(request.metadata, self._limits)
        key = _idempotency(
            request.idempotency_key,
            "schema",
            *(request.text, request.language, metadata, *_named(request.name)),
        )
        return evolve.Wanted(
            *(request.text, request.language, self._clock(), metadata, request.actor, key),
            request.name,
        )


def _idempotency_of(request: WriteRequest, metadata: str) -> Idempotency | None:
    """The idempotency of a write, if it bears a key: a digest costs as much as validation."""
    if not request.idempotency_key:
        return None
    described = (*_described(request), metadata, *_named(request.schema_name))
    return _idempotency(request.idempotency_key, "write", *described)


def _named(name: str) -> tuple[str, ...]:
    """A name as a part of a digest. Without one it is as before there were names, so that a request
    is known again that was begun then."""
    return (name,) if name else ()


def _described(request: WriteRequest) -> tuple[list[list[Any]], list[list[Any]]]:
    """A write request's updates and preconditions as parts for a digest."""
    updates = [
        [
            update.op,
            *update.tuple.object,
            update.tuple.relation,
            *update.tuple.subject,
            update.tuple.caveat,
            update.tuple.context,
            update.tuple.expires_at.isoformat() if update.tuple.expires_at else None,
        ]
        for update in request.updates
    ]
    return updates, _conditions(request.preconditions)


def _conditions(preconditions: Sequence[Precondition]) -> list[list[Any]]:
    return [[item.op, *item.filter] for item in preconditions]


def _idempotency(key: str, *parts: Any) -> Idempotency | None:
    """The key with the digest of everything that it was sent with."""
    return Idempotency(key, digest(*parts)) if key else None
