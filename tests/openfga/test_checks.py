"""Check and BatchCheck: answers, headers, refusals, and the short way through JSON."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from api.fga_ids import store_name
from api.openfga import hot
from tests.api.serving import PausingStorage, Served, bearer, key, serving
from tests.openfga.client import Fga, Json, Refusal, tuple_key
from tests.openfga.model import MODEL, conditional, filled

ANSWERS = {
    "document:plan#viewer@user:ann": True,
    "document:plan#viewer@user:gil": True,
    "document:plan#viewer@user:fay": True,
    "document:plan#viewer@user:olga": True,
    "document:plan#viewer@user:zoe": False,
    "document:plan#viewer@group:eng#member": True,
    "document:plan#viewer@document:plan#viewer": True,
    "document:plan#viewer@document:plan#owner": True,
    "document:plan#viewer@user:*": False,
    "document:open#viewer@user:*": True,
    "document:open#viewer@user:zoe": True,
    "document:open#can_view@user:ann": False,
    "document:open#can_view@user:*": True,
    "document:plan#can_share@user:olga": True,
    "document:plan#can_share@user:ann": False,
    "document:none#viewer@user:ann": False,
}


async def test_answers(fga: Fga) -> None:
    for question, wanted in ANSWERS.items():
        assert await fga.check(question) is wanted, question


async def test_the_answer_in_full(fga: Fga) -> None:
    body = {"tuple_key": tuple_key("document:plan#viewer@user:ann"), "trace": True, "other": 1}
    assert await fga.call("check", body) == {"allowed": True, "resolution": ""}


async def test_context_decides_and_what_is_stored_wins(fga: Fga) -> None:
    await fga.write(conditional("user:dee", {"x": 3}))
    question = "document:plan#viewer@user:cy"
    assert await fga.check(question, context={"x": 3, "more": True})
    assert not await fga.check(question, context={"x": 10})
    assert await fga.check("document:plan#viewer@user:dee", context={"x": 99})
    with pytest.raises(Refusal) as told:
        await fga.check(question)
    assert (told.value.status, told.value.code) == (400, "validation_error")
    assert "is missing context parameters '[x]'" in told.value.message
    with pytest.raises(Refusal):
        await fga.check(question, context={"x": "many"})


async def test_contextual_tuples_count_for_the_question_alone(fga: Fga) -> None:
    question = "document:plan#viewer@user:new"
    assert await fga.check(question, ["group:eng#member@user:new"])
    assert not await fga.check(question)
    assert await fga.check(question, [conditional("user:new")], context={"x": 1})
    assert not await fga.check(question, [conditional("user:new")], context={"x": 11})
    assert await fga.check(question, [question, question])
    with pytest.raises(Refusal) as told:
        await fga.check(question, [question, conditional("user:new")])
    assert told.value.code == "duplicate_contextual_tuple"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("document:plan#none@user:ann", "relation 'document#none' not found"),
        ("none:plan#viewer@user:ann", "type 'none' not found"),
        ("document:plan#viewer@none:ann", "type 'none' not found"),
        ("document:plan#viewer@group:eng#none", "relation 'group#none' not found"),
        ("document:plan#viewer@ann", "the 'user' field is malformed"),
        ("document:*#viewer@user:ann", "the 'object' field cannot reference a typed wildcard"),
        ("plan#viewer@user:ann", "invalid 'object' field format"),
    ],
)
async def test_questions_that_are_refused(fga: Fga, question: str, words: str) -> None:
    with pytest.raises(Refusal) as told:
        await fga.check(question)
    assert (told.value.status, told.value.code) == (400, "validation_error")
    assert words in told.value.message


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({}, "tuple_key_value_not_specified", "invalid CheckRequest.TupleKey: value is required"),
        ({"tuple_key": {}}, "validation_error", 'CheckRequestTupleKey.User: value does not match'),
        ({"tuple_key": 3}, "validation_error", "tuple_key"),
        ({"tuple_key": tuple_key("document:a#viewer@user:a"), "consistency": "NONE"},
         "validation_error", "consistency"),
        ({"tuple_key": tuple_key("document:a#viewer@user:a"), "context": []},
         "validation_error", "context"),
        ({"tuple_key": tuple_key("document:a#viewer@user:a"), "authorization_model_id": "x"},
         "validation_error", "AuthorizationModelId"),
        ({"tuple_key": tuple_key("document:a#viewer@user:a"), "zookie": "x"},
         "validation_error", "zookie"),
        ({"tuple_key": tuple_key("document:a#viewer@user:a"), "tupleKey": {}},
         "validation_error", "duplicate field"),
    ],
)  # fmt: skip
async def test_bodies_that_are_refused(fga: Fga, body: Json, code: str, words: str) -> None:
    with pytest.raises(Refusal) as told:
        await fga.call("check", body)
    assert (told.value.status, told.value.code) == (400, code)
    assert words in told.value.message


async def test_contextual_tuples_are_held_to_the_model(fga: Fga) -> None:
    for bad, code in (
        ("document:plan#viewer@folder:a", "invalid_tuple"),
        ("document:plan#none@user:a", "invalid_tuple"),
        ("document:plan#parent@folder:*", "invalid_tuple"),
        (conditional("user:a", {"x": "many"}), "validation_error"),
    ):
        with pytest.raises(Refusal) as told:
            await fga.check("document:plan#viewer@user:ann", [bad])
        assert told.value.code == code
    many = [f"document:{number}#viewer@user:a" for number in range(101)]
    with pytest.raises(Refusal) as told:
        await fga.check("document:plan#viewer@user:ann", many)
    assert "value must contain no more than 100 item(s)" in told.value.message


async def test_batches_answer_each_check_by_its_id(fga: Fga) -> None:
    questions = [*ANSWERS, "document:plan#viewer@user:cy", "document:plan#none@user:ann"]
    checks = [
        {"tuple_key": tuple_key(question), "correlation_id": f"c-{number}"}
        for number, question in enumerate(questions)
    ]
    told = (await fga.call("batch-check", {"checks": checks}))["result"]
    for number, wanted in enumerate(ANSWERS.values()):
        assert told[f"c-{number}"] == {"allowed": wanted}
    last = [told[f"c-{number}"]["error"] for number in (len(ANSWERS), len(ANSWERS) + 1)]
    assert [error["input_error"] for error in last] == ["validation_error"] * 2
    assert "missing context parameters" in last[0]["message"]


async def test_each_check_of_a_batch_has_its_own_context_and_tuples(fga: Fga) -> None:
    asked: list[Json] = []
    for number, more in enumerate(
        ({"context": {"x": 1}}, {"context": {"x": 11}}, {}, {"context": {"x": 1}})
    ):
        body = {"tuple_key": tuple_key("document:plan#viewer@user:cy"), **more}
        asked.append({**body, "correlation_id": str(number)})
    asked[2]["contextual_tuples"] = {"tuple_keys": [tuple_key("document:plan#viewer@user:cy")]}
    told = (await fga.call("batch-check", {"checks": asked}))["result"]
    assert [told[str(number)].get("allowed") for number in range(4)] == [True, False, True, True]


async def test_batches_that_are_refused(fga: Fga) -> None:
    one = {"tuple_key": tuple_key("document:plan#viewer@user:ann")}
    many = [{**one, "correlation_id": str(number)} for number in range(51)]
    for checks, words in (
        ([], "value must contain at least 1 item(s)"),
        (many, "batchCheck received 51 checks, the maximum allowed is 50"),
        ([many[0], many[0]], "received duplicate correlation id: 0"),
        ([one], "CorrelationId"),
        ([{**one, "correlation_id": "a b"}], "CorrelationId"),
        ([{"correlation_id": "a"}], "TupleKey: value is required"),
    ):
        with pytest.raises(Refusal) as told:
            await fga.call("batch-check", {"checks": checks})
        assert told.value.status == 400
        assert words in told.value.message


async def test_zookies_make_answers_as_fresh(fga: Fga) -> None:
    body = {"writes": {"tuple_keys": [tuple_key("document:z#viewer@user:ann")]}}
    response = await fga.http.post(f"/stores/{fga.store}/write", json=body)
    zookie = response.headers["stonetown-zookie"]
    asked = {"tuple_key": tuple_key("document:z#viewer@user:ann")}
    for more in ({"zookie": zookie}, {"consistency": "HIGHER_CONSISTENCY"}, {"consistency": 1}):
        assert (await fga.call("check", {**asked, **more}))["allowed"]


ORDINARY = (
    {"tuple_key": tuple_key("document:plan#viewer@user:ann")},
    {"tuple_key": tuple_key("document:plan#viewer@group:eng#member"), "consistency": "UNSPECIFIED"},
)
UNUSUAL = (
    {"tuple_key": tuple_key("document:plan#viewer@user:*")},
    {"tuple_key": tuple_key("document:plan#viewer@user:ä")},
    {"tuple_key": tuple_key("document:plan#viewer@user:ann"), "context": {}},
    {"tupleKey": tuple_key("document:plan#viewer@user:ann")},
    {"tuple_key": tuple_key("document:plan#viewer@user:ann"), "more": "x"},
)


def plain(body: Any) -> bool:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return hot.plain_check(text, store_name("0" * 26)) is not None


async def test_the_short_way_takes_ordinary_bodies_and_no_others(fga: Fga) -> None:
    for body in ORDINARY:
        assert plain(body)
        assert (await fga.call("check", body))["allowed"]
    for body in UNUSUAL:
        assert not plain(body)
        assert "allowed" in await fga.call("check", body)
    twice = b'{"tuple_key":{"user":"user:a","user":"user:b","relation":"r","object":"d:1"}}'
    assert not plain(twice)


async def test_a_key_that_stands_twice_is_refused(fga: Fga) -> None:
    body = b'{"tuple_key":{"user":"user:a","user":"user:b","relation":"viewer","object":"d:1"}}'
    response = await fga.http.post(
        f"/stores/{fga.store}/check", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400


async def test_every_call_needs_its_right() -> None:
    secrets = {"check": "one", "read": "two", "write": "three", "schema": "four"}
    entries = [key("all", "zero"), *(key(f"k-{r}", s, f"::{r}") for r, s in secrets.items())]
    async with serving(api_keys=",".join(entries)) as served:
        served.http.headers.update(bearer("zero"))
        fga = await filled(served)
        for call, body, right in _calls():
            for of, secret in secrets.items():
                response = await asked(served, f"/stores/{fga.store}/{call}", body, secret)
                assert (response.status_code != 403) == (of == right), (call, of, response.text)
            async with httpx.AsyncClient(base_url=served.url) as nobody:
                response = await nobody.post(f"/stores/{fga.store}/{call}", json=body)
            assert response.status_code == 401
            assert response.json()["code"] == "bearer_token_missing"


def _calls() -> list[tuple[str, Json, str]]:
    question = tuple_key("document:plan#viewer@user:ann")
    objects = {"type": "document", "relation": "viewer", "user": "user:ann"}
    users = {"object": {"type": "document", "id": "plan"}, "relation": "viewer"}
    return [
        ("check", {"tuple_key": question}, "check"),
        ("batch-check", {"checks": [{"tuple_key": question, "correlation_id": "1"}]}, "check"),
        ("expand", {"tuple_key": {"relation": "viewer", "object": "document:plan"}}, "read"),
        ("read", {}, "read"),
        ("list-objects", objects, "read"),
        ("streamed-list-objects", objects, "read"),
        ("list-users", {**users, "user_filters": [{"type": "user"}]}, "read"),
        ("write", {"writes": {"tuple_keys": [question]}}, "write"),
        ("authorization-models", {}, "schema"),
    ]


async def asked(served: Served, path: str, body: Json, secret: str) -> httpx.Response:
    return await served.http.post(path, json=body, headers=bearer(secret))


async def test_the_model_of_a_deleted_store_answers_nothing(fga: Fga) -> None:
    await fga.send("DELETE", f"/stores/{fga.store}")
    with pytest.raises(Refusal) as told:
        await fga.check("document:plan#viewer@user:ann")
    assert told.value.code == "authorization_model_not_found"


async def test_what_depends_on_its_own_absence_is_denied(fga: Fga) -> None:
    await fga.write_model(
        MODEL.replace(
            "condition",
            "type ring\n  relations\n    define a: [user] but not c\n"
            "    define c: [user, ring#a]\n\ncondition",
        )
    )
    await fga.write("ring:1#c@ring:1#a", "ring:1#a@user:ann")
    assert not await fga.check("ring:1#a@user:ann")
    batch = [{"tuple_key": tuple_key("ring:1#a@user:ann"), "correlation_id": "1"}]
    assert (await fga.call("batch-check", {"checks": batch}))["result"] == {"1": {"allowed": False}}
    assert await fga.list_objects("user:ann", "a", "ring") == []
    assert await fga.list_users("ring:1", "a", "user") == []


async def test_depth_is_no_limit_unless_it_is_set() -> None:
    for limit, deepest in ((0, 200), (25, 25)):
        async with serving(limit_depth=limit) as served:
            fga = await Fga.create(served.http, MODEL)
            chain = [f"group:{n}#member@group:{n + 1}#member" for n in range(1, 200)]
            for start in range(0, len(chain), 100):
                await fga.write(*chain[start : start + 100])
            for depth in (1, 25, 26, 200):
                end = f"group:{depth}#member@user:u{depth}"
                await fga.write(end)
                question = f"group:1#member@user:u{depth}"
                if depth <= deepest:
                    assert await fga.check(question)
                    continue
                with pytest.raises(Refusal) as told:
                    await fga.check(question)
                assert told.value.code == "authorization_model_resolution_too_complex"


async def test_what_takes_too_long_is_told_as_such() -> None:
    storage = PausingStorage()
    async with serving(storage) as served:
        fga = await filled(served)
        path, soon = f"/stores/{fga.store}", {"x-stonetown-deadline-ms": "20"}
        asked: Json = {"tuple_key": tuple_key("document:plan#viewer@user:ann")}
        listed: Json = {"type": "document", "relation": "viewer", "user": "user:ann"}
        storage.open.clear()
        for call, body in (("check", asked), ("list-objects", listed)):
            fresh = {**body, "consistency": "HIGHER_CONSISTENCY"}
            response = await served.http.post(f"{path}/{call}", json=fresh, headers=soon)
            told = (response.status_code, response.json()["code"])
            assert told == (422, "throttled_timeout_error")
        storage.open.set()
