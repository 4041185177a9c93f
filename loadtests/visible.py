"""How long after a commit another node's index shows it.

`python -m loadtests.visible` has two nodes on one Postgres, each with an indexer of its own. One
writes, one tuple at a time; at the other, what the index shows is looked at about every tenth of a
millisecond until the write is in it. Once with Valkey, which announces writes, and once without,
when LISTEN/NOTIFY and polling have to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from engine.requests import WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, RelationTuple, Subject
from loadtests.bench import machine
from loadtests.node import Node, Servers, node, servers
from loadtests.onindex import DRIVE, filled
from loadtests.tenants import Tenants

_LOOK = 0.0001
_PATIENCE = 30.0


class Figure(NamedTuple):
    """Milliseconds from the acknowledgement of a write until another node's index shows it, and
    from when it was sent; `late` are those that were not seen in time."""

    woken_by: str
    writes: int
    p50: float
    p99: float
    most: float
    sent_p50: float
    sent_p99: float
    late: int


async def measure(writer: Node, reader: Node, writes: int, pause: float, name: str) -> Figure:
    """Write and look, one after the other with random pauses of `pause` seconds on average."""
    record = await writer.engine.get_store(DRIVE)
    draw = random.Random(1)
    known: list[float] = []
    sent: list[float] = []
    late = 0
    for number in range(writes):
        await asyncio.sleep(draw.random() * 2 * pause)
        item = RelationTuple(Object("document", f"new-{number}"), "owner", Subject("user", "new"))
        begun = perf_counter()
        await writer.engine.write(DRIVE, WriteRequest([Update(UpdateOp.TOUCH, item)]))
        acknowledged = perf_counter()
        head = await writer.storage.head(record.id)
        while True:
            shown = reader.local.shown(record.id)
            seen = perf_counter()
            if shown is not None and shown.snapshot.revision >= head.snapshot.revision:
                known.append(seen - acknowledged)
                sent.append(seen - begun)
                break
            if seen > acknowledged + _PATIENCE:
                late += 1
                break
            await asyncio.sleep(_LOOK)
    times = [sorted(value * 1e3 for value in found) for found in (known, sent)]
    p50, sent_p50 = (found[len(found) // 2] for found in times)
    p99, sent_p99 = (found[int(len(found) * 0.99)] for found in times)
    return Figure(name, writes, p50, p99, times[0][-1], sent_p50, sent_p99, late)


async def run(directory: Path, tuples: int, writes: int) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    tenants = Tenants(tuples)
    figures = []
    async with servers(directory) as shared:
        count, _ = await filled(shared, tenants, tuples)
        for name, known in (("Valkey", shared), ("LISTEN/NOTIFY", Servers(shared.dsn, ""))):
            first, second = directory / f"{name[0]}1", directory / f"{name[0]}2"
            async with node(known, first) as writer, node(known, second) as reader:
                await writer.built(DRIVE)
                await reader.built(DRIVE)
                figures.append(await measure(writer, reader, writes, 0.01, name))
    return {
        "machine": machine(),
        "tuples": count,
        "figures": [item._asdict() for item in figures],
    }


def table(found: dict[str, Any]) -> Table:
    """The figures for a person."""
    made = Table(box=box.MARKDOWN)
    made.add_column("woken by")
    for column in ("writes", "p50 ms", "p99", "most", "since it was sent: p50 ms", "p99", "late"):
        made.add_column(column, justify="right")
    for values in found["figures"]:
        item = Figure(**values)
        times = [f"{value:.1f}" for value in item[2:7]]
        made.add_row(item.woken_by, f"{item.writes:,}", *times, f"{item.late}")
    return made


def main() -> None:
    """Measure on private servers."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.visible")
    parser.add_argument("--tuples", type=int, default=1_000_000, help="how large a store")
    parser.add_argument("--writes", type=int, default=1_000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stonetown-visible-") as directory:
        found = uvloop.run(run(Path(directory), arguments.tuples, arguments.writes))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    console = Console(width=140, highlight=False)
    console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
    console.print(table(found))


if __name__ == "__main__":
    main()
