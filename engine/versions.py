"""The versions of a store's schema as texts: the one in force, and those that have names."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from engine.consistency import Freshness
from engine.cursor import Call, Cursor, Cursors
from engine.digest import digest
from engine.errors import InvalidRequest
from engine.limits import Limits
from engine.lists import check_limit
from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    Consistency,
    SchemaAnswer,
)
from engine.schemas import Schemas
from engine.store.protocol import SchemaRecord, Snapshot, Storage, StoreRecord
from engine.zookie import encode

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST = 2**31 - 1


def check_name(name: str) -> None:
    """Raises InvalidRequest unless a version may have this name, or "" for none."""
    if name and not _NAME.fullmatch(name):
        raise InvalidRequest("not a schema name", field="name", expected=f"`{_NAME.pattern}`")


class Versions:
    """Reads the versions of schemas. Raises what choosing a snapshot raises."""

    def __init__(
        self,
        storage: Storage,
        freshness: Freshness,
        schemas: Schemas,
        cursors: Cursors,
        limits: Limits,
    ) -> None:
        self._storage = storage
        self._freshness = freshness
        self._schemas = schemas
        self._cursors = cursors
        self._limits = limits

    async def in_force(self, record: StoreRecord, consistency: Consistency) -> SchemaAnswer:
        """The version in force at a snapshot. Raises SchemaNotFound when there is none yet."""
        snapshot = (await self._freshness.choose(record, consistency)).snapshot
        await self._schemas.at(snapshot)
        return _told(await self._storage.schema(record.id, snapshot.schema_version), snapshot)

    async def named(self, record: StoreRecord, name: str) -> SchemaAnswer:
        """The version of this name. Raises UnknownSchema."""
        snapshot = (await self._freshness.choose(record, MINIMIZE_LATENCY)).snapshot
        return _told(await self._storage.named_schema(record.id, name), snapshot)

    async def page(
        self, record: StoreRecord, limit: int | None, cursor: str | None
    ) -> tuple[list[SchemaAnswer], str | None]:
        """A page of the versions that have names, the newest first, and where the next begins.
        Raises LimitExceeded and InvalidCursor."""
        size = self._limits.page_default if limit is None else limit
        check_limit(size, self._limits.page_maximum)
        call = Call(record.id, "schemas", digest())
        before = _NEWEST
        if cursor is not None:
            before = int((await self._cursors.open(cursor, call)).position[0])
        snapshot = (await self._freshness.choose(record, FULLY_CONSISTENT)).snapshot
        found = await self._storage.named_schemas(record.id, before, size + 1)
        page = [_told(one, snapshot) for one in found[:size]]
        if len(found) <= size:
            return page, None
        place = Cursor(0, 0, _EPOCH, (str(page[-1].version),))
        return page, await self._cursors.seal(call, place)


def _told(found: SchemaRecord, snapshot: Snapshot) -> SchemaAnswer:
    version, text, language, name = found
    return SchemaAnswer(text, language, version, encode(snapshot), name)
