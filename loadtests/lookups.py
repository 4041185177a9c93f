"""What it costs to list all objects of a subject, and all subjects of an object, on Postgres.

`python -m loadtests.lookups` (a part of `make bench`) fills a private Postgres with a million
tuples (`loadtests.crowds`) and prints a table: lists of 10, 1,000 and 50,000, as the first page, as
pages and as a stream. Memory is measured apart from time, as measuring it slows all down.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api import memory
from api.servers.postgres import PrivatePostgres
from engine.engine import Engine
from engine.limits import Limits
from engine.pages import Way
from engine.requests import LookupObjects, LookupSubjects
from engine.store.postgres.migrate import migrate
from engine.store.postgres.storage import PostgresStorage
from engine.tuples import Object, Subject
from loadtests.bench import CountingPool, WrongAnswerError, machine
from loadtests.crowds import SIZES, STORE, WIDE, fill
from loadtests.node import engine_on, node, servers

DEADLINE = 600.0
WAYS = ("page of 100", "pages of 1,000", "stream")


class Question(NamedTuple):
    """A list to ask for: its name, how long it is, and what to ask."""

    name: str
    results: int
    asked: LookupObjects | LookupSubjects


class Figure(NamedTuple):
    """One way to ask for one list: medians in milliseconds until the first page and the last byte,
    the statements sent to Postgres, and the peak of memory in megabytes (None: not measured)."""

    name: str
    results: int
    way: str
    first_milliseconds: float
    milliseconds: float
    round_trips: int
    megabytes: float | None


Sizes = AsyncIterator[int]
"""A list as it is read: how many entries each page has."""


def chosen(only: str) -> list[Question]:
    """The lists that are measured: those whose names begin so."""
    return [question for question in questions() if question.name.startswith(only)]


def questions() -> Iterator[Question]:
    """All lists that can be measured."""
    for relation in ("view", "read", "both"):
        for size in SIZES:
            objects = LookupObjects(("document",), relation, Subject("user", f"u{size}"))
            yield Question(f"objects, {relation}", size, objects)
    wide = LookupObjects(("document",), "view", Subject("user", "wide"))
    yield Question("objects, view, wide", WIDE, wide)
    for relation in ("view", "read", "both"):
        for size in SIZES if relation != "both" else SIZES[:-1]:
            subjects = LookupSubjects(Object("document", f"s{size}"), relation, "user")
            yield Question(f"subjects, {relation}", size, subjects)


class Lists:
    """Asks one engine for lists, each method in its own way."""

    def __init__(self, engine: Engine, pool: CountingPool, rounds: int) -> None:
        self._engine = engine
        self._pool = pool
        self._rounds = rounds

    async def measure(self, only: str = "") -> list[Figure]:
        """A figure for each way of each list that is chosen. Raises WrongAnswerError."""
        memory.settle()
        ways = dict(zip(WAYS, (self._first_page, self._pages, self._stream), strict=True))
        return [
            await self._measure(question, name, way)
            for question in chosen(only)
            for name, way in ways.items()
        ]

    async def _measure(
        self, question: Question, name: str, way: Callable[[Question], Sizes]
    ) -> Figure:
        firsts, times, trips = [], [], 0
        expected = min(100, question.results) if name == WAYS[0] else question.results
        for _ in range(self._rounds):
            self._pool.reads, begun = 0, perf_counter()
            first = await _read(way(question), begun, expected)
            times.append(perf_counter() - begun)
            firsts.append(first)
            trips = self._pool.reads
        megabytes = await _peak(way(question), expected) if name == WAYS[-1] else None
        milliseconds = median(firsts) * 1e3, median(times) * 1e3
        return Figure(question.name, question.results, name, *milliseconds, trips, megabytes)

    async def _first_page(self, question: Question) -> Sizes:
        yield (await self._page(question, Way(100, deadline=DEADLINE)))[0]

    async def _pages(self, question: Question) -> Sizes:
        cursor: str | None = None
        while True:
            size, cursor = await self._page(question, Way(1_000, cursor, deadline=DEADLINE))
            yield size
            if cursor is None:
                return

    async def _page(self, question: Question, way: Way) -> tuple[int, str | None]:
        if isinstance(question.asked, LookupObjects):
            objects = await self._engine.lookup_objects(STORE, question.asked, way)
            return len(objects.objects), objects.cursor
        subjects = await self._engine.lookup_subjects(STORE, question.asked, way)
        return len(subjects.subjects), subjects.cursor

    async def _stream(self, question: Question) -> Sizes:
        way = Way(1_000, deadline=DEADLINE)
        if isinstance(question.asked, LookupObjects):
            async for objects in self._engine.stream_objects(STORE, question.asked, way):
                yield len(objects.objects)
            return
        async for subjects in self._engine.stream_subjects(STORE, question.asked, way):
            yield len(subjects.subjects)


async def _read(sizes: Sizes, begun: float, expected: int) -> float:
    """Read a list to its end; how many seconds the first page took."""
    first, found = None, 0
    async for size in sizes:
        first = perf_counter() - begun if first is None else first
        found += size
    if found != expected:
        raise WrongAnswerError(f"{found} of {expected}")
    assert first is not None  # a list has one page at least
    return first


async def _peak(sizes: Sizes, expected: int) -> float:
    """The megabytes that reading a list takes at most, beside what was there before."""
    tracemalloc.start()
    try:
        await _read(sizes, perf_counter(), expected)
        return tracemalloc.get_traced_memory()[1] / 1024**2
    finally:
        tracemalloc.stop()


async def run(dsn: str, rounds: int, only: str = "") -> dict[str, Any]:
    """Everything that is measured on Postgres, as JSON has it."""
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
        figures = await Lists(engine, pool, rounds).measure(only)
    finally:
        await engine.close()
    return _found(count, seconds, figures)


async def run_on_index(directory: Path, rounds: int, only: str) -> dict[str, Any]:
    """The same on the index that an indexer keeps."""
    async with servers(directory) as shared:
        begun = perf_counter()
        engine, _, _ = await engine_on(shared, None)
        count = await fill(engine, shared.dsn)
        await engine.close()
        seconds = perf_counter() - begun
        async with node(shared, directory / "index") as on:
            await on.built(STORE)
            figures = await Lists(on.engine, on.pool, rounds).measure(only)
    return _found(count, seconds, figures)


def _found(count: int, seconds: float, figures: list[Figure]) -> dict[str, Any]:
    return {
        "machine": machine(),
        "tuples": count,
        "fill_seconds": seconds,
        "figures": [figure._asdict() for figure in figures],
    }


def table(found: dict[str, Any]) -> Table:
    """The figures for a person, a row for each list."""
    made = Table(box=box.MARKDOWN)
    made.add_column("list")
    made.add_column("results", justify="right")
    for way in WAYS:
        made.add_column(f"{way}: ms", justify="right")
        made.add_column("round trips", justify="right")
    made.add_column("first of it, ms", justify="right")
    made.add_column("peak MB", justify="right")
    figures = [Figure(**values) for values in found["figures"]]
    for start in range(0, len(figures), len(WAYS)):
        row = figures[start : start + len(WAYS)]
        cells = [row[0].name, f"{row[0].results:,}"]
        for item in row:
            cells += f"{item.milliseconds:,.1f}", str(item.round_trips)
        cells += f"{row[-1].first_milliseconds:,.1f}", f"{row[-1].megabytes:.1f}"
        made.add_row(*cells)
    return made


def main() -> None:
    """Measure on a private Postgres, or on the one that `--database` names."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.lookups")
    parser.add_argument("--database", help="an empty database; default: a private one")
    parser.add_argument("--index", action="store_true", help="on a node's own index")
    parser.add_argument("--rounds", type=int, default=3, help="each time is a median of so many")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", default="", help="lists whose names begin so")
    arguments = parser.parse_args()
    how = (arguments.rounds, arguments.only)
    with tempfile.TemporaryDirectory(prefix="stonetown-bench-") as directory:
        if arguments.index:
            found = uvloop.run(run_on_index(Path(directory), *how))
        elif arguments.database:
            found = uvloop.run(run(arguments.database, *how))
        else:
            with PrivatePostgres(Path(directory)) as server:
                found = uvloop.run(run(server.dsn, *how))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    console = Console(width=160, highlight=False)
    console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
    console.print(table(found))


if __name__ == "__main__":
    main()
