"""Publications of writes: those of one store that arrive together travel together.

One is under way per store at a time; what arrives meanwhile is gathered into the next, under the
newest revision among them. All of them are committed by then, so an object that is announced under
a later revision than its own costs some node a look at the head, and nothing else. A caller that is
cancelled leaves the publication to the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

Send = Callable[[str, int, Collection[bytes] | None], Awaitable[bool]]


class _Batch:
    """Names that go out together; None stands for every object of the store."""

    def __init__(self) -> None:
        self.revision = 0
        self.names: set[bytes] | None = set()
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def add(self, revision: int, names: Collection[bytes] | None, most: int) -> None:
        self.revision = max(self.revision, revision)
        if names is None or self.names is None or len(names) + len(self.names) > most:
            self.names = None
        else:
            self.names.update(names)


class Publishing:
    """Sends by `send`, which takes a store id, a revision and names, and never raises; more than
    `most_names` names are sent as None."""

    def __init__(self, send: Send, *, most_names: int) -> None:
        self._send = send
        self._most_names = most_names
        self._gathering: dict[str, _Batch] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def publish(self, store_id: str, revision: int, names: Collection[bytes] | None) -> bool:
        """What `send` says of the publication that holds these names; it began after this call."""
        batch = self._gathering.get(store_id)
        if batch is None:
            batch = self._gathering[store_id] = _Batch()
        batch.add(revision, names, self._most_names)
        if store_id not in self._running:
            self._running[store_id] = asyncio.create_task(self._run(store_id))
        return await asyncio.shield(batch.done)

    async def close(self) -> None:
        """End what is under way; those who wait are told False."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, store_id: str) -> None:
        batch: _Batch | None = None
        try:
            while (batch := self._gathering.pop(store_id, None)) is not None:
                done = await self._send(store_id, batch.revision, batch.names)
                batch.done.set_result(done)
        finally:
            # Nothing was awaited since nothing was found to be gathered, or this was cancelled.
            del self._running[store_id]
            for left in (batch, self._gathering.pop(store_id, None)):
                if left is not None and not left.done.done():
                    left.done.set_result(False)
