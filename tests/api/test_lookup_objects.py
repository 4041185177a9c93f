"""Lookups that begin at a subject, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.serving import NDJSON, Served

VIEW = {"type": "document", "relation": "view", "subject": "user:ann"}
ACCEPT_LINES = {"accept": NDJSON["content-type"]}


@pytest.fixture
async def filled(served: Served) -> Served:
    """Four documents, one of them under a caveat."""
    await served.write(
        *(f"document:{id_}#viewer@user:ann" for id_ in "abc"), "document:d#viewer@user:ann[on_day]"
    )
    return served


async def test_pages_are_sorted_and_at_one_snapshot(filled: Served) -> None:
    first = (await filled.post("/lookup/objects", {**VIEW, "limit": 3})).json()
    await filled.write("document:e#viewer@user:ann")
    rest = (await filled.post("/lookup/objects", {**VIEW, "cursor": first["cursor"]})).json()
    told = first["objects"] + rest["objects"]
    assert [item["object"] for item in told] == [f"document:{id_}" for id_ in "abcd"]
    assert [item["decision"] for item in told] == ["allowed"] * 3 + ["conditional"]
    assert told[3]["missing_context"] == ["day", "wanted"]
    assert (rest["cursor"], rest["complete"], rest["gaps"]) == (None, True, [])
    assert first["zookie"] == rest["zookie"]


async def test_all_as_lines(filled: Served) -> None:
    response = await filled.post("/lookup/objects", {**VIEW, "limit": 1}, headers=ACCEPT_LINES)
    *lines, end = map(json.loads, response.text.splitlines())
    assert response.headers["x-stonetown-zookie"] == end.pop("zookie")
    assert [line["object"] for line in lines] == [f"document:{id_}" for id_ in "abcd"]
    assert end == {"cursor": None, "found": 4, "complete": True, "gaps": []}


async def test_a_count(filled: Served) -> None:
    told = (await filled.post("/lookup/objects/count", VIEW)).json()
    told.pop("zookie")
    assert told == {"allowed": 3, "conditional": 1, "complete": True, "gaps": []}
    response = await filled.post("/lookup/objects/count", {**VIEW, "limit": 3})
    assert (response.status_code, response.json()["code"]) == (400, "unknown_field")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"type": None}, "missing_field", "type"),
        ({"types": ["document"]}, "invalid_request", "types"),
        ({"type": None, "types": []}, "invalid_request", "types"),
        ({"type": None, "types": ["document", "document"]}, "invalid_request", "types[1]"),
        ({"type": None, "types": [1]}, "wrong_type", "types[0]"),
        ({"type": "documents"}, "unknown_type", "type"),
        ({"type": None, "types": ["document", "group"]}, "unknown_relation", "relation"),
        ({"relation": "veiw"}, "unknown_relation", "relation"),
        ({"subject": "user:*"}, "invalid_request", "subject"),
        ({"subject": "usr:ann"}, "unknown_type", "subject"),
        ({"subject": "group:eng#members"}, "unknown_relation", "subject"),
        ({"candidates": ["*"]}, "invalid_tuple", "candidates[0]"),
        ({"candidates": ["x"] * 1001}, "limit_exceeded", "candidates"),
        ({"limit": 1001}, "limit_exceeded", "limit"),
        ({"cursor": "bm90IG9uZQ"}, "invalid_cursor", "cursor"),
        ({"context": {"day": 1}}, "invalid_context", "context.day"),
    ],
)
async def test_wrong_input_is_told(
    filled: Served, changes: dict[str, Any], code: str, field: str
) -> None:
    response = await filled.post("/lookup/objects", {**VIEW, **changes})
    told = response.json()
    assert (response.status_code, told["code"], told["field"]) == (400, code, field)
