"""Writes per second by clients at once, and tuples imported per second, on Postgres.

`python -m loadtests.writes` prints a table; `--json` prints the figures. Each write is one request
with one tuple that is not there yet, and is acknowledged when its commit is on disk. The rows named
`engine` call it in process; those named `HTTP` go through a `stonetown serve` with a Postgres and a
Valkey of its own, as an app would. The clients and all servers share the machine. The processor
time of the process that answers, and of Postgres or of all servers that it has beside it, is read
from /proc: it does not depend on the machine's speed as much as the rates do. Beside the import
stand the same rows inserted by one connection that does nothing else, or only looks for them
before. Each row is the median of its rounds, beside the fastest of them; an import is made in as
many parts.
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
from typing import Any, NamedTuple, TypeVar
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
from engine.store.postgres.rows import packed_identities
from engine.store.postgres.sql import statement
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
    trim_array(string_to_array($3, E'\\x1f'), 1), trim_array(string_to_array($4, E'\\x1f'), 1),
    trim_array(string_to_array($5, E'\\x1f'), 1), trim_array(string_to_array($6, E'\\x1f'), 1),
    trim_array(string_to_array($7, E'\\x1f'), 1), trim_array(string_to_array($8, E'\\x1f'), 1)
) AS made
"""
LIVING = statement("living")
PLANS = """
SET enable_seqscan = off; SET enable_bitmapscan = off;
SET enable_hashjoin = off; SET enable_mergejoin = off
"""
"""As the service has it: the table is new, and its plans must not be."""

T = TypeVar("T")
Run = Callable[[int], Awaitable[list[float]]]
Clock = Callable[[], float]


class Figure(NamedTuple):
    """How many requests, or tuples of an import, were acknowledged in a second; how long a request
    took; and microseconds of processor time for each, of the process that answers and of the
    servers beside it. `fastest` is the rate of the fastest round."""

    what: str
    clients: int
    per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    processor: float
    servers_processor: float
    fastest: float = 0.0


class Clocks(NamedTuple):
    """Seconds of processor time used so far by the process that answers and by the servers beside
    it."""

    ours: Clock
    servers: Clock


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
            begun, ours, servers = perf_counter(), clocks.ours(), clocks.servers()
            times = sorted(await run(clients))
            figure = Figure(
                what,
                clients,
                len(times) / (perf_counter() - begun),
                median(times) * 1000,
                times[int(len(times) * 0.99)] * 1000,
                (clocks.ours() - ours) / len(times) * MILLION,
                (clocks.servers() - servers) / len(times) * MILLION,
            )
            rounds[clients].append(figure)
    return [_median(found) for found in rounds.values()]


def _median(rounds: list[Figure]) -> Figure:
    rounds.sort(key=_rate)
    return rounds[len(rounds) // 2]._replace(fastest=rounds[-1].per_second)


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
            alone = [
                await insert_all(server.dsn, drive, clocks, seek=seek) for seek in (True, False)
            ]
            run = engine_run(engine, seconds)
            return [*await measure("engine: write", run, clocks), imported, *alone]
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
    figures = []
    for part in _parts(list(drive.tuples())):
        updates = [Update(UpdateOp.TOUCH, item) for item in part]
        with _imported("engine: tuple imported", len(part), clocks) as found:
            before: asyncio.Task[WriteAnswer] | None = None
            for first in range(0, len(updates), BATCH):
                # As over HTTP: one batch is validated while the one before it is written.
                request = WriteRequest(updates[first : first + BATCH])
                turn = partial(_written, before)
                task = asyncio.create_task(engine.import_batch(NAME, request, after=turn))
                await _written(before)
                before = task
            await _written(before)
        figures += found
    return _median(figures)


async def insert_all(dsn: str, drive: Drive, clocks: Clocks, *, seek: bool) -> Figure:
    """Insert the same rows and do nothing else: what Postgres alone takes for them. With `seek`
    they are looked for before, as they must be."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(PLANS)
    what = "looked for and inserted" if seek else "inserted"
    figures, number, store = [], count(1), uuid4()
    try:
        for part in _parts(list(drive.tuples())):
            batches = [
                packed_identities(part[first : first + BATCH])
                for first in range(0, len(part), BATCH)
            ]
            with _imported(f"Postgres alone: tuple {what}", len(part), clocks) as found:
                for each in batches:
                    if seek:
                        await connection.fetch(LIVING, store, next(number), *each)
                    await connection.execute(INSERT, store, next(number), *each)
            figures += found
    finally:
        await connection.close()
    return _median(figures)


def _parts(whole: list[T]) -> list[list[T]]:
    """What is to be imported, a part for each round."""
    size = -(-len(whole) // ROUNDS)
    return [whole[first : first + size] for first in range(0, len(whole), size)]


async def _written(batch: asyncio.Task[WriteAnswer] | None) -> None:
    if batch is not None:
        await batch


@contextmanager
def _imported(what: str, total: int, clocks: Clocks) -> Iterator[list[Figure]]:
    """The figure of an import of `total` tuples, in the list that is given, when it has ended."""
    figures: list[Figure] = []
    begun, ours, servers = perf_counter(), clocks.ours(), clocks.servers()
    yield figures
    each = MILLION / total
    processor, other = (clocks.ours() - ours) * each, (clocks.servers() - servers) * each
    rate = total / (perf_counter() - begun)
    figures.append(Figure(what, 1, rate, 0.0, 0.0, processor, other))


async def over_http(service: Service, drive: Drive, seconds: float) -> list[Figure]:
    """Writes and an import through a server; a part of the import is one request."""
    clocks = Clocks(service.processor_seconds, service.other_seconds)
    service.fill(SCHEMA, [])
    figures = []
    for part in _parts([_body(item) + b"\n" for item in drive.tuples()]):
        with _imported("HTTP: tuple imported", len(part), clocks) as found:
            _import(service, b"".join(part))
        figures += found
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

    return [*await measure("HTTP: write", run, clocks), _median(figures)]


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
    columns = ["what", "clients", "per second", "fastest", "p50 ms", "p99 ms"]
    columns += ["µs of Python", "of servers beside it"]
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right")
    for item in figures:
        made.add_row(
            item.what,
            f"{item.clients}",
            *(f"{value:,.0f}" for value in (item.per_second, item.fastest)),
            *(f"{value:,.1f}" if value else "" for value in item[3:5]),
            *(f"{value:,.0f}" for value in item[5:7]),
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
