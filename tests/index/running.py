"""An indexer that runs in the test's own loop, over any storage, and what it does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from engine.index.build import Source
from engine.index.indexer import Bounds, Indexer
from engine.index.report import Line, read_report
from engine.store.protocol import Storage

BOUNDS = Bounds(size=1 << 26, look=0.02, poll=0.01, sweep=0.02, retry=0.02, retry_most=0.1)


class Running:
    """A running indexer over the directory `root`."""

    def __init__(self, indexer: Indexer, root: Path) -> None:
        self.indexer = indexer
        self.root = root

    def want(self, store_id: str, *, ago: float = 0.0) -> None:
        """Ask for an index, as a worker does."""
        path = self.root / "wanted" / store_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        moment = time.time() - ago
        os.utime(path, (moment, moment))

    def line(self, store_id: str) -> Line | None:
        """What it says of a store."""
        report = read_report(self.root)
        found = [] if report is None else [line for line in report.stores if line.store == store_id]
        return found[0] if found else None

    def builds(self) -> dict[str, int]:
        """How often it has built, by reason."""
        report = read_report(self.root)
        return {} if report is None else dict(report.builds)

    async def until(self, question: Callable[[], bool]) -> None:
        """Return when the answer is yes."""
        async with asyncio.timeout(60):
            while not question():
                await asyncio.sleep(0.01)

    async def follows(self, store_id: str, revision: int) -> Line:
        """What it says of a store once its index is level at this revision or a later one."""

        def there() -> bool:
            line = self.line(store_id)
            return line is not None and line.state == "following" and line.revision >= revision

        self.want(store_id)
        await self.until(there)
        line = self.line(store_id)
        assert line is not None
        return line


@asynccontextmanager
async def running(
    storage: Storage, source: Source, root: Path, **bounds: float
) -> AsyncIterator[Running]:
    """An indexer that runs from here to there, and seals what it has."""
    indexer = Indexer(storage, source, root, bounds=replace(BOUNDS, **bounds))  # type: ignore[arg-type]
    task = asyncio.create_task(indexer.run())
    try:
        yield Running(indexer, root)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await indexer.close()
