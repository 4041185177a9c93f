"""Files of relation tuples: one a line, as text or as JSON, gzipped when the name ends in `.gz`.

    document:readme#viewer@user:ann[weekday:{"day":"monday"}]
    {"object":"document:readme","relation":"viewer","subject":"user:ann"}

A line that begins with `{` is JSON, any other is text; blank lines and `//` comments are skipped.
Ids that hold `[` or `]` have no text form: written as text, such tuples become JSON lines.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, cast

from api.cli.failure import Failure, hint_of
from api.members import Problems
from api.native.decode import decode_tuple
from engine.errors import EngineError
from engine.jsontext import parse_json
from engine.tuples import RelationTuple, format_time, parse_tuple

STANDARD = "-"
MAX_LINE = 64 * 1024
JsonObject = dict[str, Any]


class Form(StrEnum):
    """How tuples are written."""

    TEXT = "text"
    NDJSON = "ndjson"


def form_of(path: str) -> Form:
    """The form that a file's name asks for: NDJSON for `.ndjson`, `.jsonl` and `.json`."""
    name = path.removesuffix(".gz")
    return Form.NDJSON if name.endswith((".ndjson", ".jsonl", ".json")) else Form.TEXT


@contextmanager
def open_input(path: str) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The bytes of a file, unpacked, and the stream whose position tells how far it is read."""
    if path == STANDARD:
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with Path(path).open("rb") as packed:
        if not path.endswith(".gz"):
            yield packed, packed
            return
        with gzip.open(packed, "rb") as unpacked:
            yield cast("BinaryIO", unpacked), packed


def read_lines(stream: BinaryIO, source: str) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers. Raises Failure for a line over MAX_LINE or damaged gzip."""
    number = 0
    while True:
        try:
            line = stream.readline(MAX_LINE + 1)
        except (gzip.BadGzipFile, EOFError) as error:
            raise Failure(f"{source}:{number + 1}: damaged gzip data: {error}") from None
        if not line:
            return
        number += 1
        if len(line) > MAX_LINE:
            raise Failure(f"{source}:{number}: the line is longer than {MAX_LINE} bytes")
        yield number, line


def parse_line(line: bytes, where: str) -> RelationTuple | None:
    """The tuple of a line, None for a blank line or a comment. Raises Failure naming `where`."""
    try:
        text = line.decode("utf-8-sig").strip()
        if not text or text.startswith("//"):
            return None
        if text.startswith("{"):
            return from_json(parse_json(text, "tuple"))
        return parse_tuple(text)
    except UnicodeDecodeError:
        raise Failure(f"{where}: not UTF-8") from None
    except EngineError as error:
        field = f"{error.field}: " if text.startswith("{") and error.field else ""
        raise Failure(
            f"{where}: {field}{error.message}", code=error.code, hint=hint_of(error.expected)
        ) from None


def from_json(value: Any) -> RelationTuple:
    """The tuple of its object form. Raises EngineError leaves naming the member."""
    problems = Problems()
    made = decode_tuple(value, "", problems)
    problems.raise_any()
    assert made is not None
    return made


def tuple_to_json(item: RelationTuple) -> JsonObject:
    """The object form, with only the keys that say something."""
    made: JsonObject = {
        "object": str(item.object),
        "relation": item.relation,
        "subject": str(item.subject),
    }
    if item.caveat:
        made["caveat"] = {"name": item.caveat}
        if item.context:
            made["caveat"]["context"] = json.loads(item.context)
    if item.expires_at is not None:
        made["expires_at"] = format_time(item.expires_at)
    return made


def format_line(item: RelationTuple, form: Form) -> bytes:
    """One line that `parse_line` reads back as the same tuple."""
    ids = item.object.id + item.subject.id
    names = item.object.type + item.relation + item.subject.type + item.subject.relation
    plain = "[" not in ids + names and "]" not in ids + names
    plain = plain and not names.startswith(("{", "//"))  # how a line of another kind begins
    if form is Form.TEXT and plain:
        return f"{item}\n".encode()
    made = json.dumps(tuple_to_json(item), ensure_ascii=False, separators=(",", ":"))
    return f"{made}\n".encode()
