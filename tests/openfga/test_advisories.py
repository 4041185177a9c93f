"""What OpenFGA's security advisories were about, each as a test of ours.

The data and the questions are our own; the numbers say which advisory a test restates. Streaming
without a key (2022-39340) is in `test_checks.py`, with every other call.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.serving import Served
from tests.openfga.client import Fga, Json, Refusal, tuple_key

HEAD = "model\n  schema 1.1\n\ntype user\n\n"
CONDITION = (
    "\ncondition small(x: int) {\n  x < 10\n}\n\ncondition any(y: string) {\n  y == 'a'\n}\n"
)
FOLDERS = """type folder
  relations
    define viewer: [user, user:*]

type document
  relations
    define parent: [{parent}]
    define viewer: {viewer}
"""


def model(types: str, **parts: str) -> str:
    text = types.format(**parts) if parts else types
    return HEAD + text + (CONDITION if " with " in text else "")


async def store(http: httpx.AsyncClient, types: str, *tuples: Json | str, **parts: str) -> Fga:
    fga = await Fga.create(http, model(types, **parts))
    if tuples:
        await fga.write(*tuples)
    return fga


async def agree(fga: Fga, kind: str, relation: str, users: list[str], ids: list[str]) -> None:
    """Both lists and Check tell the same."""
    allowed = {
        (user, f"{kind}:{id_}")
        for user in users
        for id_ in ids
        if await fga.check({"user": user, "relation": relation, "object": f"{kind}:{id_}"})
    }
    for user in users:
        wanted = sorted(object_ for who, object_ in allowed if who == user)
        assert sorted(await fga.list_objects(user, relation, kind)) == wanted
    for id_ in ids:
        listed = await fga.list_users(f"{kind}:{id_}", relation, "user")
        plain = {user for user, object_ in allowed if object_ == f"{kind}:{id_}"}
        assert {user for user in listed if not user.endswith(":*")} <= plain
        if "user:*" not in listed:
            assert set(listed) >= plain


def under(key: str, name: str = "small", **context: Any) -> Json:
    return {**tuple_key(key), "condition": {"name": name, "context": context}}


async def test_2022_39341_a_wildcard_leads_to_no_parent(openfga: httpx.AsyncClient) -> None:
    fga = await store(openfga, FOLDERS, parent="folder:*", viewer="[user]")
    await fga.write("document:1#parent@folder:*", "folder:a#viewer@user:ann")
    with pytest.raises(Refusal):
        await fga.write_model(model(FOLDERS, parent="folder:*", viewer="viewer from parent"))
    await fga.write_model(model(FOLDERS, parent="folder", viewer="viewer from parent"))
    with pytest.raises(Refusal):
        await fga.write("document:2#parent@folder:*")
    assert not await fga.check("document:1#viewer@user:ann")
    assert await fga.list_objects("user:ann", "viewer", "document") == []


async def test_2022_39342_what_is_walked_is_written(openfga: httpx.AsyncClient) -> None:
    fga = await store(openfga, FOLDERS, parent="folder", viewer="[user]")
    with pytest.raises(Refusal) as told:
        await fga.write_model(
            model(FOLDERS, parent="folder] or other", viewer="viewer from parent").replace(
                "or other]", "or other\n    define other: [folder]"
            )
        )
    assert told.value.code == "invalid_authorization_model"


async def test_2022_23542_tuples_of_older_models_count_for_nothing(
    openfga: httpx.AsyncClient,
) -> None:
    types = "type group\n  relations\n    define member: [user]\n\ntype document\n  relations\n"
    fga = await store(openfga, types + "    define viewer: [user, user:*, group#member]\n")
    await fga.write("document:1#viewer@user:ann", "document:2#viewer@user:*",
                    "document:3#viewer@group:g#member", "group:g#member@user:ann")  # fmt: skip
    await fga.write_model(model(types + "    define viewer: [group]\n"))
    for number in (1, 2, 3):
        assert not await fga.check(f"document:{number}#viewer@user:ann")
    assert await fga.list_objects("user:ann", "viewer", "document") == []
    assert await fga.list_users("document:1", "viewer", "user") == []
    await fga.write_model(model(types + "    define viewer: [user]\n"))
    assert await fga.list_objects("user:ann", "viewer", "document") == ["document:1"]


async def test_2023_35933_cycles_end(openfga: httpx.AsyncClient) -> None:
    fga = await Fga.create(openfga)
    loop = "type document\n  relations\n    define a: b\n    define b: c\n    define c: a\n"
    with pytest.raises(Refusal) as told:
        await fga.write_model(model(loop))
    assert told.value.code == "invalid_authorization_model"
    many = [f"    define r{n}: [user] or r{n + 1} or r{n + 2} from next\n" for n in range(40)]
    end = "    define r40: [user]\n    define r41: [user]\n    define next: [document]\n"
    await fga.write_model(model("type document\n  relations\n" + "".join(many) + end))
    ring = [f"document:{n}#next@document:{(n + 1) % 20}" for n in range(20)]
    await fga.write(*ring)
    async with asyncio.timeout(60):
        assert not await fga.check("document:0#r0@user:ann")
        await fga.write("document:7#r41@user:ann")
        await agree(fga, "document", "r0", ["user:ann"], list(map(str, range(20))))


async def test_2023_40579_lists_hold_nothing_that_is_denied(openfga: httpx.AsyncClient) -> None:
    types = FOLDERS + "    define editor: [user]\n    define both: editor and viewer from parent\n"
    fga = await store(openfga, types, parent="folder", viewer="viewer from parent")
    await fga.write("folder:a#viewer@user:ann", "folder:b#viewer@user:bob",
                    "document:1#parent@folder:a", "document:2#parent@folder:b",
                    "document:1#editor@user:bob", "document:2#editor@user:bob")  # fmt: skip
    for relation in ("viewer", "both"):
        await agree(fga, "document", relation, ["user:ann", "user:bob"], ["1", "2"])
    assert await fga.list_objects("user:bob", "both", "document") == ["document:2"]


async def test_2023_45810_lists_that_nobody_waits_for_leave_nothing(served: Served) -> None:
    types = "type group\n  relations\n    define member: [user, group#member]\n"
    fga = await store(served.http, types)
    for start in range(0, 300, 100):
        await fga.write(*[f"group:{n}#member@group:{n + 1}#member"
                          for n in range(start, start + 100)])  # fmt: skip
    body = {"type": "group", "relation": "member", "user": "user:ann"}
    for name in ("list-objects", "streamed-list-objects"):
        for _ in range(30):
            asked = asyncio.create_task(fga.call(name, body))
            await asyncio.sleep(0)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
    await served.http.aclose()
    served.http = httpx.AsyncClient(base_url=served.url)
    await served.metric("stonetown_in_flight 0.0")
    assert len(served.connections) <= 1


async def test_2024_31452_cycles_below_operators_allow_nothing(openfga: httpx.AsyncClient) -> None:
    types = (
        "type group\n  relations\n    define blocked: [user, group#member]\n"
        "    define allowed: [user, group#member]\n"
        "    define member: [user, group#member] and allowed\n"
        "    define reader: [user, group#reader] but not blocked\n"
    )
    fga = await store(openfga, types)
    await fga.write("group:a#member@group:b#member", "group:b#member@group:a#member",
                    "group:a#allowed@user:ann", "group:b#allowed@user:ann",
                    "group:a#reader@group:b#reader", "group:b#reader@group:a#reader",
                    "group:a#blocked@group:a#member")  # fmt: skip
    for relation in ("member", "reader"):
        for id_ in ("a", "b"):
            assert not await fga.check(f"group:{id_}#{relation}@user:ann")
        await agree(fga, "group", relation, ["user:ann"], ["a", "b"])


async def test_2024_42473_what_is_excluded_through_a_parent_stays_out(
    openfga: httpx.AsyncClient,
) -> None:
    types = (
        "type group\n  relations\n    define member: [user]\n\n"
        "type folder\n  relations\n    define blocked: [user, group#member]\n\n"
        "type document\n  relations\n    define parent: [folder]\n"
        "    define viewer: [user, group#member] but not blocked from parent\n"
    )
    fga = await store(openfga, types)
    await fga.write("group:g#member@user:ann", "group:g#member@user:bob",
                    "document:1#viewer@group:g#member", "document:1#parent@folder:f",
                    "folder:f#blocked@user:ann")  # fmt: skip
    assert not await fga.check("document:1#viewer@user:ann")
    assert await fga.check("document:1#viewer@user:bob")
    await agree(fga, "document", "viewer", ["user:ann", "user:bob"], ["1"])
    await fga.write("folder:f#blocked@group:g#member")
    assert not await fga.check("document:1#viewer@user:bob")


async def test_2024_56323_each_question_has_its_own_tuples(openfga: httpx.AsyncClient) -> None:
    types = "type document\n  relations\n    define viewer: [user with small, user with any]\n"
    fga = await store(openfga, types)
    key = "document:1#viewer@user:ann"
    for _ in range(2):
        for tuple_, context, wanted in (
            (under(key), {"x": 1}, True),
            (under(key, x=99), {"x": 1}, False),
            (under(key, x=1), {"x": 99}, True),
            (under(key, "any"), {"x": 1, "y": "a"}, True),
            (under(key, "any", y="b"), {"x": 1, "y": "a"}, False),
        ):
            assert await fga.check(key, [tuple_], context=context) is wanted
            found = await fga.list_objects("user:ann", "viewer", "document", [tuple_],
                                           context=context)  # fmt: skip
            assert found == (["document:1"] if wanted else [])


async def test_2025_25196_public_and_userset_access_of_one_type(openfga: httpx.AsyncClient) -> None:
    types = (
        "type group\n  relations\n    define member: [user]\n\ntype document\n  relations\n"
        "    define viewer: [group:*, group#member, user]\n"
    )
    fga = await store(openfga, types)
    await fga.write("document:1#viewer@group:*", "group:g#member@user:ann",
                    "document:2#viewer@group:g#member")  # fmt: skip
    assert not await fga.check("document:1#viewer@user:ann")
    assert not await fga.check("document:1#viewer@group:g#member")
    assert await fga.check("document:1#viewer@group:any")
    assert await fga.check("document:2#viewer@user:ann")
    assert not await fga.check("document:2#viewer@group:g")
    await agree(fga, "document", "viewer", ["user:ann"], ["1", "2"])


async def test_2025_46331_what_a_cycle_cut_off_is_not_remembered(
    openfga: httpx.AsyncClient,
) -> None:
    types = "type group\n  relations\n    define member: [user, group#member]\n"
    fga = await store(openfga, types)
    await fga.write("group:1#member@group:2#member", "group:2#member@group:1#member",
                    "group:2#member@group:3#member", "group:3#member@group:2#member",
                    "group:1#member@user:ann")  # fmt: skip
    for _ in range(2):
        for number in (3, 2, 1):
            assert await fga.check(f"group:{number}#member@user:ann")
    batch = [{"tuple_key": tuple_key(f"group:{n}#member@user:{who}"), "correlation_id": f"{n}{who}"}
             for n in (1, 2, 3) for who in ("ann", "bob")]  # fmt: skip
    told = (await fga.call("batch-check", {"checks": batch}))["result"]
    assert all(item["allowed"] == id_.endswith("ann") for id_, item in told.items())


async def test_2025_48371_contextual_tuples_are_held_to_the_model(
    openfga: httpx.AsyncClient,
) -> None:
    types = (
        "type group\n  relations\n    define member: [user]\n    define owner: [user]\n\n"
        "type document\n  relations\n    define viewer: [user:*, group#member]\n"
    )
    fga = await store(openfga, types, "group:g#owner@user:ann", "group:g#member@user:bob")
    for bad in ("document:1#viewer@group:g#owner", "document:1#viewer@user:ann",
                "document:1#viewer@group:*"):  # fmt: skip
        for asked in (
            fga.check("document:1#viewer@user:ann", [bad]),
            fga.list_objects("user:ann", "viewer", "document", [bad]),
            fga.list_users("document:1", "viewer", "user", [bad]),
        ):
            with pytest.raises(Refusal) as told:
                await asked
            assert told.value.code == "invalid_tuple"
    assert await fga.check("document:1#viewer@user:bob", ["document:1#viewer@group:g#member"])


async def test_2025_55213_usersets_of_one_type_do_not_mix(openfga: httpx.AsyncClient) -> None:
    types = (
        "type group\n  relations\n    define member: [user]\n    define owner: [user]\n\n"
        "type document\n  relations\n    define viewer: [group#member, group#owner]\n"
        "    define other: [group#owner]\n"
    )
    fga = await store(openfga, types)
    await fga.write("group:g#member@user:ann", "group:g#owner@user:bob",
                    "document:1#viewer@group:g#owner", "document:2#viewer@group:g#member",
                    "document:3#other@group:g#owner")  # fmt: skip
    assert not await fga.check("document:1#viewer@user:ann")
    assert not await fga.check("document:2#viewer@user:bob")
    assert not await fga.check("document:3#other@user:ann")
    await agree(fga, "document", "viewer", ["user:ann", "user:bob"], ["1", "2"])


async def test_2025_64751_a_wildcard_needs_its_condition(openfga: httpx.AsyncClient) -> None:
    loose = "type document\n  relations\n    define viewer: [user:*, user with small]\n"
    strict = "type document\n  relations\n    define viewer: [user, user:* with small]\n"
    fga = await store(openfga, loose, "document:1#viewer@user:*")
    await fga.write_model(model(strict))
    assert not await fga.check("document:1#viewer@user:ann", context={"x": 1})
    assert await fga.list_objects("user:ann", "viewer", "document", context={"x": 1}) == []
    with pytest.raises(Refusal, match="condition is missing"):
        await fga.write("document:2#viewer@user:*")
    with pytest.raises(Refusal):
        await fga.check("document:2#viewer@user:ann", ["document:2#viewer@user:*"])


async def test_2026_24851_a_wildcard_beside_a_plain_tuple(openfga: httpx.AsyncClient) -> None:
    types = (
        "type group\n  relations\n    define member: [user, user:*]\n\n"
        "type document\n  relations\n    define viewer: [group#member]\n"
    )
    fga = await store(openfga, types)
    groups = ("group:a#member@user:*", "group:b#member@user:ann")
    await fga.write(*groups, "group:c#member@user:ann", "group:c#member@user:*")
    await fga.write(*[f"document:{n}#viewer@group:{g}#member" for n, g in enumerate("abc", 1)])
    await agree(fga, "document", "viewer", ["user:ann", "user:bob"], ["1", "2", "3"])
    assert not await fga.check("document:2#viewer@user:bob")


async def test_2026_33729_contexts_are_told_apart(openfga: httpx.AsyncClient) -> None:
    types = "type document\n  relations\n    define viewer: [user with any]\n"
    fga = await store(openfga, types, under("document:1#viewer@user:ann", "any"))
    for _ in range(2):
        for context, wanted in (({"y": "a"}, True), ({"y": "b", "z": "a"}, False),
                                ({"y": 'a"}'}, False), ({"y": "a", "z": [1]}, True)):  # fmt: skip
            assert await fga.check("document:1#viewer@user:ann", context=context) is wanted


async def test_2026_34972_checks_of_a_batch_do_not_mix(openfga: httpx.AsyncClient) -> None:
    types = "type document\n  relations\n    define viewer: [user, user with small]\n"
    fga = await store(openfga, types, "document:a#viewer@user:b")
    keys = ["document:a#viewer@user:b", "document:a|viewer#viewer@user:b",
            "document:a#viewer@user:viewer/b", "document:a/viewer#viewer@user:b"]  # fmt: skip
    batch: list[Json] = [{"tuple_key": tuple_key(key), "correlation_id": str(n)}
                         for n, key in enumerate(keys)]  # fmt: skip
    tuples = [[under(keys[1], x=1)], [under(keys[1], x=99)], [under(keys[1], x=1)]]
    for number, given in enumerate(tuples, len(keys)):
        more = {"contextual_tuples": {"tuple_keys": given}}
        batch.append({**batch[1], **more, "correlation_id": str(number)})
    told = (await fga.call("batch-check", {"checks": batch}))["result"]
    wanted = [True, False, False, False, True, False, True]
    assert [told[str(number)]["allowed"] for number in range(len(batch))] == wanted


async def test_2026_48096_and_2026_55170_ids_are_what_they_are(openfga: httpx.AsyncClient) -> None:
    types = (
        "type doc\n  relations\n    define r: [user]\n\n"
        "type do\n  relations\n    define cr: [user]\n"
    )
    fga = await store(openfga, types, "doc:A#r@user:Ann", "doc:a|r#r@user:x", "do:c#cr@user:ann")
    for key, wanted in (
        ("doc:A#r@user:Ann", True), ("doc:a#r@user:Ann", False), ("doc:A#r@user:ann", False),
        ("doc:a|r#r@user:x", True), ("doc:a#r@user:x", False), ("do:c#cr@user:Ann", False),
    ):  # fmt: skip
        assert await fga.check(key) is wanted, key
    await fga.write("doc:A#r@user:ann")
    assert len((await fga.call("read", {"tuple_key": {"object": "doc:A"}}))["tuples"]) == 2


async def test_tokens_of_changes_hold_any_type(openfga: httpx.AsyncClient) -> None:
    fga = await Fga.create(openfga)
    body = {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            *(
                {
                    "type": name,
                    "relations": {"r": {"this": {}}},
                    "metadata": {
                        "relations": {"r": {"directly_related_user_types": [{"type": "user"}]}}
                    },
                }
                for name in ("a|b", "a")
            ),
        ],
    }
    await fga.send("POST", f"/stores/{fga.store}/authorization-models", body)
    await fga.write("a|b:1#r@user:ann", "a:1#r@user:ann")
    path = f"/stores/{fga.store}/changes"
    token = (await fga.send("GET", path, type="a|b"))["continuation_token"]
    again = await fga.send("GET", path, type="a|b", continuation_token=token)
    assert again["changes"] == []
    with pytest.raises(Refusal) as told:
        await fga.send("GET", path, type="a", continuation_token=token)
    assert told.value.code == "query_string_type_continuation_token_mismatch"
