"""A node for measuring: Postgres, Valkey, an indexer in a process of its own, and engines on the
index that it keeps."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from api.servers.postgres import PrivatePostgres
from api.servers.valkey import PrivateValkey
from engine.cache.redis import RedisAnnouncer
from engine.consistency import Freshness
from engine.engine import Engine
from engine.index.local import LocalIndexes
from engine.index.report import Line, read_report
from engine.limits import Limits
from engine.store.postgres.migrate import migrate
from engine.store.postgres.storage import PostgresStorage
from loadtests.bench import CountingPool
from loadtests.service import processor_seconds, resident_megabytes

INDEX_BYTES = 1 << 36
DEADLINE = 600.0
_LOOK = 0.05


class Built(NamedTuple):
    """An index that is there: how long it took, how large it is, and what the indexer used."""

    seconds: float
    bytes: int
    processor_seconds: float
    resident_megabytes: float


@dataclass(frozen=True, slots=True)
class Servers:
    """What all nodes share; `redis` is "" if there is none."""

    dsn: str
    redis: str


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its indexes, who keeps them, and an engine that reads them."""

    engine: Engine
    storage: PostgresStorage
    pool: CountingPool
    local: LocalIndexes
    root: Path
    indexer: int

    async def built(self, store: str) -> Built:
        """Ask for the index of a store, and wait until it is level."""
        record = await self.engine.get_store(store)
        head = await self.storage.head(record.id)
        begun, used = perf_counter(), processor_seconds(self.indexer)
        while True:
            self.local.shown(record.id)
            line = self._line(record.id)
            ready = line is not None and line.state == "following"
            if line is not None and ready and line.revision >= head.snapshot.revision:
                break
            await asyncio.sleep(_LOOK)
        return Built(
            perf_counter() - begun,
            # What is not a hole in the file; the report's figure is looked at now and then only.
            max((path.stat().st_blocks * 512 for path in self._files(record.id)), default=0),
            processor_seconds(self.indexer) - used,
            resident_megabytes(self.indexer),
        )

    def _line(self, store_id: str) -> Line | None:
        report = read_report(self.root)
        lines = [] if report is None else report.stores
        return next((line for line in lines if line.store == store_id), None)

    def _files(self, store_id: str) -> Iterator[Path]:
        return (self.root / store_id).glob("*/data.mdb")


@asynccontextmanager
async def servers(directory: Path, *, durable: bool = True) -> AsyncIterator[Servers]:
    """A private Postgres with the migrations applied, and a private Valkey."""
    with (
        PrivatePostgres(directory, durable=durable, connections=60) as postgres,
        PrivateValkey(directory) as valkey,
    ):
        await migrate(postgres.dsn)
        yield Servers(postgres.dsn, valkey.url)


@asynccontextmanager
async def node(shared: Servers, root: Path) -> AsyncIterator[Node]:
    """A node whose indexes lie under `root`."""
    async with AsyncExitStack() as stack:
        indexer = stack.enter_context(_indexer(shared, root))
        local = LocalIndexes(root, size=INDEX_BYTES)
        stack.callback(local.close)
        engine, storage, pool = await engine_on(shared, local)
        stack.push_async_callback(engine.close)
        yield Node(engine, storage, pool, local, root, indexer.pid)


async def engine_on(
    shared: Servers, local: LocalIndexes | None
) -> tuple[Engine, PostgresStorage, CountingPool]:
    """An engine as a worker has it, with indexes or without, and what counts its reads."""
    pool = await CountingPool.open(
        shared.dsn,
        size=10,
        patience=1.0,
        connect_timeout=5.0,
        statement_timeout=DEADLINE,
        prepared_statements=True,
    )
    assert isinstance(pool, CountingPool)
    storage = PostgresStorage(pool, index=local)
    announcer = RedisAnnouncer(shared.redis) if shared.redis else None
    freshness = Freshness(storage, announcer=announcer, local=local)
    return Engine(storage, limits=Limits(deadline=DEADLINE), freshness=freshness), storage, pool


@contextmanager
def _indexer(shared: Servers, root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m api.indexer`, as `stonetown serve` has it."""
    root.mkdir(mode=0o700)
    ready, tell = os.pipe()
    environment = {
        "DATABASE_URL": shared.dsn,
        "STONETOWN_INDEX_DIR": str(root),
        "STONETOWN_LOG_LEVEL": "warning",
    }
    if shared.redis:
        environment["REDIS_URL"] = shared.redis
    command = [sys.executable, "-m", "api.indexer", str(tell)]
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command, env=os.environ | environment, pass_fds=[tell]
    ) as process:
        os.close(tell)
        try:
            os.read(ready, 1)
            yield process
        finally:
            os.close(ready)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
