"""Evaluation and evaluations: what is denied, what is an error, and what stands beside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.serving import bearer, key
from tests.authzen.pdp import STORE, Pdp, entity, on_memory, request
from tests.authzen.world import SCHEMA, TUPLES

Json = dict[str, Any]
ONE = "/access/v1/evaluation"
MANY = "/access/v1/evaluations"
DENIED = {"decision": False}
ALLOWED = {"decision": True}


async def test_decisions_are_those_of_a_check(world: Pdp) -> None:
    for subject, action, resource, decision in [
        ("user:ann", "view", "document:plan", True),
        ("user:bob", "view", "document:plan", False),
        ("user:eve@example.com", "edit", "document:plan", True),
        ("user:stranger", "view", "document:open", True),
        ("user:bob", "view", "document:open", False),
        ("user:ann", "view", "document:/docs/{id}", True),
        ("user:ann", "owner", "document:plan", False),
        ("user:ann", "view", "document:nothing", False),
    ]:
        told = await world.ask(ONE, request(subject, action, resource))
        assert told == {"decision": decision}, (subject, action, resource)


async def test_missing_context_is_a_denial_that_names_it(world: Pdp) -> None:
    told = await world.ask(ONE, request("user:zoe", "view", "document:plan"))
    assert told == {"decision": False, "context": {"missing_context": ["zone"]}}
    given = request("user:zoe", "view", "document:plan", context={"zone": "EAT"})
    assert await world.ask(ONE, given) == ALLOWED
    given = request("user:zoe", "view", "document:plan", context={"zone": "UTC"})
    assert await world.ask(ONE, given) == DENIED


async def test_properties_are_context_and_the_request_s_own_wins(world: Pdp) -> None:
    draft = request("user:ann", "edit", "document:draft")
    assert await world.ask(ONE, draft) == ALLOWED
    draft["resource"]["properties"] = {"status": "archived"}
    assert await world.ask(ONE, draft) == DENIED
    draft["context"] = {"resource_properties": {"status": "active"}}
    assert await world.ask(ONE, draft) == ALLOWED
    remove = request("user:ann", "remove", "document:draft")
    assert (await world.ask(ONE, remove))["context"] == {"missing_context": ["action_soft"]}
    remove["action"]["properties"] = {"soft": True}
    assert await world.ask(ONE, remove) == ALLOWED
    remove["context"] = {"action_soft": False}
    assert await world.ask(ONE, remove) == DENIED
    remove["context"] = {"action_soft": "no boolean"}
    refused = await world.post(ONE, remove)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_context")


@pytest.mark.parametrize(
    ("subject", "action", "resource", "field"),
    [
        ("spaceship:x", "view", "document:plan", "subject"),
        ("user:ann", "fly", "document:plan", "action.name"),
        ("user:ann", "no name", "document:plan", "action.name"),
        ("user:ann", "view", "planet:x", "resource"),
        ("no type:x", "view", "document:plan", "subject"),
    ],
)
async def test_what_the_schema_does_not_have_is_denied_and_said(
    world: Pdp, subject: str, action: str, resource: str, field: str
) -> None:
    told = await world.ask(ONE, request(subject, action, resource))
    assert told["decision"] is False
    assert told["context"]["error"]["status"] == 400
    assert told["context"]["error"]["field"] == field


async def test_no_answer_is_no_decision(world: Pdp) -> None:
    told = await world.post(ONE, request("user:ann", "view", "document:circle"))
    assert (told.status_code, told.json()["code"]) == (422, "cycle_through_exclusion")
    for wrong in ("user:*", "user:with space", "user:a#b"):
        refused = await world.post(ONE, request(wrong, "view", "document:plan"))
        assert (refused.status_code, refused.json()["field"]) == (400, "subject.id")
    path = "/v1/stores/nowhere/access/v1/evaluation"
    lost = await world.http.post(path, json=request("user:ann", "view", "document:plan"))
    assert (lost.status_code, lost.json()["code"]) == (404, "store_not_found")


def batch(semantic: str | None = None) -> Json:
    items: list[Any] = [
        {"resource": entity("document", "plan")},
        {"resource": entity("document", "open")},
        {"resource": entity("document", "circle")},
        {"resource": "no object"},
        {"subject": entity("user", "bob"), "resource": entity("document", "plan")},
        {"resource": entity("document", "open"), "context": None},
    ]
    made: Json = {
        "subject": entity("user", "ann"),
        "action": {"name": "view"},
        "evaluations": items,
    }
    return made if semantic is None else {**made, "options": {"evaluations_semantic": semantic}}


async def test_semantics_of_many(world: Pdp) -> None:
    for semantic in (None, "execute_all"):
        told = (await world.ask(MANY, batch(semantic)))["evaluations"]
        assert [item["decision"] for item in told] == [True, True, False, False, False, True]
        assert told[0] == ALLOWED
        assert told[2]["context"]["error"]["code"] == "cycle_through_exclusion"
        assert told[3]["context"]["error"]["field"] == "evaluations[3].resource"
        assert told[4] == DENIED
    denied = await world.ask(MANY, batch("deny_on_first_deny"))
    assert [item["decision"] for item in denied["evaluations"]] == [True, True, False]
    permitted = await world.ask(MANY, batch("permit_on_first_permit"))
    assert permitted == {"evaluations": [ALLOWED]}


async def test_a_whole_request_of_many_can_be_wrong(world: Pdp) -> None:
    changes: list[Json] = [
        {"options": {"evaluations_semantic": "best_effort"}},
        {"options": "x"},
        {"subject": "ann"},
        {"context": []},
        {"evaluations": {}},
        {"evaluations": [{}] * 1001},
    ]
    for change in changes:
        assert (await world.post(MANY, batch() | change)).status_code == 400, change
    nothings: list[Any] = [[], None]
    for nothing in nothings:
        single = request("user:ann", "view", "document:plan", evaluations=nothing)
        assert await world.ask(MANY, single) == ALLOWED


async def test_an_item_stands_for_the_whole_default(world: Pdp) -> None:
    """Nothing of a default is left where an item has its own."""
    body = {
        **request("user:zoe", "view", "document:plan"),
        "context": {"zone": "EAT"},
        "evaluations": [{}, {"context": {"other": 1}}, {"subject": {"type": "user"}}],
    }
    told = (await world.ask(MANY, body))["evaluations"]
    assert told[0] == ALLOWED
    assert told[1] == {"decision": False, "context": {"missing_context": ["zone"]}}
    assert told[2]["context"]["error"]["field"] == "evaluations[2].subject.id"


async def test_explanations_only_when_asked_for(world: Pdp) -> None:
    asked = request("user:ann", "view", "document:plan", options={"explain": True})
    told = await world.ask(ONE, asked)
    assert told["decision"] is True
    assert told["context"]["explanation"]["decision"] == "allowed"
    many = batch()
    many["options"] = {"explain": True}
    explained = (await world.ask(MANY, many))["evaluations"]
    assert "explanation" in explained[0]["context"]
    assert "explanation" not in explained[2]["context"]


async def test_freshness_by_header_and_by_option(world: Pdp) -> None:
    asked = request("user:new", "edit", "document:plan")
    before = (await world.post(ONE, asked)).headers["stonetown-zookie"]
    zookie = await world.write("document:plan#owner@user:new")
    fresh = await world.post(ONE, asked, headers={"stonetown-zookie": zookie})
    assert fresh.json() == ALLOWED
    assert fresh.headers["stonetown-zookie"] == zookie
    for consistency in ("fully_consistent", {"at_least_as_fresh": zookie}):
        told = await world.ask(ONE, {**asked, "options": {"consistency": consistency}})
        assert told == ALLOWED
    past = {**asked, "options": {"consistency": {"at_exact_snapshot": before}}}
    assert await world.ask(ONE, past) == DENIED
    refused = await world.post(ONE, asked, headers={"stonetown-zookie": "no zookie"})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_zookie")


@pytest.mark.parametrize(
    "given", ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "a b, {c}/\t=", "x" * 900]
)
async def test_the_request_id_comes_back_as_it_is(world: Pdp, given: str) -> None:
    for path, body in (
        (ONE, request("user:ann", "view", "document:plan")),
        (ONE, {}),
        ("/access/v1/x", {}),
    ):
        response = await world.post(path, body, headers={"x-request-id": given})
        assert response.headers["x-request-id"] == given


async def test_keys_and_rights() -> None:
    keys = ",".join(
        [key("all", "all"), key("asks", "asks", "::check"), key("reads", "reads", "::read")]
    )
    async with on_memory(SCHEMA, TUPLES, api_keys=keys) as pdp:
        asked = request("user:ann", "view", "document:plan")
        refused = await pdp.post(ONE, asked)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.headers["content-type"] == "application/json"
        for secret, path, status in [
            ("asks", ONE, 200),
            ("asks", MANY, 200),
            ("asks", "/access/v1/search/action", 200),
            ("asks", "/access/v1/search/subject", 403),
            ("asks", "/access/v1/search/resource", 403),
            ("reads", ONE, 403),
            ("reads", "/access/v1/search/subject", 200),
            ("reads", "/access/v1/search/resource", 200),
        ]:
            response = await pdp.post(path, asked, headers=bearer(secret))
            assert response.status_code == status, (secret, path)
        explained = {**asked, "options": {"explain": True}}
        assert (await pdp.post(ONE, explained, headers=bearer("asks"))).status_code == 403
        assert (await pdp.post(ONE, explained, headers=bearer("all"))).status_code == 200


async def test_other_methods_and_paths_are_refused_in_json(world: Pdp) -> None:
    wrong = await world.http.get(STORE + ONE)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["code"] == "method_not_allowed"
    assert (await world.post("/access/v1/nothing", {})).json()["code"] == "not_found"
