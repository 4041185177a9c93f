"""`explain` over HTTP: the reasons beside the decision, for who may read tuples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.tuples import parse_tuple
from engine.verify import verify
from schema import parse_schema
from tests.api import serving
from tests.api.serving import SCHEMA, Served

TUPLES = (
    "document:a#viewer@group:eng#member",
    "group:eng#member@group:ops#member",
    "group:ops#member@user:ann",
    'document:a#viewer@user:cat[on_day:{"wanted":"friday"}]',
    "document:a#viewer@user:dan[expiration:2020-01-01T00:00:00Z]",
)


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    """One server that holds the tuples above."""
    async with serving.serving() as made:
        await made.write(*TUPLES)
        yield made


def question(subject: str, **more: Any) -> dict[str, Any]:
    asked = {"object": "document:a", "relation": "view", "subject": subject}
    return {**asked, "consistency": "fully_consistent", "explain": True, **more}


def problems(proof: dict[str, Any]) -> list[str]:
    return verify(proof, parse_schema(SCHEMA), [parse_tuple(text) for text in TUPLES])


async def test_a_proof_comes_with_the_decision_and_verifies(served: Served) -> None:
    answer = (await served.post("/check", question("user:ann"))).json()
    assert answer["decision"] == "allowed"
    proof = answer["explanation"]
    assert [judgement["goal"] for judgement in proof["judgements"]] == [
        "document:a#view",
        "document:a#viewer",
        "group:eng#member",
        "group:ops#member",
    ]
    (fact,) = proof["judgements"][-1]["step"]["tuples"]
    assert fact["tuple"]["subject"] == "user:ann"
    assert fact["revision"] == proof["revision"]
    assert problems(proof) == []
    assert "ways_to_yes" not in proof


async def test_a_denial_says_what_was_lacking_and_what_would_help(served: Served) -> None:
    proof = (await served.post("/check", question("user:dan"))).json()["explanation"]
    assert problems(proof) == []
    (lacking,) = [j for j in proof["judgements"] if j["goal"] == "document:a#viewer"]
    assert {fact["state"] for fact in lacking["step"]["tuples"]} == {"expired", "holds"}
    ways = proof["ways_to_yes"]["found"]
    assert len(ways) == 5
    for way in ways:
        asked = question("user:dan", consistency="fully_consistent", explain=False)
        changes = [update["tuple"] for update in way["updates"]]
        assert [update["op"] for update in way["updates"]] == ["touch"]
        answer = await served.post("/check", {**asked, "contextual_tuples": changes})
        assert answer.json()["decision"] == "allowed", way


async def test_a_condition_names_what_it_needs_and_no_value(served: Served) -> None:
    answer = (await served.post("/check", question("user:cat"))).json()
    assert (answer["decision"], answer["missing_context"]) == ("conditional", ["day"])
    proof = answer["explanation"]
    assert problems(proof) == []
    facts = [f for j in proof["judgements"] for f in j["step"].get("tuples", ())]
    (waiting,) = [fact for fact in facts if fact["state"] == "caveat_needs"]
    assert (waiting["missing"], waiting["given"]) == (["day"], {})
    monday = question("user:cat", context={"day": "monday", "other": 1})
    proof = (await served.post("/check", monday)).json()["explanation"]
    assert (proof["decision"], problems(proof)) == ("denied", [])
    facts = [f for j in proof["judgements"] for f in j["step"].get("tuples", ())]
    (false,) = [fact for fact in facts if fact["state"] == "caveat_false"]
    assert false["given"] == {"day": "monday"}


async def test_contextual_tuples_are_told_as_such(served: Served) -> None:
    asked = question("user:zoe", contextual_tuples=["group:ops#member@user:zoe"])
    proof = (await served.post("/check", asked)).json()["explanation"]
    (fact,) = proof["judgements"][-1]["step"]["tuples"]
    assert fact["contextual"] is True
    assert "revision" not in fact


async def test_each_check_of_a_batch_asks_for_itself(served: Served) -> None:
    checks = [question(subject) for subject in ("user:ann", "user:zoe", "user:ann")]
    checks[2]["explain"] = False
    checks.append({**checks[0], "object": "nothing:a"})
    for check in checks:
        del check["consistency"]
    body = {"checks": checks, "consistency": "fully_consistent"}
    results = (await served.post("/check/batch", body)).json()["results"]
    assert ["explanation" in result for result in results] == [True, True, False, False]
    assert [problems(result["explanation"]) for result in results[:2]] == [[], []]
    assert "error" in results[3]


async def test_only_who_may_read_tuples_is_told_why() -> None:
    keys = ",".join(
        serving.key(name, f"{name}-secret", scope)
        for name, scope in (("app", "::check"), ("admin", "::check+read+schema"))
    )
    async with serving.serving(api_keys=keys) as served:
        app, admin = serving.bearer("app-secret"), serving.bearer("admin-secret")
        refused = await served.post("/check", question("user:ann"), headers=app)
        assert (refused.status_code, refused.json()["field"]) == (403, "explain")
        item = {**question("user:ann")}
        del item["consistency"]
        refused = await served.post("/check/batch", {"checks": [item]}, headers=app)
        assert refused.status_code == 403
        answered = await served.post("/check", question("user:ann"), headers=admin)
        assert answered.json()["explanation"]["decision"] == "denied"
        silent = await served.post("/check", question("user:ann", explain=False), headers=app)
        assert silent.status_code == 200
        assert "explanation" not in silent.json()
