"""The OpenAPI document of OpenFGA's calls is true: every answer is as it says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from api.openfga.operations import OPERATIONS
from tests.api.serving import Served, serving
from tests.conformance.data import ROOT
from tests.openfga.client import Fga, Json, tuple_key
from tests.openfga.model import TUPLES

PATH = "/openfga/openapi.json"
SWAGGER = ROOT / "openfga" / "apidocs.swagger.json"


async def document(served: Served) -> Json:
    response = await served.http.get(PATH)
    assert response.status_code == 200
    told: Json = response.json()
    return told


async def test_every_call_is_documented_and_every_reference_resolves(served: Served) -> None:
    told = await document(served)
    for operation in OPERATIONS:
        described = told["paths"][operation.path][operation.method.lower()]
        assert described["summary"] == operation.summary
        assert str(operation.status) in described["responses"]
    for name in json.dumps(told).split('"#/components/schemas/')[1:]:
        assert name.partition('"')[0] in told["components"]["schemas"]


async def test_answers_are_as_documented(served: Served, fga: Fga) -> None:
    told = await document(served)
    store, model = f"/stores/{fga.store}", fga.model
    key = tuple_key(TUPLES[0])
    new = tuple_key("document:new#viewer@user:ann")
    objects = {"type": "document", "relation": "viewer", "user": "user:ann"}
    users = {"object": {"type": "document", "id": "open"}, "relation": "viewer"}
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/stores", {"name": "acme"}),
        ("GET", "/stores", None),
        ("GET", store, None),
        ("PATCH", store, {"name": "other"}),
        ("GET", f"{store}/authorization-models", None),
        ("GET", f"{store}/authorization-models/{model}", None),
        ("POST", f"{store}/write", {"writes": {"tuple_keys": [new]}}),
        ("POST", f"{store}/write", {"writes": {"tuple_keys": [new]}}),
        ("POST", f"{store}/read", {}),
        ("GET", f"{store}/changes", None),
        ("POST", f"{store}/check", {"tuple_key": key}),
        ("POST", f"{store}/check", {}),
        ("POST", f"{store}/batch-check", {"checks": [{"tuple_key": key, "correlation_id": "1"}]}),
        *(("POST", f"{store}/expand", {"tuple_key": {"relation": r, "object": "document:plan"}})
          for r in ("owner", "viewer", "can_view", "can_share")),
        ("POST", f"{store}/list-objects", objects),
        ("POST", f"{store}/list-users", {**users, "user_filters": [{"type": "user"}]}),
        ("PUT", f"{store}/assertions/{model}", {"assertions": [{"tuple_key": key,
                                                              "expectation": True}]}),
        ("GET", f"{store}/assertions/{model}", None),
        ("DELETE", store, None),
        ("GET", store, None),
    ]  # fmt: skip
    for method, path, body in asked:
        response = await served.http.request(method, path, json=body)
        template = path.replace(fga.store, "{store_id}")
        for name in ("{id}", "{authorization_model_id}"):
            if template.replace(model, name) in told["paths"]:
                template = template.replace(model, name)
        described = told["paths"][template][method.lower()]["responses"]
        assert str(response.status_code) in described, (path, response.text)
        content = described[str(response.status_code)].get("content")
        assert (content is None) == (not response.content)
        if content is not None:
            schema = {**content["application/json"]["schema"], "components": told["components"]}
            jsonschema.validate(response.json(), schema)


@pytest.mark.skipif(not SWAGGER.exists(), reason=f"the conformance data is not there: {SWAGGER}")
async def test_it_has_the_calls_and_fields_that_openfga_has(served: Served) -> None:
    told = await document(served)
    theirs = json.loads(SWAGGER.read_text())
    for path, methods in theirs["paths"].items():
        if "/access/" in path or ".well-known" in path:
            continue
        for method, described in methods.items():
            ours = told["paths"][path][method]
            wanted = {one["name"] for one in described["parameters"] if one["in"] != "body"}
            assert {one["name"] for one in ours["parameters"]} == wanted
            for one in described["parameters"]:
                if one["in"] != "body":
                    continue
                schema = ours["requestBody"]["content"]["application/json"]["schema"]
                mine = told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
                fields = (
                    one["schema"].get("properties")
                    or theirs["definitions"][one["schema"]["$ref"].rpartition("/")[2]]["properties"]
                )
                assert fields.keys() - {"trace"} <= mine["properties"].keys(), path


async def test_it_can_be_switched_off() -> None:
    async with serving(docs=False) as served:
        assert (await served.http.get(PATH)).status_code == 404
