"""The indexer of a node: it keeps the indexes of the stores that the node's workers ask for.

Workers touch `wanted/<store id>` in the directory that they share; everything else there is the
indexer's. What it does is told in `report.json`, about once a second.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.cache.announcer import Announcer
from engine.cache.shared import elapsed
from engine.index.build import Source
from engine.index.follow import Follower
from engine.index.kept import Kept
from engine.index.report import Report, write_report
from engine.store.protocol import Storage

_log = logging.getLogger(__name__)

_STORE_ID = re.compile(r"[0-9a-f]{32}")
_GIVES_WAY = 60.0
"""Seconds after which a store that nobody asks for makes room for one that is asked for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an indexer may take: `size` bytes per store, `stores` indexes, `builds` at once. A store
    that nobody asks for is dropped after `unused` seconds.

    What is wanted is looked at, and what is done is told, every `look` seconds. The heads of all
    stores are read every `poll` seconds, and `swept` tuples of one index are
    compared with its store every `sweep` seconds. `retry` and `retry_most` are the first and the
    longest pause after failures.
    """

    size: int = 1 << 36
    stores: int = 64
    builds: int = 1
    unused: float = 3600.0
    look: float = 1.0
    poll: float = 0.2
    swept: int = 50
    sweep: float = 0.05
    retry: float = 1.0
    retry_most: float = 300.0


class Indexer:
    """Keeps the indexes under `root`. One process at a time may."""

    def __init__(
        self,
        storage: Storage,
        source: Source,
        root: Path,
        *,
        bounds: Bounds | None = None,
        announcer: Announcer | None = None,
    ) -> None:
        """With an `announcer`, writes are carried in when they are announced, not when they are
        next looked for."""
        self._storage = storage
        self._source = source
        self._root = root
        self._bounds = bounds or Bounds()
        self._announcer = announcer
        self._building = asyncio.Semaphore(self._bounds.builds)
        self._kept: dict[str, Kept] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._builds: Counter[str] = Counter()
        self._looked = float("-inf")
        self._unreachable = False

    async def run(self) -> None:
        """Keep the indexes until cancelled. Raises OSError if the directory cannot be used."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run())
            tasks.create_task(self._sweep())

    async def _run(self) -> None:
        while True:
            if elapsed() - self._looked >= self._bounds.look:
                self._looked = elapsed()
                self._choose(self._wanted())
                self._tell()
            await self._poll()
            await asyncio.sleep(self._bounds.poll)

    async def close(self) -> None:
        """Stop, with every index sealed for the next start. Not before `run` has ended."""
        kept, self._kept = list(self._kept.values()), {}
        await asyncio.gather(*(item.stop() for item in kept), *self._ending.values())
        self._tell()

    def nudge(self, store_id: str | None) -> None:
        """Something was written to a store (None: perhaps to any)."""
        for item in list(self._kept.values()) if store_id is None else [self._kept.get(store_id)]:
            if item is not None:
                item.nudge()

    def _wanted(self) -> dict[str, float]:
        """The stores that were asked for within the time, and how many seconds ago."""
        found: dict[str, float] = {}
        now = time.time()
        with suppress(FileNotFoundError):
            for path in (self._root / "wanted").iterdir():
                with suppress(FileNotFoundError):
                    age = max(0.0, now - path.stat().st_mtime)
                    if age > self._bounds.unused:
                        path.unlink()
                    elif _STORE_ID.fullmatch(path.name):
                        found[path.name] = age
        return found

    def _choose(self, wanted: dict[str, float]) -> None:
        """Keep the stores that are wanted, as many as may be. One that is kept stays until it is
        not asked for any more, lest indexes be built in turns."""
        for store_id, item in list(self._kept.items()):
            if item.gone or store_id not in wanted:
                self._drop(store_id)
        new = wanted.keys() - self._kept.keys() - self._ending.keys()
        coming = sorted(new, key=lambda name: (wanted[name], name))
        leaving = sorted(
            (name for name in self._kept if wanted[name] > _GIVES_WAY),
            key=lambda name: wanted[name],
        )
        for store_id in coming:
            if len(self._kept) >= self._bounds.stores:
                if not leaving:
                    return
                self._drop(leaving.pop())
            self._keep(store_id)

    def _keep(self, store_id: str) -> None:
        try:
            item = Kept(
                self._storage,
                lambda counted: Follower(
                    self._storage,
                    self._source,
                    store_id,
                    self._root / store_id,
                    size=self._bounds.size,
                    building=self._building,
                    progress=counted,
                    built=lambda reason: self._builds.update([reason]),
                ),
                self._announcer,
                self._bounds.retry,
                self._bounds.retry_most,
            )
        except (OSError, ValueError) as error:
            _log.warning("there can be no index of the store %s: %s", store_id, error)
            return
        self._kept[store_id] = item

    def _drop(self, store_id: str) -> None:
        item = self._kept.pop(store_id)
        if item.gone:
            (self._root / "wanted" / store_id).unlink(missing_ok=True)
        self._ending[store_id] = asyncio.create_task(self._discard(item))

    async def _discard(self, item: Kept) -> None:
        await item.discard()
        del self._ending[item.store_id]

    async def _poll(self) -> None:
        """Tell every store that waits its head."""
        waiting = [item for item in self._kept.values() if item.waits]
        if not waiting:
            return
        began = elapsed()
        try:
            heads = await self._source.heads([item.store_id for item in waiting])
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be over next time
            if not self._unreachable:
                _log.warning("the heads of stores cannot be read: %s", error)
            self._unreachable = True
            return
        self._unreachable = False
        for item in waiting:
            item.tell(heads.get(item.store_id), began)

    async def _sweep(self) -> None:
        """Compare some tuples of one index after the other, for ever."""
        while True:
            for store_id in list(self._kept) or [""]:
                await asyncio.sleep(self._bounds.sweep)
                item = self._kept.get(store_id)
                if item is not None:
                    await item.check(self._bounds.swept)

    def _tell(self) -> None:
        report = Report(
            elapsed(), dict(self._builds), [item.line() for item in self._kept.values()]
        )
        try:
            write_report(self._root, report)
        except OSError as error:
            _log.debug("no report could be written: %s", error)
