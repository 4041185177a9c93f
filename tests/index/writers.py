"""`make soak`: 100,000 random writes while questions are asked at random zookies.

`python -m tests.index.writers --writes 100000 --seed 0` starts a Postgres and an indexer of its
own, writes with several writers at once, and holds every answer to the oracle at the revision that
the answer names. Every difference is printed; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, cast

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from api.indexing import IndexerServer
from api.servers.postgres import PrivatePostgres
from api.servers.process import Keeper
from engine import zookie
from engine.consistency import Freshness, utcnow
from engine.engine import Engine
from engine.errors import EngineError
from engine.index.local import LocalIndexes, NodeReader
from engine.reader import ReverseReader
from engine.requests import WriteRequest
from engine.store.postgres import PostgresStorage
from engine.store.postgres.migrate import migrate
from engine.store.protocol import SchemaCommand, Snapshot, Storage, UpdateOp, WriteCommand
from tests.index.asked import MOMENT, Asker
from tests.index.story import SCHEMAS, Story, heap, some_updates

SIZE = 1 << 30
STORE = "soak"
_KEPT = 20_000
_UNNOTED = 20_001  # engine.index.apply keeps no notes of so many changes at once
_CHANGING = {"created", "updated", "deleted"}


class Amount(NamedTuple):
    """How much is done: `writes` by `writers` at once; meanwhile `askers` ask, each after every
    `pace` writes; the schema changes `schemas` times, and `heaps` revisions are huge."""

    writes: int
    writers: int = 8
    askers: int = 6
    pace: int = 60
    schemas: int = 400
    heaps: int = 30


class CountedIndexes:
    """The node's indexes, and counts of where readers read. It stands for `LocalIndexes` without
    inheriting from it, for that is compiled where it can be."""

    def __init__(self, root: Path, tally: Counter[str]) -> None:
        self._indexes = LocalIndexes(root, size=SIZE)
        self._tally = tally

    def __getattr__(self, name: str) -> Any:
        return getattr(self._indexes, name)

    def reader(self, snapshot: Snapshot, otherwise: ReverseReader) -> NodeReader:
        """See `LocalIndexes.reader`."""
        made = self._indexes.reader(snapshot, otherwise)
        local = made.local()
        if local is None:
            self._tally["readers of the store"] += 1
        elif local.view.is_newest:
            self._tally["readers of the index"] += 1
        else:
            self._tally["readers of the index, of the past"] += 1
        return made


class Soak:
    """One store, its writers, and those who ask about it."""

    def __init__(self, storage: Storage, local: LocalIndexes, amount: Amount, seed: int) -> None:
        self.tally: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.story = Story(_KEPT)
        self.written = 0
        self._asked = 0
        self._amount = amount
        self._seed = seed
        self._dice = random.Random(seed)
        self._storage = storage
        freshness = Freshness(
            storage, read_your_writes=False, local=local, now=MOMENT.get, max_staleness=5.0
        )
        self._engine = Engine(storage, freshness=freshness, clock=utcnow)
        self._version = 0
        self._store_id = ""

    async def run(self, told: Callable[[int], None] = lambda _: None) -> None:
        """Write and ask until all is written; `told` how many writes there were. Raises what goes
        wrong beside the answers."""
        MOMENT.set(utcnow())
        record = await self._engine.create_store(STORE)
        self._store_id = record.id
        await self._change_schema(0)
        askers = [
            Asker(self._engine, STORE, self.story, self._seed + number)
            for number in range(self._amount.askers)
        ]
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._amount.writers):
                tasks.create_task(self._write(random.Random(f"{self._seed} {number}")))
            tasks.create_task(self._disturb())
            for asker in askers:
                tasks.create_task(self._ask(asker, told))
        for asker in askers:
            self.tally += asker.tally
            self.wrong += asker.wrong
        self.tally["revisions"] = self.story.head
        await self._engine.freshness.close()

    @property
    def _going(self) -> bool:
        return self.written < self._amount.writes

    async def _write(self, dice: random.Random) -> None:
        amount = self._amount
        while self._going:
            if self._asked < self.written // amount.pace * amount.askers:
                await asyncio.sleep(0.001)
                continue
            updates = some_updates(self.story, dice)
            try:
                answer = await self._engine.write(STORE, WriteRequest(updates))
            except EngineError as error:
                # The schema has changed, and does not allow it any more.
                self.tally[f"writes refused: {type(error).__name__}"] += 1
                continue
            self.written += 1
            if _CHANGING.intersection(answer.results):
                revision = zookie.decode(answer.zookie).revision
                await self.story.wrote(revision, answer.zookie, updates)
            else:
                self.tally["writes that changed nothing"] += 1
            await asyncio.sleep(0)

    async def _disturb(self) -> None:
        """Change the schema, and write heaps, as often as there is to be."""
        amount = self._amount
        does = [*["schema"] * amount.schemas, *["heap"] * amount.heaps]
        self._dice.shuffle(does)
        for number, what in enumerate(does):
            while self.written < amount.writes * (number + 1) / (len(does) + 1):
                await asyncio.sleep(0.01)
            if what == "heap":
                await self._heap()
            else:
                await self._change_schema(self._dice.randrange(len(SCHEMAS)))

    async def _change_schema(self, number: int) -> None:
        # Below validation: tuples that the new schema does not allow stay.
        text = SCHEMAS[number]
        if text == self.story.now.schema:
            return
        command = SchemaCommand(text, "zed", self._version, (), utcnow())
        snapshot = await self._storage.put_schema(self._store_id, command)
        self._version = snapshot.schema_version
        self.tally["schema changes"] += 1
        await self.story.wrote(snapshot.revision, zookie.encode(snapshot), (), text)

    async def _heap(self) -> None:
        op = UpdateOp.DELETE if self.tally["heaps"] % 2 else UpdateOp.TOUCH
        updates = [*heap(_UNNOTED, op), *some_updates(self.story, self._dice)]
        command = WriteCommand(updates, (), self._version, utcnow())
        outcome = await self._storage.write(self._store_id, command)
        self.tally["heaps"] += 1
        await self.story.wrote(
            outcome.snapshot.revision, zookie.encode(outcome.snapshot), updates[_UNNOTED:]
        )

    async def _ask(self, asker: Asker, told: Callable[[int], None]) -> None:
        due = 0
        while self._going:
            if self.written < due:
                await asyncio.sleep(0.001)
                continue
            await asker.ask()
            self._asked += 1
            due += self._amount.pace
            told(self.written)


@asynccontextmanager
async def _indexed_postgres(tally: Counter[str]) -> AsyncIterator[tuple[Storage, LocalIndexes]]:
    """A Postgres whose readers read the index that a process of its own keeps."""
    with (
        tempfile.TemporaryDirectory(prefix="stonetown-") as data,
        PrivatePostgres(Path(data), durable=False) as server,
    ):
        await migrate(server.dsn)
        root = Path(data) / "index"
        ours = {k: v for k, v in os.environ.items() if not k.startswith("STONETOWN_")}
        ours.pop("REDIS_URL", None)
        place = {"STONETOWN_INDEX_DIR": str(root), "STONETOWN_INDEX_SIZE": str(SIZE)}
        keeper = Keeper(IndexerServer(root, ours | place | {"DATABASE_URL": server.dsn}))
        keeper.start()
        local = cast("LocalIndexes", CountedIndexes(root, tally))
        storage = await PostgresStorage.connect(server.dsn, statement_timeout=60.0, index=local)
        try:
            yield storage, local
        finally:
            tally["indexers started again"] = keeper.restarts
            local.close()
            await storage.close()
            keeper.stop()


async def _soak(amount: Amount, seed: int, told: Callable[[int], None]) -> Soak:
    tally: Counter[str] = Counter()
    async with _indexed_postgres(tally) as (storage, local):
        soak = Soak(storage, local, amount, seed)
        await soak.run(told)
    soak.tally += tally
    return soak


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if every answer was right."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=…", description=__doc__)
    parser.add_argument("--writes", type=int, default=100_000, help="how many writes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    console = Console()
    writes: int = options.writes
    amount = Amount(writes, schemas=-(-writes // 250), heaps=-(-writes // 4_000))
    began = perf_counter()
    with Progress(console=console) as progress:
        bar = progress.add_task("writes", total=writes)
        soak = asyncio.run(
            _soak(amount, options.seed, lambda done: progress.update(bar, completed=done))
        )
    table = Table("counted", "times")
    for name, count in sorted(soak.tally.items()):
        table.add_row(name, f"{count:,}")
    console.print(table)
    for line in soak.wrong[:50]:
        console.print(line, style="red", markup=False)
    took = perf_counter() - began
    console.print(f"{soak.written:,} writes, {len(soak.wrong)} differences, {took:.0f} s")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
