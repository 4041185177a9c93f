"""The OpenAPI document of the native API and of AuthZEN, from the tables of operations."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.authzen.operations import OPERATIONS as AUTHZEN
from api.authzen.wire import AuthzenError
from api.calls import Operation
from api.native import answers
from api.native.operations import OPERATIONS as NATIVE

_REF = "#/components/schemas/{model}"
_NDJSON = "application/x-ndjson"
_OPERATIONS = (*NATIVE, *AUTHZEN)


def paths() -> dict[str, Any]:
    """The `paths` of both."""
    made: dict[str, Any] = {}
    for operation in _OPERATIONS:
        made.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return made


def schemas() -> dict[str, Any]:
    """The `components.schemas` of both."""
    models: set[type[BaseModel]] = {answers.Problem, AuthzenError}
    for operation in _OPERATIONS:
        told = (operation.request, operation.response, operation.variant)
        models |= {model for model in told if model}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=_REF
    )
    return dict(definitions["$defs"])


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the right `{operation.right}`.",
        "tags": ["authzen" if operation in AUTHZEN else "stores"],
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.request is not None:
        kind = _NDJSON if operation.name == "import" else "application/json"
        told["requestBody"] = {"required": True, "content": {kind: _content(operation.request)}}
    return told


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if "{store}" in operation.path:
        made.append(
            {
                "name": "store",
                "in": "path",
                "required": True,
                "description": "The store's name",
                "schema": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$"},
                "example": "default",
            }
        )
    for name, description in operation.query.items():
        made.append(_parameter(name, "query", description))
    made.append(
        _parameter(
            "X-Stonetown-Deadline-Ms",
            "header",
            "Milliseconds that the call may take, if fewer than the server's deadline",
            {"type": "integer", "minimum": 1, "maximum": 999_999_999},
        )
    )
    if operation.idempotent:
        made.append(
            _parameter(
                "Idempotency-Key",
                "header",
                "Sent again within 24 h with the same request, the first answer is given again",
                {"type": "string", "pattern": "^[!-~]{1,255}$"},
            )
        )
    if operation.name == "watch":
        made.append(_parameter("Last-Event-ID", "header", "As `after`; EventSource sends it"))
    return made


def _parameter(
    name: str, place: str, description: str, schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "description": description,
        "schema": schema or {"type": "string"},
    }


def _responses(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {"description": "The answer"}
    if operation.response is not None:
        kinds = ["application/json"]
        if operation.lines:
            kinds.append(_NDJSON)
        if operation.name in {"export", "post_export"}:
            kinds = [_NDJSON]
        if operation.name == "watch":
            kinds = ["text/event-stream", _NDJSON]
        content = _content(operation.response)
        if operation.variant is not None:
            content = _either(content, _content(operation.variant))
        told["content"] = dict.fromkeys(kinds, content)
    problem = {"application/problem+json": _content(answers.Problem)}
    if operation in AUTHZEN:
        problem = {"application/json": _content(AuthzenError)}
    return {
        str(operation.status): told,
        "4XX": {"description": "The request was refused", "content": problem},
        "5XX": {"description": "The service could not answer", "content": problem},
    }


def _content(model: type[BaseModel]) -> dict[str, Any]:
    extra = model.model_config.get("json_schema_extra")
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=model.__name__)}}
    if isinstance(extra, dict) and isinstance(examples := extra.get("examples"), list):
        named = {f"example_{n}": {"value": value} for n, value in enumerate(examples, 1)}
        content["examples"] = named
    return content


def _either(first: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    examples = {
        **first["examples"],
        **{f"other_{name}": value for name, value in other["examples"].items()},
    }
    return {"schema": {"anyOf": [first["schema"], other["schema"]]}, "examples": examples}
