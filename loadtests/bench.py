"""Checks per second by kind, on the memory store and on Postgres, in one run.

`python -m loadtests.bench` (or `make bench`) prints a table; `--json` prints the figures. One
client asks one check after the other, in process: what HTTP adds is Locust's to measure. Rounds of
all rows alternate, and each figure is the median over the rounds, so that a disturbance of the
machine meets every row alike; what is compared is compared within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import asyncpg
import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api.servers.postgres import PrivatePostgres
from engine.compiled import is_compiled
from engine.engine import Engine
from engine.requests import Check, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.postgres.migrate import migrate
from engine.store.postgres.pool import Pool
from engine.store.postgres.storage import PostgresStorage
from engine.store.protocol import Update, UpdateOp
from loadtests.worlds import SCHEMA, SIZES, Drive, Kind

STORE = "bench"
MEMORY, POSTGRES = "memory", "Postgres"
ROUNDS = 7


class WrongAnswerError(Exception):
    """A store answered a probe wrongly; a benchmark of wrong answers measures nothing."""


class CountingPool(Pool):
    """Counts the reads that went to Postgres: its round trips, as long as nothing is retried."""

    reads = 0

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        self.reads += 1
        return await super().fetch(sql, *arguments)


class Figure(NamedTuple):
    """What one kind of check costs on one store.

    `batched_microseconds` is per check in batches of fifty; `round_trips` is a mean over checks
    asked one by one, and 0 on the memory store.
    """

    kind: str
    store: str
    microseconds: float
    p99_microseconds: float
    per_second: float
    batched_microseconds: float
    round_trips: float


async def load(engine: Engine, drive: Drive) -> int:
    """Write schema and tuples; how many tuples there are."""
    await engine.create_store(STORE)
    await engine.write_schema(STORE, SCHEMA)
    count = 0
    left = drive.tuples()
    while batch := list(islice(left, engine.limits.import_batch)):
        updates = [Update(UpdateOp.TOUCH, item) for item in batch]
        await engine.import_batch(STORE, WriteRequest(updates))
        count += len(updates)
    return count


async def one_by_one(engine: Engine, checks: list[Check], seconds: float) -> list[float]:
    """How long each check took, in seconds, for about `seconds` in all."""
    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end:
        for check in checks:
            begun = perf_counter()
            await engine.check(STORE, check)
            times.append(perf_counter() - begun)
    return times


async def in_batches(engine: Engine, checks: list[Check], seconds: float) -> float:
    """Seconds per check when fifty are asked at once."""
    begun = perf_counter()
    count = 0
    while perf_counter() < begun + seconds:
        await engine.check_batch(STORE, checks)
        count += len(checks)
    return (perf_counter() - begun) / count


async def require_right_answers(engine: Engine, drive: Drive) -> None:
    """Ask every probe once. Raises WrongAnswerError."""
    for kind in Kind:
        for probe in drive.probes(kind):
            answer = await engine.check(STORE, probe.check)
            if answer.decision.allowed is not probe.allowed:
                raise WrongAnswerError(f"{probe}: {answer}")


async def count_round_trips(engine: Engine, pool: CountingPool, drive: Drive) -> dict[Kind, float]:
    """Reads per check, by kind."""
    counted = {}
    for kind in Kind:
        checks = [probe.check for probe in drive.probes(kind)]
        before = pool.reads
        for check in checks:
            await engine.check(STORE, check)
        counted[kind] = (pool.reads - before) / len(checks)
    return counted


async def measure(
    engines: dict[str, Engine], drive: Drive, seconds: float, trips: dict[Kind, float]
) -> list[Figure]:
    """A figure per kind and store, from `ROUNDS` rounds of `seconds` per row."""
    rows = [(kind, store) for kind in Kind for store in engines]
    alone: dict[tuple[Kind, str], list[list[float]]] = {row: [] for row in rows}
    together: dict[tuple[Kind, str], list[float]] = {row: [] for row in rows}
    for _ in range(ROUNDS):
        for kind, store in rows:
            checks = [probe.check for probe in drive.probes(kind)]
            alone[kind, store].append(await one_by_one(engines[store], checks, seconds))
            together[kind, store].append(await in_batches(engines[store], checks, seconds / 2))
    figures = []
    for kind, store in rows:
        rounds = alone[kind, store]
        figures.append(
            Figure(
                kind=kind,
                store=store,
                microseconds=median(median(times) for times in rounds) * 1e6,
                p99_microseconds=median(_p99(times) for times in rounds) * 1e6,
                per_second=median(len(times) / sum(times) for times in rounds),
                batched_microseconds=median(together[kind, store]) * 1e6,
                round_trips=trips[kind] if store == POSTGRES else 0.0,
            )
        )
    return figures


async def round_trip(dsn: str) -> float:
    """Microseconds that a `SELECT 1` takes: the yardstick of the Postgres rows."""
    connection = await asyncpg.connect(dsn)
    try:
        times = []
        for _ in range(2000):
            begun = perf_counter()
            await connection.fetchval("SELECT 1")
            times.append(perf_counter() - begun)
        return median(times) * 1e6
    finally:
        await connection.close()


@asynccontextmanager
async def postgres_engine(dsn: str) -> AsyncIterator[tuple[Engine, CountingPool]]:
    """An engine on a database, with the migrations applied, and its connections."""
    await migrate(dsn)
    pool = await CountingPool.open(
        dsn,
        size=10,
        patience=1.0,
        connect_timeout=5.0,
        statement_timeout=30.0,
        prepared_statements=True,
    )
    assert isinstance(pool, CountingPool)
    engine = Engine(PostgresStorage(pool))
    try:
        yield engine, pool
    finally:
        await engine.close()


def plain_loop() -> float:
    """Milliseconds for a loop of Python that uses nothing of ours: how fast the machine is now."""
    times = []
    for _ in range(5):
        begun = perf_counter()
        made: dict[int, str] = {}
        for number in range(100_000):
            made[number % 1000] = str(number)
        times.append((perf_counter() - begun) * 1e3)
    return min(times)


def machine() -> str:
    """The machine, how it is now, and the versions in one line."""
    cpu = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        names = [line for line in described.read_text().splitlines() if "model name" in line]
        cpu = names[0].partition(": ")[2] if names else cpu
    load_average = os.getloadavg()[0]
    python = platform.python_version()
    form = "compiled" if is_compiled() else "not compiled"
    now = f"load {load_average:.1f}, plain loop {plain_loop():.1f} ms"
    return f"{cpu}, {os.cpu_count()} cores, {now}, Python {python}, {form}"


async def run(drive: Drive, seconds: float, dsn: str) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    async with AsyncExitStack() as stack:
        on_postgres, pool = await stack.enter_async_context(postgres_engine(dsn))
        engines = {MEMORY: Engine(MemoryStorage()), POSTGRES: on_postgres}
        stack.push_async_callback(engines[MEMORY].close)
        loading: dict[str, float] = {}
        count = 0
        for store, engine in engines.items():
            begun = perf_counter()
            count = await load(engine, drive)
            loading[store] = perf_counter() - begun
            await require_right_answers(engine, drive)
        yardstick = await round_trip(dsn)
        trips = await count_round_trips(on_postgres, pool, drive)
        figures = await measure(engines, drive, seconds, trips)
    return {
        "machine": machine(),
        "size": drive.size._asdict(),
        "tuples": count,
        "load_seconds": loading,
        "select_1_microseconds": yardstick,
        "figures": [figure._asdict() for figure in figures],
    }


def table(found: dict[str, Any]) -> Table:
    """The figures for a person; the last column compares the stores."""
    made = Table(box=box.MARKDOWN)
    columns = [
        "kind",
        "store",
        "µs",
        "p99 µs",
        "checks/s",
        "µs in batches of 50",
        "× memory",
        "round trips",
    ]
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number < 2 else "right")
    figures = [Figure(**values) for values in found["figures"]]
    memory = {item.kind: item.microseconds for item in figures if item.store == MEMORY}
    for item in figures:
        made.add_row(
            item.kind,
            item.store,
            f"{item.microseconds:,.0f}",
            f"{item.p99_microseconds:,.0f}",
            f"{item.per_second:,.0f}",
            f"{item.batched_microseconds:,.0f}",
            f"{item.microseconds / memory[item.kind]:.1f}",
            f"{item.round_trips:.1f}",
        )
    return made


def main() -> None:
    """Measure on a private Postgres, or on the one that `--database` names."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench ARGS=…")
    parser.add_argument("--size", choices=SIZES, default="small", help="how large a world")
    parser.add_argument("--seconds", type=float, default=0.3, help="per row and round")
    parser.add_argument("--database", help="an empty database; default: a private one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    drive = Drive(SIZES[arguments.size])
    with tempfile.TemporaryDirectory(prefix="stonetown-bench-") as directory:
        if arguments.database:
            found = uvloop.run(run(drive, arguments.seconds, arguments.database))
        else:
            with PrivatePostgres(Path(directory)) as server:
                found = uvloop.run(run(drive, arguments.seconds, server.dsn))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    console = Console(width=120, highlight=False)
    console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
    console.print(table(found))
    console.print(f"SELECT 1 on the same Postgres: {found['select_1_microseconds']:.0f} µs")


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


if __name__ == "__main__":
    main()
