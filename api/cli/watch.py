"""`watch`: changes as they are committed, across lost connections."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from api.cli.client import JsonObject, Server
from api.cli.failure import ExitCode, Failure
from api.cli.options import Run, command

# A server that is alive sends heartbeats far more often than this.
_SILENCE = 60.0
_LONGEST_PAUSE = 10.0


@command()
def watch(
    run: Run,
    *,
    after: Annotated[
        str,
        typer.Option("--after", help="Begin after this zookie. [from now]", show_default=False),
    ] = "",
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only changes of this object type; repeatable."),
    ] = None,
    relation: Annotated[
        list[str] | None,
        typer.Option("--relation", help="Only changes of this relation; repeatable."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="End after so many events.", show_default=False),
    ] = None,
    reconnect: Annotated[
        bool,
        typer.Option(help="Go on after a lost connection, without losing or repeating a change."),
    ] = True,
) -> None:
    """Print every change in commit order until Ctrl-C. With --json: one event a line."""
    parameters: dict[str, str] = {}
    if type_:
        parameters["types"] = ",".join(type_)
    if relation:
        parameters["relations"] = ",".join(relation)
    seen, pause, last = 0, 0.0, after
    with Server(run.options) as server:
        while True:
            if last:
                parameters["after"] = last
            try:
                with server.stream(
                    server.store_path("/watch"), parameters, silence=_SILENCE
                ) as events:
                    for event in events:
                        pause, last = 0.0, str(event["zookie"])
                        seen += _show(run, event)
                        if seen == limit:
                            return
            except Failure as failure:
                if not reconnect or not last or failure.exit_code is not ExitCode.UNAVAILABLE:
                    raise
                run.output.note(f"{failure.message}; trying again")
            else:
                if not reconnect:
                    return
            pause = min(_LONGEST_PAUSE, pause * 2 or 0.5)
            time.sleep(pause)


def _show(run: Run, event: JsonObject) -> int:
    """Print an event and say how many it counts for: heartbeats are silent and count nothing."""
    updates = event.get("updates") or []
    if not updates and not event.get("schema_changed"):
        return 0
    if run.output.as_json:
        run.output.json(event)
        return 1
    if event.get("schema_changed"):
        run.output.line("schema changed", style="bold")
    for update in updates:
        item = update["tuple"]
        run.output.line(
            f"{update['op']:<7} {item['object']}#{item['relation']}@{item['subject']}",
            style="red" if update["op"] == "delete" else "green",
        )
    run.output.note(f"zookie: {event['zookie']}")
    return 1
