"""Waiting for a store's next revision, by one poll of the process for all who wait.

A writer does not NOTIFY: every commit that notifies takes one lock that is global to the server,
which would make writers of different stores wait for each other (`docs/decisions/`).
"""

from __future__ import annotations

import asyncio

from engine.errors import StoreNotFound, Unavailable
from engine.store import refusals
from engine.store.postgres.pool import Pool
from engine.store.postgres.sql import statement

_HEADS = statement("heads")


class HeadWatch:
    """Polls the heads of the stores that somebody waits for, every `interval` seconds.

    A write of this process is passed on at once by `announce`.
    """

    def __init__(self, pool: Pool, interval: float) -> None:
        self._pool = pool
        self._interval = interval
        self._waiting: dict[str, set[tuple[int, asyncio.Future[None]]]] = {}
        self._polling: asyncio.Task[None] | None = None

    async def wait(self, store_id: str, after_revision: int, seconds: float) -> None:
        """See `Storage.wait_for_change`."""
        waiter = (after_revision, asyncio.get_running_loop().create_future())
        waiters = self._waiting.setdefault(store_id, set())
        waiters.add(waiter)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(seconds):
                await waiter[1]
        except TimeoutError:
            return
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiting.get(store_id) is waiters:
                del self._waiting[store_id]

    def announce(self, store_id: str, revision: int) -> None:
        """Wake those who wait for a revision up to this one."""
        for after, future in self._waiting.get(store_id, ()):
            if revision > after and not future.done():
                future.set_result(None)

    async def close(self) -> None:
        """Stop polling; those who wait are told that the storage is away."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        for store_id in list(self._waiting):
            self._fail(store_id, Unavailable("the storage was closed"))

    async def _poll(self) -> None:
        while self._waiting:
            await self._look()
            await asyncio.sleep(self._interval)

    async def _look(self) -> None:
        asked = list(self._waiting)
        try:
            heads = {
                row["id"].hex: row["head_revision"] for row in await self._pool.fetch(_HEADS, asked)
            }
        except Unavailable as error:
            for store_id in asked:
                self._fail(store_id, error)
            return
        for store_id in asked:
            if store_id in heads:
                self.announce(store_id, heads[store_id])
            else:
                self._fail(store_id, refusals.store_gone())

    def _fail(self, store_id: str, error: StoreNotFound | Unavailable) -> None:
        for _, future in self._waiting.get(store_id, ()):
            if not future.done():
                future.set_exception(error)
