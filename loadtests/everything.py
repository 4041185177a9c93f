"""Measure everything that `docs/performance.md` tells, draw it, and put it there: `make measure`.

Each part writes `loadtests/results/NAME.json`; parts can be named to be measured alone. It takes
about half an hour, and a machine that does nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys

from engine.compiled import SWITCH
from loadtests import plots, report
from loadtests.peer import LIBRARY

PARTS = {
    "onindex-100k": ("loadtests.onindex", "--tuples", "100000"),
    "onindex-1m": ("loadtests.onindex", "--tuples", "1000000"),
    "onindex-1m-written": ("loadtests.onindex", "--tuples", "1000000"),
    "onindex-10m": ("loadtests.onindex", "--tuples", "10000000"),
    "lists": ("loadtests.lookups", "--index", "--only", "objects, view"),
    "visible": ("loadtests.visible", "--tuples", "100000", "--writes", "500"),
    "writes": ("loadtests.writes",),
    "http": ("loadtests.load", "--tuples", "100000", "--seconds", "3"),
    "http-bare": ("loadtests.load", "--bare", "--seconds", "3"),
    "turns": ("loadtests.turns",),
    "dialects": ("loadtests.dialects",),
    "peer": ("loadtests.peer", "--tuples", "20000"),
}
NOT_COMPILED = {"onindex-1m-written"}
"""Measured as it is written, beside the same part as it is compiled."""


def main() -> int:
    """Exit status 1 when a part failed; its old result stays."""
    chosen = sys.argv[1:] or [name for name in PARTS if name != "peer" or os.environ.get(LIBRARY)]
    if unknown := set(chosen) - PARTS.keys():
        sys.stderr.write(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}\n")
        return 1
    plots.RESULTS.mkdir(exist_ok=True)
    failed = [name for name in chosen if not _measure(name)]
    plots.draw()
    report.refresh()
    return 1 if failed else 0


def _measure(name: str) -> bool:
    sys.stderr.write(f"{name}, load {os.getloadavg()[0]:.1f}\n")
    command = [sys.executable, "-m", *PARTS[name], "--json"]
    environment = os.environ | ({SWITCH: "false"} if name in NOT_COMPILED else {})
    ended = subprocess.run(  # noqa: S603 - its own modules
        command, env=environment, stdout=subprocess.PIPE, check=False
    )
    if ended.returncode == 0:
        (plots.RESULTS / f"{name}.json").write_bytes(ended.stdout)
    return ended.returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
