"""A worker that reads one object of an index over and over: `python -m tests.index.reading ROOT
STORE SIZE`. It says `reads` when it has read from an index, and `waits` when there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

from engine.index.local import LocalIndexes
from engine.reader import Scan


def main() -> None:
    """Read until killed."""
    root, store_id, size = sys.argv[1:]
    local = LocalIndexes(Path(root), size=int(size))
    said = ""
    while True:
        shown = local.shown(store_id)
        reader = None
        if shown is not None:
            # There is nothing else to read from: what the index does not show is not read.
            reader = local.reader(shown.snapshot, cast("Any", None)).local()
        now = "waits" if reader is None else "reads"
        if reader is not None:
            reader.view.edges(Scan("doc", "1", "viewer", False), 1_000_000)
        if now != said:
            said = now
            sys.stdout.write(f"{now}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
