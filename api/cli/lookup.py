"""`lookup objects|subjects|permissions`: what a subject reaches, and who may do what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from api.cli.client import JsonObject, Server
from api.cli.failure import ExitCode, Failure
from api.cli.filters import (
    ConsistencyOption,
    TimeOption,
    ZookieOption,
    consistency,
    json_option,
)
from api.cli.options import Run, command
from api.cli.paging import AllOption, CursorOption, LimitOption, pages, tell_end
from api.cli.whatif import SchemaOption, WithOption, WithoutOption, overlay

app = typer.Typer(help="List who has access, and to what.", no_args_is_help=True)

ContextOption = Annotated[
    str,
    typer.Option("--context", help="Caveat context: JSON, or @FILE.", show_default=False),
]
CandidateOption = Annotated[
    list[str] | None,
    typer.Option("--candidate", help="Look at this id alone; repeatable.", show_default=False),
]


@app.command()
@command()
def objects(
    run: Run,
    *,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="`TYPE:ID[#RELATION]`.")],
    relation: Annotated[str, typer.Argument(metavar="RELATION", help="Or a permission.")],
    types: Annotated[list[str], typer.Argument(metavar="TYPE...", help="Of which objects.")],
    context: ContextOption = "",
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    candidates: CandidateOption = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many.")] = False,
    limit: LimitOption = 100,
    everything: AllOption = False,
    cursor: CursorOption = "",
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """List the objects on which a subject has a relation or permission, sorted.

    Exits with 4 if the list is incomplete.
    """
    body: JsonObject = {
        "types": types,
        "relation": relation,
        "subject": subject,
        "context": json_option(context, "--context"),
        **overlay(added, removed, schema),
        "consistency": consistency(mode, zookie, at_time),
    }
    if candidates:
        body["candidates"] = candidates
    most = None if everything else limit
    _list(run, "objects", body, count=count, cursor=cursor, limit=most)


@app.command()
@command()
def subjects(
    run: Run,
    *,
    object_: Annotated[str, typer.Argument(metavar="OBJECT", help="`TYPE:ID`.")],
    relation: Annotated[str, typer.Argument(metavar="RELATION", help="Or a permission.")],
    form: Annotated[
        str, typer.Argument(metavar="SUBJECTS", help="Which ones: `TYPE` or `TYPE#RELATION`.")
    ],
    context: ContextOption = "",
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    candidates: CandidateOption = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many.")] = False,
    limit: LimitOption = 100,
    everything: AllOption = False,
    cursor: CursorOption = "",
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """List who has a relation or permission, sorted.

    A wildcard comes first, and after it those whom it does not let in, as `denied`. Exits with 4
    if the list is incomplete.
    """
    kind, _, subject_relation = form.partition("#")
    body: JsonObject = {
        "object": object_,
        "relation": relation,
        "subject_type": kind,
        "subject_relation": subject_relation,
        "context": json_option(context, "--context"),
        **overlay(added, removed, schema),
        "consistency": consistency(mode, zookie, at_time),
    }
    if candidates:
        body["candidates"] = candidates
    most = None if everything else limit
    _list(run, "subjects", body, count=count, cursor=cursor, limit=most)


def _list(
    run: Run, what: str, body: JsonObject, *, count: bool, cursor: str, limit: int | None
) -> None:
    """Show a list of objects or subjects, or only how many it has."""
    if count and cursor:
        raise Failure("--count is of the whole list and takes no --cursor")
    with Server(run.options) as server:
        if count:
            path = server.store_path(f"/lookup/{what}/count")
            _show_count(run, server.call("POST", path, body))
            return
        answer = _whole(
            pages(server, f"/lookup/{what}", what, body, cursor=cursor, limit=limit), what
        )
    if run.output.as_json:
        run.output.json(answer)
    else:
        one = what.removesuffix("s")
        rows = (_row(one, item) for item in answer[what])
        run.output.table((one.upper(), "DECISION", "MISSING CONTEXT"), rows)
    _end(run, answer)


def _whole(answers: Iterable[JsonObject], what: str) -> JsonObject:
    """Pages of a list of objects or subjects as one; a gap that is about none of them ends it."""
    answer: JsonObject = {}
    found: list[JsonObject] = []
    gaps: list[JsonObject] = []
    for answer in answers:
        found += answer[what]
        gaps += [gap for gap in answer["gaps"] if gap not in gaps]
        if any(gap["about"] is None for gap in gaps):
            break
    return {**answer, what: found, "gaps": gaps, "complete": not gaps}


def _show_count(run: Run, answer: JsonObject) -> None:
    if run.output.as_json:
        run.output.json(answer)
    else:
        for verdict in ("allowed", "conditional", "denied"):
            if verdict in answer:
                run.output.line(f"{answer[verdict]} {verdict}")
        if answer.get("wildcard") is not None:
            run.output.line(f"everyone else {answer['wildcard']}")
    _end(run, answer)


@app.command()
@command()
def permissions(
    run: Run,
    *,
    object_: Annotated[str, typer.Argument(metavar="OBJECT", help="`TYPE:ID`.")],
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="`TYPE:ID[#RELATION]`.")],
    context: ContextOption = "",
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    relations: Annotated[bool, typer.Option("--relations", help="Relations, too.")] = False,
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """List what a subject may do on an object. Exits with 4 if the list is incomplete."""
    body: JsonObject = {
        "object": object_,
        "subject": subject,
        "context": json_option(context, "--context"),
        **overlay(added, removed, schema),
        "include_relations": relations,
        "consistency": consistency(mode, zookie, at_time),
    }
    with Server(run.options) as server:
        answer = server.call("POST", server.store_path("/lookup/permissions"), body)
    if run.output.as_json:
        run.output.json(answer)
    else:
        rows = (_row("permission", item) for item in answer["permissions"])
        run.output.table(("PERMISSION", "DECISION", "MISSING CONTEXT"), rows)
    _end(run, answer)


def _row(what: str, item: JsonObject) -> tuple[str, ...]:
    return str(item[what]), str(item["decision"]), ", ".join(item["missing_context"])


def _end(run: Run, answer: dict[str, Any]) -> None:
    """Say what is missing, and at which zookie; the exit code tells scripts."""
    for gap in answer["gaps"]:
        about = gap["about"] or "the rest"
        run.output.note(f"incomplete: {about}: {gap['error']['detail']}", style="yellow")
    tell_end(run, answer)
    if not answer["complete"]:
        raise typer.Exit(ExitCode.REFUSED)
