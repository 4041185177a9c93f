"""What a store needs done in the background: expired tuples removed, old history given up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from engine.consistency import Freshness
from engine.limits import Limits
from engine.store.protocol import Storage, StoreRecord
from engine.tuples import Object

_BATCH = 1000


async def collect(
    storage: Storage,
    freshness: Freshness,
    store: str | None,
    now: datetime,
    window: timedelta,
    limits: Limits,
) -> int:
    """Tend one store, or all of them when `store` is None, in bounded steps; the rows removed.

    Expired tuples go by an ordinary revision, so that Watch tells of them.
    """
    removed = 0
    async for record in _chosen(storage, store, limits):
        while True:
            outcome = await storage.remove_expired(record.id, now, _BATCH)
            removed += outcome.deleted
            if outcome.deleted:
                touched = tuple(Object(*pair) for pair in outcome.objects)
                await freshness.published(outcome.snapshot, touched)
            if outcome.complete:
                break
        while True:
            step = await storage.collect_garbage(record.id, now - window, _BATCH)
            removed += step.removed
            if step.done:
                break
    return removed


async def _chosen(
    storage: Storage, store: str | None, limits: Limits
) -> AsyncIterator[StoreRecord]:
    if store is not None:
        yield await storage.get_store(store)
        return
    after = ""
    while page := await storage.list_stores(after, limits.page_maximum):
        for record in page:
            yield record
        after = page[-1].name
