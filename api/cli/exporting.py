"""`export`: one snapshot of a store into a file, resumable at any point.

The file grows under the name FILE.part and gets its own name when it is complete. Every few
thousand tuples its length, its last tuple and the zookie are saved; `--resume` cuts it to that
length and asks the server for what follows that tuple at that very snapshot.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from api.cli.checkpoint import Checkpoint
from api.cli.client import JsonObject, Server
from api.cli.failure import ExitCode, Failure
from api.cli.filters import (
    ConsistencyOption,
    TimeOption,
    ZookieOption,
    consistency,
    tuple_filter,
)
from api.cli.options import Run, command
from api.cli.progress import progress
from api.cli.tuple_files import STANDARD, Form, form_of, format_line, from_json, tuple_to_json
from api.cli.whatif import SchemaOption, WithOption, WithoutOption, overlay
from engine.tuples import RelationTuple

_ATTEMPTS = 5
_CHUNK = 5000


@command()
def export(
    run: Run,
    file: Annotated[
        str,
        typer.Argument(
            metavar="[FILE]",
            help="`.gz` packs, `.ndjson` writes JSON lines (default: standard output)",
        ),
    ] = STANDARD,
    *,
    filter_: Annotated[
        str, typer.Option("--filter", help="Only these: `TYPE:ID#RELATION@SUBJECT`, or parts.")
    ] = "",
    form: Annotated[
        Form | None,
        typer.Option(
            "--form", help="How to write (default: by the file's name)", show_default=False
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an export to FILE stopped.")
    ] = False,
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """Write every tuple of one snapshot, sorted, to a file that `import` reads."""
    chosen = form or (Form.NDJSON if run.output.as_json and file == STANDARD else form_of(file))
    body: JsonObject = {
        "consistency": consistency(mode, zookie, at_time),
        "filter": tuple_filter(filter_),
        **overlay(added, removed, schema),
    }
    with Server(run.options) as server:
        source = _Source(run, server, body)
        if file == STANDARD:
            if resume:
                raise Failure("--resume needs a FILE")
            for item in source.tuples(None):
                sys.stdout.buffer.write(format_line(item, chosen))
            sys.stdout.buffer.flush()
        else:
            _to_file(run, source, Path(file), chosen, resume=resume)
    if run.output.as_json and file != STANDARD:
        run.output.json({"exported": source.count, "zookie": source.zookie, "file": file})
    elif not run.output.as_json:
        run.output.note(f"{source.count} tuples exported; zookie: {source.zookie}")


class _Source:
    """The tuples of one snapshot, asked for again from the last one when a connection breaks."""

    def __init__(self, run: Run, server: Server, body: JsonObject) -> None:
        self.count = 0
        self.zookie = ""
        self._run = run
        self._server = server
        self._body = body

    def identity(self, file: str, form: Form) -> dict[str, str]:
        """What tells this export from another one to the same file."""
        made = {"server": self._server.url, "store": self._server.store, "file": file}
        return {**made, "form": form.value, "asked": json.dumps(self._body, sort_keys=True)}

    def pin(self, zookie: str, count: int) -> None:
        """Stay at the snapshot of an export that has given `count` tuples before."""
        self.zookie, self.count = zookie, count
        self._body["consistency"] = {"at_exact_snapshot": zookie}

    def tuples(self, after: RelationTuple | None) -> Iterator[RelationTuple]:
        """Every tuple after one, or all. Raises Failure if the export cannot be completed."""
        attempt = 0
        while True:
            try:
                for item in self._one_stream(after):
                    after, attempt = item, 0
                    self.count += 1
                    yield item
            except Failure as failure:
                attempt += 1
                retryable = failure.exit_code is ExitCode.UNAVAILABLE and bool(self.zookie)
                if not retryable or attempt == _ATTEMPTS:
                    raise
                self._run.output.note(f"{failure.message}; trying again")
                time.sleep(0.25 * 2**attempt)
            else:
                return

    def _one_stream(self, after: RelationTuple | None) -> Iterator[RelationTuple]:
        path = self._server.store_path("/export")
        on = {} if after is None else {"after": tuple_to_json(after)}
        with self._server.stream(path, body={**self._body, **on}) as (headers, lines):
            if not self.zookie:
                self.pin(str(headers.get("x-stonetown-zookie", "")), 0)
            for line in lines:
                if "complete" in line:
                    if line["complete"] is True:
                        return
                    raise self._server.refusal(line.get("error") or {})
                yield from_json(line)
        raise Failure(
            "the export ended before it was complete",
            exit_code=ExitCode.UNAVAILABLE,
            code="connection",
        )


def _to_file(run: Run, source: _Source, path: Path, form: Form, *, resume: bool) -> None:
    part = path.with_name(path.name + ".part")
    checkpoint = Checkpoint(
        path.with_name(path.name + ".export-state"), source.identity(str(path), form)
    )
    saved = checkpoint.load() if resume else None
    if resume and (saved is None or not part.exists()):
        run.output.note("nothing to resume: starting with the first tuple")
        saved = None
    after: RelationTuple | None = None
    if saved is not None:
        source.pin(saved["zookie"], saved["count"])
        after = from_json(saved["after"])
        run.output.note(f"resuming after {saved['count']} tuples")
    try:
        with part.open("r+b" if saved else "wb") as target:
            target.truncate(saved["bytes"] if saved else 0)
            target.seek(0, 2)
            _write_chunks(run, source, after, target, checkpoint, form)
    except KeyboardInterrupt:
        raise _stopped("interrupted", ExitCode.INTERRUPTED, checkpoint) from None
    except Failure as failure:
        if checkpoint.exists() and failure.exit_code is ExitCode.UNAVAILABLE:
            failure.hint = _hint(checkpoint)
        raise
    part.replace(path)
    checkpoint.clear()


def _write_chunks(
    run: Run,
    source: _Source,
    after: RelationTuple | None,
    target: BinaryIO,
    checkpoint: Checkpoint,
    form: Form,
) -> None:
    packed = str(target.name).endswith(".gz.part")
    lines: list[bytes] = []
    last = after

    def flush() -> None:
        data = b"".join(lines)
        # Each chunk is a gzip member of its own, so that the file can be cut between two.
        target.write(gzip.compress(data, 6) if packed else data)
        target.flush()
        lines.clear()
        if last is not None:
            state: dict[str, Any] = {"bytes": target.tell(), "count": source.count}
            checkpoint.save({**state, "zookie": source.zookie, "after": tuple_to_json(last)})

    with progress(run, total=None) as bar:
        for last in source.tuples(after):
            lines.append(format_line(last, form))
            if len(lines) == _CHUNK:
                flush()
                bar.update(bar.task_ids[0], description=f"{source.count:,} tuples")
    flush()


def _stopped(message: str, exit_code: ExitCode, checkpoint: Checkpoint) -> Failure:
    return Failure(message, exit_code=exit_code, code=message, hint=_hint(checkpoint))


def _hint(checkpoint: Checkpoint) -> str:
    return "run it again with --resume to go on" if checkpoint.exists() else "run it again"
