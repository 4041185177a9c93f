"""What the commands print: tables for people, one JSON document for machines, never both.

Answers go to standard output; errors, notes and progress go to standard error. Text that came from
a store or a file is never read as markup, and its control characters never reach a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.failure import Failure

# Nothing is folded or cut where no person reads: a line of a pipe is one row.
_PIPE_WIDTH = 1_000_000


def safe(text: str) -> str:
    """`text` without characters that could steer a terminal; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def console(stream: TextIO) -> Console:
    """A console on `stream`: colours only on a terminal, and never when NO_COLOR is set."""
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


class Output:
    """Where one command's answer goes. `as_json` chooses the machine's form."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def json(self, value: object) -> None:
        """Print one JSON document on one line."""
        encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
        text = json.dumps(value, ensure_ascii=encoding != "utf8", separators=(", ", ": "))
        print(text, flush=True)

    def line(self, text: str, style: str = "") -> None:
        """Print one line of text for a person."""
        console(sys.stdout).print(Text(safe(text), style=style), soft_wrap=True)

    def raw(self, text: str) -> None:
        """Print a text as it stands, made safe only where a terminal would interpret it."""
        shown = safe(text) if sys.stdout.isatty() else text
        sys.stdout.write(shown if shown.endswith("\n") or not shown else shown + "\n")

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        styles: Iterable[str] = (),
    ) -> None:
        """Print rows under headings, in styles if there are some; long cells fold on a terminal
        and stay whole in a pipe."""
        made = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            made.add_column(column, overflow="fold")
        for row, style in zip_longest(rows, styles):
            made.add_row(*(Text(safe(cell)) for cell in row), style=style)
        console(sys.stdout).print(made)

    def note(self, text: str, style: str = "dim") -> None:
        """Tell a person something beside the answer; machines are not told."""
        if not self.as_json:
            console(sys.stderr).print(Text(safe(text), style=style), soft_wrap=True)

    def failure(self, failure: Failure) -> None:
        """Say on standard error why the command ends, and what to do."""
        if self.as_json:
            value: Mapping[str, Any] = {
                "error": {
                    "code": failure.code,
                    "message": failure.message,
                    **({"hint": failure.hint} if failure.hint else {}),
                    **failure.details,
                }
            }
            print(json.dumps(value), file=sys.stderr, flush=True)
            return
        target = console(sys.stderr)
        text = Text("error: ", style="bold red") + Text(safe(failure.message), style="not bold")
        target.print(text, soft_wrap=True)
        if failure.hint:
            target.print(Text(safe(failure.hint)), soft_wrap=True)
