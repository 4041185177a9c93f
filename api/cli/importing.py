"""`import`: a file of tuples into a store, in acknowledged batches, resumable at any point.

Each batch is one request and one revision. After each acknowledgement the line reached and the
digest of the file so far are saved beside the file; a batch in flight when the import stops is
sent again on `--resume`, which changes nothing because a touch of a stored tuple changes nothing.
"""

from __future__ import annotations

import hashlib
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.progress import Progress
from typer.core import TyperGroup

from api.cli.checkpoint import Checkpoint
from api.cli.client import Server
from api.cli.failure import ExitCode, Failure
from api.cli.options import Run, command
from api.cli.progress import progress
from api.cli.tuple_files import STANDARD, Form, format_line, open_input, parse_line, read_lines


class Op(StrEnum):
    """What an import does with a tuple."""

    TOUCH = "touch"
    CREATE = "create"


class FileUnlessNamed(TyperGroup):
    """The commands under `import`, of which `file` need not be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `file` first unless a command stands there, or help alone is asked for."""
        if args and args[0] not in self.commands and args != ["--help"]:
            args = ["file", *args]
        return super().parse_args(ctx, args)


_ATTEMPTS = 5
_BATCH_BYTES = 4 * 1024 * 1024


@command()
def import_(
    run: Run,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Text or NDJSON, `.gz` or not; - for input.")
    ],
    *,
    op: Annotated[
        Op, typer.Option("--op", help="`create` refuses tuples that are stored already.")
    ] = Op.TOUCH,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier import of FILE stopped.")
    ] = False,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=10_000, help="Tuples in one revision.")
    ] = 5000,
    state: Annotated[
        str,
        typer.Option(
            "--state",
            help="Where progress is saved (default: FILE.import-state)",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Write every tuple of a file, telling how far it is; stopped, it can be resumed."""
    if file == STANDARD and resume and not state:
        raise Failure("--resume of standard input needs --state FILE")
    with Server(run.options) as server, open_input(file) as (stream, packed):
        checkpoint = _checkpoint(server, file, state)
        work = _Import(run, server, checkpoint, file, batch, op)
        total = None if file == STANDARD else Path(file).stat().st_size
        with progress(run, total=total) as bar:
            work.start(resume=resume)
            try:
                work.send_all(stream, packed, bar)
            except KeyboardInterrupt:
                raise work.stopped("interrupted", ExitCode.INTERRUPTED, "interrupted") from None
    if run.output.as_json:
        run.output.json({"imported": work.imported, "zookie": work.zookie})
        return
    rate = work.imported / max(work.seconds, 1e-9)
    run.output.line(f"{work.imported} tuples imported in {work.seconds:.1f} s ({rate:.0f}/s)")
    run.output.note(f"zookie: {work.zookie}")


def _checkpoint(server: Server, file: str, state: str) -> Checkpoint | None:
    if file == STANDARD and not state:
        return None
    identity = {"server": server.url, "store": server.store, "file": file}
    return Checkpoint(Path(state or f"{file}.import-state"), identity)


class _Import:
    """One import under way."""

    def __init__(
        self, run: Run, server: Server, checkpoint: Checkpoint | None, file: str, batch: int, op: Op
    ) -> None:
        self.imported = 0
        self.zookie: str | None = None
        self._run = run
        self._server = server
        self._checkpoint = checkpoint
        self._file = file
        self._batch = batch
        self._op = op
        self._done = 0
        self._expected_digest = ""
        self._digest = hashlib.sha256()
        self._lines: list[bytes] = []
        self._numbers: list[int] = []
        self._bytes = 0
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the import began."""
        return time.monotonic() - self._begun

    def start(self, *, resume: bool) -> None:
        """Take up saved progress if asked to, or say that there is some."""
        if self._checkpoint is None or not self._checkpoint.exists():
            if resume:
                self._run.output.note("nothing to resume: starting at the first line")
            return
        if not resume:
            self._run.output.note(
                "an earlier import of this file stopped; --resume would go on from there"
            )
            return
        saved = self._checkpoint.load() or {}
        self._done = int(saved["lines"])
        self._expected_digest = str(saved["sha256"])
        self.zookie = saved.get("zookie")
        self._run.output.note(f"resuming after line {self._done}")

    def send_all(self, stream: BinaryIO, packed: BinaryIO, bar: Progress) -> None:
        """Read the file to its end and send what is not done yet."""
        number = 0
        for number, line in read_lines(stream, self._file):
            self._digest.update(line)
            if number == self._done:
                self._check_same()
            if number <= self._done:
                continue
            item = parse_line(line, f"{self._file}:{number}")
            if item is not None:
                made = format_line(item, Form.NDJSON)
                self._lines.append(made)
                self._numbers.append(number)
                self._bytes += len(made)
            if len(self._lines) >= self._batch or self._bytes >= _BATCH_BYTES:
                self._send(number)
                self._show(packed, bar)
        if number < self._done:
            self._check_same()
        if self._lines or self.zookie is None:
            self._send(number)
        if self._checkpoint is not None:
            self._checkpoint.clear()

    def stopped(self, message: str, exit_code: ExitCode, code: str) -> Failure:
        """The Failure for an import that ends early: what is in the store, and how to go on."""
        hint = f"{self.imported} tuples are imported; run it again with --resume to go on"
        if self._checkpoint is None:
            hint = f"{self.imported} tuples are imported; running it again repeats them safely"
        details = {"imported": self.imported}
        return Failure(message, exit_code=exit_code, code=code, hint=hint, details=details)

    def _check_same(self) -> None:
        if self._digest.hexdigest() != self._expected_digest:
            raise Failure(
                f"`{self._file}` is not the file whose import stopped: it differs in the first "
                f"{self._done} lines",
                hint="start again without --resume",
            )

    def _send(self, number: int) -> None:
        body = b"".join(self._lines)
        answer = self._post(body)
        self.imported += int(answer["imported"])
        self.zookie = str(answer["zookie"])
        self._lines.clear()
        self._numbers.clear()
        self._bytes = 0
        if self._checkpoint is not None:
            digest = self._digest.hexdigest()
            self._checkpoint.save({"lines": number, "sha256": digest, "zookie": self.zookie})

    def _post(self, body: bytes) -> dict[str, Any]:
        """Send a batch, again if need be: a touch may be repeated."""
        path, parameters = self._server.store_path("/import"), {"op": self._op.value}
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._server.call("POST", path, lines=body, parameters=parameters)
            except Failure as failure:
                if failure.exit_code is not ExitCode.UNAVAILABLE:
                    raise self._located(failure) from None
                if not self.zookie and failure.code == "no_server":
                    raise
                if attempt == _ATTEMPTS or self._op is Op.CREATE:
                    raise self.stopped(failure.message, failure.exit_code, failure.code) from None
                self._run.output.note(f"{failure.message}; trying again")
                time.sleep(0.25 * 2**attempt)

    def _located(self, failure: Failure) -> Failure:
        """Say the line of the file where the server said the line of the batch."""
        line = failure.details.get("problem", {}).get("line")
        if isinstance(line, int) and 0 < line <= len(self._numbers):
            number = self._numbers[line - 1]
            failure.details |= {"file": self._file, "line": number}
            # The server places the fault as `line 2` or `line 2.relation`, in the batch.
            rest = failure.message.removeprefix(f"line {line}").lstrip(":. ")
            failure.message = f"{self._file}:{number}: {rest}"
        failure.details["imported"] = self.imported
        return failure

    def _show(self, packed: BinaryIO, bar: Progress) -> None:
        if not bar.disable:
            bar.update(
                bar.task_ids[0],
                completed=packed.tell() if packed.seekable() else 0,
                description=f"{self.imported:,} tuples",
            )
