"""ListObjects, its stream, ListUsers and Expand: whole lists, or lists that say they are cut."""

from __future__ import annotations

import json

import pytest

from engine.errors import BudgetExceeded
from tests.api.serving import Served, serving
from tests.openfga.client import Fga, Json, Refusal, tuple_key
from tests.openfga.model import MODEL, conditional, filled

OBJECTS = {"type": "document", "relation": "viewer", "user": "user:ann"}
USERS = {"object": {"type": "document", "id": "plan"}, "relation": "viewer"}


async def test_objects(fga: Fga) -> None:
    for user, relation, wanted in (
        ("user:ann", "viewer", ["document:open", "document:plan"]),
        ("user:ann", "can_view", ["document:plan"]),
        ("user:*", "viewer", ["document:open"]),
        ("user:gil", "viewer", ["document:open", "document:plan"]),
        ("group:eng#member", "viewer", ["document:plan"]),
        ("document:plan#viewer", "viewer", ["document:plan"]),
        ("user:olga", "can_share", ["document:plan"]),
    ):
        assert await fga.list_objects(user, relation, "document") == wanted, (user, relation)


async def test_users(fga: Fga) -> None:
    context = {"x": 1}
    for object_, relation, form, wanted in (
        ("document:plan", "viewer", "user",
         ["user:ann", "user:cy", "user:fay", "user:gil", "user:olga"]),
        ("document:open", "viewer", "user", ["user:*"]),
        ("document:open", "can_view", "user", ["user:*"]),
        ("document:plan", "viewer", "group#member", ["group:eng#member"]),
        ("document:plan", "viewer", "document#viewer", ["document:plan#viewer"]),
        ("document:plan", "viewer", "group", []),
        ("group:eng", "member", "user", ["user:gil"]),
    ):  # fmt: skip
        assert await fga.list_users(object_, relation, form, context=context) == wanted


async def test_context_and_contextual_tuples(fga: Fga) -> None:
    new = "document:new#viewer@user:ann"
    assert "document:new" in await fga.list_objects("user:ann", "viewer", "document", [new])
    assert "document:new" not in await fga.list_objects("user:ann", "viewer", "document")
    assert await fga.list_users("document:new", "viewer", "user", [new]) == ["user:ann"]
    found = await fga.list_objects("user:cy", "owner", "document")
    assert found == []  # a condition that misses context elsewhere does not matter here
    for listing in (
        fga.list_objects("user:cy", "viewer", "document"),
        fga.list_users("document:plan", "viewer", "user"),
    ):
        with pytest.raises(Refusal) as told:
            await listing
        assert (told.value.status, told.value.code) == (400, "validation_error")
        assert "missing context parameters" in told.value.message
    cys = await fga.list_objects("user:cy", "viewer", "document", context={"x": 1})
    assert "document:plan" in cys


@pytest.mark.parametrize(
    ("call", "change", "code"),
    [
        ("list-objects", {"type": "none"}, "type_not_found"),
        ("list-objects", {"relation": "none"}, "relation_not_found"),
        ("list-objects", {"user": "ann"}, "validation_error"),
        ("list-objects", {"user": "none:ann"}, "validation_error"),
        ("list-objects", {"user": "group:eng#none"}, "validation_error"),
        ("list-objects", {"user": ""}, "validation_error"),
        ("list-objects", {"type": ""}, "type_invalid_pattern"),
        ("list-users", {"object": None}, "validation_error"),
        ("list-users", {"object": {"type": "none", "id": "a"}}, "type_not_found"),
        ("list-users", {"object": {"type": "document", "id": "*"}}, "validation_error"),
        ("list-users", {"relation": "none"}, "relation_not_found"),
        ("list-users", {"user_filters": []}, "validation_error"),
        ("list-users", {"user_filters": [{"type": "user"}] * 2}, "validation_error"),
        ("list-users", {"user_filters": [{"type": "none"}]}, "type_not_found"),
        ("list-users", {"user_filters": [{"type": "group", "relation": "none"}]},
         "relation_not_found"),
        ("list-users", {"contextual_tuples": [tuple_key("document:a#none@user:a")]},
         "invalid_tuple"),
        ("list-users", {"contextual_tuples": {"tuple_keys": []}}, "validation_error"),
    ],
)  # fmt: skip
async def test_what_is_refused(fga: Fga, call: str, change: Json, code: str) -> None:
    whole = OBJECTS if call == "list-objects" else {**USERS, "user_filters": [{"type": "user"}]}
    calls = [call, "streamed-list-objects"] if call == "list-objects" else [call]
    for name in calls:
        with pytest.raises(Refusal) as told:
            await fga.call(name, {**whole, **change})
        assert (told.value.status, told.value.code) == (400, code), told.value.message


async def test_lists_are_whole_however_long(served: Served) -> None:
    fga = await Fga.create(served.http, MODEL)
    many = [f"document:{number:04}#viewer@user:ann" for number in range(1500)]
    for start in range(0, len(many), 100):
        await fga.write(*many[start : start + 100])
    found = await fga.list_objects("user:ann", "viewer", "document")
    assert found == [one.partition("#")[0] for one in many]
    for start in range(0, 1500, 100):
        users = [f"document:all#viewer@user:{n}" for n in range(start, start + 100)]
        await fga.write(*users)
    assert len(await fga.list_users("document:all", "viewer", "user")) == 1500


async def test_a_list_that_is_cut_says_so() -> None:
    async with serving(openfga_max_results=2) as served:
        fga = await filled(served)
        await fga.write("document:more#viewer@user:ann")
        for call, body, name in (
            ("list-objects", OBJECTS, "objects"),
            ("list-users", {**USERS, "user_filters": [{"type": "user"}], "context": {"x": 1}},
             "users"),
        ):  # fmt: skip
            response = await fga.http.post(f"/stores/{fga.store}/{call}", json=body)
            assert len(response.json()[name]) == 2
            assert response.headers["stonetown-incomplete"] == "true"
        body = {**OBJECTS, "user": "user:olga"}  # as many as there may be, and no more
        response = await fga.http.post(f"/stores/{fga.store}/list-objects", json=body)
        assert len(response.json()["objects"]) == 2
        assert "stonetown-incomplete" not in response.headers
        response = await fga.http.post(f"/stores/{fga.store}/streamed-list-objects", json=OBJECTS)
        *lines, last = [json.loads(line) for line in response.text.splitlines()]
        assert len(lines) == 2
        assert last == {
            "error": {"code": 2053, "message": "the list was cut after 2 entries", "details": []}
        }


async def test_a_list_that_costs_too_much_is_refused_and_not_cut() -> None:
    async with serving(limit_evaluation_reads=20) as served:
        fga = await Fga.create(served.http, MODEL)
        for number in range(30):
            await fga.write(f"document:{number}#viewer@group:g{number}#member",
                            f"group:g{number}#member@user:ann")  # fmt: skip
        for listing in (
            fga.call("list-objects", OBJECTS),
            fga.call("streamed-list-objects", OBJECTS),
        ):
            with pytest.raises(Refusal) as told:
                await listing
            assert told.value.code == "authorization_model_resolution_too_complex"
        assert BudgetExceeded.status == 422  # the native API's own


async def test_expand(fga: Fga) -> None:
    async def tree(relation: str, *tuples: Json | str) -> Json:
        key = {"relation": relation, "object": "document:plan"}
        more = {"contextual_tuples": {"tuple_keys": [tuple_key(one) for one in tuples]}}
        root: Json = (await fga.call("expand", {"tuple_key": key, **more}))["tree"]["root"]
        return root

    def leaf(relation: str, told: Json) -> Json:
        return {"name": f"document:plan#{relation}", "leaf": told}

    assert await tree("owner") == leaf("owner", {"users": {"users": ["user:olga"]}})
    assert await tree("blocked") == leaf("blocked", {"users": {"users": []}})
    assert (await tree("can_share"))["intersection"]["nodes"] == [
        leaf("can_share", {"computed": {"userset": "document:plan#owner"}}),
        leaf("can_share", {"computed": {"userset": "document:plan#viewer"}}),
    ]
    difference = (await tree("can_view"))["difference"]
    assert difference["subtract"]["leaf"] == {"computed": {"userset": "document:plan#blocked"}}
    walked = (await tree("viewer"))["union"]["nodes"][2]["leaf"]["tupleToUserset"]
    assert walked == {
        "tupleset": "document:plan#parent",
        "computed": [{"userset": "folder:all#viewer"}],
    }
    shown = await tree("owner", "document:plan#owner@user:new", conditional("user:new"))
    assert shown["leaf"]["users"]["users"] == ["user:new", "user:olga"]


async def test_expand_refuses(fga: Fga) -> None:
    for key, code in (
        ({"relation": "none", "object": "document:plan"}, "validation_error"),
        ({"relation": "viewer", "object": "none:plan"}, "validation_error"),
        ({"relation": "viewer", "object": "plan"}, "validation_error"),
        ({"relation": "viewer"}, "invalid_expand_input"),
        ({"object": "document:plan"}, "validation_error"),
    ):
        with pytest.raises(Refusal) as told:
            await fga.call("expand", {"tuple_key": key})
        assert (told.value.status, told.value.code) == (400, code)


async def test_expand_leaves_out_what_the_model_does_not_allow(fga: Fga) -> None:
    await fga.write_model(MODEL.replace("define owner: [user]", "define owner: [group#member]"))
    key = {"relation": "owner", "object": "document:plan"}
    told = await fga.call("expand", {"tuple_key": key})
    assert told["tree"]["root"]["leaf"]["users"]["users"] == []
