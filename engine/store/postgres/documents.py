"""Documents: what dialects keep beside tuples and schemas."""

from __future__ import annotations

import asyncpg

from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.sql import statement

_PUT_DOCUMENT = statement("put_document")
_DOCUMENT = statement("document")


async def put_document(pool: Pool, store_id: str, kind: str, name: str, text: str) -> None:
    """See `Storage.put_document`."""

    async def work(connection: asyncpg.Connection) -> str:
        status: str = await connection.execute(_PUT_DOCUMENT, store_id, kind, name, text)
        return status

    if await pool.transact(work) == "INSERT 0 0":
        raise refusals.store_gone()


async def document(pool: Pool, store_id: str, kind: str, name: str) -> str | None:
    """See `Storage.document`."""
    rows = await pool.fetch(_DOCUMENT, store_id, kind, name)
    if not rows:
        raise refusals.store_gone()
    text: str | None = rows[0]["text"]
    return text
