"""Where a worker's time goes while it answers over HTTP: in which libraries, and in which steps of
a request, as `perf` saw it.

`python -m loadtests.shares` asks a `stonetown serve` of its own as many questions as it can answer
(a closed loop) and has `perf record` (Debian and Ubuntu: `apt install linux-perf`) look five
hundred times a second at where the worker is, and by which calls it came there. Steps are told
apart by the functions that are compiled (`make compile`): where nothing is, most is `other`. Says
so and exits with 1 where there is no `perf`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api.memory import settle
from loadtests import tenants as organisations
from loadtests.bench import machine
from loadtests.driver import closed_loop
from loadtests.load import CONNECTIONS, OF_BATCHES, Workload, tenant_workloads, tuple_of
from loadtests.service import Service, stonetown
from loadtests.tenants import Tenants

PERF = "perf"
LOOKS = ("-e", "cpu-clock", "-F", "499", "--call-graph", "dwarf,16384")
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
STEPS = {
    "the index": r"mdb|cursor_|trans_|CPyDef_(index___)?(reader|encoding|local|files)___",
    "closures": r"CPyDef_(index___)?(closures?|parts|ways)___",
    "deciding": r"CPyDef_(asking|budget|check|formula|plan|sight|store___\w+)___",
    "how fresh": r"CPyDef_(together|moments|redis|cache___\w+)___",
    "sending": r"CPyDef_whole___|(try|exec|uv_|initiate|Stream)_+write",
    "the request and its answer": r"CPyDef_(hot|handlers|front|guard|routing|calls|api___\w+)___",
    "HTTP, uvicorn": r"llhttp|httptools",
    "Postgres's protocol": r"asyncpg|pgproto|\(protocol\.",
    "tasks": r"\(_asyncio\.|CPyDunder_am_send",
    "the loop and receiving": r"uv_|uvloop",
}
"""The steps of a request, by functions and their libraries: a look counts for the step of the
innermost function that is of one. Tasks are writes, and what is not answered at once; what is not
compiled counts for the step that called it."""
_FRAME = re.compile(r"\s*[0-9a-f]+ (\S+)(?:\+0x[0-9a-f]+)? \((?:.*/)?([^/]+)\)")


def shares(recorded: str) -> tuple[dict[str, float], dict[str, float]]:
    """The percentages of each place and of each step, of what `perf script` prints of the looks:
    for each its functions, innermost first, each with its library."""
    looks = []
    for block in recorded.split("\n\n"):
        frames = [match for line in block.splitlines() if (match := _FRAME.fullmatch(line))]
        if frames:
            looks.append([f"{name} ({library}" for name, library in map(re.Match.groups, frames)])
    places = Counter(_first(PLACES, [look[0].partition("(")[2]]) for look in looks)
    steps = Counter(_first(STEPS, look) for look in looks)
    return (
        {place: 100 * places[place] / len(looks) for place in (*PLACES, "other")},
        {step: 100 * steps[step] / len(looks) for step in (*STEPS, "other")},
    )


def _first(kinds: dict[str, str], names: Sequence[str]) -> str:
    """The kind of the first name that is of one."""
    for name in names:
        for kind, pattern in kinds.items():
            if re.search(pattern, name):
                return kind
    return "other"


def measure(service: Service, workload: Workload, seconds: float) -> dict[str, Any]:
    """The shares of a workload, and microseconds of a worker for each of its checks."""
    connections = OF_BATCHES if workload.checks > 1 else CONNECTIONS

    def asked(time: float) -> float:
        before = service.processor_seconds()
        loop = closed_loop(service.address, workload.questions, connections, time)
        outcome = uvloop.run(loop)
        if outcome.errors or not outcome.answered:
            raise SystemExit(f"not every request was answered well: {outcome.errors}")
        checks = outcome.answered * workload.checks
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
        printed = subprocess.run(  # noqa: S603 - as above
            [PERF, "script", "-i", file, "-F", "ip,sym,symoff,dso"],
            capture_output=True,
            text=True,
            check=True,
        )
    places, steps = shares(printed.stdout)
    return {"workload": workload.name, "processor": processor, "places": places, "steps": steps}


def run(tuples: int, seconds: float) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    made = Tenants(tuples)
    with stonetown(1) as service:
        count = service.fill(organisations.SCHEMA, map(tuple_of, made.rows()))
        service.index()
        settle()
        with service.pinned():
            rows = [measure(service, workload, seconds) for workload in tenant_workloads(made)]
    return {"machine": machine(), "tuples": count, "rows": rows}


def table(found: dict[str, Any], what: str = "places") -> Table:
    """The shares of places or of steps, for a person."""
    made = Table(box=box.MARKDOWN)
    columns = list(found["rows"][0][what])
    for number, column in enumerate(("question", "server µs/check", *columns)):
        made.add_column(column, justify="left" if number == 0 else "right")
    for row in found["rows"]:
        parts = (f"{row[what][column]:.0f}%" for column in columns)
        made.add_row(row["workload"], f"{row['processor']:.0f}", *parts)
    return made


def main() -> int:
    """Exit status 1 where there is no `perf`."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.shares")
    parser.add_argument("--tuples", type=int, default=TUPLES, help="how large a store")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each kind of question")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if shutil.which(PERF) is None:
        sys.stderr.write("There is no perf here; Debian and Ubuntu: apt install linux-perf\n")
        return 1
    found = run(arguments.tuples, arguments.seconds)
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        console = Console(width=200, highlight=False)
        console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
        console.print(table(found))
        console.print(table(found, "steps"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
