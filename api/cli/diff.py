"""`diff`: who gained and who lost access between two snapshots, and what caused it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from api.cli.client import JsonObject, Server
from api.cli.failure import ExitCode, Failure
from api.cli.filters import json_option
from api.cli.options import Run, command
from api.cli.paging import tell_end
from api.cli.tuple_files import from_json
from api.cli.whatif import SchemaOption, WithOption, WithoutOption, overlay

_KINDS = ("gained", "lost", "changed")


@command()
def diff(
    run: Run,
    *,
    start: Annotated[str, typer.Argument(metavar="FROM", help="A zookie, or a time (RFC 3339).")],
    relation: Annotated[str, typer.Option("--relation", help="A relation or permission.")],
    to: Annotated[str, typer.Option("--to", help="The same; now if absent.")] = "",
    object_: Annotated[str, typer.Option("--object", help="Of this object, `TYPE:ID`.")] = "",
    subject: Annotated[str, typer.Option("--subject", help="Of this subject.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Among all objects of this type.")] = "",
    form: Annotated[
        str, typer.Option("--subjects", help="Which subjects: `TYPE` or `TYPE#RELATION`.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Stop after this many differences.")
    ] = 100,
    everything: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    cursor: Annotated[
        str, typer.Option("--cursor", help="Go on after an earlier page.", show_default=False)
    ] = "",
    context: Annotated[
        str,
        typer.Option("--context", help="Caveat context: JSON, or @FILE.", show_default=False),
    ] = "",
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="All of them as lines of JSON, as they come.")
    ] = False,
) -> None:
    """Show who gained and who lost a relation or permission since FROM, and why.

    Give --object and --subjects, --subject and --type, or --type and --subjects. Exits with 4 if
    the answer is incomplete.
    """
    kind, _, subject_relation = form.partition("#")
    given = {
        "to": to,
        "object": object_,
        "subject": subject,
        "type": type_,
        "subject_type": kind,
        "subject_relation": subject_relation,
        "cursor": cursor,
    }
    body: JsonObject = {"from": start, "relation": relation}
    body |= {name: value for name, value in given.items() if value}
    body |= {"context": json_option(context, "--context"), **overlay(added, removed, schema)}
    with Server(run.options) as server:
        if lines:
            _stream(run, server, body)
            return
        answer = _pages(server, body, None if everything else limit)
    if run.output.as_json:
        run.output.json(answer)
    else:
        _show(run, answer)
    if not answer["complete"]:
        raise typer.Exit(ExitCode.REFUSED)


def _stream(run: Run, server: Server, body: JsonObject) -> None:
    """Print every line as it comes; the last one says whether these are all."""
    complete = None
    with server.stream(server.store_path("/diff"), body={**body, "limit": 1000}) as (_, lines):
        for line in lines:
            run.output.json(line)
            complete = line.get("complete")
    if complete is None:
        raise Failure(
            "the answer ended before it was complete",
            exit_code=ExitCode.UNAVAILABLE,
            code="connection",
        )
    if not complete:
        raise typer.Exit(ExitCode.REFUSED)


def _pages(server: Server, body: JsonObject, limit: int | None) -> JsonObject:
    """The pages of a diff as one, up to `limit` differences; a budget's gap ends it."""
    found: JsonObject = {name: [] for name in (*_KINDS, "causes", "gaps")}
    whole, count = True, 0
    while True:
        body["limit"] = 1000 if limit is None else min(1000, limit - count)
        answer = server.call("POST", server.store_path("/diff"), body)
        for name, items in found.items():
            items += [item for item in answer[name] if item not in items]
        whole = whole and answer["causes_complete"]
        count = sum(len(found[name]) for name in _KINDS)
        body["cursor"] = answer["cursor"]
        stopped = any(gap["about"] is None for gap in answer["gaps"])
        if answer["cursor"] is None or stopped or (limit is not None and count >= limit):
            return {**answer, **found, "causes_complete": whole, "complete": not found["gaps"]}


def _show(run: Run, answer: JsonObject) -> None:
    rows = [
        (name, one["object"], one["subject"], _said(one["before"]), _said(one["after"]))
        for name in _KINDS
        for one in answer[name]
    ]
    run.output.table(("CHANGE", "OBJECT", "SUBJECT", "BEFORE", "AFTER"), rows)
    if answer["causes"]:
        run.output.line("")
        causes = [row for cause in answer["causes"] for row in _causes(cause)]
        run.output.table(("TIME", "CAUSE", "TUPLE", "ACTOR", "METADATA"), causes)
    if not answer["causes_complete"]:
        run.output.note("there may be more causes", style="yellow")
    for gap in answer["gaps"]:
        about = gap["about"] or "the rest"
        run.output.note(f"incomplete: {about}: {gap['error']['detail']}", style="yellow")
    tell_end(run, answer)


def _said(side: JsonObject) -> str:
    missing = ", ".join(side["missing_context"])
    return f"{side['decision']} ({missing})" if missing else str(side["decision"])


def _causes(cause: JsonObject) -> list[tuple[str, ...]]:
    metadata = cause["metadata"]
    shown = json.dumps(metadata, ensure_ascii=False, separators=(",", ":")) if metadata else ""
    about = (str(cause["actor"]), shown)
    at = str(cause["committed_at"])
    rows: list[tuple[str, ...]] = [
        (at, str(one["op"]), str(from_json(one["tuple"])), *about) for one in cause["updates"]
    ]
    if cause["schema_changed"]:
        rows.append((at, "schema", "", *about))
    return rows
