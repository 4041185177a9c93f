"""Questions as if something had been written: the options `--with`, `--without`, `--schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.client import JsonObject
from api.cli.schema_files import SchemaProblemsError, load

WithOption = Annotated[
    list[str] | None,
    typer.Option("--with", help="A tuple that counts as stored for this question; repeatable."),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", help="A tuple that counts as deleted; repeatable."),
]
SchemaOption = Annotated[
    str | None,
    typer.Option("--schema", metavar="FILE", help="A schema that counts as the one in force."),
]


def overlay(added: list[str] | None, removed: list[str] | None, schema: str | None) -> JsonObject:
    """The member `overlay` of a request; nothing if no option is given.

    Raises OSError and Failure for a file that cannot be read, or whose imports cannot be joined.
    """
    made: JsonObject = {}
    if added:
        made["add"] = added
    if removed:
        made["remove"] = removed
    if schema is not None:
        try:
            made["schema"] = load(schema).text
        except SchemaProblemsError as error:
            raise error.as_failure() from None
    return {"overlay": made} if made else {}
