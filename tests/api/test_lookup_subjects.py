"""Lookups that begin at an object, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.serving import NDJSON, Served, bearer, key, serving

VIEW = {"object": "document:a", "relation": "view", "subject_type": "user"}
ACCEPT_LINES = {"accept": NDJSON["content-type"]}
SCHEMA = """definition user {}

caveat fails(x int) {
  10 / x > 1
}

definition document {
  relation viewer: user | user:* | user with fails
  relation banned: user
  permission view = viewer - banned
  permission read = view
}
"""


@pytest.fixture
async def filled(served: Served) -> Served:
    """Three viewers of document a, one of them under a caveat."""
    await served.write(
        "document:a#viewer@user:bob",
        "document:a#viewer@user:ann",
        "document:a#viewer@user:eve[on_day]",
        "document:a#viewer@group:eng#member",
    )
    return served


async def test_pages_are_sorted_and_at_one_snapshot(filled: Served) -> None:
    first = (await filled.post("/lookup/subjects", {**VIEW, "limit": 2})).json()
    await filled.write("document:a#viewer@user:zoe")
    rest = (await filled.post("/lookup/subjects", {**VIEW, "cursor": first["cursor"]})).json()
    told = first["subjects"] + rest["subjects"]
    assert [item["subject"] for item in told] == ["user:ann", "user:bob", "user:eve"]
    assert [item["decision"] for item in told] == ["allowed", "allowed", "conditional"]
    assert told[2]["missing_context"] == ["day", "wanted"]
    assert (rest["cursor"], rest["complete"], rest["gaps"]) == (None, True, [])
    assert first["zookie"] == rest["zookie"]


async def test_a_cursor_is_of_its_arguments(filled: Served) -> None:
    first = (await filled.post("/lookup/subjects", {**VIEW, "limit": 1})).json()
    others: list[dict[str, Any]] = [
        {"relation": "viewer"},
        {"object": "document:b"},
        {"subject_type": "group", "subject_relation": "member"},
        {"context": {"day": "friday"}},
        {"contextual_tuples": ["document:a#viewer@user:kim"]},
        {"candidates": ["ann"]},
    ]
    for other in others:
        body = {**VIEW, **other, "cursor": first["cursor"]}
        response = await filled.post("/lookup/subjects", body)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor"), other
    body = {**VIEW, "cursor": first["cursor"], "limit": 7}
    assert (await filled.post("/lookup/subjects", body)).status_code == 200


async def test_usersets_and_candidates(filled: Served) -> None:
    usersets = {**VIEW, "subject_type": "group", "subject_relation": "member"}
    told = (await filled.post("/lookup/subjects", usersets)).json()["subjects"]
    assert [item["subject"] for item in told] == ["group:eng#member"]
    some = {**VIEW, "candidates": ["zoe", "ann", "*"]}
    told = (await filled.post("/lookup/subjects", some)).json()["subjects"]
    assert [item["subject"] for item in told] == ["user:ann"]


async def test_all_as_lines(filled: Served) -> None:
    response = await filled.post("/lookup/subjects", {**VIEW, "limit": 2}, headers=ACCEPT_LINES)
    assert response.headers["content-type"] == "application/x-ndjson"
    *told, last = [json.loads(line) for line in response.text.splitlines()]
    assert [item["subject"] for item in told] == ["user:ann", "user:bob", "user:eve"]
    zookie = response.headers["x-stonetown-zookie"]
    end: dict[str, Any] = {
        "cursor": None,
        "found": 3,
        "complete": True,
        "gaps": [],
        "zookie": zookie,
    }
    assert last == end


async def test_what_is_wrong_is_told_before_the_first_line(filled: Served) -> None:
    body = {**VIEW, "relation": "veiw"}
    response = await filled.post("/lookup/subjects", body, headers=ACCEPT_LINES)
    assert (response.status_code, response.json()["code"]) == (400, "unknown_relation")


async def test_a_wildcard_has_exceptions_and_a_failing_caveat_is_a_gap() -> None:
    async with serving(schema=SCHEMA) as served:
        await served.write(
            "document:a#viewer@user:*",
            "document:a#banned@user:bob",
            "document:b#viewer@user:ann",
            'document:b#viewer@user:bob[fails:{"x":0}]',
        )
        told = (await served.post("/lookup/subjects", VIEW)).json()
        assert [(item["subject"], item["decision"]) for item in told["subjects"]] == [
            ("user:*", "allowed"),
            ("user:bob", "denied"),
        ]
        count = (await served.post("/lookup/subjects/count", VIEW)).json()
        assert (count["allowed"], count["denied"], count["wildcard"]) == (0, 1, "allowed")
        other = {**VIEW, "object": "document:b"}
        told = (await served.post("/lookup/subjects", other)).json()
        assert [item["subject"] for item in told["subjects"]] == ["user:ann"]
        assert not told["complete"]
        (gap,) = told["gaps"]
        assert (gap["about"], gap["error"]["code"]) == ("user:bob", "caveat_failed")


async def test_a_budget_that_is_used_up_is_a_gap() -> None:
    async with serving(limit_evaluation_reads=3) as served:
        await served.write(*(f"document:a#viewer@user:{n}" for n in range(9)))
        told = (await served.post("/lookup/subjects", VIEW)).json()
        assert (told["subjects"], told["cursor"], told["complete"]) == ([], None, False)
        (gap,) = told["gaps"]
        assert (gap["about"], gap["error"]["code"]) == (None, "budget_exceeded")


async def test_what_a_subject_may_do() -> None:
    async with serving(schema=SCHEMA) as served:
        await served.write("document:a#viewer@user:ann", "document:a#viewer@user:bob[fails]")
        question: dict[str, Any] = {"object": "document:a", "subject": "user:ann"}
        told = (await served.post("/lookup/permissions", question)).json()
        assert [item["permission"] for item in told["permissions"]] == ["read", "view"]
        told = (
            await served.post("/lookup/permissions", {**question, "include_relations": True})
        ).json()
        assert [item["permission"] for item in told["permissions"]] == ["read", "view", "viewer"]
        question = {"object": "document:a", "subject": "user:bob"}
        told = (await served.post("/lookup/permissions", question)).json()
        assert {item["decision"] for item in told["permissions"]} == {"conditional"}
        assert told["permissions"][0]["missing_context"] == ["x"]
        question["context"] = {"x": 0}
        told = (await served.post("/lookup/permissions", question)).json()
        assert [gap["about"] for gap in told["gaps"]] == ["read", "view"]
        assert (told["permissions"], told["complete"]) == ([], False)


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("/lookup/subjects", {"subject_type": "usr"}, "unknown_type", "subject_type"),
    ("/lookup/subjects", {"subject_relation": "member"}, "unknown_relation", "subject_relation"),
    ("/lookup/subjects", {"subject_relation": "a b"}, "invalid_tuple", "subject_relation"),
    ("/lookup/subjects", {"relation": "veiw"}, "unknown_relation", "relation"),
    ("/lookup/subjects", {"object": "document:*"}, "invalid_tuple", "object"),
    ("/lookup/subjects", {"limit": 1001}, "limit_exceeded", "limit"),
    ("/lookup/subjects", {"cursor": "x"}, "invalid_cursor", "cursor"),
    ("/lookup/subjects", {"candidates": [1]}, "wrong_type", "candidates[0]"),
    ("/lookup/subjects", {"candidates": ["a b"]}, "invalid_tuple", "candidates[0]"),
    ("/lookup/subjects", {"candidates": ["a"] * 1001}, "limit_exceeded", "candidates"),
    (
        "/lookup/subjects",
        {"subject_type": "group", "subject_relation": "member", "candidates": ["*"]},
        "invalid_request",
        "candidates[0]",
    ),
    ("/lookup/subjects", {"context": {"day": 7}}, "invalid_context", "context.day"),
    ("/lookup/subjects", {"contextual_tuples": ["x"]}, "invalid_tuple", "contextual_tuples[0]"),
    ("/lookup/subjects/count", {"limit": 1}, "unknown_field", "limit"),
    ("/lookup/permissions", {"subject": "user:*"}, "invalid_request", "subject"),
    ("/lookup/permissions", {"subject": "usr:a"}, "unknown_type", "subject"),
    ("/lookup/permissions", {"object": "documnt:a"}, "unknown_type", "object"),
    ("/lookup/permissions", {"include_relations": 1}, "wrong_type", "include_relations"),
    ("/lookup/permissions", {"context": {"day": 7}}, "invalid_context", "context.day"),
]


@pytest.mark.parametrize(("path", "change", "code", "field"), WRONG)
async def test_wrong_input(
    filled: Served, path: str, change: dict[str, Any], code: str, field: str
) -> None:
    permissions = {"object": "document:a", "subject": "user:eve"}
    body = {**(permissions if path.endswith("permissions") else VIEW), **change}
    response = await filled.post(path, body)
    assert response.status_code == 400, response.text
    assert (response.json()["code"], response.json()["field"]) == (code, field)


async def test_who_may_ask() -> None:
    keys = ",".join((key("reader", "r", "::read"), key("checker", "c", "::check")))
    async with serving(api_keys=keys) as served:
        bodies = {
            "/lookup/subjects": VIEW,
            "/lookup/subjects/count": VIEW,
            "/lookup/permissions": {"object": "document:a", "subject": "user:ann"},
        }
        for secret, first, last in (("r", 200, 403), ("c", 403, 200)):
            statuses = [
                (await served.post(path, body, headers=bearer(secret))).status_code
                for path, body in bodies.items()
            ]
            assert statuses == [first, first, last]
