"""Answers of an index that is written to all the time are right at the revisions that they name.

`make soak` does the same with 100,000 writes, on Postgres, with an indexer in a process of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from engine.store.memory import MemoryStorage
from engine.store.protocol import WriteCommand, WriteOutcome
from tests.index.indexed import NearStorage
from tests.index.writers import STORE, Amount, Soak

AMOUNT = Amount(250, writers=3, askers=3, pace=10, schemas=6, heaps=1)


class FollowedStorage(NearStorage):
    """Its index comes after the writes, by itself."""

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        # Others have their turn, as while a commit is under way.
        await asyncio.sleep(0)
        return await MemoryStorage.write(self, store_id, command)

    async def follow(self) -> None:
        """Keep the index of the store near the head."""
        while not await self.list_stores("", 1):
            await asyncio.sleep(0)
        store = await self.get_store(STORE)
        while True:
            await self.level(store.id)
            for _ in range(50):
                await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(2))
async def test_answers_are_right_while_writers_run(seed: int) -> None:
    storage = FollowedStorage()
    following = asyncio.create_task(storage.follow())
    soak = Soak(storage, storage.local, AMOUNT, seed)
    try:
        await soak.run()
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await storage.close()
    assert soak.wrong == []
    assert storage.served > 20
    for kind in ("latest", "fresh", "recent", "old", "full", "objects", "heaps", "schema changes"):
        assert soak.tally[kind], kind
