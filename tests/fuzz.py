"""`make fuzz`: compare many random checks with the oracle, on every core.

`python -m tests.fuzz --checks 1000000 --first 0` asks the questions of the worlds from seed
`--first` on. Every disagreement is printed with its seed; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

from rich.console import Console
from rich.progress import track
from rich.table import Table

from engine import asking
from tests.engine.agreement import CHECKS_PER_WORLD, answerer, compare

_WORLDS_PER_TASK = 100


def _worlds(first: int) -> tuple[list[str], Counter[str]]:
    """The disagreements and the tally of one task's worlds."""

    async def run() -> tuple[list[str], Counter[str]]:
        tally: Counter[str] = Counter()
        found: list[str] = []
        for seed in range(first, first + _WORLDS_PER_TASK):
            found += await compare(seed, answerer(asking), tally)
        return found, tally

    return asyncio.run(run())


def main() -> int:
    """Run the comparison; 0 if everything agreed."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=…", description=__doc__)
    parser.add_argument("--checks", type=int, default=1_000_000, help="how many at least")
    parser.add_argument("--first", type=int, default=0, help="the first world's seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    console = Console()
    tasks = -(-options.checks // (_WORLDS_PER_TASK * CHECKS_PER_WORLD))
    seeds = range(options.first, options.first + tasks * _WORLDS_PER_TASK, _WORLDS_PER_TASK)
    tally: Counter[str] = Counter()
    disagreements: list[str] = []
    began = perf_counter()
    with ProcessPoolExecutor(options.processes) as pool:
        results = pool.map(_worlds, seeds)
        for found, counted in track(results, "checks", total=tasks, console=console):
            tally += counted
            disagreements += found
            for line in found:
                console.print(line, style="red", markup=False)
    table = Table("answer", "checks", "share")
    for answer, count in tally.most_common():
        table.add_row(answer, f"{count:,}", f"{count / tally.total():.1%}")
    console.print(table)
    took = perf_counter() - began
    console.print(f"{tally.total():,} checks, {len(disagreements)} disagreements, {took:.0f} s")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
