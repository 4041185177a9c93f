"""Measure everything that `docs/performance.md` tells, draw it, and put it there: `make measure`.

Each part writes `loadtests/results/NAME.json`; parts can be named to be measured alone. It takes
about an hour, and a machine that does nothing else. Where other tenants of the machine are in
the way, `--runs` measures each part several times and keeps the run at whose end a plain loop of
Python was fastest, whatever was measured in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys

from engine.compiled import SWITCH
from loadtests import plots, report, shares
from loadtests.peer import LIBRARY

PARTS = {
    "onindex-100k": ("loadtests.onindex", "--tuples", "100000"),
    "onindex-1m": ("loadtests.onindex", "--tuples", "1000000"),
    "onindex-1m-written": ("loadtests.onindex", "--tuples", "1000000"),
    "onindex-10m": ("loadtests.onindex", "--tuples", "10000000"),
    "lists": ("loadtests.lookups", "--index", "--only", "objects, view"),
    "visible": ("loadtests.visible", "--tuples", "100000", "--writes", "500"),
    "writes": ("loadtests.writes",),
    "http": ("loadtests.load", "--tuples", "100000", "--seconds", "2"),
    "http-1m": ("loadtests.load", "--tuples", "1000000", "--seconds", "2"),
    "http-10m": ("loadtests.load", "--tuples", "10000000", "--seconds", "2"),
    "turns": ("loadtests.turns",),
    "shares": ("loadtests.shares",),
    "dialects": ("loadtests.dialects",),
    "peer": ("loadtests.peer", "--tuples", "20000"),
}
NOT_COMPILED = {"onindex-1m-written"}
"""Measured as it is written, beside the same part as it is compiled."""


def main() -> int:
    """Exit status 1 when a part failed; its old result stays."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make measure ARGS=…")
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=1, help="times that each part is measured")
    arguments = parser.parse_args()
    chosen = arguments.parts
    there = {"peer": os.environ.get(LIBRARY), "shares": shutil.which(shares.PERF)}
    chosen = chosen or [name for name in PARTS if there.get(name, True)]
    if unknown := set(chosen) - PARTS.keys():
        parser.error(f"no such part: {', '.join(unknown)}")
    plots.RESULTS.mkdir(exist_ok=True)
    failed = [name for name in chosen if not _measure(name, arguments.runs)]
    plots.draw()
    report.refresh()
    return 1 if failed else 0


def _measure(name: str, runs: int) -> bool:
    results = [found for found in (_run(name) for _ in range(runs)) if found]
    if results:
        (plots.RESULTS / f"{name}.json").write_bytes(min(results, key=_plain_loop))
    return len(results) == runs


def _run(name: str) -> bytes:
    """What a part prints, nothing if it fails."""
    sys.stderr.write(f"{name}, load {os.getloadavg()[0]:.1f}\n")
    command = [sys.executable, "-m", *PARTS[name], "--json"]
    environment = os.environ | ({SWITCH: "false"} if name in NOT_COMPILED else {})
    ended = subprocess.run(  # noqa: S603 - its own modules
        command, env=environment, stdout=subprocess.PIPE, check=False
    )
    if ended.returncode:
        sys.stderr.write(f"{name} failed, and keeps its last result\n")
        return b""
    return ended.stdout


def _plain_loop(result: bytes) -> float:
    machine: str = json.loads(result)["machine"]
    return float(machine.partition("plain loop ")[2].partition(" ms")[0])


if __name__ == "__main__":
    raise SystemExit(main())
