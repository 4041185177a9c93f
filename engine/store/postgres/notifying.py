"""Telling other nodes of commits by NOTIFY, where there is no Redis to tell them.

A commit that notifies takes a lock that is global to the server. So the notification is a statement
of its own, after the commit and beside the answer, and those that come meanwhile share the next.
It may be lost: whoever listens also looks from time to time.
"""

from __future__ import annotations

import asyncio

from engine.errors import EngineError
from engine.store.postgres.pool import Pool
from engine.store.postgres.sql import statement

CHANNEL = "stonetown_written"
"""The payload of each notification is a store's id."""

_NOTIFY = statement("notify")


class Notifier:
    """Sends one notification after the other; nobody waits for them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def tell(self, store_id: str) -> None:
        """Say that the store has changed."""
        self._waiting.add(store_id)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, set()
            try:
                await self._pool.fetch(_NOTIFY, CHANNEL, sorted(taken))
            except EngineError:
                return

    async def close(self) -> None:
        """Send no more."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
