"""Models over OpenFGA's API: written, read with every default, listed, chosen by id."""

from __future__ import annotations

from typing import Any

import pytest

from api.fga_ids import new_id
from schema.fga.encode import encode_model
from schema.fga.language import parse_model
from tests.api.serving import Served, serving
from tests.openfga.client import Fga, Refusal
from tests.openfga.model import MODEL

OLD = """model
  schema 1.1
type user
type document
  relations
    define viewer: [user]
"""
NEW = OLD.replace("[user]", "[user:*]")


async def refused(fga: Fga, model: Any) -> Refusal:
    with pytest.raises(Refusal) as told:
        await fga.send("POST", f"/stores/{fga.store}/authorization-models", model)
    return told.value


async def test_a_model_is_read_as_it_was_written_with_every_field(fga: Fga) -> None:
    path = f"/stores/{fga.store}/authorization-models/{fga.model}"
    told = (await fga.send("GET", path))["authorization_model"]
    assert told.pop("id") == fga.model
    wanted = encode_model(parse_model(MODEL), defaults=True)
    user, *others = told["type_definitions"]
    assert user == {"type": "user", "relations": {}, "metadata": None}
    assert others == wanted["type_definitions"][1:]
    assert told["conditions"] == wanted["conditions"]
    assert told["schema_version"] == "1.1"


@pytest.mark.parametrize(("count", "size"), [(5, 2), (13, 7), (10, 5), (12, 100)])
async def test_models_are_listed_in_pages_the_newest_first(
    served: Served, count: int, size: int
) -> None:
    fga = await Fga.create(served.http)
    made = [await fga.write_model(OLD) for _ in range(count)]
    assert made == sorted(set(made))
    seen: list[str] = []
    token = ""
    while True:
        path = f"/stores/{fga.store}/authorization-models"
        page = await fga.send("GET", path, page_size=size, continuation_token=token)
        assert len(page["authorization_models"]) == min(size, count - len(seen))
        seen += [model["id"] for model in page["authorization_models"]]
        token = page["continuation_token"]
        if not token:
            break
    assert seen == made[::-1]


async def test_the_latest_model_answers_unless_another_is_named(served: Served) -> None:
    fga = await Fga.create(served.http, OLD)
    await fga.write("document:1#viewer@user:ann")
    old = fga.model
    await fga.write_model(NEW)
    assert not await fga.check("document:1#viewer@user:ann")
    await fga.write("document:1#viewer@user:*")
    assert await fga.check("document:1#viewer@user:ann")
    fga.model = ""
    assert await fga.check("document:1#viewer@user:bob")
    fga.model = old
    assert await fga.check("document:1#viewer@user:ann")
    assert not await fga.check("document:1#viewer@user:bob")
    with pytest.raises(Refusal, match="typed wildcard 'user:\\*' is not an allowed type"):
        await fga.write("document:2#viewer@user:*")
    await fga.write("document:2#viewer@user:bob")


async def test_contextual_tuples_are_held_to_the_model_that_is_asked(served: Served) -> None:
    fga = await Fga.create(served.http, OLD)
    old = fga.model
    new = await fga.write_model(NEW)
    plain, public = "document:1#viewer@user:ann", "document:1#viewer@user:*"
    for model, good, bad in ((old, plain, public), (new, public, plain), ("", public, plain)):
        fga.model = model
        assert await fga.check(plain, [good])
        assert await fga.list_objects("user:ann", "viewer", "document", [good]) == ["document:1"]
        listed = await fga.list_users("document:1", "viewer", "user", [good])
        assert listed == [good.partition("@")[2]]
        with pytest.raises(Refusal) as told:
            await fga.check(plain, [bad])
        assert told.value.code == "invalid_tuple"


async def test_answers_name_the_model_that_was_asked(fga: Fga) -> None:
    name = "openfga-authorization-model-id"
    key = {"user": "user:ann", "relation": "viewer", "object": "document:plan"}
    for call, body in (
        ("check", {"tuple_key": key}),
        ("batch-check", {"checks": [{"tuple_key": key, "correlation_id": "1"}]}),
        ("expand", {"tuple_key": {"relation": "viewer", "object": "document:plan"}}),
        ("list-objects", {"type": "document", "relation": "owner", "user": "user:ann"}),
        ("streamed-list-objects", {"type": "document", "relation": "owner", "user": "user:ann"}),
        ("write", {"deletes": {"tuple_keys": [key], "on_missing": "ignore"}}),
    ):
        for named in ({}, {"authorization_model_id": fga.model}):
            path = f"/stores/{fga.store}/{call}"
            response = await fga.http.post(path, json={**body, **named})
            assert response.status_code == 200, response.text
            assert response.headers[name] == fga.model, call
            assert response.headers["stonetown-zookie"], call


async def test_operators_may_be_nested(served: Served) -> None:
    fga = await Fga.create(served.http)
    for depth, status in ((60, 201), (150, 400)):
        model = encode_model(parse_model(OLD))
        relations = model["type_definitions"][1]["relations"]
        relations["blocked"] = {"this": {}}
        rewrite: Any = {"this": {}}
        for _ in range(depth):
            rewrite = {"union": {"child": [rewrite, {"computedUserset": {"relation": "blocked"}}]}}
        relations["viewer"] = rewrite
        restricted = model["type_definitions"][1]["metadata"]["relations"]
        restricted["blocked"] = restricted["viewer"]
        path = f"/stores/{fga.store}/authorization-models"
        response = await served.http.post(path, json=model)
        assert response.status_code == status, response.text
        if status == 201:
            await fga.write("document:1#blocked@user:ann")
            assert await fga.check("document:1#viewer@user:ann")
            assert (await served.http.get(path)).status_code == 200


async def test_models_that_are_not_there(fga: Fga) -> None:
    there, other = fga.model, new_id()
    fga.model = other
    with pytest.raises(Refusal) as told:
        await fga.check("document:plan#viewer@user:ann")
    assert told.value.code == "authorization_model_not_found"
    assert told.value.message == f"Authorization Model '{other}' not found"
    with pytest.raises(Refusal) as told:
        await fga.send("GET", f"/stores/{fga.store}/authorization-models/{other}")
    assert (told.value.status, told.value.code) == (400, "authorization_model_not_found")
    nowhere = Fga(fga.http, new_id())
    for call in (nowhere.check("document:plan#viewer@user:ann"), nowhere.write("a:1#b@c:1")):
        with pytest.raises(Refusal) as told:
            await call
        assert told.value.code == "latest_authorization_model_not_found"
    nowhere.model = there
    with pytest.raises(Refusal) as told:
        await nowhere.check("document:plan#viewer@user:ann")
    assert told.value.code == "authorization_model_not_found"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema_version": "1.0"}, "invalid_authorization_model"),
        ({"schema_version": ""}, "validation_error"),
        ({"type_definitions": []}, "type_definitions_too_few_items"),
        ({"type_definitions": [{"type": "a b"}]}, "type_invalid_pattern"),
        ({"type_definitions": [{"type": "u"}, {"type": "u"}]}, "invalid_authorization_model"),
        ({"type_definitions": [{"type": f"t{n}"} for n in range(101)]}, "exceeded_entity_limit"),
        ({"type_definitions": [{"type": "u", "relations": {"a b": {}}}]},
         "relations_invalid_pattern"),
        ({"type_definitions": [{"type": "u", "relations": {"r": {}}}]},
         "invalid_authorization_model"),
        ({"type_definitions": [3]}, "validation_error"),
        ({"conditions": {"c": {"name": "c", "expression": "x", "parameters":
          {"x": {"type_name": "TYPE_NAME_INT"}}}}}, "invalid_authorization_model"),
        ({"conditions": {"c": {"name": "c", "expression": "x" * 513}}}, "validation_error"),
    ],
)  # fmt: skip
async def test_models_that_are_refused(fga: Fga, change: Any, code: str) -> None:
    model = {"schema_version": "1.1", "type_definitions": [{"type": "user"}], **change}
    told = await refused(fga, model)
    assert (told.status, told.code) == (400, code), told.message


async def test_the_size_of_a_model_is_bounded() -> None:
    async with serving(openfga_max_model_bytes=200, openfga_max_types_per_model=2) as served:
        fga = await Fga.create(served.http)
        types = [{"type": "a" * 100}, {"type": "b" * 100}]
        told = await refused(fga, {"schema_version": "1.1", "type_definitions": types})
        assert told.code == "exceeded_entity_limit"
        assert "model exceeds size limit" in told.message
        three = [{"type": "a"}, {"type": "b"}, {"type": "c"}]
        told = await refused(fga, {"schema_version": "1.1", "type_definitions": three})
        assert "exceeds the allowed limit of 2" in told.message


async def test_either_spelling_of_a_field_is_taken(served: Served) -> None:
    fga = await Fga.create(served.http)
    snake = {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {
                "type": "document",
                "relations": {
                    "owner": {"this": {}},
                    "viewer": {"computed_userset": {"relation": "owner"}},
                },
                "metadata": {
                    "relations": {"owner": {"directly_related_user_types": [{"type": "user"}]}}
                },
            },
        ],
    }
    camel = {
        "schemaVersion": "1.1",
        "typeDefinitions": [
            snake["type_definitions"][0],
            {
                "type": "document",
                "relations": {
                    "owner": {"this": {}},
                    "viewer": {"computedUserset": {"relation": "owner"}},
                },
                "metadata": {
                    "relations": {"owner": {"directlyRelatedUserTypes": [{"type": "user"}]}}
                },
            },
        ],
    }
    told = []
    for model in (snake, camel):
        path = f"/stores/{fga.store}/authorization-models"
        id_ = (await fga.send("POST", path, model))["authorization_model_id"]
        read = (await fga.send("GET", f"{path}/{id_}"))["authorization_model"]
        del read["id"]
        told.append(read)
    assert told[0] == told[1]


async def test_an_id_that_is_taken_is_a_conflict(served: Served) -> None:
    fga = await Fga.create(served.http, OLD)
    model = encode_model(parse_model(OLD))
    path = f"/stores/{fga.store}/authorization-models"
    for body, where, taken in (({"name": "acme"}, "/stores", fga.store), (model, path, fga.model)):
        response = await served.http.post(where, json=body, headers={"stonetown-id": taken})
        assert (response.status_code, response.json()["code"]) == (409, "already_exists")
