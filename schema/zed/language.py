"""The `.zed` language as a whole: text in, checked schema out."""

from __future__ import annotations

from schema.errors import SchemaSyntaxError, SchemaTypeError
from schema.model import Schema
from schema.problems import ProblemList
from schema.typecheck import typecheck
from schema.zed.lower import lower
from schema.zed.parse import parse_document
from schema.zed.syntax import Document


def parse_zed(text: str) -> Schema:
    """The schema that `text` says.

    Raises SchemaSyntaxError or SchemaTypeError with every problem of the text. What is wrong with
    the meaning is reported beside syntax errors only where these cannot be its cause.
    """
    return checked(parse_document(text))


def checked(document: Document) -> Schema:
    """The schema of a parsed text, typechecked. Raises as `parse_zed`."""
    schema, declared = lower(document)
    meaning = ProblemList()
    meaning.extend(declared)
    meaning.extend(typecheck(schema))
    if len(document.problems):
        problems = ProblemList()
        problems.extend(document.problems)
        problems.extend(meaning.besides(document.broken, unknown=not document.lost_names))
        raise SchemaSyntaxError(problems.in_order(), document.text)
    if len(meaning):
        raise SchemaTypeError(meaning.in_order(), document.text)
    return schema
