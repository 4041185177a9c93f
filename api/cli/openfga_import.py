"""`import openfga`: the stores, models and tuples of a running server that speaks OpenFGA's API.

Ids stay as they are, so that clients need nothing but the other address. The source may go on
being written to: its changes are followed until there are none, and with `--follow` for as long as
the command runs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.progress import Progress as Bar

from api.cli.checkpoint import Checkpoint
from api.cli.failure import ExitCode, Failure
from api.cli.openfga_copy import Copy, Progress, questions
from api.cli.openfga_server import FgaServer, Json
from api.cli.options import DEFAULT_TIMEOUT, DEFAULT_URL, Run, command
from api.cli.progress import progress
from api.fga_ids import ID, store_id

_ROUNDS = 3
_FOLLOW_SECONDS = 1.0


@command()
def import_openfga(
    run: Run,
    source: Annotated[
        str, typer.Argument(metavar="URL", help="The address of the server to copy from.")
    ],
    *,
    source_token: Annotated[
        str,
        typer.Option(
            "--source-token",
            envvar="OPENFGA_TOKEN",
            show_envvar=True,
            help="The key or token for that server; better given in the environment.",
        ),
    ] = "",
    checks: Annotated[
        int, typer.Option("--checks", min=0, max=100_000, help="Checks to compare, for each store.")
    ] = 200,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on copying changes until interrupted.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier import stopped.")
    ] = False,
    state: Annotated[
        str,
        typer.Option(
            "--state",
            help="Where progress is saved (default: openfga-HOST.import-state)",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Copy stores with their models and tuples from a server that speaks OpenFGA's API, and compare
    what both say. Copies every store, or the one that --store names."""
    options = run.options
    timeout = options.timeout or DEFAULT_TIMEOUT
    with (
        FgaServer(source, source_token or None, timeout, "the source") as ours,
        FgaServer(options.url or DEFAULT_URL, options.token, timeout, "Stonetown") as theirs,
        progress(run, total=None) as bar,
    ):
        if ours.url == theirs.url:
            raise Failure("the source is the server to copy to", hint="--url names the latter")
        work = _Import(run, ours, theirs, _checkpoint(ours, theirs, state), bar)
        work.start(resume=resume)
        try:
            for store in _chosen(ours, options.store):
                work.copy(store, checks)
            work.told()
            while follow:
                time.sleep(_FOLLOW_SECONDS)
                work.follow()
        except KeyboardInterrupt:
            if not follow or not work.finished:
                raise work.interrupted() from None
        work.end()


def _checkpoint(source: FgaServer, target: FgaServer, state: str) -> Checkpoint:
    identity = {"source": source.url, "server": target.url}
    host = urlsplit(source.url).netloc.rpartition("@")[2].replace(":", "-")
    return Checkpoint(Path(state or f"openfga-{host}.import-state"), identity)


def _chosen(source: FgaServer, asked: str | None) -> list[Json]:
    """The stores to copy."""
    if asked is None:
        return sorted(source.stores(), key=lambda store: str(store["id"]))
    named = store_id(asked) or asked
    found = source.store(named) if ID.fullmatch(named) else None
    if found is None:
        raise Failure(
            f"the source has no store with the id `{asked[:64]}`",
            code="store_not_found",
            exit_code=ExitCode.REFUSED,
            hint="--store, or STONETOWN_STORE, names one store by its id",
        )
    return [found]


class _Import:
    """One import under way."""

    def __init__(
        self, run: Run, source: FgaServer, target: FgaServer, checkpoint: Checkpoint, bar: Bar
    ) -> None:
        self.finished = False
        self._run = run
        self._source = source
        self._target = target
        self._checkpoint = checkpoint
        self._bar = bar
        self._saved: dict[str, dict[str, Any]] = {}
        self._copies: list[Copy] = []
        self._compared = 0
        self._differences: list[Json] = []

    def start(self, *, resume: bool) -> None:
        """Take up saved progress if asked to, or say that there is some."""
        if resume:
            self._saved = self._checkpoint.load() or {}
            if not self._saved:
                self._run.output.note("nothing to resume: starting at the first store")
        elif self._checkpoint.exists():
            self._run.output.note("an earlier import stopped; --resume would go on from there")

    def copy(self, store: Json, checks: int) -> None:
        """Copy one store, catch up with it, and compare."""
        saved = self._saved.get(str(store["id"]), {})
        copy = Copy(self._source, self._target, store, Progress(**saved), self._acknowledged)
        self._copies.append(copy)
        copy.models_and_store()
        copy.tuples()
        copy.follow()
        self._catch_up_with_models(copy)
        copy.assertions()
        self._compare(copy, checks)
        self._acknowledged()

    def follow(self) -> None:
        """Copy what has changed since in every store."""
        for copy in self._copies:
            self._catch_up_with_models(copy)
            copy.follow()

    def _catch_up_with_models(self, copy: Copy) -> None:
        """A model may have been written while tuples were copied, and tuples under it."""
        copy.models_and_store()
        copy.follow()

    def _compare(self, copy: Copy, checks: int) -> None:
        """Ask both servers; where they differ, catch up and ask again: the source lives."""
        asked = list(questions(copy, checks))
        self._compared += len(asked)
        for _ in range(_ROUNDS):
            asked = [key for key in asked if self._differs(copy, key)]
            if not asked:
                return
            copy.follow()
        for key in asked:
            said = [server.outcome(copy.store, key) for server in (self._source, self._target)]
            difference = {"store": copy.store, **key, "source": said[0], "stonetown": said[1]}
            self._differences.append(difference)

    def _differs(self, copy: Copy, key: Json) -> bool:
        before = self._source.outcome(copy.store, key)
        return before != self._target.outcome(copy.store, key)

    def _acknowledged(self) -> None:
        """Save how far all is, and show it."""
        for copy in self._copies:
            self._saved[copy.store] = copy.progress.saved()
        self._checkpoint.save(self._saved)
        if not self._bar.disable:
            copy = self._copies[-1]
            name = f"{copy.name}: {copy.progress.tuples:,} tuples"
            self._bar.update(self._bar.task_ids[0], description=name)

    def told(self) -> None:
        """Say what was copied."""
        self.finished = True
        output = self._run.output
        if output.as_json:
            output.json(self._summary())
            return
        for copy in self._copies:
            progress = copy.progress
            output.line(
                f"{copy.name} ({copy.store}): {len(copy.models)} models, {progress.tuples} tuples,"
                f" {progress.changed} changes followed"
            )
        output.line(f"{self._compared} checks compared, {len(self._differences)} differ")

    def end(self) -> None:
        """The import is done. Raises Failure if something was left out or differs."""
        skipped = [text for copy in self._copies for text in copy.progress.skipped_told]
        left_out = sum(copy.progress.skipped for copy in self._copies)
        if self._differences:
            lines = [
                f"{item['object']}#{item['relation']}@{item['user']} in {item['store']}:"
                f" {item['source']} there, {item['stonetown']} here"
                for item in self._differences
            ]
            raise Failure(
                "\n".join([f"{len(lines)} of {self._compared} checks differ", *lines[:20]]),
                exit_code=ExitCode.NO,
                code="checks_differ",
                details={"differences": self._differences},
            )
        if left_out:
            raise Failure(
                "\n".join([f"{left_out} tuples fit no model and were left out", *skipped]),
                exit_code=ExitCode.INCOMPLETE,
                code="tuples_left_out",
                hint="they grant nothing: no model of the source allows them",
            )
        self._checkpoint.clear()

    def interrupted(self) -> Failure:
        """The Failure for an import that was stopped."""
        done = sum(copy.progress.tuples for copy in self._copies)
        return Failure(
            "interrupted",
            exit_code=ExitCode.INTERRUPTED,
            code="interrupted",
            hint=f"{done} tuples are copied; run it again with --resume to go on",
            details={"tuples": done},
        )

    def _summary(self) -> Json:
        stores = [
            {
                "id": copy.store,
                "name": copy.name,
                "models": len(copy.models),
                "tuples": copy.progress.tuples,
                "changes": copy.progress.changed,
                "left_out": copy.progress.skipped,
            }
            for copy in self._copies
        ]
        compared = {"checks": self._compared, "differences": self._differences}
        return {"stores": stores, **compared}
