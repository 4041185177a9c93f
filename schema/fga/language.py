"""OpenFGA's models as a whole: text in, checked schema out."""

from __future__ import annotations

from schema.errors import SchemaTypeError
from schema.fga.decode import parse_json_model
from schema.fga.lower import lower
from schema.fga.model import AuthorizationModel
from schema.fga.validate import validate
from schema.model import Schema


def parse_model(text: str) -> AuthorizationModel:
    """The model that `text` says, not validated.

    Raises SchemaSyntaxError.
    """
    return parse_json_model(text)


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
