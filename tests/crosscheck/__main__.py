"""`make crosscheck`: the whole cross-check, on memory, an index, and Postgres, on every core.

`python -m tests.crosscheck --worlds 200 --first 0 --questions 1` crosses all published and own
scenarios and that many random worlds, in both layouts. Every difference is printed with its
case; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import asyncpg
from rich.console import Console
from rich.progress import track
from rich.table import Table

from api.servers.postgres import PrivatePostgres
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.postgres.migrate import migrate
from engine.store.protocol import Storage
from tests.conformance.data import ROOT
from tests.conftest import database_dsn
from tests.crosscheck.cases import (
    Case,
    known_bypasses,
    own_scenarios,
    published_files,
    random_case,
)
from tests.crosscheck.suite import Depth, compare
from tests.index.indexed import NearStorage
from tests.worlds import NOW

_TEMPLATE = "template_migrated"
_SCENARIOS = (published_files, known_bypasses, own_scenarios)
_PER_TASK = 5
_STORAGES = ["memory", "index", "postgres"]


class Task(NamedTuple):
    """Some cases on one storage: seeds of worlds, or the numbers of scenarios."""

    storage: str
    scenarios: bool
    numbers: range

    def cases(self) -> list[Case]:
        """The cases; fewer where the published ones are not at hand."""
        if not self.scenarios:
            return [random_case(seed) for seed in self.numbers]
        return scenarios()[self.numbers.start : self.numbers.stop]


def scenarios() -> list[Case]:
    """Every scenario that is at hand."""
    sources = _SCENARIOS if ROOT.is_dir() else (own_scenarios,)
    return [case for source in sources for case in source()]


@asynccontextmanager
async def _opened(storage: str, dsn: str) -> AsyncIterator[Storage]:
    """A storage of its own: memory, an index beside it, or a new database."""
    if storage == "memory":
        yield MemoryStorage(lambda: NOW)
        return
    if storage == "index":
        indexed = NearStorage(lambda: NOW)
        yield indexed
        await indexed.close()
        return
    name = f"crosscheck_{os.getpid()}"
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    opened = await PostgresStorage.connect(database_dsn(dsn, name))
    try:
        yield opened
    finally:
        await opened.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def _crossed(task: Task, dsn: str, depth: Depth) -> tuple[list[str], Counter[str]]:
    tally: Counter[str] = Counter()
    found: list[str] = []
    async with _opened(task.storage, dsn) as storage:
        for case in task.cases():
            tally[f"cases on {task.storage}"] += 1
            found += await compare(storage, case, depth, tally)
        if isinstance(storage, NearStorage):
            tally["readers of the index"] += storage.served
            tally["readers of the store instead"] += storage.refused
    return [f"{task.storage}: {one}" for one in found], tally


def _run(dsn: str, depth: Depth, task: Task) -> tuple[list[str], Counter[str]]:
    """The differences and the tally of one task."""
    return asyncio.run(_crossed(task, dsn, depth))


async def _prepare(dsn: str) -> None:
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE DATABASE {_TEMPLATE}")
    await admin.close()
    await migrate(database_dsn(dsn, _TEMPLATE))


def _tasks(worlds: range, storages: Sequence[str]) -> list[Task]:
    count = len(scenarios())
    return [
        Task(storage, told, numbers[start : start + _PER_TASK])
        for storage in storages
        for told, numbers in ((True, range(count)), (False, worlds))
        for start in range(0, len(numbers), _PER_TASK)
    ]


def main() -> int:
    """Run the cross-check; 0 if there is no difference."""
    parser = argparse.ArgumentParser(prog="make crosscheck ARGS=…", description=__doc__)
    parser.add_argument("--worlds", type=int, default=200, help="how many random worlds")
    parser.add_argument("--first", type=int, default=0, help="the first world's seed")
    parser.add_argument("--questions", type=int, default=1, help="how many times those of a test")
    parser.add_argument("--storage", choices=_STORAGES, help="one storage alone")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    console = Console()
    storages = [options.storage] if options.storage else _STORAGES
    worlds = range(options.first, options.first + options.worlds)
    tally: Counter[str] = Counter()
    differences: list[str] = []
    began = perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="stonetown-") as data,
        PrivatePostgres(Path(data), durable=False, connections=200) as server,
    ):
        asyncio.run(_prepare(server.dsn))
        tasks = _tasks(worlds, storages)
        run = partial(_run, server.dsn, Depth().times(options.questions))
        with ProcessPoolExecutor(options.processes) as pool:
            results = track(pool.map(run, tasks), "cases", total=len(tasks), console=console)
            for found, counted in results:
                tally += counted
                differences += found
                for line in found:
                    console.print(line, style="red", markup=False)
    table = Table("compared", "times")
    for name, count in sorted(tally.items()):
        table.add_row(name, f"{count:,}")
    console.print(table)
    if not ROOT.is_dir():
        console.print(f"the published scenarios are not there: {ROOT}", style="red")
    took = perf_counter() - began
    console.print(f"{tally['checks']:,} checks, {len(differences)} differences, {took:.0f} s")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
