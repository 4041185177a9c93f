"""`write` and `delete`: changes to stored tuples."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from api.cli.client import JsonObject, Server
from api.cli.failure import Failure
from api.cli.filters import (
    FilterArgument,
    ObjectOption,
    RelationOption,
    SubjectOption,
    json_option,
    tuple_filter,
)
from api.cli.options import Run, command
from api.cli.tuple_files import open_input, parse_line, read_lines, tuple_to_json
from engine.tuples import RelationTuple, parse_tuple

_DELETE_STEP = 1000


class WriteOp(StrEnum):
    """What the native API does with a tuple."""

    TOUCH = "touch"
    CREATE = "create"
    DELETE = "delete"


MetadataOption = Annotated[
    str,
    typer.Option("--metadata", help="Kept with the revision: JSON, or @FILE.", show_default=False),
]
KeyOption = Annotated[
    str,
    typer.Option(
        "--idempotency-key",
        help="Makes a repeated request happen once (default: a random one)",
        show_default=False,
    ),
]
MustMatchOption = Annotated[
    list[str] | None,
    typer.Option("--must-match", help="Only if a tuple matches this filter; repeatable."),
]
MustNotMatchOption = Annotated[
    list[str] | None,
    typer.Option("--must-not-match", help="Only if no tuple matches this filter; repeatable."),
]


@command()
def write(
    run: Run,
    *,
    tuples: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TUPLE]...", help="`document:readme#viewer@user:ann`, suffixes."),
    ] = None,
    op: Annotated[WriteOp, typer.Option("--op", help="What to do with them.")] = WriteOp.TOUCH,
    file: Annotated[
        str,
        typer.Option("--file", help="Tuples from a file, - for input.", show_default=False),
    ] = "",
    must_match: MustMatchOption = None,
    must_not_match: MustNotMatchOption = None,
    metadata: MetadataOption = "",
    idempotency_key: KeyOption = "",
) -> None:
    """Write or delete the given tuples, all or none."""
    chosen = [parse_tuple(text) for text in tuples or ()]
    chosen += _from_file(file) if file else []
    if not chosen:
        raise Failure("no tuple is given", hint="name tuples, or a file with --file FILE")
    body = {
        "updates": [{"op": op.value, "tuple": tuple_to_json(item)} for item in chosen],
        "preconditions": _preconditions(must_match, must_not_match),
        "metadata": json_option(metadata, "--metadata"),
    }
    with Server(run.options) as server:
        answer = once(
            idempotency_key or None,
            lambda headers: server.call("POST", server.store_path("/write"), body, headers=headers),
        )
    if run.output.as_json:
        run.output.json(answer)
        return
    rows = zip((str(result) for result in answer["results"]), map(str, chosen), strict=False)
    run.output.table(("RESULT", "TUPLE"), rows)
    run.output.note(f"zookie: {answer['zookie']}")


def _from_file(path: str) -> list[RelationTuple]:
    with open_input(path) as (stream, _):
        lines = (parse_line(line, f"{path}:{number}") for number, line in read_lines(stream, path))
        return [item for item in lines if item is not None]


@command()
def delete(
    run: Run,
    *,
    filter_: FilterArgument = "",
    object_: ObjectOption = "",
    relation: RelationOption = "",
    subject: SubjectOption = "",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help="Delete at most so many (default: all)", show_default=False
        ),
    ] = None,
    must_match: MustMatchOption = None,
    must_not_match: MustNotMatchOption = None,
    metadata: MetadataOption = "",
) -> None:
    """Delete every stored tuple that matches a filter.

    More than 1000 go in several revisions of 1000 each, but with preconditions in one or not
    at all: then at most 1000 go.
    """
    body: JsonObject = {
        "filter": tuple_filter(filter_, object_=object_, relation=relation, subject=subject),
        "preconditions": _preconditions(must_match, must_not_match),
        "metadata": json_option(metadata, "--metadata"),
    }
    deleted = 0
    with Server(run.options) as server:
        while True:
            body["limit"] = _DELETE_STEP if limit is None else min(_DELETE_STEP, limit - deleted)
            answer = once(
                None,
                lambda headers: server.call(
                    "POST", server.store_path("/delete"), body, headers=headers
                ),
            )
            deleted += int(answer["deleted"])
            done = answer["complete"] or deleted == limit or not answer["deleted"]
            if done or body["preconditions"]:
                break
    if run.output.as_json:
        run.output.json({**answer, "deleted": deleted})
        return
    run.output.line(f"{deleted} deleted")
    if not answer["complete"]:
        run.output.note("more tuples match; run it again to delete them")
    run.output.note(f"zookie: {answer['zookie']}")


def _preconditions(must: list[str] | None, must_not: list[str] | None) -> list[JsonObject]:
    return [
        {"op": op, "filter": tuple_filter(text)}
        for op, texts in (("must_match", must), ("must_not_match", must_not))
        for text in texts or ()
    ]


def once(key: str | None, send: Callable[[dict[str, str]], JsonObject]) -> Any:
    """Send a change under an idempotency key, and name the key if the outcome is not known."""
    chosen = key or secrets.token_hex(16)
    try:
        return send({"Idempotency-Key": chosen})
    except Failure as failure:
        problem = failure.details.get("problem", {})
        if failure.code in {"timeout", "connection"} or problem.get("outcome") == "unknown":
            failure.details["idempotency_key"] = chosen
            failure.hint = (
                "it may or may not have been done; the same request with "
                f"--idempotency-key {chosen} makes sure that it is done once"
            )
        raise
