"""A progress bar on standard error, for a person only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from api.cli.options import Run
from api.cli.output import console


@contextmanager
def progress(run: Run, *, total: int | None) -> Iterator[Progress]:
    """A bar with one task, out of `total` bytes (None: of unknown length); gone when it ends."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console(sys.stderr),
        disable=run.output.as_json or not sys.stderr.isatty(),
        transient=True,
    ) as bar:
        bar.add_task("0 tuples", total=total)
        yield bar
