"""What tests of the engine share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.conftest import database_dsn


@pytest.fixture(scope="module", params=["memory", "postgres"])
async def either_storage(
    request: pytest.FixtureRequest, postgres_dsn: str, database_template: str
) -> AsyncIterator[Storage]:
    """One storage for a module, which makes stores with names of their own in it."""
    if request.param == "memory":
        yield MemoryStorage()
        return
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE either TEMPLATE {database_template}")
    opened = await PostgresStorage.connect(database_dsn(postgres_dsn, "either"))
    yield opened
    await opened.close()
    await admin.execute("DROP DATABASE either WITH (FORCE)")
    await admin.close()
