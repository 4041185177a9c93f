"""Diffs over HTTP."""

from __future__ import annotations

import json
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


async def streamed(served: Served, body: dict[str, Any]) -> list[Any]:
    """The lines of a stream."""
    accept = {"accept": "application/x-ndjson"}
    response = await served.post("/diff", body, headers=accept)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert response.headers["x-stonetown-zookie"] == lines[-1]["zookie"]
    return lines


async def test_all_pages_come_as_one_stream(served: Served) -> None:
    start = await served.write("document:a#viewer@user:old")
    first = await served.write(*(f"document:a#viewer@user:{name}" for name in "abc"))
    last = await served.write("document:b#viewer@user:d")
    asked = {"from": start, "type": "document", **WHO}
    page = (await served.post("/diff", asked)).json()
    for limit in (1, 2, 100):
        *lines, end = await streamed(served, {**asked, "limit": limit})
        changes = [line for line in lines if "change" in line]
        assert {line.pop("change") for line in changes} == {"gained"}
        assert changes == page["gained"]
        causes = [line["cause"] for line in lines if "cause" in line]
        assert list(dict.fromkeys(one["zookie"] for one in causes)) == [first, last]
        told = [update for one in causes for update in one["updates"]]
        assert told == [update for one in page["causes"] for update in one["updates"]]
        assert end == {
            "cursor": None,
            "found": 4,
            "causes_complete": True,
            "from_zookie": start,
            "complete": True,
            "gaps": [],
            "zookie": last,
        }


async def test_a_stream_refuses_what_is_wrong(served: Served) -> None:
    start = await served.write("document:a#viewer@user:old")
    asked = {"from": start, "type": "planet", **WHO}
    response = await served.post("/diff", asked, headers={"accept": "application/x-ndjson"})
    assert (response.status_code, response.json()["code"]) == (400, "unknown_type")


async def test_a_context_and_an_overlay_hold_at_both_snapshots(served: Served) -> None:
    start = await served.write("document:a#viewer@user:ann")
    await served.write("document:a#viewer@user:ann[on_day]", "document:a#viewer@user:bob")
    asked: dict[str, Any] = {"from": start, "object": "document:a", **WHO}
    asked["context"] = {"day": "monday", "wanted": "friday"}
    asked["overlay"] = {"remove": ["document:a#viewer@user:bob"]}
    told = (await served.post("/diff", asked)).json()
    assert [one["subject"] for one in told["lost"]] == ["user:ann"]
    assert (told["gained"], told["changed"]) == ([], [])
    lines = await streamed(served, asked)
    assert [line.get("change") for line in lines] == ["lost", None, None]
    kept = {"overlay": {"add": ["document:a#viewer@user:ann"]}}
    told = (await served.post("/diff", {**asked, **kept})).json()
    assert [one["subject"] for one in told["gained"]] == ["user:bob"]
    for wrong, field in (
        ({"context": []}, "context"),
        ({"overlay": {"adds": []}}, "overlay.adds"),
        ({"overlay": {"add": ["document:a#view@user:x"]}}, "overlay.add[0].relation"),
    ):
        refused = await served.post("/diff", {**asked, **wrong})
        assert (refused.status_code, refused.json()["field"]) == (400, field)
