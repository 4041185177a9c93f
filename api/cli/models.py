"""Models of OpenFGA on the command line: checked, laid out, and converted to and from `.zed`."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, NamedTuple

from api.cli.failure import ExitCode, Failure
from api.cli.schema_files import FGA, SchemaProblemsError, SchemaText, compiled
from engine.errors import SchemaRefused
from engine.schemas import compile_schema
from schema import lint_schema
from schema.errors import Problem, SchemaError
from schema.fga.convert.from_zed import to_model
from schema.fga.convert.notes import CannotConvertError, Effect, Note
from schema.fga.convert.to_zed import Moves, to_zed
from schema.fga.dsl.check import check_model
from schema.fga.dsl.print import modules_of, print_model
from schema.fga.dsl.problems import DslError
from schema.fga.dsl.tokens import without_comments
from schema.fga.encode import encode_model
from schema.fga.language import parse_dsl, parse_model
from schema.fga.model import AuthorizationModel
from schema.model import Schema
from schema.problems import MAX_PROBLEMS

DSL_FILE = ".fga"


class Form(StrEnum):
    """What a schema can be said in."""

    ZED = "zed"
    FGA = "fga"
    JSON = "json"


class Converted(NamedTuple):
    """The text, its form, where tuples move, and what does not carry over."""

    text: str
    form: Form
    moves: Moves
    notes: tuple[Note, ...]


def checked(loaded: SchemaText) -> tuple[Schema, tuple[Problem, ...]]:
    """The compiled schema and what is to be warned of. Raises SchemaProblemsError.

    Of a model, what OpenFGA's tools call errors and its server takes are warnings; if the server
    would refuse it, they are told instead of the server's words, for they have places.
    """
    if loaded.language != FGA:
        return compiled(loaded), tuple(lint_schema(loaded.text))
    try:
        schema = compiled(loaded)
    except SchemaProblemsError as error:
        raise _placed(loaded, error) from None
    return schema, _told_by_tools(loaded, parse_model(loaded.text))


def _placed(loaded: SchemaText, error: SchemaProblemsError) -> SchemaProblemsError:
    if any(problem.span is not None or problem.about for problem in error.problems):
        return error
    try:
        found = _told_by_tools(loaded, parse_model(loaded.text))
    except SchemaError:
        return error
    return SchemaProblemsError(loaded.source, found, loaded.text) if found else error


def _told_by_tools(loaded: SchemaText, model: AuthorizationModel) -> tuple[Problem, ...]:
    found = check_model(model)[:MAX_PROBLEMS]
    return tuple(item.as_problem(loaded.text) for item in found)


def tidy_model(path: str, text: str) -> str:
    """A DSL text in the usual layout. Raises SchemaError, and Failure if comments would be lost."""
    model = parse_dsl(text)
    lines = zip(text.split("\n"), without_comments(text).split("\n"), strict=True)
    if any(line.rstrip() != kept for line, kept in lines):
        raise Failure(f"{path} has comments, which would be lost", hint="lay it out by hand")
    return _printed(model)


def other_form(loaded: SchemaText) -> Form:
    """What a file is converted to if nothing is said."""
    return Form.ZED if loaded.language == FGA else Form.FGA


def converted(loaded: SchemaText, form: Form) -> Converted:
    """The schema in another form. Raises SchemaProblemsError, and Failure if it cannot be said."""
    schema = compiled(loaded)
    try:
        if loaded.language != FGA:
            return _from_zed(schema, form, loaded.source)
        model = parse_model(loaded.text)
        if form is not Form.ZED:
            modular = form is Form.FGA and modules_of(model)
            lost = Note(Effect.LOST, "", "which module and file a part comes from")
            return Converted(_said(model, form), form, {}, (lost,) if modular else ())
        made = to_zed(model)
    except CannotConvertError as error:
        raise _refused(loaded.source, error) from None
    _compiles(made.text, "zed")
    return Converted(made.text, form, made.moves, made.notes)


def _from_zed(schema: Schema, form: Form, source: str) -> Converted:
    if form is Form.ZED:
        raise Failure(f"{source} is in the `.zed` language already")
    made = to_model(schema)
    text = _said(made.model, form)
    _compiles(text, FGA)
    return Converted(text, form, {}, made.notes)


def _said(model: AuthorizationModel, form: Form) -> str:
    """A model in one of its two forms."""
    if form is Form.JSON:
        return json.dumps(encode_model(model), indent=2, ensure_ascii=False) + "\n"
    return _printed(model)


def _printed(model: AuthorizationModel) -> str:
    """A model in DSL. Raises Failure if that does not say it as it is."""
    try:
        text = print_model(model)
        if print_model(parse_dsl(text)) == text:
            return text
        why = "OpenFGA's DSL does not say this model as it is"
    except DslError as error:
        why = str(error)
    except SchemaError:
        why = "a name or a type of this model cannot be written in OpenFGA's DSL"
    hint = "say it in JSON with `--to json`"
    raise Failure(why, exit_code=ExitCode.NO, code="not_in_language", hint=hint)


def _compiles(text: str, language: str) -> None:
    """Raise Failure if what came out does not compile: expressions are taken over as they are."""
    try:
        compile_schema(text, language)
    except SchemaRefused as error:
        problems: tuple[Problem, ...] = error.extra["problems"]
        lines = [problem.message for problem in problems]
        message = "\n".join(["what this becomes does not compile:", *lines])
        raise Failure(message, exit_code=ExitCode.NO, code="not_in_language") from None


def _refused(source: str, error: CannotConvertError) -> Failure:
    refusals = [note for note in error.notes if note.effect is Effect.REFUSED]
    lines = [f"{source} cannot be said in the other language:", *map(str, refusals)]
    return Failure(
        "\n".join(lines),
        exit_code=ExitCode.NO,
        code="not_in_language",
        details={"notes": [_told_note(note) for note in error.notes]},
    )


def _told_note(note: Note) -> dict[str, str]:
    return {"effect": str(note.effect), "where": note.where, "message": note.message}


def as_json(made: Converted) -> dict[str, Any]:
    """A conversion for machines."""
    return {
        "schema": made.text,
        "form": str(made.form),
        "moves": [
            {"object_type": type_name, "relation": relation, "to": direct}
            for (type_name, relation), direct in made.moves.items()
        ],
        "notes": [_told_note(note) for note in made.notes],
    }
