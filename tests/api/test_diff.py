"""Diffs over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.serving import Served

WHO = {"relation": "view", "subject_type": "user"}


@pytest.mark.parametrize(
    "target",
    [
        {"object": "document:a", **WHO},
        {"type": "document", **WHO},
        {"subject": "user:new", "type": "document", "relation": "view"},
    ],
)
async def test_who_gained(served: Served, target: dict[str, Any]) -> None:
    start = await served.write("document:a#viewer@user:old")
    zookie = await served.write("document:a#viewer@user:new")
    response = await served.post("/diff", {"from": start, **target})
    assert response.status_code == 200, response.text
    told = response.json()
    denied = {"decision": "denied", "missing_context": list[str]()}
    allowed = {**denied, "decision": "allowed"}
    assert told["gained"] == [
        {"object": "document:a", "subject": "user:new", "before": denied, "after": allowed}
    ]
    assert (told["lost"], told["changed"], told["cursor"]) == ([], [], None)
    assert (told["complete"], told["causes_complete"], told["gaps"]) == (True, True, [])
    assert (told["from_zookie"], told["zookie"]) == (start, zookie)
    (cause,) = told["causes"]
    assert cause["zookie"] == zookie
    new = {"object": "document:a", "relation": "viewer", "subject": "user:new"}
    assert cause["updates"] == [{"op": "touch", "tuple": new}]
    back = {"from": cause["committed_at"], "to": cause["committed_at"], **target}
    assert (await served.post("/diff", back)).json()["gained"] == []


async def test_a_condition_is_a_change(served: Served) -> None:
    start = await served.write("document:a#viewer@user:ann")
    await served.write("document:a#viewer@user:ann[on_day]")
    told = (await served.post("/diff", {"from": start, "object": "document:a", **WHO})).json()
    (changed,) = told["changed"]
    assert changed["after"] == {"decision": "conditional", "missing_context": ["day", "wanted"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"object": "document:a", **WHO}, "from"),
        ({"from": "yesterday", "object": "document:a", **WHO}, "from"),
        ({"from": "2999-01-01T00:00:00Z", "object": "document:a", **WHO}, "from"),
        ({"from": "12:00", "object": "document:a", **WHO}, "from"),
        ({"from": "x", "to": 7, "object": "document:a", **WHO}, "to"),
        ({"from": "x", **WHO}, "object"),
        ({"from": "x", "object": "document:a", "subject": "user:a", **WHO}, "subject"),
        ({"from": "x", "object": "document:a", "type": "document", **WHO}, "type"),
        ({"from": "x", "subject": "user:a", "type": "document", **WHO}, "subject_type"),
        ({"from": "x", "type": "document", "relation": "view"}, "subject_type"),
        ({"from": "x", "type": "document", "subject_type": "user"}, "relation"),
    ],
)
async def test_wrong_input_is_told(served: Served, body: dict[str, Any], field: str) -> None:
    response = await served.post("/diff", body)
    assert response.status_code == 400
    told = response.json()
    named = {told["field"], *(one["field"] for one in told.get("errors", ()))}
    assert field in named, told
