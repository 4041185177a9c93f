"""`validate`: assertions and expected relations of validation files, offline."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from api.cli.failure import ExitCode
from api.cli.options import LOCAL, Run, command
from api.cli.validation import Report, as_json, difference_lines, run_file, sentence


@command(shared=LOCAL)
def validate(
    run: Run,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Validation files, store files (`.fga.yaml`), or schemas."
        ),
    ],
) -> None:
    """Run the assertions of SpiceDB validation files, compare the relations that they expect, and
    run the tests of OpenFGA store files, without a server.

    Exits with 1 if an assertion fails, a relation differs, or a file is wrong.
    """
    reports = [asyncio.run(run_file(path)) for path in files]
    if run.output.as_json:
        told = [as_json(report) for report in reports]
        run.output.json({"ok": all(report.holds for report in reports), "files": told})
    else:
        for report in reports:
            _show(run, report)
        _sum_up(run, reports)
    if not all(report.holds for report in reports):
        raise typer.Exit(ExitCode.NO)


def _show(run: Run, report: Report) -> None:
    if report.schema_problems is not None:
        run.output.line(report.schema_problems.render(), style="red")
    for problem in report.problems:
        place = f"{report.path}:{problem.line}:{problem.column}"
        run.output.line(f"{place}: {problem.message}", style="red")
    for missed in report.missed:
        run.output.line(f"{report.path}:{missed.assertion.line}: {sentence(missed)}", style="red")
    for item in report.unexpected:
        run.output.line(f"{report.path}:{item.line}: {item.message}", style="red")
    _differences(run, report)
    if report.problems or report.schema_problems is not None:
        run.output.line(f"{report.path}: not run")
    else:
        run.output.line(f"{report.path}: {_counts(report)}")


def _differences(run: Run, report: Report) -> None:
    """The differences under the relations that they belong to, like a diff."""
    for key, items in groupby(report.differences, key=lambda item: item.key):
        place = f"{report.path}:{key.line}"
        run.output.line(f"{place}: {key.text} is not as expected", style="bold")
        for item in items:
            for text, style in difference_lines(item):
                run.output.line(f"  {text}", style=style)


def _counts(report: Report) -> str:
    kept = report.assertions - len(report.missed) - len(report.unexpected)
    told = f"{kept} of {report.assertions} assertions hold"
    if not report.relations:
        return told
    differing = len({item.key for item in report.differences})
    same = report.relations - differing
    return f"{told}, {same} of {report.relations} relations are as expected"


def _sum_up(run: Run, reports: list[Report]) -> None:
    if len(reports) > 1:
        wrong = sum(not report.holds for report in reports)
        total = sum(report.assertions for report in reports)
        run.output.line(f"{len(reports)} files, {total} assertions, {wrong} files with failures")
