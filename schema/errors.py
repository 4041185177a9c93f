"""What can be wrong with a schema. One error carries every problem of a text at once."""

from __future__ import annotations

from dataclasses import dataclass

from schema.source import Span


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a schema text.

    `code` is stable and for machines; `message` is a lower-case sentence without a full stop, with
    quoted input in backticks; `suggestion` completes "did you mean ...". `span` is absent only for
    a schema that was not made from text. `about` is the name of the caveat that it is a problem
    of, and `detail` what CEL says, for who has to repeat it.
    """

    code: str
    message: str
    span: Span | None = None
    suggestion: str = ""
    source: str = ""
    about: str = ""
    detail: str = ""

    def render(self, text: str = "") -> str:
        """The problem as a person reads it: place, message, the line with a caret, suggestion."""
        where = f"{self.source or 'schema'}:"
        if self.span is not None:
            where += f"{self.span.line}:{self.span.column}:"
        parts = [f"{where} {self.message}"]
        if self.span is not None and text:
            parts.append(self.span.caret(text))
        if self.suggestion:
            parts.append(f"did you mean `{self.suggestion}`?")
        return "\n".join(parts)


class SchemaError(Exception):
    """Abstract: some schema input was refused. The leaves are the two below."""

    code = "schema_error"

    def __init__(self, problems: tuple[Problem, ...], text: str = "") -> None:
        self.problems = problems
        self.text = text
        super().__init__("\n".join(problem.render(text) for problem in problems))


class SchemaSyntaxError(SchemaError):
    """The text is not a schema: it does not parse."""

    code = "schema_syntax"


class SchemaTypeError(SchemaError):
    """The text parses, but names do not resolve or types do not fit."""

    code = "schema_invalid"
