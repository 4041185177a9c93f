"""Writes per second by clients at once, and tuples imported per second, on Postgres.

`python -m loadtests.writes` prints a table; `--json` prints the figures. Each write is one request
with one tuple that is not there yet, and is acknowledged when its commit is on disk. The rows named
`engine` call it in process; those named `HTTP` go through a `stonetown serve` with a Postgres and a
Valkey of its own, as an app would. The clients, the server and Postgres share the machine. The
processor time of the process that answers and of Postgres is read from /proc: unlike the rates, it
does not depend much on what else the machine does. Beside the import stand the same rows inserted
by one connection that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api.servers.postgres import PrivatePostgres
from api.servers.process import processes_in
from engine.engine import Engine
from engine.limits import Limits
from engine.requests import WriteAnswer, WriteRequest
from engine.store.postgres.migrate import migrate
from engine.store.postgres.storage import PostgresStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, RelationTuple, Subject
from loadtests import driver
from loadtests.bench import machine
from loadtests.service import STORE, TICKS, Service, stonetown
from loadtests.worlds import SCHEMA, SIZES, Drive

NAME = "writes"
CLIENTS = (1, 8, 64)
ROUNDS = 3
MILLION = 1_000_000
BATCH = Limits().import_batch

INSERT = """
INSERT INTO relation_tuple (store_id, created_revision, object_type, object_id, relation,
    subject_type, subject_id, subject_relation, caveat, context, created_at)
SELECT $1, $2::bigint, made.*, '', '', now()
FROM unnest(
    string_to_array($3, E'\\x1f'), string_to_array($4, E'\\x1f'), string_to_array($5, E'\\x1f'),
    string_to_array($6, E'\\x1f'), string_to_array($7, E'\\x1f'), string_to_array($8, E'\\x1f')
) AS made
"""

Run = Callable[[int], Awaitable[list[float]]]
Clock = Callable[[], float]


class Figure(NamedTuple):
    """How many requests, or tuples of an import, were acknowledged in a second; how long a request
    took; and microseconds of processor time for each, of the process that answers and of Postgres
    (0 where it is not read)."""

    what: str
    clients: int
    per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    processor: float
    postgres_processor: float


class Clocks(NamedTuple):
    """Seconds of processor time used so far by the process that answers and by Postgres."""

    ours: Clock
    postgres: Clock


def new_tuples() -> Iterator[RelationTuple]:
    """Tuples that are not in the store, without end."""
    for number in count():
        object_ = Object("document", f"new-{number}")
        yield RelationTuple(object_, "viewer", Subject("user", f"{number % 1000}"))


async def measure(what: str, run: Run, clocks: Clocks) -> list[Figure]:
    """A figure for each number of clients, the median of its rounds by rate."""
    await run(8)
    rounds: dict[int, list[Figure]] = {clients: [] for clients in CLIENTS}
    for _ in range(ROUNDS):
        for clients in CLIENTS:
            begun, ours, postgres = perf_counter(), clocks.ours(), clocks.postgres()
            times = sorted(await run(clients))
            figure = Figure(
                what,
                clients,
                len(times) / (perf_counter() - begun),
                median(times) * 1000,
                times[int(len(times) * 0.99)] * 1000,
                (clocks.ours() - ours) / len(times) * MILLION,
                (clocks.postgres() - postgres) / len(times) * MILLION,
            )
            rounds[clients].append(figure)
    return [sorted(found, key=_rate)[ROUNDS // 2] for found in rounds.values()]


def _rate(figure: Figure) -> float:
    return figure.per_second


async def in_process(drive: Drive, seconds: float) -> list[Figure]:
    """Writes and an import by an engine in this process."""
    with (
        tempfile.TemporaryDirectory(prefix="stonetown-writes-") as directory,
        PrivatePostgres(Path(directory)) as server,
    ):
        await migrate(server.dsn)
        engine = Engine(await PostgresStorage.connect(server.dsn, statement_timeout=30.0))
        try:
            await engine.create_store(NAME)
            await engine.write_schema(NAME, SCHEMA)
            clocks = Clocks(process_time, lambda: processor_seconds(server.directory))
            imported = await import_all(engine, drive, clocks)
            inserted = await insert_all(server.dsn, drive, clocks)
            run = engine_run(engine, seconds)
            return [*await measure("engine: write", run, clocks), imported, inserted]
        finally:
            await engine.close()


def engine_run(engine: Engine, seconds: float) -> Run:
    """Clients that each write the next tuple when the last was acknowledged."""
    made = new_tuples()

    async def run(clients: int) -> list[float]:
        times: list[float] = []
        end = perf_counter() + seconds

        async def client() -> None:
            while (begun := perf_counter()) < end:
                await engine.write(NAME, WriteRequest([Update(UpdateOp.TOUCH, next(made))]))
                times.append(perf_counter() - begun)

        await asyncio.gather(*(client() for _ in range(clients)))
        return times

    return run


async def import_all(engine: Engine, drive: Drive, clocks: Clocks) -> Figure:
    """Import the drive's tuples in batches, as they come."""
    left = drive.tuples()
    batches = []
    while batch := list(islice(left, BATCH)):
        batches.append([Update(UpdateOp.TOUCH, item) for item in batch])
    total = sum(map(len, batches))
    with _imported("engine: tuple imported", total, clocks) as figures:
        before: asyncio.Task[WriteAnswer] | None = None
        for updates in batches:
            # As over HTTP: one batch is validated while the one before it is written.
            request, turn = WriteRequest(updates), partial(_written, before)
            task = asyncio.create_task(engine.import_batch(NAME, request, after=turn))
            await _written(before)
            before = task
        await _written(before)
    return figures[0]


async def insert_all(dsn: str, drive: Drive, clocks: Clocks) -> Figure:
    """Insert the same rows and do nothing else: what Postgres alone takes for them."""
    left = drive.tuples()
    batches = []
    while batch := list(islice(left, BATCH)):
        columns = zip(*((*item[0], item[1], *item[2]) for item in batch), strict=True)
        batches.append(["\x1f".join(parts) for parts in columns])
    connection = await asyncpg.connect(dsn)
    try:
        store, total = uuid4(), sum(each[0].count("\x1f") + 1 for each in batches)
        with _imported("Postgres alone: tuple inserted", total, clocks) as figures:
            for number, each in enumerate(batches, 1):
                await connection.execute(INSERT, store, number, *each)
    finally:
        await connection.close()
    return figures[0]


async def _written(batch: asyncio.Task[WriteAnswer] | None) -> None:
    if batch is not None:
        await batch


@contextmanager
def _imported(what: str, total: int, clocks: Clocks) -> Iterator[list[Figure]]:
    """The figure of an import of `total` tuples, in the list that is given, when it has ended."""
    figures: list[Figure] = []
    begun, ours, postgres = perf_counter(), clocks.ours(), clocks.postgres()
    yield figures
    each = MILLION / total
    processor, other = (clocks.ours() - ours) * each, (clocks.postgres() - postgres) * each
    rate = total / (perf_counter() - begun)
    figures.append(Figure(what, 1, rate, 0.0, 0.0, processor, other))


async def over_http(service: Service, drive: Drive, seconds: float) -> list[Figure]:
    """Writes and an import through a server; the import is one request of as many lines."""
    clocks = Clocks(service.processor_seconds, lambda: 0.0)
    service.fill(SCHEMA, [])
    lines = [_body(item) + b"\n" for item in drive.tuples()]
    with _imported("HTTP: tuple imported", len(lines), clocks) as figures:
        _import(service, b"".join(lines))
    made = new_tuples()

    async def run(clients: int) -> list[float]:
        wanted = list(islice(made, int(seconds * 10_000)))
        questions = [
            _question(b'{"updates":[{"op":"touch","tuple":%s}]}' % _body(item)) for item in wanted
        ]
        outcome = await driver.closed_loop(service.address, questions, clients, seconds)
        if outcome.errors or outcome.unanswered or not outcome.latencies:
            raise SystemExit(f"not every request was answered well: {outcome.errors}")
        return outcome.latencies

    return [*await measure("HTTP: write", run, clocks), *figures]


def _import(service: Service, lines: bytes) -> None:
    connection = http.client.HTTPConnection(*service.address, timeout=600)
    connection.request("POST", f"{STORE}/import", lines, {"Content-Type": "application/x-ndjson"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"the import was refused: {text!r}")


def _question(body: bytes) -> driver.Question:
    head = (
        f"POST {STORE}/write HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return driver.Question(head.encode() + body)


def _body(item: RelationTuple) -> bytes:
    parts = {
        "object": str(item.object),
        "relation": item.relation,
        "subject": str(item.subject),
    }
    return json.dumps(parts, separators=(",", ":")).encode()


def processor_seconds(directory: Path) -> float:
    """Processor time that the server in a directory has used, in user and system mode."""
    ticks = 0
    for pid in processes_in(directory):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def table(figures: list[Figure]) -> Table:
    """The figures for a person."""
    made = Table(box=box.MARKDOWN)
    columns = ("what", "clients", "per second", "p50 ms", "p99 ms", "µs of Python", "of Postgres")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right")
    for item in figures:
        made.add_row(
            item.what,
            f"{item.clients}",
            f"{item.per_second:,.0f}",
            *(f"{value:,.1f}" if value else "" for value in item[3:5]),
            *(f"{value:,.0f}" if value else "" for value in item[5:7]),
        )
    return made


def main() -> None:
    """Measure on private servers."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.writes")
    parser.add_argument("--size", choices=SIZES, default="medium", help="how large an import")
    parser.add_argument("--seconds", type=float, default=2.0, help="per row and round")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    drive = Drive(SIZES[arguments.size])
    figures = uvloop.run(in_process(drive, arguments.seconds))
    with stonetown(1) as service:
        figures += uvloop.run(over_http(service, drive, arguments.seconds))
    if arguments.json:
        found: dict[str, Any] = {
            "machine": machine(),
            "figures": [figure._asdict() for figure in figures],
        }
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    console = Console(width=120, highlight=False)
    console.print(machine(), soft_wrap=True)
    console.print(table(figures))


if __name__ == "__main__":
    main()
