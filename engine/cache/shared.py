"""One read for many who ask: the newest value, and one running read to wait for.

Freshness is a matter of when a read *began*: whatever was committed before that moment is in its
answer. So a caller names the moment since which a read must have begun, and takes the value at
hand, or joins the running read, or waits for the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from engine.errors import Unavailable

T = TypeVar("T")
K = TypeVar("K")


_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds on a clock that never steps and, where the system has one, counts suspension too."""
    return time.clock_gettime(_CLOCK)


class SharedRead(Generic[T]):
    """The last value that `read` returned, when that read began, and the read that is running.

    A read that takes longer than `deadline` seconds fails with Unavailable. The read belongs to
    nobody: a caller that is cancelled leaves it running for the others.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        *,
        clock: Callable[[], float] = elapsed,
        deadline: float = 2.0,
    ) -> None:
        self._read = read
        self._clock = clock
        self._deadline = deadline
        self._running: asyncio.Task[T] | None = None
        self._running_since = float("-inf")
        self.value: T | None = None
        self.began = float("-inf")

    async def since(self, moment: float) -> T:
        """A value whose read began after `moment`. Raises what `read` raises."""
        if self.value is not None and self.began > moment:
            return self.value
        running = self._running
        if running is not None and self._running_since <= moment:
            # Too early for this caller. Those who come meanwhile wait too, and share the next one.
            await asyncio.wait([running])
        return await asyncio.shield(self._running or self._begin())

    def renew(self, moment: float) -> None:
        """Begin a read that nobody waits for, unless the last one, good or bad, began after
        `moment`. If it fails, the value stays what it was, and as old."""
        if self._running is None and self._running_since <= moment:
            self._begin()

    async def close(self) -> None:
        """Cancel the running read and wait for its end."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def _begin(self) -> asyncio.Task[T]:
        self._running_since = self._clock()
        self._running = asyncio.create_task(self._run(self._running_since))
        self._running.add_done_callback(_mark_retrieved)
        return self._running

    async def _run(self, began: float) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                value = await self._read()
        except TimeoutError:
            raise Unavailable("storage did not answer in time") from None
        else:
            self.value, self.began = value, began
            return value
        finally:
            self._running = None


class Lru(OrderedDict[K, T]):
    """A dict that holds `capacity` items and drops those unused for longest."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def used(self, key: K) -> T | None:
        """The item of `key`, now the last to be dropped; None if there is none."""
        item = self.get(key)
        if item is not None:
            self.move_to_end(key)
        return item

    def put(self, key: K, item: T) -> T:
        """Hold `item` and return it."""
        self[key] = item
        self.move_to_end(key)
        if len(self) > self._capacity:
            self.popitem(last=False)
        return item


def _mark_retrieved(task: asyncio.Task[T]) -> None:
    """All who waited may have been cancelled: then nobody else asks for the error."""
    if not task.cancelled():
        task.exception()
