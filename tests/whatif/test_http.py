"""The overlay of a request, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.serving import NDJSON, Served, serving

CHECK = {"object": "document:a", "relation": "view", "subject": "user:bob"}
SUBJECTS = {"object": "document:a", "relation": "view", "subject_type": "user"}
OBJECTS = {"type": "document", "relation": "view", "subject": "user:bob"}
PERMISSIONS = {"object": "document:a", "subject": "user:bob"}
OTHER_SCHEMA = """definition user {}
definition group { relation member: user }
definition document {
  relation viewer: user | group#member
  relation editor: user
  permission edit = editor + viewer
}
"""


@pytest.fixture
async def filled() -> AsyncIterator[Served]:
    """Bob views document a twice over: by himself and as an engineer."""
    async with serving() as served:
        await served.write(
            "document:a#viewer@user:bob",
            "document:a#viewer@group:eng#member",
            "group:eng#member@user:bob",
            "document:b#viewer@user:bob",
        )
        yield served


async def ask(served: Served, call: str, body: dict[str, Any], **overlay: Any) -> Any:
    """What a call answers under an overlay."""
    response = await served.post(call, {**body, "overlay": overlay})
    assert response.status_code == 200, response.text
    return response.json()


GONE = ["document:a#viewer@user:bob", "group:eng#member@user:bob"]
BOTH = {"remove": GONE, "add": ["document:c#viewer@user:bob"]}


async def test_a_check_counts_what_is_removed_and_added(filled: Served) -> None:
    assert (await ask(filled, "/check", CHECK, remove=GONE[:1]))["allowed"]
    assert not (await ask(filled, "/check", CHECK, remove=GONE))["allowed"]
    other = {**CHECK, "object": "document:c"}
    assert (await ask(filled, "/check", other, **BOTH))["allowed"]
    assert not (await filled.post("/check", other)).json()["allowed"]


async def test_a_batch_has_one_overlay(filled: Served) -> None:
    checks = [{**CHECK, "object": f"document:{id_}"} for id_ in "abc"]
    answer = await ask(filled, "/check/batch", {"checks": checks}, **BOTH)
    assert [item["allowed"] for item in answer["results"]] == [False, True, True]


async def test_contextual_tuples_lie_over_the_overlay(filled: Served) -> None:
    body = {**CHECK, "contextual_tuples": GONE[1:]}
    assert (await ask(filled, "/check", body, remove=GONE))["allowed"]


async def test_an_expand_shows_the_overlay(filled: Served) -> None:
    asked = {"object": "document:a", "relation": "viewer"}
    answer = await ask(filled, "/expand", asked, remove=GONE, add=["document:a#viewer@user:kim"])
    shown = [item["subject"] for item in answer["tree"]["subjects"]]
    assert shown == ["group:eng#member", "user:kim"]
    further = await ask(filled, "/expand", {**asked, "recursive": True}, remove=GONE[1:])
    assert "user:bob" not in str(further["trees"][1:])


async def test_lookups_list_and_count_under_the_overlay(filled: Served) -> None:
    objects = await ask(filled, "/lookup/objects", OBJECTS, **BOTH)
    assert [item["object"] for item in objects["objects"]] == ["document:b", "document:c"]
    assert (await ask(filled, "/lookup/objects/count", OBJECTS, **BOTH))["allowed"] == 2
    assert not (await ask(filled, "/lookup/subjects", SUBJECTS, **BOTH))["subjects"]
    assert not (await ask(filled, "/lookup/subjects/count", SUBJECTS, **BOTH))["allowed"]
    assert not (await ask(filled, "/lookup/permissions", PERMISSIONS, **BOTH))["permissions"]
    lines = json.dumps({**OBJECTS, "overlay": BOTH})
    url = "/v1/stores/default/lookup/objects"
    accept = {"accept": NDJSON["content-type"], "content-type": "application/json"}
    streamed = (await filled.http.post(url, content=lines, headers=accept)).text
    assert "document:c" in streamed
    assert "document:a" not in streamed


async def test_a_read_lists_what_would_be_stored(filled: Served) -> None:
    body = {"filter": {"object_type": "document"}}
    for size in (1, 2, 100):
        found: list[str] = []
        cursor = None
        while True:
            asked = {**body, "limit": size, "cursor": cursor}
            page = await ask(filled, "/read", asked, **BOTH)
            found += [f"{item['object']} {item['subject']}" for item in page["tuples"]]
            cursor = page["cursor"]
            if cursor is None:
                break
        left = ["document:a group:eng#member", "document:b user:bob", "document:c user:bob"]
        assert found == left


async def exported(served: Served, body: dict[str, Any]) -> list[Any]:
    """The lines of an export."""
    response = await served.post("/export", body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


async def test_an_export_is_of_what_would_be_stored(filled: Served) -> None:
    *tuples, last = await exported(filled, {"overlay": BOTH})
    told = [f"{item['object']}#{item['relation']}@{item['subject']}" for item in tuples]
    left = ["document:a#viewer@group:eng#member", *(f"document:{n}#viewer@user:bob" for n in "bc")]
    assert told == left
    assert (last["complete"], last["exported"]) == (True, 3)
    rest = {"filter": {"object_type": "document"}, "after": tuples[0], "overlay": BOTH}
    assert (await exported(filled, rest))[:-1] == tuples[1:]
    then = {"filter": {}, "consistency": {"at_exact_snapshot": last["zookie"]}}
    stored = await filled.http.get("/v1/stores/default/export")
    assert (await exported(filled, then))[:-1] == [
        json.loads(line) for line in stored.text.splitlines()[:-1]
    ]


async def test_another_schema_decides(filled: Served) -> None:
    schema = {"schema": OTHER_SCHEMA}
    edit = {**CHECK, "relation": "edit"}
    assert (await ask(filled, "/check", edit, **schema))["allowed"]
    added = ["document:z#editor@user:bob"]
    found = await ask(
        filled, "/lookup/objects", {**OBJECTS, "relation": "edit"}, add=added, **schema
    )
    assert [item["object"] for item in found["objects"]] == [f"document:{id_}" for id_ in "abz"]
    told = await ask(filled, "/lookup/permissions", PERMISSIONS, **schema)
    assert [item["permission"] for item in told["permissions"]] == ["edit"]
    unknown = await filled.post("/check", {**CHECK, "overlay": schema})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_relation")


async def test_a_store_without_a_schema_can_be_asked_with_one(filled: Served) -> None:
    assert (await filled.http.post("/v1/stores", json={"name": "empty"})).status_code == 201
    overlay = {"schema": OTHER_SCHEMA, "add": ["document:a#editor@user:bob"]}
    body = {**CHECK, "relation": "edit", "overlay": overlay}
    answer = await filled.http.post("/v1/stores/empty/check", json=body)
    assert answer.json()["allowed"]


async def test_a_proof_tells_the_overlay_apart_from_what_is_stored(filled: Served) -> None:
    asked = {**CHECK, "object": "document:c", "explain": True}
    proof = (await ask(filled, "/check", asked, **BOTH))["explanation"]
    assert proof["complete"]
    assert '"contextual": true' in json.dumps(proof)
    denial = (await ask(filled, "/check", {**CHECK, "explain": True}, remove=GONE))["explanation"]
    assert denial["complete"]
    ways = [way["updates"] for way in denial["ways_to_yes"]["found"]]
    assert [{"op": "touch", "tuple": _object_form(GONE[0])}] in [
        [{**update, "op": "touch"} for update in way] for way in ways
    ]


def _object_form(text: str) -> dict[str, str]:
    object_, _, rest = text.partition("#")
    relation, _, subject = rest.partition("@")
    return {"object": object_, "relation": relation, "subject": subject}


async def test_nothing_is_written(filled: Served) -> None:
    before = (await filled.post("/check", CHECK)).json()
    for call, body in (("/check", CHECK), ("/lookup/objects", OBJECTS)):
        await ask(filled, call, body, **BOTH, schema=None)
    schema = await filled.http.get("/v1/stores/default/schema")
    assert "editor" not in schema.json()["schema"]
    assert (await filled.post("/check", CHECK)).json() == before


async def test_a_cursor_is_of_its_overlay(filled: Served) -> None:
    await filled.write("document:d#viewer@user:bob")
    body = {**OBJECTS, "limit": 1}
    first = await ask(filled, "/lookup/objects", body, **BOTH)
    on = {**body, "cursor": first["cursor"]}
    second = await ask(filled, "/lookup/objects", on, **BOTH)
    assert [item["object"] for item in second["objects"]] == ["document:c"]
    for other in ({"add": BOTH["add"]}, {**BOTH, "schema": OTHER_SCHEMA}, {"remove": GONE}, None):
        refused = await filled.post("/lookup/objects", {**on, "overlay": other})
        told = refused.json()
        assert (refused.status_code, told["code"]) == (400, "invalid_cursor"), other


@pytest.mark.parametrize(
    ("overlay", "code", "field"),
    [
        ([], "wrong_type", "overlay"),
        ({"added": []}, "unknown_field", "overlay.added"),
        ({"add": ["nonsense"]}, "invalid_tuple", "overlay.add[0]"),
        ({"schema": 5}, "wrong_type", "overlay.schema"),
        ({"schema": "definition {"}, "schema_invalid", "overlay.schema"),
        ({"add": [GONE[0], GONE[0]]}, "invalid_request", "overlay.add[1]"),
        ({"add": [GONE[0]], "remove": [GONE[0]]}, "invalid_request", "overlay.remove[0]"),
        ({"remove": [GONE[0], GONE[0]]}, "invalid_request", "overlay.remove[1]"),
        ({"add": ["document:a#view@user:bob"]}, "not_writable", "overlay.add[0].relation"),
        ({"add": ["planet:a#x@user:bob"]}, "unknown_type", "overlay.add[0].object"),
        (
            {"add": ["document:a#owner@user:bob"], "schema": OTHER_SCHEMA},
            "unknown_relation",
            "overlay.add[0].relation",
        ),
        (
            {"remove": [f"document:{number}#viewer@user:bob" for number in range(101)]},
            "limit_exceeded",
            "overlay",
        ),
    ],
)
async def test_a_wrong_overlay_is_refused(
    filled: Served, overlay: Any, code: str, field: str
) -> None:
    read = {"filter": {"object_type": "document"}}
    calls = (
        ("/check", CHECK),
        ("/lookup/subjects", SUBJECTS),
        ("/lookup/permissions", PERMISSIONS),
        ("/expand", {"object": "document:a", "relation": "view", "recursive": True}),
        ("/read", read),
        ("/export", read),
    )
    for call, body in calls:
        response = await filled.post(call, {**body, "overlay": overlay})
        told = response.json()
        assert 400 <= response.status_code < 500, told
        assert (told["code"], told["field"]) == (code, field)


async def test_what_no_schema_allows_can_be_removed(filled: Served) -> None:
    answer = await ask(filled, "/check", CHECK, remove=["planet:x#y@star:z"])
    assert answer["allowed"]
