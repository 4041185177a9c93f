"""`history`: who did what to the tuples of one object or one subject, and when."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from api.cli.client import JsonObject, Server
from api.cli.filters import (
    ConsistencyOption,
    FilterArgument,
    ObjectOption,
    RelationOption,
    SubjectOption,
    TimeOption,
    ZookieOption,
    consistency,
    tuple_filter,
)
from api.cli.options import Run, command
from api.cli.tuple_files import from_json


@command()
def history(
    run: Run,
    *,
    filter_: FilterArgument = "",
    object_: ObjectOption = "",
    relation: RelationOption = "",
    subject: SubjectOption = "",
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="Begin with the oldest event.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Stop after this many events.")
    ] = 100,
    everything: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    cursor: Annotated[
        str, typer.Option("--cursor", help="Go on after an earlier page.", show_default=False)
    ] = "",
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """Show what happened to the tuples of an object (`TYPE:ID`) or of a --subject, newest first."""
    body: JsonObject = {
        "filter": tuple_filter(filter_, object_=object_, relation=relation, subject=subject),
        "order": "oldest_first" if oldest_first else "newest_first",
        "consistency": consistency(mode, zookie, at_time),
    }
    if cursor:
        body["cursor"] = cursor
    found: list[JsonObject] = []
    with Server(run.options) as server:
        while True:
            body["limit"] = 1000 if everything else min(1000, limit - len(found))
            answer = server.call("POST", server.store_path("/history"), body)
            found.extend(answer["events"])
            body["cursor"] = answer["cursor"]
            if answer["cursor"] is None or (not everything and len(found) >= limit):
                break
    if run.output.as_json:
        run.output.json({**answer, "events": found})
        return
    run.output.table(("TIME", "EVENT", "TUPLE", "ACTOR", "METADATA"), map(_row, found))
    if answer["cursor"] is not None:
        run.output.note(f"there is more: --limit, --all, or --cursor {answer['cursor']}")
    run.output.note(f"zookie: {answer['zookie']}")


def _row(event: JsonObject) -> tuple[str, ...]:
    metadata = event["metadata"]
    shown = json.dumps(metadata, ensure_ascii=False, separators=(",", ":")) if metadata else ""
    return (
        str(event["committed_at"]),
        "expired" if event["expired"] else str(event["op"]),
        str(from_json(event["tuple"])),
        str(event["actor"]),
        shown,
    )
