"""`validate`: assertions of validation files, offline."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from api.cli.failure import ExitCode
from api.cli.options import LOCAL, Run, command
from api.cli.validation import Report, as_json, run_file, sentence


@command(shared=LOCAL)
def validate(
    run: Run,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Validation files (YAML) or schemas (`.zed`)."),
    ],
) -> None:
    """Run the assertions of SpiceDB validation files, without a server.

    Exits with 1 if an assertion fails or a file is wrong. A `validation:` block is not run, and
    that is said.
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
    if report.problems or report.schema_problems is not None:
        run.output.line(f"{report.path}: not run")
    else:
        kept = report.assertions - len(report.missed)
        run.output.line(f"{report.path}: {kept} of {report.assertions} assertions hold")
    if report.unrun:
        line = report.unrun[0].line
        run.output.note(
            f"{report.path}:{line}: the `validation:` block ({len(report.unrun)} entries) was not "
            "run: expected relations are not checked, assertions are",
            style="yellow",
        )


def _sum_up(run: Run, reports: list[Report]) -> None:
    if len(reports) > 1:
        wrong = sum(not report.holds for report in reports)
        total = sum(report.assertions for report in reports)
        run.output.line(f"{len(reports)} files, {total} assertions, {wrong} files with failures")
