"""Answers equal native checks, whatever is asked; odd input is refused, never a fault."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.decision import Verdict
from engine.errors import EngineError
from engine.requests import Check
from engine.tuples import Object, Subject
from tests.authzen.pdp import STORE, Pdp, on_memory, request
from tests.authzen.world import SCHEMA, TUPLES
from tests.conformance.data import ROOT

Json = dict[str, Any]
CALLS = ("evaluation", "evaluations", "search/subject", "search/resource", "search/action")

_types = st.sampled_from(["user", "group", "document", "alien"])
_ids = st.sampled_from(
    ["ann", "bob", "eve@example.com", "zoe", "eng", "plan", "open", "draft", "?"]
)
_actions = st.sampled_from(["view", "edit", "remove", "member", "owner", "viewer", "fly"])
_values = st.sampled_from(["active", "archived", "EAT", True, False, 7])
_properties = st.dictionaries(st.sampled_from(["status", "soft", "zone"]), _values, max_size=2)
_contexts = st.dictionaries(
    st.sampled_from(["zone", "action_soft", "resource_properties"]),
    st.sampled_from(["EAT", "UTC", True, {"status": "active"}]),
    max_size=2,
)


@st.composite
def _questions(draw: st.DrawFn) -> Json:
    made: Json = request(
        f"{draw(_types)}:{draw(_ids)}", draw(_actions), f"{draw(_types)}:{draw(_ids)}"
    )
    for side in ("subject", "resource", "action"):
        if found := draw(_properties):
            made[side]["properties"] = found
    if context := draw(_contexts):
        made["context"] = context
    return made


def native(question: Json) -> Check:
    """The same question, put together by hand."""
    context: Json = {}
    for side in ("subject", "resource", "action"):
        found = question[side].get("properties", {})
        context[f"{side}_properties"] = found
        context |= {f"{side}_{name}": value for name, value in found.items()}
    context |= question.get("context", {})
    subject, resource = question["subject"], question["resource"]
    return Check(
        Object(resource["type"], resource["id"]),
        question["action"]["name"],
        Subject(subject["type"], subject["id"]),
        context,
    )


async def expected(pdp: Pdp, question: Json) -> Json:
    try:
        decision = (await pdp.engine.check("default", native(question))).decision
    except EngineError as error:
        return {"error": error.code}
    missing = sorted(decision.missing)
    made: Json = {"decision": decision.verdict is Verdict.ALLOWED}
    return made | ({"context": {"missing_context": missing}} if missing else {})


@pytest.fixture(scope="module")
async def fixed() -> Any:
    """One server for all examples."""
    async with on_memory(SCHEMA, TUPLES) as pdp:
        yield pdp


_slow = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_slow
@given(questions=st.lists(_questions(), min_size=1, max_size=6))
async def test_evaluations_equal_native_checks(fixed: Pdp, questions: list[Json]) -> None:
    wanted = [await expected(fixed, question) for question in questions]
    for question, want in zip(questions, wanted, strict=True):
        response = await fixed.post("/access/v1/evaluation", question)
        told = response.json()
        if "error" not in want:
            assert told == want
        elif want["error"] in {"unknown_type", "unknown_relation"}:
            assert told["context"]["error"]["code"] == want["error"]
        else:
            assert (response.status_code >= 400, told["code"]) == (True, want["error"])
    many = (await fixed.ask("/access/v1/evaluations", {"evaluations": questions}))["evaluations"]
    for told, want in zip(many, wanted, strict=True):
        if "error" not in want:
            assert told == want
        else:
            assert told["decision"] is False
            assert told["context"]["error"]["code"] == want["error"]
    for semantic, end in (("deny_on_first_deny", False), ("permit_on_first_permit", True)):
        body = {"evaluations": questions, "options": {"evaluations_semantic": semantic}}
        cut = (await fixed.ask("/access/v1/evaluations", body))["evaluations"]
        decisions = [item["decision"] for item in many]
        length = decisions.index(end) + 1 if end in decisions else len(decisions)
        assert cut == many[:length]


@_slow
@given(question=_questions())
async def test_searches_equal_native_checks(fixed: Pdp, question: Json) -> None:
    """Who is found is permitted, and who is asked about and permitted is found."""
    single = await fixed.post("/access/v1/evaluation", question)
    if single.status_code != 200:
        return
    permitted = single.json()["decision"]
    subject, resource = question["subject"], question["resource"]
    found = await fixed.post("/access/v1/search/subject", question)
    if found.status_code == 200:
        told = found.json()
        listed = {"type": subject["type"], "id": subject["id"]} in told["results"]
        everyone = told.get("context", {}).get("wildcard", False)
        assert listed is permitted or (everyone and permitted)
    found = await fixed.post("/access/v1/search/resource", question)
    if found.status_code == 200:
        entry = {"type": resource["type"], "id": resource["id"]}
        assert (entry in found.json()["results"]) is permitted
    found = await fixed.post("/access/v1/search/action", question)
    permissions = {"view", "edit", "remove"}
    if found.status_code == 200 and question["action"]["name"] in permissions:
        entry = {"name": question["action"]["name"]}
        assert (entry in found.json()["results"]) is permitted


_odd: list[Any] = [None, True, 0, -1, 1.5, 2**63, "", "*", "a b", "#", "\u202e\u0000", "x" * 3000]
_odd += ["user", "view", "execute_all", [], {}, [[]], [{}], {"type": "user"}, {"id": "x"}]
_odd += [{"a": {"b": {"c": [1, "x", None]}}}]
_members = ["subject", "resource", "action", "context", "evaluations", "options", "page", "type"]
_members += ["id", "name", "properties", "token", "limit", "explain", "consistency", "?"]


def mutated(chance: random.Random, value: Any) -> Any:
    """The value with some parts of it replaced."""
    if chance.random() < 0.12:
        return chance.choice(_odd)
    if isinstance(value, dict):
        made = {name: mutated(chance, item) for name, item in value.items()}
        if chance.random() < 0.2:
            made[chance.choice(_members)] = chance.choice(_odd)
        return made
    return [mutated(chance, item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("call", CALLS)
async def test_odd_input_is_refused_or_answered(fixed: Pdp, call: str) -> None:
    chance = random.Random(call)
    good = request("user:ann", "view", "document:plan", context={"zone": "EAT"})
    good |= {"options": {"evaluations_semantic": "execute_all", "consistency": "minimize_latency"}}
    good |= {"page": {"limit": 3}}
    if call == "evaluations":
        good["evaluations"] = [{}, {"action": {"name": "edit", "properties": {"soft": True}}}]
    statuses = set()
    for _ in range(250):
        body = mutated(chance, good)
        response = await fixed.post(f"/access/v1/{call}", body)
        assert response.status_code < 500, body
        told = response.json()
        statuses.add(response.status_code)
        if response.status_code != 200:
            assert told["message"], body
            assert told["code"]
    assert {200, 400} <= statuses


@pytest.mark.parametrize("call", CALLS)
async def test_bytes_that_are_no_requests(fixed: Pdp, call: str) -> None:
    path = f"{STORE}/access/v1/{call}"
    headers = {"content-type": "application/json"}
    deep = b"[" * 5000 + b"]" * 5000
    for content in (b"\xff\xfe", b"nul", deep, b'{"a":NaN}', b'{"a":1e999}', b'"\\ud800"', b"{}x"):
        response = await fixed.http.post(path, content=content, headers=headers)
        assert response.status_code == 400
        assert response.json()["code"] == "invalid_json"
    large = b'{"x":"' + b"y" * 2_000_000 + b'"}'
    assert (await fixed.http.post(path, content=large, headers=headers)).status_code == 413


@pytest.mark.skipif(not ROOT.is_dir(), reason=f"the conformance data is not there: {ROOT}")
async def test_requests_and_answers_fit_the_published_schemas(fixed: Pdp) -> None:
    """What their schema refuses we refuse; what we answer, theirs takes."""
    folder = ROOT / "authzen" / "schemas"
    asked = json.loads((folder / "evaluation-request.schema.json").read_text())
    told = json.loads((folder / "evaluation-response.schema.json").read_text())
    requests = jsonschema.Draft202012Validator(asked)
    answers = jsonschema.Draft202012Validator(told)
    chance = random.Random(1)
    good = request("user:ann", "view", "document:plan", context={"zone": "EAT"})
    refused = 0
    for _ in range(400):
        body = mutated(chance, good)
        response = await fixed.post("/access/v1/evaluation", body)
        if not requests.is_valid(_without_nulls(body)):
            assert response.status_code == 400, body
            refused += 1
        if response.status_code == 200:
            answers.validate(response.json())
    assert refused > 100


def _without_nulls(value: Any) -> Any:
    """The value without members that are null, which the standard leaves out."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value
