"""Stores by name, and the secrets of the whole database."""

from __future__ import annotations

import secrets as random_secrets

import asyncpg

from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.rows import new_stamp
from engine.store.postgres.sql import statement
from engine.store.protocol import StoreRecord

_CREATE_STORE = statement("create_store")
_STORE_BY_NAME = statement("store_by_name")
_LIST_STORES = statement("list_stores")
_LIST_TITLED_STORES = statement("list_titled_stores")
_RETITLE_STORE = statement("retitle_store")
_MARK_STORE_DELETED = statement("mark_store_deleted")
_SECRETS = statement("secrets")
_ADD_SECRET = statement("add_secret")
_DROP_SECRETS = statement("drop_secrets")
_SECRET_BYTES = 32


async def create_store(pool: Pool, name: str, title: str) -> StoreRecord:
    """See `Storage.create_store`."""
    store_id = random_secrets.token_hex(16)

    async def work(connection: asyncpg.Connection) -> StoreRecord:
        created_at = await connection.fetchval(_CREATE_STORE, store_id, name, new_stamp(), title)
        if created_at is None:
            raise refusals.store_exists(name)
        return StoreRecord(store_id, name, created_at, title)

    return await pool.transact(work)


async def get_store(pool: Pool, name: str) -> StoreRecord:
    """See `Storage.get_store`."""
    rows = await pool.fetch(_STORE_BY_NAME, name)
    if not rows:
        raise refusals.no_store(name)
    return _record(rows[0])


async def list_stores(
    pool: Pool, after: str, limit: int, prefix: str, title: str | None
) -> list[StoreRecord]:
    """See `Storage.list_stores`."""
    if title is None:
        rows = await pool.fetch(_LIST_STORES, after, prefix, limit)
    else:
        rows = await pool.fetch(_LIST_TITLED_STORES, after, prefix, limit, title)
    return [_record(row) for row in rows]


async def retitle_store(pool: Pool, name: str, title: str) -> StoreRecord:
    """See `Storage.retitle_store`."""

    async def work(connection: asyncpg.Connection) -> StoreRecord:
        row = await connection.fetchrow(_RETITLE_STORE, name, title)
        if row is None:
            raise refusals.no_store(name)
        return _record(row)

    return await pool.transact(work)


async def delete_store(pool: Pool, name: str) -> str:
    """See `Storage.delete_store`; returns the id of the store that was forgotten."""

    async def work(connection: asyncpg.Connection) -> str:
        row = await connection.fetchrow(_MARK_STORE_DELETED, name)
        if row is None:
            raise refusals.no_store(name)
        store_id: str = row["id"].hex
        return store_id

    return await pool.transact(work)


async def secrets(pool: Pool) -> list[bytes]:
    """See `Storage.secrets`."""
    rows = await pool.fetch(_SECRETS)
    if not rows:
        await _add_secret(pool, 1)
        rows = await pool.fetch(_SECRETS)
    return [row["value"] for row in rows]


async def rotate_secret(pool: Pool) -> None:
    """See `Storage.rotate_secret`."""
    rows = await pool.fetch(_SECRETS)
    await _add_secret(pool, rows[0]["generation"] + 1 if rows else 1)


async def _add_secret(pool: Pool, generation: int) -> None:
    """Add a secret of this generation, unless another node was first; only one before stays."""

    async def work(connection: asyncpg.Connection) -> None:
        await connection.execute(_ADD_SECRET, generation, random_secrets.token_bytes(_SECRET_BYTES))
        await connection.execute(_DROP_SECRETS, generation - 1)

    await pool.transact(work)


def _record(row: asyncpg.Record) -> StoreRecord:
    return StoreRecord(
        row["id"].hex, row["name"], row["created_at"], row["title"], row["updated_at"]
    )
