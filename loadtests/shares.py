"""Where a worker's time goes while it answers over HTTP: in which libraries, as `perf` saw it.

`python -m loadtests.shares` asks a `stonetown serve` of its own as many questions as it can answer
(a closed loop) and has `perf record` (Debian and Ubuntu: `apt install linux-perf`) look a thousand
times a second at where the worker is. Says so and exits with 1 where there is no `perf`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from loadtests import tenants as organisations
from loadtests.bench import machine
from loadtests.driver import closed_loop
from loadtests.load import CONNECTIONS, Workload, tenant_workloads, tuple_of
from loadtests.service import Service, stonetown
from loadtests.tenants import Tenants

PERF = "perf"
LOOKS = ("-e", "cpu-clock", "-F", "999")
TUPLES = 100_000
WARMING_SECONDS = 3.0
PLACES = {
    "Python's interpreter": r"libpython|python3",
    "what is compiled": r"stonetown_compiled",
    "LMDB": r"^cpython\.",
    "the C library": r"^libc\.|^ld-|libpthread",
    "the kernel": r"kernel|vdso|vmlinux",
    "uvloop": r"^loop\.",
    "httptools": r"^parser\.|^url_parser\.",
    "msgspec": r"^_core\.",
}
"""The libraries of a worker, by the names of their files; what is left is `other`."""
_LINE = re.compile(r"\s*([0-9.]+)%\s+(\S+)\s*")


def shares(recorded: str) -> dict[str, float]:
    """The percentage of each place, of what `perf report --sort dso` prints."""
    found: dict[str, float] = dict.fromkeys((*PLACES, "other"), 0.0)
    for line in recorded.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            fit = (place for place, name in PLACES.items() if re.search(name, match[2]))
            found[next(fit, "other")] += float(match[1])
    return found


def measure(service: Service, workload: Workload, seconds: float) -> dict[str, Any]:
    """The shares of a workload, and microseconds of a worker for each of its checks."""
    connections = 2 if workload.checks > 1 else max(CONNECTIONS)

    def asked(time: float) -> float:
        before = service.processor_seconds()
        loop = closed_loop(service.address, workload.questions, connections, time)
        outcome = uvloop.run(loop)
        if outcome.errors or not outcome.latencies:
            raise SystemExit(f"not every request was answered well: {outcome.errors}")
        checks = len(outcome.latencies) * workload.checks
        return (service.processor_seconds() - before) / checks * 1e6

    asked(WARMING_SECONDS)
    with tempfile.TemporaryDirectory(prefix="stonetown-shares-") as directory:
        file = Path(directory, "perf.data")
        watched = ("-p", str(service.workers[0]), "-o", file)
        recording = subprocess.Popen(  # noqa: S603 - a program of the system
            [PERF, "record", "-q", *LOOKS, *watched, "--", "sleep", f"{seconds}"],
            stderr=subprocess.DEVNULL,
        )
        processor = asked(seconds)
        if recording.wait():
            raise SystemExit("perf may not look at the worker: see kernel.perf_event_paranoid")
        report = subprocess.run(  # noqa: S603 - as above
            [PERF, "report", "-q", "-i", file, "--sort", "dso", "--stdio"],
            capture_output=True,
            text=True,
            check=True,
        )
    return {"workload": workload.name, "processor": processor, **shares(report.stdout)}


def run(seconds: float) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    made = Tenants(TUPLES)
    with stonetown(1) as service:
        count = service.fill(organisations.SCHEMA, map(tuple_of, made.rows()))
        service.index()
        with service.pinned():
            rows = [measure(service, workload, seconds) for workload in tenant_workloads(made)]
    return {"machine": machine(), "tuples": count, "rows": rows}


def table(found: dict[str, Any]) -> Table:
    """The shares for a person."""
    made = Table(box=box.MARKDOWN)
    columns = ("question", "server µs/check", *PLACES, "other")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right")
    for row in found["rows"]:
        parts = (f"{row[place]:.0f}%" for place in columns[2:])
        made.add_row(row["workload"], f"{row['processor']:.0f}", *parts)
    return made


def main() -> int:
    """Exit status 1 where there is no `perf`."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.shares")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each kind of question")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if shutil.which(PERF) is None:
        sys.stderr.write("There is no perf here; Debian and Ubuntu: apt install linux-perf\n")
        return 1
    found = run(arguments.seconds)
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        console = Console(width=200, highlight=False)
        console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
        console.print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
