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
        str | None,
        typer.Option(
            "--after", help="Begin after this zookie (default: from now on)", show_default=False
        ),
    ] = None,
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
    if after == "":
        raise Failure("--after is empty", hint="leave it out to begin from now on")
    names = {"types": type_, "relations": relation}
    parameters = {name: ",".join(given) for name, given in names.items() if given}
    with Server(run.options) as server:
        watcher = _Watcher(run, server, parameters, after, limit)
        pause = 0.0
        while not watcher.finished:
            before = watcher.last
            try:
                watcher.follow()
            except Failure as failure:
                lost = failure.exit_code is ExitCode.UNAVAILABLE
                if not reconnect or watcher.last is None or not lost:
                    raise
                run.output.note(f"{failure.message}; trying again")
            if not reconnect:
                return
            if not watcher.finished:
                pause = 0.5 if watcher.last != before else min(_LONGEST_PAUSE, pause * 2 or 0.5)
                time.sleep(pause)


class _Watcher:
    """The events of a store over as many connections as it takes."""

    def __init__(
        self,
        run: Run,
        server: Server,
        parameters: dict[str, str],
        after: str | None,
        limit: int | None,
    ) -> None:
        self.last = after
        self._run = run
        self._server = server
        self._parameters = parameters
        self._left = limit

    @property
    def finished(self) -> bool:
        """Whether as many events as were asked for have been shown."""
        return self._left == 0

    def follow(self) -> None:
        """Show events over one connection until it ends or enough are shown. Raises Failure."""
        after = {} if self.last is None else {"after": self.last}
        path = self._server.store_path("/watch")
        with self._server.stream(path, self._parameters | after, silence=_SILENCE) as (_, events):
            for event in events:
                if "error" in event:
                    raise self._server.refusal(event["error"])
                self.last = event["zookie"] or self.last
                if _show(self._run, event) and self._left is not None:
                    self._left -= 1
                    if self.finished:
                        return


def _show(run: Run, event: JsonObject) -> bool:
    """Print an event and say whether it holds something: heartbeats and ends are silent."""
    updates = event.get("updates") or []
    if not updates and not event.get("schema_changed"):
        return False
    if run.output.as_json:
        run.output.json(event)
        return True
    if event.get("schema_changed"):
        run.output.line("schema changed", style="bold")
    for update in updates:
        item = update["tuple"]
        run.output.line(
            f"{update['op']:<7} {item['object']}#{item['relation']}@{item['subject']}",
            style="red" if update["op"] == "delete" else "green",
        )
    run.output.note(f"zookie: {event['zookie']}")
    return True
