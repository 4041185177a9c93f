"""The process that keeps a node's indexes: `python -m api.indexer READY`, a descriptor in which it
says by a byte that it runs. It ends with its parent, sealing what it has."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
import uvloop

from api.indexing import own_root
from api.memory import settle
from api.servers.readiness import tell
from api.settings import Settings, load_settings
from api.telemetry import configure_logging
from engine.cache.redis import RedisAnnouncer
from engine.index.indexer import Bounds, Indexer
from engine.store.postgres.copying import PostgresSource
from engine.store.postgres.storage import PostgresStorage

_CONNECTIONS = 4
_AGAIN_SECONDS = 5.0
_LOCKED_SECONDS = 0.5

_log = structlog.get_logger(__name__)


async def run(settings: Settings, database_url: str, redis_url: str | None) -> None:
    """Keep the indexes until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(_always(settings, database_url, redis_url))
    await stop.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def _always(settings: Settings, database_url: str, redis_url: str | None) -> None:
    said = ""
    assert settings.index_root is not None  # nobody starts it otherwise
    while True:
        try:
            root = own_root(settings.index_root)
            async with _alone(root):
                await _index(settings, root, database_url, redis_url)
        except OSError as error:
            if str(error) != said:
                said = str(error)
                _log.warning("there are no indexes", why=said)
            await asyncio.sleep(_AGAIN_SECONDS)


@asynccontextmanager
async def _alone(root: Path) -> AsyncIterator[None]:
    """The right to write under `root`, which ends with the process however that ends."""
    with (root / "lock").open("a") as lock:
        waits = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waits:
                    waits = True
                    _log.info("another indexer has the directory", directory=str(root))
                await asyncio.sleep(_LOCKED_SECONDS)
        yield


async def _index(settings: Settings, root: Path, database_url: str, redis_url: str | None) -> None:
    storage = await PostgresStorage.connect(
        database_url,
        pool_size=_CONNECTIONS,
        prepared_statements=settings.prepared_statements,
    )
    source = PostgresSource(database_url)
    announcer = RedisAnnouncer(redis_url) if redis_url else None
    bounds = Bounds(
        size=settings.index_size,
        stores=settings.index_stores,
        unused=settings.index_unused_seconds,
    )
    indexer = Indexer(storage, source, root, bounds=bounds, announcer=announcer)
    source.on_written(indexer.nudge)
    try:
        await indexer.run()
    finally:
        await indexer.close()
        if announcer is not None:
            await announcer.close()
        await source.close()
        await storage.close()


def main() -> None:
    """Run until the parent says stop."""
    awaited = int(sys.argv[1])
    settings = load_settings()
    configure_logging(settings)
    database, redis = settings.database_url, settings.redis_url
    if database is None:
        raise SystemExit("an indexer needs DATABASE_URL")
    tell(awaited)
    settle()
    address = redis.get_secret_value() if redis else None
    uvloop.run(run(settings, database.get_secret_value(), address))


if __name__ == "__main__":
    main()
