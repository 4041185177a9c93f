"""Impacts over HTTP, and those in the dry run of a schema."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.serving import Served, bearer, key, serving

ADD = {"add": ["group:eng#member@user:kim"]}
DENIED = {"decision": "denied", "missing_context": list[str]()}
ALLOWED = {**DENIED, "decision": "allowed"}
OWNERS = """definition user {}
definition document {
  relation owner: user
  permission view = owner
}
"""


async def test_who_would_gain(served: Served) -> None:
    await served.write("document:a#viewer@group:eng#member", "document:b#viewer@user:x")
    zookie = await served.write("document:c#viewer@group:eng#member")
    response = await served.post("/impact", {"overlay": ADD, "limit": 1})
    assert response.status_code == 200, response.text
    numbers = {"gained": 2, "lost": 0, "changed": 0, "new_access": 2}
    gained = [{"object": "document:a", "subject": "user:kim", "before": DENIED, "after": ALLOWED}]
    assert response.json() == {
        **numbers,
        "permissions": [
            {
                "type": "document",
                "permission": "view",
                "subjects": "user",
                **numbers,
                "sample": {"gained": gained, "lost": [], "changed": []},
            }
        ],
        "cursor": None,
        "complete": True,
        "gaps": [],
        "zookie": zookie,
    }
    relations = await served.post("/impact", {"overlay": ADD, "include_relations": True})
    told = [(row["type"], row["permission"]) for row in relations.json()["permissions"]]
    assert told == [("document", "view"), ("document", "viewer"), ("group", "member")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "overlay"),
        ({"overlay": {}}, "overlay"),
        ({"overlay": {"add": ["group:eng#member"]}}, "overlay.add[0]"),
        ({"overlay": {"add": ["group:eng#nothing@user:kim"]}}, "overlay.add[0].relation"),
        ({"overlay": {"schema": "definition user"}}, "overlay.schema"),
        ({"overlay": ADD, "types": ["grup"]}, "types[0]"),
        ({"overlay": ADD, "types": [7]}, "types[0]"),
        ({"overlay": ADD, "permissions": ["vieww"]}, "permissions[0]"),
        ({"overlay": ADD, "subjects": ["user", "group#all"]}, "subjects[1]"),
        ({"overlay": ADD, "subjects": ["user#"]}, "subjects[0]"),
        ({"overlay": ADD, "limit": 1001}, "limit"),
        ({"overlay": ADD, "cursor": "x"}, "cursor"),
    ],
)
async def test_wrong_input_is_told(served: Served, body: dict[str, Any], field: str) -> None:
    response = await served.post("/impact", body)
    assert response.status_code == 400
    told = response.json()
    assert field in {told["field"], *(one.get("field") for one in told.get("errors", ()))}, told


async def test_a_change_may_be_as_large_as_a_write(served: Served) -> None:
    added = [f"document:{number}#viewer@user:kim" for number in range(1000)]
    response = await served.post("/impact", {"overlay": {"add": added}})
    assert response.json()["gained"] == 1000, response.text
    response = await served.post("/impact", {"overlay": {"add": [*added, ADD["add"][0]]}})
    assert response.json()["code"] == "limit_exceeded"


async def test_a_dry_run_tells_the_impact_to_those_who_may_read() -> None:
    keys = ",".join((key("dev", "dev-secret", "::schema"), key("boss", "boss-secret")))
    async with serving(schema="", api_keys=keys) as served:
        store = "/v1/stores/default"
        boss, dev = bearer("boss-secret"), bearer("dev-secret")
        wide = OWNERS.replace("= owner", "= owner + viewer").replace(
            "  permission", "  relation viewer: user\n  permission"
        )
        empty = await served.http.put(
            f"{store}/schema?dry_run=true", json={"schema": wide}, headers=boss
        )
        assert empty.json()["impact"]["complete"], empty.text
        await served.http.put(f"{store}/schema", json={"schema": wide}, headers=boss)
        updates = [
            {"op": "touch", "tuple": f"document:a#{name}@user:{name}"}
            for name in ("owner", "viewer")
        ]
        await served.http.post(f"{store}/write", json={"updates": updates}, headers=boss)
        path = f"{store}/schema?dry_run=true"
        told = (await served.http.put(path, json={"schema": OWNERS}, headers=boss)).json()
        assert told["blocked_by"] != []
        numbers = {"gained": 0, "lost": 1, "changed": 0, "new_access": 0}
        row = {"type": "document", "permission": "view", "subjects": "user", **numbers}
        assert told["impact"] == {
            **numbers,
            "permissions": [row],
            "complete": True,
            "gaps": [],
            "zookie": told["zookie"],
        }
        blind = (await served.http.put(path, json={"schema": OWNERS}, headers=dev)).json()
        assert blind == {**told, "impact": None}
        refused = await served.http.post(f"{store}/impact", json={"overlay": ADD}, headers=dev)
        assert refused.status_code == 403
        late = await served.http.put(
            path, json={"schema": OWNERS}, headers={**boss, "X-Stonetown-Deadline-Ms": "60000"}
        )
        assert late.json()["impact"]["lost"] == 1
