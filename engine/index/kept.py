"""One store that an indexer keeps: its follower, the tasks that drive it, and what goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import lmdb

from engine.cache.announcer import Announcer
from engine.cache.shared import elapsed
from engine.errors import EngineError, StoreNotFound
from engine.index.build import Progress
from engine.index.encoding import TooManyNamesError
from engine.index.files import IndexDamagedError
from engine.index.follow import Follower
from engine.index.report import Line
from engine.index.sweep import DAMAGE, Difference, Sweep
from engine.store.protocol import Head, Storage

_log = logging.getLogger(__name__)

_NEWS_SECONDS = 5.0
_READERS_SECONDS = 30.0
_CANNOT_BE = (lmdb.MapFullError, TooManyNamesError)
"""What keeps the store from being indexed at all, for as long as it is as it is."""
_UNREACHABLE_MOST = 2.0


class Kept:
    """Drives the follower that `made` makes until it is stopped or discarded. No error of one store
    comes out of here."""

    def __init__(
        self,
        storage: Storage,
        made: Callable[[Progress], Follower],
        announcer: Announcer | None,
        retry: float,
        retry_most: float,
    ) -> None:
        """`retry` and `retry_most` are the first and the longest pause after failures. Raises what
        `made` raises."""
        self._retry = retry
        self._retry_most = retry_most
        self._follower = made(self._count)
        self._known: tuple[Head, float] | None = None
        self._nudged = float("-inf")
        self._wake = asyncio.Event()
        self._failures = 0
        self._trouble = ""
        self._progress = (0, 0)
        self._sweep = Sweep(storage)
        self.store_id = self._follower.store_id
        self.waits = False
        self.gone = False
        self._checked_readers = elapsed()
        self._tasks = [asyncio.create_task(self._follow())]
        if announcer is not None:
            self._tasks.append(asyncio.create_task(self._listen(announcer)))

    def tell(self, head: Head | None, began: float) -> None:
        """The head of the store, by a read that began at this moment; None if there is no store."""
        # A nudge that came while it was read is of something newer.
        self._known = None if head is None or began <= self._nudged else (head, began)
        self._wake.set()

    def nudge(self) -> None:
        """There may be a new head."""
        self._known, self._nudged = None, elapsed()
        self._wake.set()

    async def check(self, count: int) -> None:
        """Compare the next `count` tuples of the index with the store, and forget readers that have
        died. What is wrong is built again."""
        tables, writer = self._follower.tables, self._follower.writer
        if tables is None or writer is None:
            return
        try:
            if elapsed() - self._checked_readers > _READERS_SECONDS:
                self._checked_readers = elapsed()
                tables.env.reader_check()
            await self._sweep.step(tables, writer, count)
        except EngineError:
            return
        except (Difference, *DAMAGE) as error:
            if self._follower.writer is not writer:
                return
            _log.warning("the index of the store %s is wrong: %s", self.store_id, error)
            with suppress(OSError):
                self._follower.distrust()
            self.nudge()

    async def stop(self) -> None:
        """Let go of the index, sealed."""
        await self._end()
        try:
            await self._follower.stop()
        except (lmdb.Error, OSError) as error:
            _log.warning("the index of the store %s is not sealed: %s", self.store_id, error)

    async def discard(self) -> None:
        """Remove the index."""
        await self._end()
        try:
            self._follower.discard(wholly=self.gone)
        except (lmdb.Error, OSError) as error:
            _log.warning("the index of the store %s is not removed: %s", self.store_id, error)

    def line(self) -> Line:
        """What there is to tell."""
        status, building = self._follower.status, self._follower.tables is None
        done, total = self._progress
        level = status.revision >= status.head
        state = "waiting" if self._trouble else "following" if level else "behind"
        return Line(
            store=self.store_id,
            state="building" if building and not self._trouble else state,
            generation=status.generation,
            revision=status.revision,
            head=status.head,
            bytes=status.size,
            as_of=status.as_of,
            done=done,
            total=total,
            swept=self._sweep.rounds,
            trouble=self._trouble,
        )

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _count(self, done: int, total: int) -> None:
        self._progress = (done, total)

    async def _follow(self) -> None:
        while not self.gone:
            try:
                more = await self._follower.step(self._known)
            except StoreNotFound:
                self.gone = True
                return
            except Exception as error:  # noqa: BLE001 - one store must not stop the others
                await self._fail(error)
                continue
            self._failures, self._trouble = 0, ""
            self._known = None
            if not more:
                await self._news()

    async def _news(self) -> None:
        self.waits = True
        try:
            await self._wake.wait()
        finally:
            self.waits = False
        self._wake.clear()

    async def _fail(self, error: Exception) -> None:
        """Say it once, give up what is no good, and wait: longer from time to time."""
        self._known = None
        trouble = f"{type(error).__name__}: {error}"
        if trouble != self._trouble:
            unknown = not isinstance(
                error, EngineError | OSError | lmdb.Error | IndexDamagedError | TooManyNamesError
            )
            _log.warning(
                "the store %s is served without an index: %s",
                self.store_id,
                trouble,
                exc_info=error if unknown else None,
            )
        self._trouble = trouble
        if not isinstance(error, EngineError) and not _is_of_the_disk(error):
            self._follower.drop("full" if isinstance(error, _CANNOT_BE) else "damaged")
        most = _UNREACHABLE_MOST if isinstance(error, EngineError) else self._retry_most
        pause = min(self._retry * 2**self._failures, most)
        if isinstance(error, _CANNOT_BE):
            pause = most
        self._failures = min(self._failures + 1, 30)
        await asyncio.sleep(pause)

    async def _listen(self, announcer: Announcer) -> None:
        async with announcer.listen(self.store_id) as news:
            while True:
                news.clear()
                await news.wait(_NEWS_SECONDS)
                self.nudge()


def _is_of_the_disk(error: Exception) -> bool:
    """Whether the disk took no more; what was there before is whole. For LMDB a full disk is an
    error without a class of its own."""
    return isinstance(error, OSError | lmdb.DiskError) or type(error) is lmdb.Error
