"""Collection: bounded batches of rows that no readable revision can see."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.sql import statement
from engine.store.protocol import Collected

_RAISE_OLDEST = statement("raise_oldest")
_OF_STORE = [statement(name) for name in ("collect_tuples", "collect_revisions", "collect_schemas")]
_COLLECT_KEYS = statement("collect_keys")
_DELETED_STORE = statement("deleted_store")
_OF_DELETED = [
    statement(name)
    for name in (
        "purge_tuples",
        "purge_revisions",
        "purge_schemas",
        "purge_keys",
        "purge_documents",
    )
]
_PURGE_STORE = statement("purge_store")


async def collect(pool: Pool, store_id: str, horizon: datetime, batch: int) -> Collected:
    """See `Storage.collect_garbage`. The window is moved by a commit of its own, before any row
    goes, so that no reader can pass the guard and miss a row."""

    async def raise_oldest(connection: asyncpg.Connection) -> int | None:
        oldest: int | None = await connection.fetchval(_RAISE_OLDEST, store_id, horizon)
        return oldest

    oldest = await pool.transact(raise_oldest)
    if oldest is None:
        raise refusals.store_gone()
    left = batch
    for sql in _OF_STORE:
        left -= await _remove(pool, sql, store_id, oldest, left) if left else 0
    left -= await _remove(pool, _COLLECT_KEYS, left) if left else 0
    left -= await _purge(pool, left) if left else 0
    return Collected(batch - left, done=left > 0)


async def _purge(pool: Pool, batch: int) -> int:
    """Remove up to `batch` rows of deleted stores; a store's own row goes last."""
    left = batch
    while left and (rows := await pool.fetch(_DELETED_STORE)):
        store_id = rows[0]["id"]
        for sql in _OF_DELETED:
            left -= await _remove(pool, sql, store_id, left) if left else 0
        left -= await _remove(pool, _PURGE_STORE, store_id) if left else 0
    return batch - left


async def _remove(pool: Pool, sql: str, *arguments: object) -> int:
    """How many rows a DELETE removed."""

    async def work(connection: asyncpg.Connection) -> int:
        status: str = await connection.execute(sql, *arguments)
        return int(status.removeprefix("DELETE "))

    return await pool.transact(work)
