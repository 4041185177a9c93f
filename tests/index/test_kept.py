"""What drives a follower: it looks again when it is told to, whatever else it hears then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from engine.cache.shared import elapsed
from engine.index.follow import Follower
from engine.index.kept import Kept
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple, Subject
from tests.index.indexed import SIZE, StorageSource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEM = RelationTuple(Object("doc", "1"), "viewer", Subject("user", "ann"))


async def test_news_are_not_lost_to_an_older_look_at_the_head(tmp_path: Path) -> None:
    storage = MemoryStorage()
    store_id = (await storage.create_store("a")).id
    kept = Kept(
        storage,
        lambda progress: Follower(
            storage,
            StorageSource(storage),
            store_id,
            tmp_path / store_id,
            size=SIZE,
            progress=progress,
        ),
        None,
        0.02,
        0.1,
    )
    try:
        await _until(lambda: kept.waits)
        old = (await storage.head(store_id), elapsed())
        command = WriteCommand([Update(UpdateOp.TOUCH, ITEM)], (), 0, NOW)
        head = (await storage.write(store_id, command)).snapshot.revision
        kept.nudge()
        kept.tell(*old)
        await _until(lambda: kept.line().revision == head)
    finally:
        await kept.stop()


async def _until(question: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not question():
            await asyncio.sleep(0.01)
