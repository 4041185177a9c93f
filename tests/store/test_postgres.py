"""The storage on Postgres keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.conftest import database_dsn
from tests.store.contract import StorageContract


@pytest.fixture(scope="module")
async def shared_storage(postgres_dsn: str, database_template: str) -> AsyncIterator[Storage]:
    """A storage on one database, in which each test makes stores of its own."""
    admin = await asyncpg.connect(postgres_dsn)
    try:
        await admin.execute(f"CREATE DATABASE contract TEMPLATE {database_template}")
        opened = await PostgresStorage.connect(database_dsn(postgres_dsn, "contract"))
        yield opened
        await opened.close()
        await admin.execute("DROP DATABASE contract WITH (FORCE)")
    finally:
        await admin.close()


class TestPostgresStorage(StorageContract):
    """The whole contract."""

    @pytest.fixture
    async def storage(self, shared_storage: Storage) -> Storage:
        return shared_storage
