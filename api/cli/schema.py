"""`schema check|fmt|diff|write|read`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli.client import JsonObject, Server
from api.cli.failure import ExitCode, Failure
from api.cli.filters import json_option
from api.cli.models import (
    DSL_FILE,
    Form,
    as_json,
    checked,
    converted,
    other_form,
    tidy_model,
)
from api.cli.options import LOCAL, Options, Run, command
from api.cli.schema_files import (
    SchemaProblemsError,
    SchemaText,
    compiled,
    load,
    read_text,
    render,
    told,
)
from api.cli.tuple_files import STANDARD
from api.cli.update import MetadataOption, once
from schema import diff_schemas, format_text
from schema.errors import SchemaError
from schema.model import Schema

app = typer.Typer(help="Check, format, compare, write and read schemas.", no_args_is_help=True)
SERVER = "server"

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Schema files; - for standard input.")
]


@app.command()
@command(shared=LOCAL)
def check(
    run: Run,
    files: FilesArgument,
    *,
    fail_on_warn: Annotated[
        bool, typer.Option("--fail-on-warn", help="Exit with 1 for warnings, too.")
    ] = False,
) -> None:
    """Tell every problem and warning of schema files, without a server."""
    results = [_check_file(run, path) for path in files]
    wrong = any(item["problems"] or (fail_on_warn and item["warnings"]) for item in results)
    if run.output.as_json:
        run.output.json({"ok": not wrong, "files": results})
    if wrong:
        raise typer.Exit(ExitCode.NO)


def _check_file(run: Run, path: str) -> JsonObject:
    try:
        loaded = load(path, models=True)
        found, warnings = checked(loaded)
    except SchemaProblemsError as error:
        if not run.output.as_json:
            run.output.line(error.render())
        return {"file": path, "problems": told(error.problems, error.text), "warnings": []}
    if not run.output.as_json:
        if warnings:
            run.output.line(render(warnings, loaded.text, loaded.source, "warning: "))
        kinds, caveats = len(found.object_types), len(found.caveats)
        run.output.line(f"{path}: {kinds} object types, {caveats} caveats, no problems")
    return {"file": path, "problems": [], "warnings": told(warnings, loaded.text)}


@app.command()
@command(shared=LOCAL)
def fmt(
    run: Run,
    files: FilesArgument,
    *,
    check_only: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if a file would change.")
    ] = False,
    write_back: Annotated[bool, typer.Option("--write", help="Change the files.")] = False,
) -> None:
    """Lay schemas out in the one usual way, comments kept; prints it unless told otherwise."""
    if write_back and (check_only or STANDARD in files):
        raise Failure("--write goes with files, and not with --check")
    changed: list[str] = []
    for path in files:
        text = read_text(path)
        try:
            tidy = tidy_model(path, text) if path.endswith(DSL_FILE) else format_text(text)
        except SchemaError as error:
            raise SchemaProblemsError(path, error.problems, text).as_failure() from None
        if tidy != text:
            changed.append(path)
            if write_back:
                Path(path).write_text(tidy, encoding="utf-8")
        if not write_back and not check_only and not run.output.as_json:
            run.output.raw(tidy)
    if run.output.as_json:
        run.output.json({"changed": changed})
    elif write_back or check_only:
        for path in changed:
            run.output.line(f"{'formatted' if write_back else 'would format'} {path}")
    if check_only and changed:
        raise typer.Exit(ExitCode.NO)


@app.command()
@command(shared=LOCAL)
def convert(
    run: Run,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A .zed, .fga or .json file, or an fga.mod.")
    ],
    *,
    to: Annotated[
        Form | None, typer.Option("--to", help="What to say it in; else in the other language.")
    ] = None,
    fail_on_warn: Annotated[
        bool, typer.Option("--fail-on-warn", help="Exit with 1 if something does not carry over.")
    ] = False,
) -> None:
    """Say a schema in OpenFGA's language, or a model of OpenFGA in `.zed`; prints it."""
    try:
        loaded = load(file, models=True)
        made = converted(loaded, to or other_form(loaded))
    except SchemaProblemsError as error:
        raise error.as_failure() from None
    if run.output.as_json:
        run.output.json(as_json(made))
    else:
        for note in made.notes:
            run.output.note(f"{note.effect}: {note}", style="yellow")
        run.output.raw(made.text)
    if fail_on_warn and made.notes:
        raise typer.Exit(ExitCode.NO)


@app.command()
@command()
def diff(
    run: Run,
    old: Annotated[str, typer.Argument(help="A schema file, or `server` for the one in force.")],
    new: Annotated[str, typer.Argument(help="A schema file, or `server`.")],
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if there are differences.")
    ] = False,
) -> None:
    """Tell what differs between two schemas, in their meaning and not in their layout."""
    changes = diff_schemas(_schema_of(run.options, old), _schema_of(run.options, new))
    if run.output.as_json:
        run.output.json({"changes": [{"kind": str(c.kind), "text": str(c)} for c in changes]})
    else:
        for change in changes:
            run.output.line(str(change))
        if not changes:
            run.output.line("no differences")
    if changes and exit_code:
        raise typer.Exit(ExitCode.NO)


def _schema_of(options: Options, where: str) -> Schema:
    try:
        if where != SERVER:
            return compiled(load(where, models=True))
        with Server(options) as server:
            answer = server.call("GET", server.store_path("/schema"))
        return compiled(SchemaText(str(answer["schema"]), SERVER, str(answer["language"])))
    except SchemaProblemsError as error:
        raise error.as_failure() from None


@app.command()
@command()
def write(
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A schema file; - for input.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change and what forbids it.")
    ] = False,
    metadata: MetadataOption = "",
) -> None:
    """Replace the store's schema by a file, with what the file imports in its place."""
    try:
        loaded = load(file)
        compiled(loaded)
    except SchemaProblemsError as error:
        raise error.as_failure() from None
    body = {
        "schema": loaded.text,
        "language": "zed",
        "metadata": json_option(metadata, "--metadata"),
    }
    parameters = {"dry_run": "true"} if dry_run else {}
    with Server(run.options) as server:
        path = server.store_path("/schema")
        answer = once(
            None,
            lambda headers: server.call("PUT", path, body, parameters=parameters, headers=headers),
        )
    if run.output.as_json:
        run.output.json(answer)
    else:
        _show_written(run, answer, dry_run=dry_run)
    if answer.get("blocked_by"):
        raise typer.Exit(ExitCode.NO)


def _show_written(run: Run, answer: JsonObject, *, dry_run: bool) -> None:
    for warning in answer["warnings"]:
        place = f"{warning.get('line', 1)}:{warning.get('column', 1)}"
        run.output.note(f"warning: {place}: {warning['message']}", style="yellow")
    for change in answer["changes"]:
        run.output.line(f"{'would change' if dry_run else 'changed'}: {change['text']}")
    for item in answer.get("blocked_by") or ():
        told_tuple = f"{item['object']}#{item['relation']}@{item['subject']}"
        run.output.line(f"forbidden by {told_tuple}", style="red")
    if not answer["changes"]:
        run.output.line("no differences in meaning")
    run.output.line(f"{'in force: ' if dry_run else ''}version {answer['version']}")
    run.output.note(f"zookie: {answer['zookie']}")


@app.command()
@command()
def read(run: Run) -> None:
    """Print the schema in force."""
    with Server(run.options) as server:
        answer = server.call("GET", server.store_path("/schema"))
    if run.output.as_json:
        run.output.json(answer)
        return
    run.output.raw(str(answer["schema"]))
    sys.stdout.flush()
    run.output.note(f"version {answer['version']}, zookie: {answer['zookie']}")
