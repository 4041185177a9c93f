"""What befalls an indexer and its files: no answer is ever wrong, and all comes back by itself."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from api.indexing import IndexerServer, after_death
from api.servers.process import Keeper
from engine.cache.shared import elapsed
from engine.consistency import Freshness
from engine.index.local import LocalIndexes
from engine.index.report import read_report
from engine.index.status import Status
from engine.reader import Scan
from engine.requests import MINIMIZE_LATENCY
from engine.store.postgres import PostgresStorage
from engine.store.protocol import StoreRecord, Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple, Subject
from tests.servers import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 1 << 28
STALENESS = 1.0
SCAN = Scan("doc", "1", "viewer", False)
KILLS = 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


@contextmanager
def kept(root: Path, database: str) -> Iterator[Keeper]:
    """A real indexer, started again when it dies."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STONETOWN_") and name != "REDIS_URL"
    }
    environment = {
        **ours,
        "DATABASE_URL": database,
        "STONETOWN_INDEX_DIR": str(root),
        "STONETOWN_INDEX_SIZE": str(SIZE),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    keeper = Keeper(IndexerServer(root, environment))
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


@pytest.fixture
def keeper(root: Path, fresh_database: str) -> Iterator[Keeper]:
    with kept(root, fresh_database) as keeper:
        yield keeper


class Node:
    """One worker: what it wrote, what it should read at each revision, and what it reads."""

    def __init__(self, storage: PostgresStorage, store: StoreRecord, root: Path) -> None:
        self.storage = storage
        self.store = store
        self.local = LocalIndexes(root, size=SIZE)
        self.freshness = Freshness(
            storage, max_staleness=STALENESS, read_your_writes=False, local=self.local
        )
        self.expected: dict[int, frozenset[str]] = {0: frozenset()}
        self.acknowledged: list[tuple[float, int]] = []
        self.head = 0
        self.from_index = 0

    async def write(self, *, users: list[str], op: UpdateOp = UpdateOp.TOUCH) -> None:
        """Change who views the document, in one revision."""
        subjects = [Subject("user", user, "") for user in users]
        updates = [Update(op, RelationTuple(Object("doc", "1"), "viewer", it)) for it in subjects]
        before = self.expected[self.head]
        after = before | set(users) if op is UpdateOp.TOUCH else before - set(users)
        # Known before it is written, for whoever reads in between.
        self.expected[self.head + 1] = after
        outcome = await self.storage.write(self.store.id, WriteCommand(updates, (), 0, NOW))
        assert outcome.snapshot.revision == self.head + 1
        self.head += 1
        self.acknowledged.append((elapsed(), self.head))

    async def read(self) -> bool:
        """Read at a snapshot that is fresh enough, and hold it to what was written; whether the
        index answered."""
        began = elapsed() - STALENESS
        due = max((head for moment, head in self.acknowledged if moment <= began), default=0)
        snapshot = (await self.freshness.choose(self.store, MINIMIZE_LATENCY)).snapshot
        assert snapshot.revision >= due
        reader = self.local.reader(snapshot, self.storage.reader(snapshot))
        answered = reader.local() is not None
        _, (edges,) = await reader.fetch([], [SCAN], 1_000_000)
        assert {edge.subject_id for edge in edges} == self.expected[snapshot.revision]
        self.from_index += answered
        return answered

    async def reads_from_the_index(self) -> bool:
        """Whether the index shows the head, and answers."""
        shown = self.local.shown(self.store.id)
        return await self.read() and shown is not None and shown.snapshot.revision == self.head


@pytest.fixture
async def node(fresh_database: str, root: Path) -> AsyncIterator[Node]:
    storage = await PostgresStorage.connect(fresh_database, statement_timeout=60.0)
    node = Node(storage, await storage.create_store("a"), root)
    await node.write(users=[f"u{number}" for number in range(300)])
    yield node
    node.local.close()
    await node.freshness.close()
    await storage.close()


async def test_kills_under_writes(keeper: Keeper, node: Node, root: Path) -> None:
    """It goes on from where it was, whatever it was in the middle of."""
    stop = asyncio.Event()

    async def load() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            some = [f"u{(number * 7 + at) % 400}" for at in range(20)]
            op = UpdateOp.DELETE if number % 3 == 0 else UpdateOp.TOUCH
            await node.write(users=[*some, f"n{number}"] if op is UpdateOp.TOUCH else some, op=op)
            await node.read()

    await eventually(node.reads_from_the_index)
    writing = asyncio.create_task(load())
    for number in range(KILLS):
        await eventually(partial(_later, node, node.head + 5 * (number + 1), writing))
        killed = keeper.pid
        os.kill(killed, signal.SIGKILL)
        await eventually(partial(_replaced, keeper, killed))
    stop.set()
    await writing
    await eventually(node.reads_from_the_index)
    status = Status(root / node.store.id / "status")
    assert status.generation == 1, "it was resumed, not built again"
    status.close()


async def test_a_stopped_indexer_is_not_waited_for(keeper: Keeper, node: Node) -> None:
    await eventually(node.reads_from_the_index)
    os.kill(keeper.pid, signal.SIGSTOP)
    await node.write(users=["late"])

    async def postgres_answers() -> bool:
        return not await node.read()

    await eventually(postgres_answers)
    assert (
        await node.freshness.choose(node.store, MINIMIZE_LATENCY)
    ).snapshot.revision == node.head
    os.kill(keeper.pid, signal.SIGCONT)
    await eventually(node.reads_from_the_index)


async def test_a_second_indexer_of_a_directory_waits_for_the_first(
    root: Path, node: Node, fresh_database: str
) -> None:
    """As where two nodes were given one directory: one of them writes, and the other takes over."""
    with kept(root, fresh_database) as first:
        await eventually(node.reads_from_the_index)
        with kept(root, fresh_database) as second:
            for number in range(20):
                await node.write(users=[f"both-{number}"])
                await node.read()
            await eventually(node.reads_from_the_index)
            first.stop()
            await node.write(users=["later"])
            await eventually(node.reads_from_the_index)
            os.kill(second.pid, signal.SIGKILL)
            await node.write(users=["last"])
            await eventually(node.reads_from_the_index)
            status = Status(root / node.store.id / "status")
            assert status.generation == 1, "it was handed over, not built again"
            status.close()


async def test_a_full_disk(keeper: Keeper, node: Node, root: Path) -> None:
    await eventually(node.reads_from_the_index)
    size = (root / node.store.id / "1" / "data.mdb").stat().st_size
    resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (size + 8192, resource.RLIM_INFINITY))
    for part in range(3):
        await node.write(users=[f"{'x' * 200}-{part}-{number}" for number in range(500)])

    async def it_waits() -> bool:
        await node.read()
        report = read_report(root)
        return report is not None and [line.state for line in report.stores] == ["waiting"]

    await eventually(it_waits)
    await node.write(users=["late"])
    await node.read()
    limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, limit)
    await eventually(node.reads_from_the_index)


async def test_a_worker_and_an_indexer_that_die_of_a_truncated_file(
    keeper: Keeper, node: Node, root: Path
) -> None:
    await eventually(node.reads_from_the_index)

    async def reading() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.index.reading", root, node.store.id, str(SIZE)),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
        )

    async def said(worker: asyncio.subprocess.Process, word: bytes) -> None:
        assert worker.stdout is not None
        async with asyncio.timeout(120):
            while await worker.stdout.readline() != word + b"\n":
                pass

    worker, restarts = await reading(), keeper.restarts
    await said(worker, b"reads")
    node.local.close()  # this process would die, too
    os.truncate(root / node.store.id / "1" / "data.mdb", 0)
    async with asyncio.timeout(120):
        status = await worker.wait()
    assert status == -signal.SIGBUS
    after_death(root, worker.pid, status)
    worker = await reading()
    await said(worker, b"reads")
    worker.kill()
    await worker.wait()
    await node.write(users=["late"])
    await eventually(node.reads_from_the_index)
    found = Status(root / node.store.id / "status")
    assert found.generation > 1
    found.close()
    assert keeper.restarts >= restarts


async def _later(node: Node, head: int, writing: asyncio.Task[None]) -> bool:
    if writing.done():
        await writing  # it has failed
    return node.head >= head


async def _replaced(keeper: Keeper, pid: int) -> bool:
    return keeper.pid not in {0, pid}
