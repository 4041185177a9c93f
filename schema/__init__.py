"""Schemas: text to a checked `Schema`, and back. Pure; imports nothing else of Stonetown.

parse_schema        text -> Schema, or an error that carries every problem
lint_schema         text -> warnings
print_schema        Schema -> canonical text
format_text         text -> the same text, tidy, with its comments
flatten_imports     a file and its imports -> one text
diff_schemas        two schemas -> what changed
SubjectReach        which subjects may ever be members of what
"""

from __future__ import annotations

from schema.diff import ChangeKind, SchemaChange, diff_schemas
from schema.errors import Problem, SchemaError, SchemaSyntaxError, SchemaTypeError
from schema.fga.language import parse_fga
from schema.lint import lint_schema
from schema.model import Schema
from schema.reachability import SubjectReach
from schema.zed.format import format_text
from schema.zed.imports import flatten_imports
from schema.zed.language import parse_zed
from schema.zed.print import print_schema

LANGUAGES = ("zed", "fga")
"""The languages that `parse_schema` reads."""


def parse_schema(text: str, language: str = "zed") -> Schema:
    """The schema that `text` says in `language`, typechecked.

    Raises SchemaSyntaxError when it does not parse and SchemaTypeError when its names or types do
    not fit; either carries every problem of the text, with its place and, where one is near, a
    suggestion.
    """
    if language == "zed":
        return parse_zed(text)
    if language == "fga":
        return parse_fga(text)
    known = ", ".join(LANGUAGES)
    problem = Problem("unknown_language", f"there is no such schema language: known are {known}")
    raise SchemaSyntaxError((problem,))


__all__ = [
    "LANGUAGES",
    "ChangeKind",
    "Problem",
    "Schema",
    "SchemaChange",
    "SchemaError",
    "SchemaSyntaxError",
    "SchemaTypeError",
    "SubjectReach",
    "diff_schemas",
    "flatten_imports",
    "format_text",
    "lint_schema",
    "parse_schema",
    "print_schema",
]
