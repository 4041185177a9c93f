"""Problems of a model's text as OpenFGA's own tools tell them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schema.errors import Problem
from schema.source import Span


class Place(NamedTuple):
    """A stretch of text; lines and columns count from 0, and the end column is not in it."""

    line_start: int
    line_end: int
    column_start: int
    column_end: int


class DslProblem(NamedTuple):
    """One problem. `kind` is OpenFGA's error type, "" for syntax; `symbol` is what is wrong."""

    message: str
    place: Place | None = None
    kind: str = ""
    symbol: str = ""
    file: str = ""

    def as_problem(self, text: str) -> Problem:
        """The problem as the other schema languages tell theirs, in this text."""
        span = None
        if self.place is not None:
            lines = text.split("\n")
            before = sum(len(line) + 1 for line in lines[: self.place.line_start])
            start = min(before + self.place.column_start, len(text))
            width = max(0, self.place.column_end - self.place.column_start)
            span = Span(
                start,
                min(start + width, len(text)),
                self.place.line_start + 1,
                self.place.column_start + 1,
            )
        return Problem(self.kind or "invalid-syntax", self.message, span, source=self.file)


class DslError(Exception):
    """A text of the DSL, or what was to become one, is wrong; `problems` says all that is."""

    def __init__(self, problems: Iterable[DslProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.message for problem in self.problems))
