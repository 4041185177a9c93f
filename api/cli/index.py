"""`index status|build`: the copies of stores that the server of this machine keeps to read from.

They look into the directory of the indexes, so they run where the server runs, as its user, with
its STONETOWN_DATA or STONETOWN_INDEX_DIR.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.cli.client import Server
from api.cli.failure import ExitCode, Failure
from api.cli.options import LOCAL, Run, command
from api.cli.progress import progress
from api.settings import SettingsError, load_settings
from engine.cache.shared import elapsed
from engine.index.report import Line, Report, read_report

app = typer.Typer(help="Look at the indexes of this node.", no_args_is_help=True)

_LOOK_SECONDS = 0.25
_SILENT_SECONDS = 5.0
_HEADINGS = ("STORE", "STATE", "REVISION", "LAG", "BYTES", "GENERATION", "AGE", "TROUBLE")


@app.command("status")
@command(shared=LOCAL)
def status(run: Run) -> None:
    """Say how far each index is, how old, and what keeps it from being used.

    AGE is the time since it was last known to lack nothing. Exits with 1 if no indexer runs.
    """
    report = _report(_root())
    now = elapsed()
    if run.output.as_json:
        found = [msgspec.to_builtins(line) | {"age": _age(line, now)} for line in report.stores]
        run.output.json({"builds": dict(report.builds), "stores": found})
    else:
        run.output.table(_HEADINGS, (_row(line, now) for line in report.stores))
    if not _lives(report):
        run.output.note("the indexer has said nothing for a while: it is stopped, or stuck")
        raise typer.Exit(ExitCode.NO)


@app.command("build")
@command()
def build(run: Run, name: Annotated[str, typer.Argument(metavar="STORE")]) -> None:
    """Have a store indexed before anybody asks about it, and wait until the index is level.

    It is dropped again if nobody does within STONETOWN_INDEX_UNUSED_SECONDS.
    """
    root = _root()
    with Server(run.options) as server:
        store_id = str(server.call("GET", f"/v1/stores/{name}")["id"])
    wanted = root / "wanted" / store_id
    with progress(run, total=None) as bar:
        while True:
            try:
                wanted.parent.mkdir(parents=True, exist_ok=True)
                wanted.touch()
            except OSError as error:
                raise Failure(f"cannot write to {root}: {error.strerror}") from None
            report = _report(root)
            if not _lives(report):
                raise Failure("no indexer runs on this node", exit_code=ExitCode.UNAVAILABLE)
            line = next((line for line in report.stores if line.store == store_id), None)
            if line is not None and line.trouble:
                raise Failure(f"it cannot be indexed: {line.trouble}", exit_code=ExitCode.REFUSED)
            if line is not None and line.generation and line.state == "following":
                break
            if line is not None and line.total:
                words = f"{line.done // 2:,} of {line.total // 2:,} tuples"
                bar.update(
                    bar.task_ids[0], completed=line.done, total=line.total, description=words
                )
            time.sleep(_LOOK_SECONDS)
    if run.output.as_json:
        run.output.json(msgspec.to_builtins(line))
    else:
        run.output.line(f"the index of {name} is at revision {line.revision}, {line.bytes:,} bytes")


def _root() -> Path:
    try:
        root = load_settings().index_root
    except SettingsError as error:
        raise Failure(str(error), code="settings") from None
    if root is None:
        raise Failure("STONETOWN_INDEX is off: there are no indexes")
    return root


def _report(root: Path) -> Report:
    report = read_report(root)
    if report is None:
        raise Failure(
            f"no indexer has reported in {root}",
            hint="does the server run, and is STONETOWN_DATA or STONETOWN_INDEX_DIR its own?",
            exit_code=ExitCode.UNAVAILABLE,
        )
    return report


def _lives(report: Report) -> bool:
    return 0 <= elapsed() - report.at <= _SILENT_SECONDS


def _age(line: Line, now: float) -> float | None:
    return round(line.age(now), 3) if line.generation else None


def _row(line: Line, now: float) -> tuple[str, ...]:
    age = _age(line, now)
    state = line.state
    if state == "building" and line.total:
        state = f"building {100 * line.done // line.total}%"
    return (
        line.store,
        state,
        str(line.revision),
        str(max(0, line.head - line.revision)),
        f"{line.bytes:,}",
        str(line.generation),
        "" if age is None else f"{age:.1f} s",
        line.trouble,
    )
