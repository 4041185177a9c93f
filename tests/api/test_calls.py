"""Every call with one body and one answer, over HTTP: what it takes and what it gives."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.api.serving import STORE, Served, serving

ANN = {"object": "document:readme", "relation": "viewer", "subject": "user:ann"}


async def test_check_allows_and_denies(served: Served) -> None:
    zookie = await served.write("document:readme#viewer@user:ann")
    question = {"object": "document:readme", "relation": "view", "subject": "user:ann"}
    allowed = await served.post("/check", question)
    assert allowed.status_code == 200
    assert allowed.json() == {
        "decision": "allowed",
        "allowed": True,
        "missing_context": [],
        "zookie": zookie,
    }
    denied = await served.post("/check", {**question, "subject": "user:bob"})
    assert (denied.json()["decision"], denied.json()["allowed"]) == ("denied", False)


async def test_check_names_the_missing_context(served: Served) -> None:
    await served.write('document:readme#viewer@user:ann[on_day:{"wanted":"friday"}]')
    question = {"object": "document:readme", "relation": "view", "subject": "user:ann"}
    open_ = (await served.post("/check", question)).json()
    assert (open_["decision"], open_["allowed"]) == ("conditional", False)
    assert open_["missing_context"] == ["day"]
    friday = await served.post("/check", {**question, "context": {"day": "friday"}})
    assert friday.json()["decision"] == "allowed"


async def test_contextual_tuples_count_for_one_check(served: Served) -> None:
    question = {"object": "document:readme", "relation": "view", "subject": "user:ann"}
    for form in ("document:readme#viewer@user:ann", ANN):
        with_ = await served.post("/check", {**question, "contextual_tuples": [form]})
        assert with_.json()["decision"] == "allowed"
    assert (await served.post("/check", question)).json()["decision"] == "denied"


async def test_a_batch_keeps_order_and_errors_apart(served: Served) -> None:
    await served.write("document:readme#viewer@user:ann")
    base = {"object": "document:readme", "relation": "view"}
    checks = [
        {**base, "subject": "user:bob"},
        {**base, "relation": "veiw", "subject": "user:ann"},
        {**base, "subject": "user:ann"},
    ]
    answer = (await served.post("/check/batch", {"checks": checks})).json()
    first, second, third = answer["results"]
    assert first["decision"] == "denied"
    assert second["error"]["code"] == "unknown_relation"
    assert second["error"]["field"] == "checks[1].relation"
    assert third["decision"] == "allowed"


@pytest.mark.parametrize("kind", ["at_least_as_fresh", "at_exact_snapshot"])
async def test_a_zookie_chooses_the_snapshot(served: Served, kind: str) -> None:
    before = await served.write("document:readme#viewer@user:ann")
    gone = [{"op": "delete", "tuple": ANN}]
    after = (await served.post("/write", {"updates": gone})).json()["zookie"]
    question = {"object": "document:readme", "relation": "view", "subject": "user:ann"}
    answer = await served.post("/check", {**question, "consistency": {kind: before}})
    expected = "allowed" if kind == "at_exact_snapshot" else "denied"
    assert answer.json()["decision"] == expected
    newest = await served.post("/check", {**question, "consistency": {kind: after}})
    assert newest.json()["decision"] == "denied"


async def test_at_time_answers_from_the_past(served: Served) -> None:
    await served.write("document:readme#viewer@user:ann")
    question = {"object": "document:readme", "relation": "view", "subject": "user:ann"}
    written = datetime.now(UTC).isoformat()
    await served.post("/write", {"updates": [{"op": "delete", "tuple": ANN}]})
    then = await served.post("/check", {**question, "consistency": {"at_time": written}})
    assert then.json()["decision"] == "allowed"
    future = await served.post(
        "/check", {**question, "consistency": {"at_time": "2999-01-01T00:00:00Z"}}
    )
    assert (future.status_code, future.json()["field"]) == (400, "consistency")
    past = await served.post(
        "/check", {**question, "consistency": {"at_time": "1999-01-01T00:00:00Z"}}
    )
    assert (past.status_code, past.json()["code"]) == (410, "snapshot_expired")


async def test_a_write_tells_what_became_of_each_update(served: Served) -> None:
    updates = [
        {"op": "create", "tuple": "document:a#viewer@user:ann"},
        {"op": "touch", "tuple": {**ANN, "expires_at": "2999-01-01T00:00:00Z"}},
        {"op": "delete", "tuple": "document:b#viewer@user:ann"},
    ]
    first = (await served.post("/write", {"updates": updates})).json()
    assert first["results"] == ["created", "created", "absent"]
    again = await served.post("/write", {"updates": updates})
    assert (again.status_code, again.json()["code"]) == (409, "tuple_exists")
    rest = (await served.post("/write", {"updates": updates[1:]})).json()
    assert rest["results"] == ["unchanged", "absent"]


@pytest.mark.parametrize("op", ["ensure", "remove", "TOUCH"])
async def test_a_write_knows_three_ops(served: Served, op: str) -> None:
    body = {"updates": [{"op": op, "tuple": "document:a#viewer@user:ann"}]}
    refused = await served.post("/write", body)
    assert (refused.status_code, refused.json()["field"]) == (400, "updates[0].op")


async def test_preconditions_hold_a_write_back(served: Served) -> None:
    body = {
        "updates": [{"op": "touch", "tuple": "document:a#viewer@user:ann"}],
        "preconditions": [{"op": "must_match", "filter": {"object_type": "group"}}],
    }
    refused = await served.post("/write", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "precondition_failed")
    body["preconditions"] = [{"op": "must_not_match", "filter": {"object_type": "group"}}]
    assert (await served.post("/write", body)).status_code == 200


async def test_an_idempotency_key_gives_the_first_answer_again(served: Served) -> None:
    body = {"updates": [{"op": "create", "tuple": "document:a#viewer@user:ann"}]}
    headers = {"idempotency-key": "one"}
    first = await served.post("/write", body, headers=headers)
    again = await served.post("/write", body, headers=headers)
    assert (first.status_code, again.json()) == (200, first.json())
    other = {"updates": [{"op": "create", "tuple": "document:b#viewer@user:ann"}]}
    conflict = await served.post("/write", other, headers=headers)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")


async def test_delete_says_whether_it_is_complete(served: Served) -> None:
    await served.write(*(f"document:{n}#viewer@user:ann" for n in range(3)))
    body = {"filter": {"object_type": "document"}, "limit": 2}
    first = (await served.post("/delete", body)).json()
    assert (first["deleted"], first["complete"]) == (2, False)
    second = (await served.post("/delete", body)).json()
    assert (second["deleted"], second["complete"]) == (1, True)


async def test_read_pages_through_one_snapshot(served: Served) -> None:
    await served.write(*(f"document:{n}#viewer@user:ann" for n in range(5)))
    body: dict[str, object] = {"filter": {"subject_type": "user", "subject_relation": ""}}
    seen, zookies = [], set()
    for limit in (1, 2, 3):
        page = (await served.post("/read", {**body, "limit": limit})).json()
        seen += [item["object"] for item in page["tuples"]]
        zookies.add(page["zookie"])
        body["cursor"] = page["cursor"]
        await served.write("document:zz#viewer@user:ann")
    assert seen == [f"document:{n}" for n in range(5)]
    assert page["cursor"] is None
    assert len(zookies) == 1


async def test_tuples_come_back_as_they_were_written(served: Served) -> None:
    stored = {
        "object": "document:[x]",
        "relation": "viewer",
        "subject": "user:ann",
        "caveat": {"name": "on_day", "context": {"wanted": "friday"}},
    }
    body = {"updates": [{"op": "touch", "tuple": stored}]}
    assert (await served.post("/write", body)).status_code == 200
    page = (await served.post("/read", {"filter": {"object_id": "[x]"}})).json()
    assert page["tuples"] == [stored]


async def test_expand_shows_usersets_unfollowed(served: Served) -> None:
    await served.write("document:a#viewer@group:eng#member", "document:a#owner@user:bob")
    answer = await served.post("/expand", {"object": "document:a", "relation": "view"})
    tree = answer.json()["tree"]
    assert (tree["kind"], tree["object"], tree["relation"]) == ("union", "document:a", "view")
    leaves = {leaf["relation"]: leaf["subjects"] for leaf in tree["children"]}
    assert leaves == {
        "viewer": [{"subject": "group:eng#member"}],
        "owner": [{"subject": "user:bob"}],
    }


CHAIN = """
definition user {}

definition folder {
  relation parent: folder
  relation viewer: user
  permission view = viewer + parent->view
}
"""


@pytest.mark.parametrize("length", [300, 2000])
async def test_a_tree_that_json_cannot_hold_is_refused(length: int) -> None:
    async with serving(schema=CHAIN) as served:
        for start in range(0, length, 500):
            end = min(length, start + 500)
            await served.write(*(f"folder:{n}#parent@folder:{n + 1}" for n in range(start, end)))
        body = {"object": "folder:0", "relation": "view"}
        refused = await served.post("/expand", body)
        assert (refused.status_code, refused.json()["budget"]) == (422, "depth")
        nearer = await served.post("/expand", {**body, "object": f"folder:{length - 20}"})
        assert nearer.status_code == 200


async def test_a_schema_is_replaced_read_and_tried(served: Served) -> None:
    url = f"{STORE}/schema"
    text = "definition user {}\n\ndefinition document {\n  relation viewer: user\n}\n"
    tried = await served.http.put(f"{url}?dry_run=true", json={"schema": text})
    assert tried.json()["version"] == 1
    assert tried.json()["changes"]
    assert tried.json()["blocked_by"] == []
    assert (await served.http.get(url)).json()["schema"] != text
    written = await served.http.put(url, json={"schema": text})
    assert written.json()["version"] == 2
    read = (await served.http.get(url)).json()
    assert (read["schema"], read["version"], read["language"]) == (text, 2, "zed")


async def test_every_problem_of_a_schema_has_its_place(served: Served) -> None:
    text = "definition user {}\ndefinition doc {\n  relation viewer: usr\n  permission v = viwer\n}"
    refused = await served.http.put(f"{STORE}/schema", json={"schema": text})
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (400, "schema_invalid")
    assert [(item["line"], item["column"]) for item in problem["errors"]] == [(3, 20), (4, 18)]
    assert [item["suggestion"] for item in problem["errors"]] == ["user", "viewer"]
    assert problem["errors"][0]["caret"].splitlines()[1].strip() == "^^^"


async def test_a_schema_that_would_orphan_tuples_is_refused(served: Served) -> None:
    await served.write("document:a#owner@user:ann")
    text = "definition user {}"
    refused = await served.http.put(f"{STORE}/schema", json={"schema": text})
    assert (refused.status_code, refused.json()["code"]) == (409, "schema_in_use")
    assert "document:a#owner@user:ann" in refused.json()["tuples"]


async def test_stores_are_made_listed_and_deleted(served: Served) -> None:
    made = await served.http.post("/v1/stores", json={"name": "acme"})
    assert made.status_code == 201
    assert (await served.http.get("/v1/stores/acme")).json() == made.json()
    twice = await served.http.post("/v1/stores", json={"name": "acme"})
    assert (twice.status_code, twice.json()["code"]) == (409, "store_exists")
    first = (await served.http.get("/v1/stores?limit=1")).json()
    rest = (await served.http.get("/v1/stores", params={"cursor": first["cursor"]})).json()
    names = [store["name"] for store in (*first["stores"], *rest["stores"])]
    assert (names, rest["cursor"]) == (["acme", "default"], None)
    deleted = await served.http.delete("/v1/stores/acme")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-length" not in deleted.headers
    gone = await served.http.get("/v1/stores/acme")
    assert (gone.status_code, gone.json()["code"]) == (404, "store_not_found")


async def test_a_title_is_told_of_a_store_that_has_one(served: Served) -> None:
    await served.engine.create_store("fga-1", "Ours / café")
    told = (await served.http.get("/v1/stores/fga-1")).json()
    assert (told["name"], told["title"]) == ("fga-1", "Ours / café")
    listed = (await served.http.get("/v1/stores")).json()["stores"]
    assert {one["name"]: one["title"] for one in listed} == {"default": "", "fga-1": "Ours / café"}


async def test_the_zookie_of_another_store_is_refused(served: Served) -> None:
    zookie = await served.write("document:a#viewer@user:ann")
    await served.http.post("/v1/stores", json={"name": "acme"})
    await served.http.put("/v1/stores/acme/schema", json={"schema": "definition user {}"})
    answer = await served.http.get("/v1/stores/acme/schema", params={"at_least_as_fresh": zookie})
    assert (answer.status_code, answer.json()["code"]) == (409, "zookie_unknown")


async def test_actor_and_metadata_are_kept_with_the_revision(served: Served) -> None:
    start = await served.write("document:a#viewer@user:ann")
    body = {
        "updates": [{"op": "touch", "tuple": "document:b#viewer@user:ann"}],
        "metadata": {"ticket": "ENG-7"},
    }
    await served.post("/write", body)
    events = served.engine.watch("default", after=start)
    assert (await anext(events)).heartbeat
    event = await anext(events)
    await events.aclose()
    assert event.metadata == {"ticket": "ENG-7"}


async def test_expand_down_to_subjects(served: Served) -> None:
    await served.write("document:a#viewer@group:g#member", "group:g#member@user:ann")
    body = {"object": "document:a", "relation": "view", "recursive": True, "limit": 1}
    first = (await served.post("/expand", body)).json()
    rest = (await served.post("/expand", {**body, "cursor": first["cursor"]})).json()
    assert [tree["object"] for tree in first["trees"]] == ["document:a"]
    (tree,) = rest["trees"]
    assert (tree["object"], tree["subjects"]) == ("group:g", [{"subject": "user:ann"}])
    assert (rest["cursor"], rest["zookie"]) == (None, first["zookie"])
    for name, value in (("limit", 1), ("cursor", first["cursor"])):
        plain = {"object": "document:a", "relation": "view", name: value}
        problem = (await served.post("/expand", plain)).json()
        assert (problem["code"], problem["field"]) == ("invalid_request", name)
