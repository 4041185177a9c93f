"""The OpenAPI document of OpenFGA's calls, from the table of operations and `shapes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.calls import Operation
from api.openfga.operations import OPERATIONS
from api.openfga.shapes import ID, PAGE_SIZE, SHAPES, TEXT, TIME, TOKEN, Schema, ref

PATH = "/openfga/openapi.json"
_PAGES: Mapping[str, Schema] = {"page_size": PAGE_SIZE, "continuation_token": TOKEN}
_QUERIES: Mapping[str, Mapping[str, Schema]] = {
    "list_stores": {**_PAGES, "name": TEXT},
    "read_authorization_models": _PAGES,
    "read_changes": {**_PAGES, "type": TEXT, "start_time": TIME},
}
_BODIES: Mapping[str, tuple[str, str]] = {
    "create_store": ("CreateStoreRequest", "Store"),
    "list_stores": ("", "ListStoresResponse"),
    "get_store": ("", "GetStoreResponse"),
    "update_store": ("CreateStoreRequest", "Store"),
    "delete_store": ("", ""),
    "write_authorization_model": (
        "WriteAuthorizationModelRequest",
        "WriteAuthorizationModelResponse",
    ),
    "read_authorization_models": ("", "ReadAuthorizationModelsResponse"),
    "read_authorization_model": ("", "ReadAuthorizationModelResponse"),
    "write": ("WriteRequest", "Empty"),
    "read": ("ReadRequest", "ReadResponse"),
    "read_changes": ("", "ReadChangesResponse"),
    "check": ("CheckRequest", "CheckResponse"),
    "batch_check": ("BatchCheckRequest", "BatchCheckResponse"),
    "expand": ("ExpandRequest", "ExpandResponse"),
    "list_objects": ("ListObjectsRequest", "ListObjectsResponse"),
    "streamed_list_objects": ("ListObjectsRequest", "StreamedListObjectsResponse"),
    "list_users": ("ListUsersRequest", "ListUsersResponse"),
    "write_assertions": ("WriteAssertionsRequest", ""),
    "read_assertions": ("", "ReadAssertionsResponse"),
}
_REFUSALS: Mapping[str, str] = {
    "400": "The request was refused",
    "401": "A key or token is needed",
    "403": "The key does not allow this call",
    "404": "There is no such store",
    "409": "Another write was in the way",
    "422": "The request took too long",
    "429": "There is too much to do",
    "500": "The service could not answer",
}


def document(version: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        told = _operation(operation, operation.name.removeprefix("fga_"))
        paths.setdefault(operation.path, {})[operation.method.lower()] = told
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stonetown: OpenFGA's API", "version": version},
        "paths": paths,
        "components": {
            "schemas": SHAPES,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _operation(operation: Operation, name: str) -> dict[str, Any]:
    asked, answered = _BODIES[name]
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": each, "in": "path", "required": True, "schema": ID} for each in names
    ] + [
        {"name": each, "in": "query", "schema": schema}
        for each, schema in _QUERIES.get(name, {}).items()
    ]
    told: dict[str, Any] = {"description": "The answer"}
    if answered:
        told["content"] = _content(answered)
    refusals = {
        status: {"description": why, "content": _content("Error")}
        for status, why in _REFUSALS.items()
    }
    made: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "description": f"Needs the right `{operation.right}`.",
        "parameters": parameters,
        "responses": {str(operation.status): told, **refusals},
    }
    if asked:
        made["requestBody"] = {"required": True, "content": _content(asked)}
    return made


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": ref(name)}}
