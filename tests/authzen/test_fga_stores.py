"""AuthZEN on stores that were made by OpenFGA's API, at OpenFGA's paths."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.settings import Settings
from tests.api.serving import Served, serving
from tests.authzen.pdp import entity, request
from tests.openfga.client import Fga

Json = dict[str, Any]
MODEL = """model
  schema 1.1
type user
type department
  relations
    define member: [user]
type record
  relations
    define owner: [user]
    define department: [department]
    define reader: [user with in_office]
    define view: owner or reader or member from department
    define edit: owner
condition in_office(resource_status: string, subject_level: int) {
  resource_status == "open" || subject_level > 3
}
"""
OLDER = MODEL.replace("define edit: owner", "define edit: owner or member from department")
IN_OFFICE = {
    "user": "user:cid",
    "relation": "reader",
    "object": "record:r1",
    "condition": {"name": "in_office", "context": {}},
}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as made:
        yield made


async def filled(served: Served) -> tuple[Fga, str]:
    """A store with two models and some tuples, and the id of the older model."""
    fga = await Fga.create(served.http, OLDER)
    older = fga.model
    await fga.write_model(MODEL)
    await fga.write("record:r1#owner@user:ann", "record:r1#department@department:d", IN_OFFICE)
    await fga.write("department:d#member@user:bob")
    return fga, older


async def ask(served: Served, fga: Fga, call: str, body: Json, **headers: str) -> Json:
    path = f"/stores/{fga.store}/access/v1/{call}"
    response = await served.http.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    told: Json = response.json()
    return told


async def test_evaluations_are_checks_of_the_store(served: Served) -> None:
    fga, _ = await filled(served)
    for subject, action in [("ann", "view"), ("ann", "edit"), ("bob", "view"), ("bob", "edit")]:
        wanted = await fga.check(f"record:r1#{action}@user:{subject}")
        asked = request(f"user:{subject}", action, "record:r1")
        assert await ask(served, fga, "evaluation", asked) == {"decision": wanted}
        native = f"/v1/stores/fga-{fga.store.lower()}/access/v1/evaluation"
        assert (await served.http.post(native, json=asked)).json() == {"decision": wanted}


async def test_every_parameter_that_is_missing_is_named(served: Served) -> None:
    """Conditions of OpenFGA are strict: one that might do without a parameter misses it too."""
    fga, _ = await filled(served)
    asked = request("user:cid", "view", "record:r1")
    asked["resource"]["properties"] = {"status": "open"}
    told = await ask(served, fga, "evaluation", asked)
    assert told == {"decision": False, "context": {"missing_context": ["subject_level"]}}
    asked["subject"]["properties"] = {"level": 1}
    assert await ask(served, fga, "evaluation", asked) == {"decision": True}


async def test_a_header_chooses_the_model(served: Served) -> None:
    fga, older = await filled(served)
    asked = request("user:bob", "edit", "record:r1")
    model = {"openfga-authorization-model-id": older}
    assert await ask(served, fga, "evaluation", asked) == {"decision": False}
    assert await ask(served, fga, "evaluation", asked, **model) == {"decision": True}
    many = {"evaluations": [asked, asked]}
    told = await ask(served, fga, "evaluations", many, **model)
    assert told == {"evaluations": [{"decision": True}] * 2}
    who = {**asked, "subject": {"type": "user"}}
    told = await ask(served, fga, "search/subject", who, **model)
    assert [item["id"] for item in told["results"]] == ["ann", "bob"]
    path = f"/stores/{fga.store}/access/v1/evaluation"
    unknown = {"openfga-authorization-model-id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    refused = await served.http.post(path, json=asked, headers=unknown)
    assert refused.status_code in {400, 404}


async def test_all_relations_are_actions_unless_some_are_named(tmp_path: Path) -> None:
    asked = {"subject": entity("user", "ann"), "resource": entity("record", "r1")}
    async with serving() as served:
        fga, _ = await filled(served)
        told = await ask(served, fga, "search/action", asked)
        assert [item["name"] for item in told["results"]] == ["edit", "owner", "view"]
        file = tmp_path / "mapping.json"
        actions = {"record": {"read": "view", "edit": "edit", "delete": "owner", "none": "gone"}}
        store = f"fga-{fga.store.lower()}"
        file.write_text(json.dumps({"stores": {store: {"actions": actions}}}))
        app = create_app(served.engine, Settings(index=False, authzen_mapping=file))
        over = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=over, base_url=served.url) as http:
            path = f"/stores/{fga.store}/access/v1/search/action"
            found = (await http.post(path, json=asked)).json()["results"]
            assert [item["name"] for item in found] == ["delete", "edit", "read"]


async def test_paths_that_name_no_store(served: Served) -> None:
    for store in ("01arz3ndektsv4rrffq69g5fav", "default", "x", "01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        path = f"/stores/{store}/access/v1/evaluation"
        asked = request("user:ann", "view", "record:r1")
        response = await served.http.post(path, json=asked)
        assert (response.status_code, response.json()["code"]) == (404, "store_not_found")
