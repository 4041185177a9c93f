"""The OpenAPI document: every call, with examples that the server takes."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from api.authzen.operations import OPERATIONS as AUTHZEN
from api.native import (
    auditing,
    auditing_wire,
    decode,
    handlers,
    impact,
    impact_wire,
    lookups,
    overlay,
    transfer,
    wire,
)
from api.native.operations import OPERATIONS as NATIVE
from tests.api.serving import NDJSON, Served, serving

Json = dict[str, Any]
OPERATIONS = (*NATIVE, *AUTHZEN)


def content(part: Json) -> Json:
    """The first kind of content of a request body or a response."""
    return next(iter(part["content"].values()), {}) if "content" in part else {}


async def document(served: Served) -> Json:
    response = await served.http.get("/openapi.json")
    assert response.status_code == 200
    made = response.json()
    assert isinstance(made, dict)
    return made


async def test_every_call_is_documented_with_examples(served: Served) -> None:
    paths = (await document(served))["paths"]
    for operation in OPERATIONS:
        told = paths[operation.path][operation.method.lower()]
        assert told["summary"] == operation.summary
        assert told["operationId"] == operation.name
        if operation.request is not None:
            assert content(told["requestBody"])["examples"], operation.name
        if operation.response is not None:
            assert content(told["responses"][str(operation.status)])["examples"], operation.name
        assert content(told["responses"]["4XX"])["examples"]
        named = {parameter["name"] for parameter in told["parameters"]}
        assert set(operation.query) <= named
        assert ("Idempotency-Key" in named) == operation.idempotent


async def test_every_reference_resolves(served: Served) -> None:
    made = await document(served)
    schemas = made["components"]["schemas"]
    text = json.dumps(made)
    for name in text.split('"#/components/schemas/')[1:]:
        assert name.partition('"')[0] in schemas


async def test_the_examples_of_requests_are_taken(served: Served) -> None:
    """Whatever the store then says of them, they are well formed."""
    paths = (await document(served))["paths"]
    malformed = {"unknown_field", "missing_field", "wrong_type", "invalid_json", "invalid_tuple"}
    for operation in OPERATIONS:
        if operation.request is None:
            continue
        told = paths[operation.path][operation.method.lower()]
        path = operation.path.replace("{store}", "default")
        for example in content(told["requestBody"])["examples"].values():
            body = json.dumps(example["value"])
            kind = NDJSON if operation.name == "import" else {"content-type": "application/json"}
            response = await served.http.request(operation.method, path, content=body, headers=kind)
            assert response.status_code < 500
            code = json.loads(response.text.splitlines()[-1]).get("code", "")
            assert code not in malformed, (operation.name, response.text)


def members(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_documented_members_are_those_that_are_read() -> None:
    assert members(wire.Tuple) == set(decode.TUPLE_FIELDS)
    assert members(wire.Filter) == set(decode.FILTER_FIELDS)
    assert members(wire.CheckItem) == set(handlers.CHECK_FIELDS)
    assert members(wire.CheckRequest) == {*handlers.CHECK_FIELDS, "consistency", "overlay"}
    assert members(wire.Overlay) == set(overlay.OVERLAY_FIELDS)
    assert members(wire.BatchRequest) == {"checks", "consistency", "overlay"}
    assert members(wire.ReadRequest) == set(handlers.READ_FIELDS)
    assert members(wire.ExportRequest) == set(transfer.EXPORT_FIELDS)
    assert members(auditing_wire.DiffRequest) == set(auditing.DIFF_FIELDS)
    assert members(impact_wire.ImpactRequest) == set(impact.IMPACT_FIELDS)
    assert members(auditing_wire.HistoryRequest) == set(auditing.HISTORY_FIELDS)
    assert members(wire.WriteRequest) == {"updates", "preconditions", "metadata"}
    assert members(wire.DeleteRequest) == {"filter", "preconditions", "limit", "metadata"}
    assert members(wire.ExpandRequest) == set(handlers.EXPAND_FIELDS)
    assert members(wire.LookupSubjectsRequest) == set(lookups.SUBJECTS_FIELDS)
    assert members(wire.CountSubjectsRequest) == set(lookups.COUNT_FIELDS)
    assert members(wire.LookupPermissionsRequest) == set(lookups.PERMISSIONS_FIELDS)
    assert members(wire.SchemaRequest) == {"schema", "language", "metadata"}


async def test_answers_have_the_documented_members(served: Served) -> None:
    await served.write("document:a#viewer@user:ann")
    question = {"object": "document:a", "relation": "view", "subject": "user:ann"}
    bodies: Json = {
        "check": {**question, "explain": True},
        "check_batch": {"checks": [question]},
        "expand": {"object": "document:a", "relation": "view"},
        "lookup_subjects": {"object": "document:a", "relation": "view", "subject_type": "user"},
        "count_subjects": {"object": "document:a", "relation": "view", "subject_type": "user"},
        "lookup_permissions": {"object": "document:a", "subject": "user:ann"},
        "read": {"filter": {"object_type": "document"}},
        "history": {"filter": {"object_type": "document", "object_id": "a"}},
        "impact": {"overlay": {"add": ["document:c#viewer@user:ann"]}},
        "write": {"updates": [{"op": "touch", "tuple": "document:b#viewer@user:ann"}]},
        "delete": {"filter": {"object_id": "b"}},
        "read_schema": None,
        "list_stores": None,
        "get_store": None,
    }
    for operation in OPERATIONS:
        if operation.name not in bodies:
            continue
        path = operation.path.replace("{store}", "default")
        response = await served.http.request(operation.method, path, json=bodies[operation.name])
        if bodies[operation.name] is None:
            response = await served.http.request(operation.method, path)
        assert response.status_code == 200, response.text
        assert operation.response is not None
        assert response.json().keys() == members(operation.response), operation.name
        operation.response.model_validate(response.json())


async def test_documents_can_be_switched_off() -> None:
    async with serving(docs=False) as served:
        for path in ("/docs", "/openapi.json"):
            assert (await served.http.get(path)).status_code == 404


async def test_the_page_of_documents_names_no_host_of_its_own(served: Served) -> None:
    page = await served.http.get("/docs", headers={"host": "evil.test"})
    assert page.status_code == 200
    assert "evil.test" not in page.text
