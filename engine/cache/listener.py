"""Listens to one Redis channel for many: each message names a store, and wakes its listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

_RETRY_SECONDS = 0.5
_POLL_SECONDS = 5.0
_CLOSE_SECONDS = 0.1


class Wakeup:
    """See `engine.cache.announcer.News`."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def clear(self) -> None:
        """See `News.clear`."""
        self.event.clear()

    async def wait(self, seconds: float) -> None:
        """See `News.wait`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.event.wait()


class Listener:
    """One connection, opened when somebody listens and kept while the node lives.

    Messages may be lost with the connection, so nobody may rely on being woken.
    """

    def __init__(self, url: str, *, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._listening: dict[str, set[Wakeup]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def listen(self, store_id: str) -> AsyncIterator[Wakeup]:
        """Be woken by messages that name `store_id`."""
        if self._task is None:
            self._task = asyncio.create_task(self._receive_always())
        wakeup = Wakeup()
        self._listening.setdefault(store_id, set()).add(wakeup)
        try:
            yield wakeup
        finally:
            listening = self._listening[store_id]
            listening.discard(wakeup)
            if not listening:
                del self._listening[store_id]

    async def close(self) -> None:
        """Stop listening."""
        self._closed = True
        while self._task is not None and not self._task.done():
            # Again and again: a library under it may take a cancellation for its own timeout.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)

    async def _receive_always(self) -> None:
        while not self._closed:
            with suppress(RedisError, OSError):
                await self._receive()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _receive(self) -> None:
        async with (
            Redis.from_url(self._url, protocol=2, health_check_interval=_POLL_SECONDS) as client,
            client.pubsub(ignore_subscribe_messages=True) as subscription,
        ):
            await subscription.subscribe(self._channel)
            self._wake(None)
            while True:
                message = await subscription.get_message(timeout=_POLL_SECONDS)
                if message is not None:
                    self._wake(str(message["data"], "ascii", "replace"))

    def _wake(self, store_id: str | None) -> None:
        """Wake those who listen to a store; all of them when messages may have been missed."""
        chosen = self._listening if store_id is None else {store_id}
        for name in chosen:
            for wakeup in self._listening.get(name, ()):
                wakeup.event.set()
