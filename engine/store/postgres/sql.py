"""The SQL statements of `queries/*.sql`, by name.

Each statement stands under three comment lines: its name, its purpose, and the indexes that its
plan must use (`none` if it looks nothing up). Tests hold the statements to them.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

_HEADER = re.compile(
    r"^-- name: (?P<name>\w+)\n"
    r"-- purpose: (?P<purpose>.*\n(?:--   .*\n)*)"
    r"-- index: (?P<index>.*)\n",
    re.MULTILINE,
)


class Statement(NamedTuple):
    """One named SQL statement, its purpose, and the indexes its plan is to use."""

    name: str
    purpose: str
    indexes: tuple[str, ...]
    text: str


@cache
def statements() -> dict[str, Statement]:
    """Every statement by name. Raises ValueError when two share one."""
    found: dict[str, Statement] = {}
    for file in sorted(resources.files(__package__).joinpath("queries").iterdir(), key=str):
        text = file.read_text(encoding="utf-8")
        headers = list(_HEADER.finditer(text))
        ends = [header.start() for header in headers[1:]] + [len(text)]
        for header, end in zip(headers, ends, strict=True):
            made = _statement(header, text[header.end() : end])
            if made.name in found:
                raise ValueError(f"two statements are named {made.name}")
            found[made.name] = made
    return found


def statement(name: str) -> str:
    """The text of the statement of this name. Raises KeyError."""
    return statements()[name].text


def _statement(header: re.Match[str], body: str) -> Statement:
    """One statement; comments between it and the next are left out, as is its last semicolon."""
    lines = [line for line in body.splitlines() if not line.startswith("--")]
    indexes = () if header["index"] == "none" else tuple(header["index"].split(", "))
    purpose = " ".join(header["purpose"].replace("\n--  ", "").split())
    text = "\n".join(lines).strip().removesuffix(";")
    return Statement(header["name"], purpose, indexes, text)
