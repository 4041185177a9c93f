"""What checks cost on a node's own index, and what the index costs.

`python -m loadtests.onindex` fills a private Postgres by COPY with organisations
(`loadtests.tenants`), has `python -m api.indexer` build the index from it as a server would, and
asks in process. `engine` is the time from a chosen snapshot to the decision: a view of the index,
the plan, the evaluation. `call` is all that an app in the same process would wait for: the store's
name, the choice of a snapshot (which asks Valkey for the object's last write), the zookie.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api import memory
from engine import asking
from engine.asking import Ground
from engine.budget import Budget
from engine.consistency import utcnow
from engine.errors import EngineError
from engine.requests import Check
from engine.schemas import Schemas
from engine.tuples import parse_tuple
from loadtests import shapes
from loadtests.bench import WrongAnswerError, machine
from loadtests.filling import begin, copy, with_indexes, without_indexes
from loadtests.node import DEADLINE, Built, Node, Servers, engine_on, node, servers
from loadtests.service import anonymous_megabytes
from loadtests.tenants import DENIED, DIRECT, SCHEMA, TYPICAL, Query, Tenants

DRIVE, SHAPES = "drive", "shapes"
ROUNDS = 7
QUERIES = 1_000
BATCH = 1_000
_CALLS = 200
_MANY = 500_000
_READS = _GOALS = 1_000_000
_COLUMNS = ("µs", "least", "p99 µs", "µs of processor", "first time, µs", "whole call, µs")


class Figure(NamedTuple):
    """Microseconds per check: of the engine the median, the 99th percentile, and the processor time
    on average; of subjects that were not asked about before, the median; of the whole call. `least`
    is the median of the round in which that was lowest."""

    kind: str
    engine: float
    p99: float
    processor: float
    first: float
    call: float
    least: float = 0.0


class Batched(NamedTuple):
    """Checks per second of one core in batches of 1,000, by the engine and by the whole call; of
    the engine the fastest batch, too."""

    kind: str
    engine: float
    call: float
    fastest: float = 0.0


class Asker:
    """Asks one store of a node for decisions, without what stands around the engine."""

    def __init__(self, on: Node, store: str) -> None:
        self._node = on
        self._store = store

    async def begin(self) -> Asker:
        """Take the snapshot that all checks are answered at."""
        record = await self._node.engine.get_store(self._store)
        shown = self._node.local.shown(record.id)
        assert shown is not None  # it was built before
        self._snapshot = shown.snapshot
        self._compiled = await Schemas(self._node.storage).at(self._snapshot)
        self._now = utcnow()
        return self

    async def decide(self, check: Check) -> bool:
        """Whether a check is allowed."""
        decision, _ = await asking.answer_one(self._ground(), check, _budget())
        return decision.allowed

    async def decide_all(self, checks: Sequence[Check]) -> list[bool]:
        """Whether each check of a batch is allowed."""
        answers = await asking.answer(self._ground(), checks, _budget(), "checks")
        return [not isinstance(item, EngineError) and item.allowed for item in answers]

    async def call(self, check: Check) -> bool:
        """The same by the façade."""
        return (await self._node.engine.check(self._store, check)).decision.allowed

    async def call_all(self, checks: Sequence[Check]) -> list[bool]:
        """The same by the façade."""
        answer = await self._node.engine.check_batch(self._store, checks)
        return [not isinstance(item, EngineError) and item.allowed for item in answer.results]

    def _ground(self) -> Ground:
        reader = self._node.storage.reader(self._snapshot)
        return Ground(self._compiled, reader, self._now, self._node.engine.limits)


def _budget() -> Budget:
    return Budget(_READS, _GOALS, perf_counter() + DEADLINE)


Decide = Callable[[Check], Awaitable[bool]]


async def timed(decide: Decide, queries: Sequence[Query]) -> tuple[list[float], float]:
    """Seconds of each check, and of the processor for all. Raises WrongAnswerError."""
    times: list[float] = []
    used = process_time()
    for query in queries:
        begun = perf_counter()
        allowed = await decide(query.check)
        times.append(perf_counter() - begun)
        if allowed is not query.allowed:
            raise WrongAnswerError(f"{query}")
    return times, process_time() - used


async def measure(asker: Asker, asked: Mapping[str, Sequence[Query]]) -> list[Figure]:
    """A figure for each kind of question. Rounds of all kinds alternate."""
    firsts = {kind: median((await timed(asker.decide, asked[kind]))[0]) for kind in asked}
    found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in asked}
    calls: dict[str, list[float]] = {kind: [] for kind in asked}
    for _ in range(ROUNDS):
        for kind, queries in asked.items():
            times, processor = await timed(asker.decide, queries)
            found[kind].append((median(times), _p99(times), processor / len(times)))
            calls[kind].append(median((await timed(asker.call, queries[:_CALLS]))[0]))
    figures = []
    for kind in asked:
        engine, p99, processor = (median(column) * 1e6 for column in zip(*found[kind], strict=True))
        first, call = firsts[kind] * 1e6, median(calls[kind]) * 1e6
        least = min(found[kind])[0] * 1e6
        figures.append(Figure(kind, engine, p99, processor, first, call, least))
    return figures


async def measure_batches(asker: Asker, tenants: Tenants) -> Batched:
    """Batches of one user about documents of the organisation, each batch by another user."""
    batches = [tenants.batch(BATCH, seed) for seed in range(12)]
    rates: list[list[float]] = []
    for decide in (asker.decide_all, asker.call_all):
        found = []
        for batch in batches:
            used = process_time()
            answers = await decide([query.check for query in batch])
            found.append(BATCH / (process_time() - used))
            if answers != [query.allowed for query in batch]:
                raise WrongAnswerError(batch[0].check.subject)
        rates.append(found)
    engine, call = map(median, rates)
    return Batched("batch of 1,000, one user", engine, call, max(rates[0]))


async def filled(shared: Servers, tenants: Tenants, tuples: int) -> tuple[int, float]:
    """Both stores, filled; how many tuples the Drive has, and the seconds that it took."""
    engine, _, _ = await engine_on(shared, None)
    begun = perf_counter()
    try:
        for store, schema in ((DRIVE, SCHEMA), (SHAPES, shapes.SCHEMA)):
            await begin(engine, store, schema, parse_tuple("group:first#member@user:first"))
        statements = await without_indexes(shared.dsn) if tuples >= _MANY else []
        count = await copy(engine, shared.dsn, DRIVE, tenants.rows())
        await copy(engine, shared.dsn, SHAPES, shapes.rows())
        await with_indexes(shared.dsn, statements)
    finally:
        await engine.close()
    return count, perf_counter() - begun


async def run(directory: Path, tuples: int) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    tenants = Tenants(tuples)
    asked = {kind: tenants.alike(kind, QUERIES) for kind in (DIRECT, TYPICAL, DENIED)}
    asked["mixed, by Zipf"] = tenants.mixed(4 * QUERIES)
    async with servers(directory) as shared:
        count, fill_seconds = await filled(shared, tenants, tuples)
        async with node(shared, directory / "index") as on:
            built = await on.built(DRIVE)
            await on.built(SHAPES)
            before = anonymous_megabytes("self")
            asker = await Asker(on, DRIVE).begin()
            memory.settle()
            checks = list(await measure(asker, asked))
            batched = await measure_batches(asker, tenants)
            of_shapes = await measure_shapes(await Asker(on, SHAPES).begin())
            grown = anonymous_megabytes("self") - before
    return {
        "machine": machine(),
        "tuples": count,
        "fill_seconds": fill_seconds,
        "index": _index_figures(built, count) | {"closures_megabytes": grown},
        "checks": [item._asdict() for item in checks],
        "batches": batched._asdict(),
        "shapes": [item._asdict() for item in of_shapes],
    }


async def measure_shapes(asker: Asker) -> list[Figure]:
    """A figure for each shape of `loadtests.shapes`."""
    asked = {
        shape.name: [Query(shape.name, check, shape.allowed) for check in shape.checks]
        for shape in shapes.shapes()
    }
    return list(await measure(asker, asked))


def _index_figures(built: Built, count: int) -> dict[str, float]:
    return {
        "build_seconds": built.seconds,
        "indexer_processor_seconds": built.processor_seconds,
        "indexer_megabytes": built.resident_megabytes,
        "bytes_per_tuple": built.bytes / count,
    }


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """The figures for a person: checks, then shapes as multiples of a direct check."""
    for name, rows in (("check", found["checks"]), ("shape", found["shapes"])):
        made = Table(box=box.MARKDOWN)
        made.add_column(name)
        for column in _COLUMNS:
            made.add_column(column, justify="right")
        if name == "shape":
            made.add_column("× direct", justify="right")
        for row in rows:
            item = Figure(**row)
            times = (item.engine, item.least, *item[2:-1])
            cells = [f"{value:,.1f}" for value in times]
            if name == "shape":
                cells.append(f"{item.engine / rows[0]['engine']:.1f}")
            made.add_row(item.kind, *cells)
        yield made


def main() -> None:
    """Measure on private servers."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.onindex")
    parser.add_argument("--tuples", type=int, default=1_000_000, help="how large a store")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stonetown-onindex-") as directory:
        found = uvloop.run(run(Path(directory), arguments.tuples))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    console = Console(width=140, highlight=False)
    index, batches = found["index"], found["batches"]
    console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
    console.print(
        f"filled in {found['fill_seconds']:.0f} s; index built in {index['build_seconds']:.1f} s, "
        f"{index['bytes_per_tuple']:.0f} B a tuple; indexer {index['indexer_megabytes']:.0f} MB",
        soft_wrap=True,
    )
    for made in tables(found):
        console.print(made)
    console.print(
        f"{batches['kind']}: {batches['engine']:,.0f} checks/s of a core by the engine "
        f"(fastest {batches['fastest']:,.0f}), "
        f"{batches['call']:,.0f} by the whole call",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
