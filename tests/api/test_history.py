"""History over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.serving import Served, bearer, key, serving

READER = "read-secret"
WANTED = {"object_type": "document", "object_id": "a"}


async def history(served: Served, **more: Any) -> dict[str, Any]:
    response = await served.post("/history", {"filter": WANTED, **more})
    assert response.status_code == 200, response.text
    made = response.json()
    assert isinstance(made, dict)
    return made


async def test_events_come_with_who_when_and_why(served: Served) -> None:
    updates = [{"op": "touch", "tuple": "document:a#viewer@user:ann"}]
    await served.post("/write", {"updates": updates, "metadata": {"ticket": "7"}})
    deleting = [{"op": "delete", "tuple": "document:a#viewer@user:ann"}]
    zookie = (await served.post("/write", {"updates": deleting})).json()["zookie"]
    told = await history(served)
    assert told["zookie"] == zookie
    last, first = told["events"]
    assert (last["op"], last["zookie"], last["metadata"]) == ("delete", zookie, {})
    assert (first["op"], first["metadata"], first["actor"]) == ("touch", {"ticket": "7"}, "")
    assert first["tuple"] == {"object": "document:a", "relation": "viewer", "subject": "user:ann"}
    assert first["committed_at"] <= last["committed_at"]
    # The time that an event is told with is one that can be asked about.
    then = await history(served, consistency={"at_time": first["committed_at"]})
    assert then["events"] == [first]


async def test_pages(served: Served) -> None:
    for name in "xyz":
        await served.write(f"document:a#viewer@user:{name}")
    first = await history(served, order="oldest_first", limit=2)
    rest = await history(served, order="oldest_first", cursor=first["cursor"])
    names = [one["tuple"]["subject"] for one in first["events"] + rest["events"]]
    assert names == ["user:x", "user:y", "user:z"]
    assert rest["cursor"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "filter"),
        ({"filter": {"object_type": "document"}}, "filter"),
        ({"filter": WANTED, "order": "random"}, "order"),
        ({"filter": WANTED, "limit": 0}, "limit"),
        ({"filter": WANTED, "cursor": "x"}, "cursor"),
        ({"filter": WANTED, "consistency": {"at_time": "2999-01-01T00:00:00Z"}}, "consistency"),
    ],
)
async def test_wrong_input_is_told(served: Served, body: dict[str, Any], field: str) -> None:
    response = await served.post("/history", body)
    assert response.status_code == 400
    assert response.json()["field"] == field


async def test_the_actor_is_the_key() -> None:
    keys = ",".join((key("boss", "boss-secret"), key("reader", READER, "::check")))
    async with serving(api_keys=keys) as served:
        updates = [{"op": "touch", "tuple": "document:a#viewer@user:ann"}]
        boss = bearer("boss-secret")
        await served.post("/write", {"updates": updates}, headers=boss)
        body = {"filter": WANTED}
        told = (await served.post("/history", body, headers=boss)).json()
        assert [one["actor"] for one in told["events"]] == ["boss"]
        refused = await served.post("/history", body, headers=bearer(READER))
        assert refused.status_code == 403
