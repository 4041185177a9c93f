"""OpenFGA's models as a whole: text in, checked schema out."""

from __future__ import annotations

from schema.errors import SchemaSyntaxError, SchemaTypeError
from schema.fga.decode import parse_json_model
from schema.fga.dsl.build import read_document
from schema.fga.dsl.problems import DslProblem
from schema.fga.lower import lower
from schema.fga.model import AuthorizationModel
from schema.fga.validate import validate
from schema.model import Schema
from schema.problems import MAX_PROBLEMS


def parse_model(text: str) -> AuthorizationModel:
    """The model that `text`, JSON or DSL, says; not validated.

    Raises SchemaSyntaxError.
    """
    return parse_json_model(text) if is_json(text) else parse_dsl(text)


def is_json(text: str) -> bool:
    """Whether a text must be a model in JSON, for no text of DSL begins so."""
    return text.lstrip().startswith(("{", "["))


def parse_dsl(text: str) -> AuthorizationModel:
    """The model that a DSL text says; a module is none.

    Raises SchemaSyntaxError with every problem of its syntax.
    """
    document = read_document(text)
    problems = list(document.problems[:MAX_PROBLEMS])
    if not problems and document.module:
        message = "this is a module of a model, which its fga.mod puts together with the others"
        problems.append(DslProblem(message, kind="schema-version-required"))
    if problems:
        raise SchemaSyntaxError(tuple(problem.as_problem(text) for problem in problems), text)
    return document.model


def parse_fga(text: str) -> Schema:
    """The schema that a model says.

    Raises SchemaSyntaxError with every problem of a text that does not parse, and SchemaTypeError
    with the first problem that OpenFGA's server would tell of its meaning.
    """
    return schema_of(parse_model(text), text)


def schema_of(model: AuthorizationModel, text: str = "") -> Schema:
    """The schema of a parsed model. Raises SchemaTypeError with the first problem of it."""
    problem = validate(model)
    if problem is not None:
        raise SchemaTypeError((problem,), text)
    return lower(model)
