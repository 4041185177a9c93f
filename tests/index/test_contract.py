"""An index keeps the contract of storages wherever it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.store.protocol import Storage
from tests.index.indexed import IndexedStorage
from tests.store.contract import StorageContract


class TestFollowing(StorageContract):
    """The contract, with readers of an index that follows from the first revision on."""

    @pytest.fixture
    async def storage(self) -> AsyncIterator[Storage]:
        storage = IndexedStorage(follows=True)
        yield storage
        await storage.close()


class TestBuilt(StorageContract):
    """The contract, with readers of an index that is built when it is first read."""

    @pytest.fixture
    async def storage(self) -> AsyncIterator[Storage]:
        storage = IndexedStorage(follows=False)
        yield storage
        await storage.close()
