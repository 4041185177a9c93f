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
from api.cli.paging import AllOption, CursorOption, LimitOption, pages, tell_end
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
    limit: LimitOption = 100,
    everything: AllOption = False,
    cursor: CursorOption = "",
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
    most = None if everything else limit
    with Server(run.options) as server:
        came = list(pages(server, "/history", "events", body, cursor=cursor, limit=most))
    answer = came[-1]
    found = [event for page in came for event in page["events"]]
    if run.output.as_json:
        run.output.json({**answer, "events": found})
        return
    run.output.table(("TIME", "EVENT", "TUPLE", "ACTOR", "METADATA"), map(_row, found))
    tell_end(run, answer)


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
