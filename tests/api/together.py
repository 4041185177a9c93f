"""A server that answers checks together: on a node's index, with a Valkey to ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

from engine.cache.redis import RedisAnnouncer
from engine.consistency import Freshness
from engine.errors import StoreNotFound
from engine.requests import Check, Consistency, Overlay
from engine.telling import Found, Telling, Told
from tests.api.serving import Served, serving
from tests.index.indexed import NearStorage

LEVEL_EVERY = 0.005
STALENESS = 600.0
"""A bound that no test lasts as long as: so what is seen is not owed to it."""

_prefixes = count()


class Counting:
    """Tells how many checks were answered together."""

    def __init__(self, inner: Telling) -> None:
        self._inner = inner
        self.answered = 0

    def ask(
        self,
        store: str,
        check: Check,
        consistency: Consistency,
        told: Told,
        *,
        deadline: float,
        overlay: Overlay | None = None,
    ) -> bool:
        """As `Telling.ask`."""

        def counted(found: Found) -> None:
            self.answered += found is not None
            told(found)

        return self._inner.ask(
            store, check, consistency, counted, deadline=deadline, overlay=overlay
        )


@asynccontextmanager
async def serving_together(url: str, **settings: Any) -> AsyncIterator[tuple[Served, Counting]]:
    """Serve as `serving` does; the index is kept level all the time, as by an indexer."""
    storage = NearStorage()
    announcer = RedisAnnouncer(url, prefix=f"together-{next(_prefixes)}")
    freshness = Freshness(
        storage, announcer=announcer, local=storage.local, max_staleness=STALENESS
    )
    async with serving(storage, freshness=freshness, **settings) as served:
        counting = Counting(served.engine.together)
        served.engine.together = counting
        levelling = asyncio.create_task(_keep_level(storage))
        try:
            yield served, counting
        finally:
            levelling.cancel()


async def _keep_level(storage: NearStorage) -> None:
    while True:
        for store_id in list(storage.followers):
            with suppress(StoreNotFound):
                await storage.level(store_id)
        await asyncio.sleep(LEVEL_EVERY)
