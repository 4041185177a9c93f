"""What it costs to list all objects of a subject: 10, 1,000 and 50,000 of them, on Postgres.

`python -m loadtests.lookups` (a part of `make bench`) fills a private Postgres with a million
tuples and prints a table. Each subject comes to its documents by groups in groups, and by folders
that are shared with those groups. `view` is a union, so that documents are read in order and
need no check; `read` leaves out who is banned, so that each document is checked.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api.servers.postgres import PrivatePostgres
from engine.engine import Engine
from engine.limits import Limits
from engine.pages import Way
from engine.requests import LookupObjects, WriteRequest
from engine.store.postgres.migrate import migrate
from engine.store.postgres.storage import PostgresStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Subject, parse_tuple
from loadtests.bench import CountingPool, WrongAnswerError, machine

STORE = "lookups"
TUPLES = 1_000_000
SIZES = (10, 1_000, 50_000)
ROUNDS = 5
DEADLINE = 60.0
FOLDERS = 25
SCHEMA = """\
definition user {}

definition group {
    relation member: user | group#member
}

definition folder {
    relation parent: folder
    relation viewer: user | group#member
    permission view = viewer + parent->view
}

definition document {
    relation parent: folder
    relation viewer: user | group#member
    relation banned: user
    permission view = viewer + parent->view
    permission read = view - banned
}
"""
_COLUMNS = (
    "object_type",
    "object_id",
    "relation",
    "subject_type",
    "subject_id",
    "subject_relation",
)
Row = tuple[str, str, str, str, str, str]


class Figure(NamedTuple):
    """One way to ask for one list: the results, the median in milliseconds, the statements sent to
    Postgres, and by how many megabytes it raised the peak of the process's memory."""

    relation: str
    results: int
    way: str
    milliseconds: float
    round_trips: int
    megabytes: float


def rows() -> Iterator[Row]:
    """A million tuples, each once."""
    made = 0
    for size in SIZES:
        for row in _reach_of(size):
            made += 1
            yield row
    for number in range((TUPLES - made) // 4):
        document, folder = f"x{number:07}", f"x{number % 50_000}"
        yield "document", document, "parent", "folder", folder, ""
        yield "document", document, "viewer", "user", f"x{number % 20_000}", ""
        yield "document", document, "viewer", "group", f"x{number % 5_000}", "member"
        yield "document", document, "banned", "user", f"x{number % 9_999}", ""


def _reach_of(size: int) -> Iterator[Row]:
    """A user in groups in groups, folders that are shared with these, and what is in them."""
    for depth in range(3):
        inner = f"g{size}-{depth - 1}"
        who = ("group", inner, "member") if depth else ("user", f"u{size}", "")
        yield ("group", f"g{size}-{depth}", "member", *who)
    folders = min(FOLDERS, size // 2)
    for number in range(folders):
        above = f"f{size}-{number}-0"
        yield "folder", above, "viewer", "group", f"g{size}-2", "member"
        for depth in (1, 2):
            yield "folder", f"f{size}-{number}-{depth}", "parent", "folder", above, ""
            above = f"f{size}-{number}-{depth}"
    for number in range(size):
        folder = f"f{size}-{number % folders}-2"
        yield "document", f"d{size}-{number}", "parent", "folder", folder, ""


async def fill(engine: Engine, dsn: str) -> int:
    """Copy the tuples below the engine, as one revision; how many there are."""
    record = await engine.create_store(STORE)
    await engine.write_schema(STORE, SCHEMA)
    first = Update(UpdateOp.TOUCH, parse_tuple("document:first#viewer@user:first"))
    await engine.write(STORE, WriteRequest([first]))
    head = await engine.storage.head(record.id)
    store, revision, count = UUID(record.id), head.snapshot.revision, 1
    connection = await asyncpg.connect(dsn)
    try:
        left = rows()
        while batch := list(islice(left, 2_000)):
            await connection.copy_records_to_table(
                "relation_tuple",
                records=[(store, *row, "", "", revision) for row in batch],
                columns=["store_id", *_COLUMNS, "caveat", "context", "created_revision"],
            )
            count += len(batch)
        await connection.execute("VACUUM ANALYZE relation_tuple")
    finally:
        await connection.close()
    return count


class Lists:
    """Asks one engine for all documents of a subject, each method in its own way."""

    def __init__(self, engine: Engine, pool: CountingPool) -> None:
        self._engine = engine
        self._pool = pool

    async def measure(self) -> list[Figure]:
        """A figure for each relation, size and way. Raises WrongAnswerError."""
        ways = {
            "first page of 100": self._first_page,
            "pages of 1,000": self._pages,
            "stream": self._stream,
            "count": self._count,
        }
        return [
            await self._measure(relation, size, name, way)
            for relation in ("view", "read")
            for size in SIZES
            for name, way in ways.items()
        ]

    async def _measure(
        self, relation: str, size: int, name: str, way: Callable[[LookupObjects], Awaitable[int]]
    ) -> Figure:
        asked = LookupObjects(("document",), relation, Subject("user", f"u{size}"))
        times, before, trips = [], getrusage(RUSAGE_SELF).ru_maxrss, 0
        for _ in range(ROUNDS):
            self._pool.reads, begun = 0, perf_counter()
            found = await way(asked)
            times.append(perf_counter() - begun)
            trips = self._pool.reads
            if found != (min(100, size) if "first" in name else size):
                raise WrongAnswerError(f"{name} of {relation}: {found} of {size}")
        grown = (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024
        return Figure(relation, size, name, median(times) * 1e3, trips, grown)

    async def _first_page(self, asked: LookupObjects) -> int:
        answer = await self._engine.lookup_objects(STORE, asked, Way(100, deadline=DEADLINE))
        return len(answer.objects)

    async def _pages(self, asked: LookupObjects) -> int:
        found, cursor = 0, None
        while True:
            way = Way(1_000, cursor, deadline=DEADLINE)
            answer = await self._engine.lookup_objects(STORE, asked, way)
            found, cursor = found + len(answer.objects), answer.cursor
            if cursor is None:
                return found

    async def _stream(self, asked: LookupObjects) -> int:
        found = 0
        async for page in self._engine.stream_objects(STORE, asked, Way(1_000, deadline=DEADLINE)):
            found += len(page.objects)
        return found

    async def _count(self, asked: LookupObjects) -> int:
        return (await self._engine.count_objects(STORE, asked, Way(deadline=DEADLINE))).allowed


async def run(dsn: str) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    await migrate(dsn)
    pool = await CountingPool.open(
        dsn,
        size=4,
        patience=1.0,
        connect_timeout=5.0,
        statement_timeout=DEADLINE,
        prepared_statements=True,
    )
    assert isinstance(pool, CountingPool)
    engine = Engine(PostgresStorage(pool), limits=Limits(deadline=DEADLINE))
    try:
        begun = perf_counter()
        count = await fill(engine, dsn)
        seconds = perf_counter() - begun
        figures = await Lists(engine, pool).measure()
    finally:
        await engine.close()
    return {
        "machine": machine(),
        "tuples": count,
        "fill_seconds": seconds,
        "figures": [figure._asdict() for figure in figures],
    }


def table(found: dict[str, Any]) -> Table:
    """The figures for a person."""
    made = Table(box=box.MARKDOWN)
    columns = ("permission", "results", "asked as", "ms", "round trips", "peak + MB")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number in {0, 2} else "right")
    for item in (Figure(**values) for values in found["figures"]):
        made.add_row(
            item.relation,
            f"{item.results:,}",
            item.way,
            f"{item.milliseconds:,.1f}",
            f"{item.round_trips}",
            f"{item.megabytes:.0f}",
        )
    return made


def main() -> None:
    """Measure on a private Postgres, or on the one that `--database` names."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.lookups")
    parser.add_argument("--database", help="an empty database; default: a private one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stonetown-bench-") as directory:
        if arguments.database:
            found = uvloop.run(run(arguments.database))
        else:
            with PrivatePostgres(Path(directory)) as server:
                found = uvloop.run(run(server.dsn))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    console = Console(width=120, highlight=False)
    console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
    console.print(table(found))


if __name__ == "__main__":
    main()
