"""The filters and the consistency of the command line, as the server takes them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.failure import Failure
from engine.jsontext import parse_json_object
from engine.tuples import parse_time

JsonObject = dict[str, Any]

FilterArgument = Annotated[
    str,
    typer.Argument(
        metavar="[FILTER]",
        help="`TYPE`, `TYPE:ID`, `TYPE:ID#RELATION` or `TYPE:ID#RELATION@SUBJECT`, any part of "
        "which may be empty.",
        show_default=False,
    ),
]
ObjectOption = Annotated[
    str, typer.Option("--object", help="`TYPE` or `TYPE:ID`.", show_default=False)
]
RelationOption = Annotated[str, typer.Option("--relation", help="A relation.", show_default=False)]
SubjectOption = Annotated[
    str,
    typer.Option(
        "--subject",
        help="`TYPE`, `TYPE:ID`, `TYPE:ID#RELATION`; `#...` for subjects without a relation.",
        show_default=False,
    ),
]


class Mode(StrEnum):
    """The consistency modes."""

    MINIMIZE_LATENCY = "minimize_latency"
    FULLY_CONSISTENT = "fully_consistent"
    AT_LEAST_AS_FRESH = "at_least_as_fresh"
    AT_EXACT_SNAPSHOT = "at_exact_snapshot"
    AT_TIME = "at_time"


ConsistencyOption = Annotated[
    Mode | None,
    typer.Option(
        "--consistency",
        help="How fresh the answer must be (default: minimize_latency; at_least_as_fresh with "
        "--zookie; at_time with --at-time)",
        show_default=False,
    ),
]
ZookieOption = Annotated[
    str | None,
    typer.Option("--zookie", help="The zookie of an earlier answer.", show_default=False),
]
TimeOption = Annotated[
    str | None, typer.Option("--at-time", help="A moment, as RFC 3339.", show_default=False)
]


def consistency(mode: Mode | None, zookie: str | None, moment: str | None) -> str | dict[str, str]:
    """The `consistency` of a request. Raises Failure for options that do not go together."""
    if zookie == "" or moment == "":
        # An unset variable in a script must not turn into a staler answer.
        raise Failure(f"{'--zookie' if zookie == '' else '--at-time'} is empty")
    if moment:
        parse_time(moment, "--at-time")
    implied = Mode.AT_LEAST_AS_FRESH if zookie else Mode.MINIMIZE_LATENCY
    if moment and not zookie:
        implied = Mode.AT_TIME
    chosen = mode or implied
    wants_zookie = chosen in {Mode.AT_LEAST_AS_FRESH, Mode.AT_EXACT_SNAPSHOT}
    wants_time = chosen is Mode.AT_TIME
    if wants_zookie != bool(zookie) or wants_time != bool(moment):
        raise Failure(
            f"{chosen.value} does not go with these options",
            hint="at_least_as_fresh and at_exact_snapshot need --zookie and nothing else does; "
            "at_time needs --at-time and nothing else does",
        )
    if zookie:
        return {chosen.value: zookie}
    return {chosen.value: moment} if moment else chosen.value


def tuple_filter(
    text: str = "", *, object_: str = "", relation: str = "", subject: str = ""
) -> JsonObject:
    """The `filter` of a request from a filter's text, the three options, or both.

    In the text the first `#` ends the object and the first `@` after it begins the subject, as in
    a tuple: `document:a@b` is an object, `#@user:ann` a subject. Raises Failure.
    """
    left, hash_, right = text.partition("#")
    middle, _, last = right.partition("@") if hash_ else ("", "", "")
    parts = {"object": (left, object_), "relation": (middle, relation), "subject": (last, subject)}
    for name, (inside, option) in parts.items():
        if inside and option and inside != option:
            raise Failure(f"the filter gives one {name} and --{name} another")
    made: JsonObject = {}
    _object_filter(object_ or left, made)
    if relation or middle:
        made["relation"] = relation or middle
    _subject_filter(subject or last, made)
    return made


def _object_filter(text: str, made: JsonObject) -> None:
    kind, _, id_ = text.partition(":")
    if kind:
        made["object_type"] = kind
    if id_:
        made["object_id"] = id_


def _subject_filter(text: str, made: JsonObject) -> None:
    body, hash_, relation = text.partition("#")
    kind, _, id_ = body.partition(":")
    if kind:
        made["subject_type"] = kind
    if id_:
        made["subject_id"] = id_
    if hash_:
        made["subject_relation"] = "" if relation == "..." else relation


def json_option(text: str, option: str) -> JsonObject:
    """The JSON object of an option: its text, or with `@` before it the file that holds it."""
    if not text:
        return {}
    return parse_json_object(Path(text[1:]).read_bytes() if text.startswith("@") else text, option)
