"""Write and Read: what is refused, and in which words; options; pages."""

from __future__ import annotations

from typing import Any

import pytest

from engine.tuples import parse_time
from tests.api.serving import serving
from tests.openfga.client import Fga, Json, Refusal, tuple_key
from tests.openfga.model import MODEL, TUPLES, conditional, filled


async def refused(fga: Fga, body: Json) -> Refusal:
    with pytest.raises(Refusal) as told:
        await fga.call("write", body)
    return told.value


def writes(*tuples: Any, **options: str) -> Json:
    return {"writes": {"tuple_keys": [tuple_key(item) for item in tuples], **options}}


def deletes(*tuples: Any, **options: str) -> Json:
    return {"deletes": {"tuple_keys": [tuple_key(item) for item in tuples], **options}}


async def stored(fga: Fga, body: Json | None = None) -> list[Json]:
    return [item["key"] for item in (await fga.call("read", body or {}))["tuples"]]


async def test_what_is_there_is_refused_unless_it_may_be(fga: Fga) -> None:
    told = await refused(fga, writes(TUPLES[0]))
    assert (told.status, told.code) == (400, "write_failed_due_to_invalid_input")
    assert told.message == (
        "cannot write a tuple which already exists: user: 'user:ann', relation: 'viewer',"
        " object: 'document:plan': tuple to be written already existed or the tuple to be deleted"
        " did not exist"
    )
    await fga.write(TUPLES[0], "document:new#viewer@user:ann", on_duplicate="ignore")
    assert await fga.check("document:new#viewer@user:ann")


async def test_what_is_not_there_is_refused_unless_it_may_be(fga: Fga) -> None:
    told = await refused(fga, deletes("document:plan#viewer@user:zoe"))
    assert (told.status, told.code) == (400, "write_failed_due_to_invalid_input")
    assert told.message.startswith("cannot delete a tuple which does not exist: user: 'user:zoe'")
    await fga.delete("document:plan#viewer@user:zoe", TUPLES[0], on_missing="ignore")
    assert not await fga.check(TUPLES[0])


async def test_another_condition_is_a_conflict_or_an_update(fga: Fga) -> None:
    changed = conditional("user:cy", {"x": 3})
    told = await refused(fga, writes(changed, on_duplicate="ignore"))
    assert (told.status, told.code) == (409, "Aborted")
    await fga.write(conditional("user:cy"), on_duplicate="ignore")
    await fga.write(changed, on_duplicate="update")
    assert await fga.check("document:plan#viewer@user:cy")


async def test_a_write_is_whole_or_nothing(fga: Fga) -> None:
    before = await stored(fga)
    body = {**writes("document:new#viewer@user:zoe"), **deletes("document:new#viewer@user:ann")}
    await refused(fga, body)
    assert await stored(fga) == before
    body = {**writes("document:new#viewer@user:zoe"), **deletes(TUPLES[0])}
    assert await fga.call("write", body) == {}
    assert await fga.check("document:new#viewer@user:zoe")
    assert not await fga.check(TUPLES[0])


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({}, "invalid_write_input", "at least one write, or at least one delete"),
        ({"writes": {}}, "validation_error", "value must contain at least 1 item(s)"),
        (writes("document:a#viewer@user:a", "document:a#viewer@user:a"),
         "cannot_allow_duplicate_tuples_in_one_request", "duplicate tuple in write: user: "),
        ({**writes("document:a#viewer@user:a"), **deletes("document:a#viewer@user:a")},
         "cannot_allow_duplicate_tuples_in_one_request", "duplicate tuple in write"),
        (writes("document:a#viewer@folder:a"), "validation_error",
         "Invalid tuple 'document:a#viewer@folder:a'. Reason: type 'folder' is not an allowed"),
        (writes("document:a#viewer@group:a"), "validation_error", "type 'group' is not an allowed"),
        (writes("document:a#owner@user:*"), "validation_error",
         "the typed wildcard 'user:*' is not an allowed type restriction for 'document#owner'"),
        (writes("document:a#owner@group:a#member"), "validation_error",
         "'group#member' is not an allowed type restriction for 'document#owner'"),
        (writes("document:a#can_view@user:a"), "validation_error", "type 'user' is not an allowed"),
        (writes("document:a#none@user:a"), "validation_error",
         "relation 'document#none' not found"),
        (writes("none:a#viewer@user:a"), "validation_error", "type 'none' not found"),
        (writes("document:a#viewer@none:a"), "validation_error", "type 'none' not found"),
        (writes("document:a#viewer@group:a#none"), "validation_error",
         "relation 'group#none' not found"),
        (writes("document:a#parent@folder:*"), "validation_error", "typed wildcard 'folder:*'"),
        (writes("document:*#viewer@user:a"), "validation_error",
         "the 'object' field cannot reference a typed wildcard"),
        (writes("document:a:b#viewer@user:a"), "validation_error", "invalid 'object' field format"),
        (writes("document:a#viewer@ann"), "validation_error", "the 'user' field is malformed"),
        (writes("document:a#viewer@*"), "validation_error", "the 'user' field is malformed"),
        (writes("document:a#viewer@group:*#member"), "validation_error", "'user' field is malfor"),
        (writes("group:a#member@group:a#member"), "validation_error",
         "cannot write a tuple that is implicit"),
        (writes({**tuple_key("document:a#owner@user:a"), "condition": {"name": "small"}}),
         "validation_error", "invalid condition for type restriction"),
        (writes({**tuple_key("document:a#viewer@user:a"), "condition": {"name": "none"}}),
         "validation_error", "undefined condition"),
        (writes(conditional("user:a", {"y": 1})), "validation_error", "Invalid tuple"),
        (writes(conditional("user:a", {"x": "no"})), "validation_error", "Invalid tuple"),
        (writes(conditional("user:a", {"x": "1" * 40_000})), "validation_error", "size limit"),
        (writes("document:a#viewer@user:a", on_duplicate="perhaps"), "validation_error",
         "invalid on_duplicate option: perhaps"),
        (deletes("document:a#viewer@user:a", on_missing="perhaps"), "validation_error",
         "invalid on_missing option: perhaps"),
    ],
)  # fmt: skip
async def test_refusals(fga: Fga, body: Json, code: str, words: str) -> None:
    told = await refused(fga, body)
    assert (told.status, told.code) == (400, code), told.message
    assert words in told.message


async def test_a_tuple_without_its_condition_is_refused(fga: Fga) -> None:
    await fga.write_model(MODEL.replace("[user, user:*, group#member, user with small]",
                                        "[user with small]"))  # fmt: skip
    told = await refused(fga, writes("document:a#viewer@user:a"))
    assert told.message.endswith("Reason: condition is missing")


async def test_the_number_of_tuples_is_bounded() -> None:
    async with serving(openfga_max_tuples_per_write=3) as served:
        fga = await Fga.create(served.http, MODEL)
        many = [f"document:{number}#viewer@user:a" for number in range(4)]
        told = await refused(fga, writes(*many))
        assert told.code == "exceeded_entity_limit"
        assert told.message == "The number of write operations exceeds the allowed limit of 3"
        await fga.write(*many[:3])


async def test_tuples_of_other_models_can_be_deleted(fga: Fga) -> None:
    await fga.write_model("model\n  schema 1.1\ntype other\n")
    await fga.delete(TUPLES[0])
    assert len(await stored(fga)) == len(TUPLES)


async def test_read_pages_through_everything(fga: Fga) -> None:
    whole = await fga.call("read", {})
    assert whole["continuation_token"] == ""
    assert len(whole["tuples"]) == len(TUPLES) + 1
    for item in whole["tuples"]:
        assert set(item) == {"key", "timestamp"}
        assert parse_time(item["timestamp"], "timestamp").year >= 2000
        assert set(item["key"]) == {"user", "relation", "object", "condition"}
    seen: list[Json] = []
    token = ""
    while True:
        page = await fga.call("read", {"page_size": 4, "continuation_token": token})
        seen += page["tuples"]
        token = page["continuation_token"]
        if not token:
            break
        assert len(token) <= 5120
    assert seen == whole["tuples"]


async def test_read_is_filtered(fga: Fga) -> None:
    for key, wanted in (
        ({"object": "document:plan", "relation": "owner"}, {"user:olga"}),
        ({"object": "document:plan", "user": "user:ann"}, {"user:ann"}),
        ({"object": "document:", "user": "user:ann"}, {"user:ann"}),
        ({"object": "document:", "user": "user:*"}, {"user:*"}),
        ({"object": "document:", "user": "group:eng#member"}, {"group:eng#member"}),
        ({"object": "document:", "user": "group:eng"}, set()),
    ):
        assert {item["user"] for item in await stored(fga, {"tuple_key": key})} == wanted
    (found,) = await stored(fga, {"tuple_key": {"object": "document:plan", "user": "user:cy"}})
    assert found["condition"] == {"name": "small", "context": {}}


@pytest.mark.parametrize(
    "key",
    [{"object": "document:"}, {"relation": "viewer"}, {"user": "user:ann"}, {"object": "plan"},
     {"object": "document:plan", "user": "ann"}],
)  # fmt: skip
async def test_filters_that_are_refused(fga: Fga, key: Json) -> None:
    with pytest.raises(Refusal) as told:
        await fga.call("read", {"tuple_key": key})
    assert told.value.code == "validation_error"


async def test_tokens_are_of_one_list(fga: Fga) -> None:
    page = await fga.call("read", {"page_size": 1})
    token = page["continuation_token"]
    body = {"tuple_key": {"object": "document:plan"}, "continuation_token": token}
    for asked in (body, {"continuation_token": token[:-2]}, {"continuation_token": "bm9uZQ"}):
        with pytest.raises(Refusal) as told:
            await fga.call("read", asked)
        assert told.value.code == "invalid_continuation_token"


async def test_a_write_that_carries_a_key_is_done_once() -> None:
    async with serving() as served:
        fga = await filled(served)
        path, body = f"/stores/{fga.store}/write", writes("document:new#viewer@user:ann")
        for _ in range(2):
            response = await served.http.post(path, json=body, headers={"idempotency-key": "one"})
            assert response.status_code == 200
