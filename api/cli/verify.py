"""`verify`: is a proof right? Offline, from the schema and the tuples alone."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from api.cli.failure import ExitCode, Failure
from api.cli.filters import json_option
from api.cli.options import LOCAL, Run, command
from api.cli.schema_files import SchemaProblemsError, compiled, load, read_text
from api.cli.tuple_files import open_input, parse_line, read_lines
from engine.tuples import RelationTuple, parse_time, parse_tuple
from engine.verify import verify as problems_of
from schema.model import Schema


@command(shared=LOCAL)
def verify(
    run: Run,
    *,
    proof: Annotated[
        str, typer.Option("--proof", metavar="FILE", help="A proof, or an answer that holds one.")
    ],
    schema: Annotated[
        str, typer.Option("--schema", metavar="FILE", help="The schema of the snapshot.")
    ],
    tuples: Annotated[
        str,
        typer.Option(
            "--tuples", metavar="FILE", help="Every tuple of the snapshot, as `export` writes them."
        ),
    ],
    now: Annotated[str, typer.Option("--now", help="RFC 3339; the proof's own when absent.")] = "",
    context: Annotated[
        str, typer.Option("--context", help="Caveat context; the proof's own when absent.")
    ] = "",
    contextual: Annotated[
        list[str] | None,
        typer.Option("--with", help="A contextual tuple of the check; repeatable."),
    ] = None,
) -> None:
    """Check a proof of `check --explain` step by step, without a server.

    Exits with 1 if the proof is not right, and says what is wrong.
    """
    moment: datetime | None = parse_time(now, "--now") if now else None
    given = json_option(context, "--context") if context else None
    stored = [*_tuples(tuples), *(parse_tuple(text, "--with") for text in contextual or ())]
    found = problems_of(_proof(proof), _schema(schema), stored, now=moment, context=given)
    if run.output.as_json:
        run.output.json({"ok": not found, "problems": found})
    else:
        for problem in found:
            run.output.line(problem, style="red")
        if not found:
            run.output.line("the proof is right", style="green")
    if found:
        raise typer.Exit(ExitCode.NO)


def _schema(path: str) -> Schema:
    try:
        return compiled(load(path))
    except SchemaProblemsError as error:
        raise error.as_failure() from None


def _proof(path: str) -> Any:
    """The proof in a file: the document itself, or the `explanation` of an answer."""
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise Failure(f"`{path}` is not JSON: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("explanation"), dict):
        return value["explanation"]
    return value


def _tuples(path: str) -> list[RelationTuple]:
    with open_input(path) as (stream, _):
        found = [parse_line(line, f"{path}:{number}") for number, line in read_lines(stream, path)]
    return [item for item in found if item is not None]
