"""The storage on Postgres keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.store.contract import StorageContract


class TestPostgresStorage(StorageContract):
    """The contract, on a database of its own for each test."""

    @pytest.fixture
    async def storage(self, fresh_database: str) -> AsyncIterator[Storage]:
        opened = await PostgresStorage.connect(fresh_database, acquire_timeout=30)
        yield opened
        await opened.close()
