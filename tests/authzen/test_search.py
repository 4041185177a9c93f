"""Searches: whom they list, what they leave out and say so, and their pages."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.requests import WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import parse_tuple
from tests.authzen.pdp import Pdp, entity, on_memory
from tests.authzen.world import SCHEMA

Json = dict[str, Any]
SUBJECTS = "/access/v1/search/subject"
RESOURCES = "/access/v1/search/resource"
ACTIONS = "/access/v1/search/action"


def who(action: str, document: str, **more: Any) -> Json:
    return {
        "subject": {"type": "user"},
        "action": {"name": action},
        "resource": entity("document", document),
        **more,
    }


def which(subject: str, action: str, **more: Any) -> Json:
    return {
        "subject": entity("user", subject),
        "action": {"name": action},
        "resource": {"type": "document"},
        **more,
    }


def users(*ids: str) -> list[Json]:
    return [{"type": "user", "id": id_} for id_ in ids]


def documents(*ids: str) -> list[Json]:
    return [{"type": "document", "id": id_} for id_ in ids]


async def test_subjects_through_groups_without_the_conditional(world: Pdp) -> None:
    told = await world.ask(SUBJECTS, who("view", "plan"))
    assert told == {
        "context": {"missing_context": ["zone"]},
        "results": users("ann", "eve@example.com"),
    }
    given = await world.ask(SUBJECTS, who("view", "plan", context={"zone": "EAT"}))
    assert given == {"results": users("ann", "eve@example.com", "zoe")}


async def test_the_searched_id_is_ignored_whatever_it_is(world: Pdp) -> None:
    whole = await world.ask(SUBJECTS, who("view", "plan"))
    for id_ in ("bob", "no such", "", 7, None, ["x"]):
        asked = who("view", "plan", subject={"type": "user", "id": id_})
        assert await world.ask(SUBJECTS, asked) == whole
    asked = which("ann", "view", resource={"type": "document", "id": "plan"})
    found = await world.ask(RESOURCES, asked)
    assert len(found["results"]) > 1


async def test_a_wildcard_is_told_beside_the_subjects(world: Pdp) -> None:
    told = await world.ask(SUBJECTS, who("view", "open"))
    assert told["context"] == {"wildcard": True, "denied": users("bob")}
    assert all(item["id"] != "*" for item in told["results"])


async def test_resources_with_what_could_not_be_decided(world: Pdp) -> None:
    told = await world.ask(RESOURCES, which("ann", "view"))
    assert told["results"] == documents("/docs/{id}", "open", "plan")
    assert told["context"]["complete"] is False
    (gap,) = told["context"]["gaps"]
    assert gap["about"] == "document:circle"
    assert gap["error"]["code"] == "cycle_through_exclusion"
    with_property = which("ann", "edit", resource={"type": "document", "properties": {"x": 1}})
    assert (await world.ask(RESOURCES, with_property))["results"] == documents("draft")


async def test_actions_are_permissions_only(world: Pdp) -> None:
    asked = {"subject": entity("user", "ann"), "resource": entity("document", "draft")}
    assert await world.ask(ACTIONS, asked) == {
        "context": {"missing_context": ["action_soft"]},
        "results": [{"name": "edit"}],
    }
    asked["resource"]["properties"] = {"status": "archived"}
    given = await world.ask(ACTIONS, {**asked, "context": {"action_soft": True}})
    assert given == {"results": [{"name": "remove"}]}
    paged = await world.ask(ACTIONS, {**asked, "page": {"limit": 1}})
    assert paged["page"] == {"next_token": "", "count": 0}


async def test_unknown_names_and_ids_find_nothing(world: Pdp) -> None:
    nothing: Json = {"results": []}
    assert await world.ask(SUBJECTS, who("fly", "plan")) == nothing
    assert await world.ask(SUBJECTS, who("view", "unheard-of")) == nothing
    assert await world.ask(SUBJECTS, who("view", "plan", subject={"type": "alien"})) == nothing
    assert await world.ask(RESOURCES, which("ann", "fly")) == nothing
    assert await world.ask(RESOURCES, which("ann", "view", resource={"type": "x y"})) == nothing
    assert await world.ask(RESOURCES, which("nobody", "edit")) == nothing
    unknown = {"subject": entity("alien", "x"), "resource": entity("document", "plan")}
    assert await world.ask(ACTIONS, unknown) == nothing


async def test_pages_are_of_one_snapshot(world: Pdp) -> None:
    everything = [f"page{number:02}" for number in range(25)]
    await world.write(*(f"document:{name}#viewer@user:pia" for name in everything))
    asked = which("pia", "view", page={"limit": 10})
    found: list[Json] = []
    token = None
    while token != "":
        page = asked["page"] if token is None else {"token": token, "limit": 7}
        told = await world.ask(RESOURCES, {**asked, "page": page})
        assert told["page"]["count"] == len(told["results"])
        found += told["results"]
        token = told["page"]["next_token"]
        gone = parse_tuple(f"document:{everything[-1]}#viewer@user:pia")
        await world.engine.write("default", WriteRequest([Update(UpdateOp.DELETE, gone)]))
    assert [item["id"] for item in found if item["id"] != "open"] == everything


async def test_entries_that_are_left_out_make_no_empty_pages() -> None:
    tuples = [f"document:d#viewer@user:c{n:02}[in_zone]" for n in range(8)]
    async with on_memory(SCHEMA, [*tuples, "document:d#viewer@user:z"]) as pdp:
        told = await pdp.ask(SUBJECTS, who("view", "d", page={"limit": 3}))
        assert told["results"] == users("z")
        assert told["context"] == {"missing_context": ["wanted", "zone"]}


async def test_wrong_pages_are_refused(world: Pdp) -> None:
    wrong: list[Any] = [{"limit": 0}, {"limit": "x"}, {"limit": True}, {"token": "x"}, {"token": 1}]
    for page in [*wrong, [], "x"]:
        refused = await world.post(SUBJECTS, who("view", "plan", page=page))
        assert refused.status_code == 400, page
    large = await world.ask(SUBJECTS, who("view", "plan", page={"limit": 10**9, "token": ""}))
    assert len(large["results"]) == 2
    other = await world.ask(RESOURCES, which("ann", "view", page={"limit": 1}))
    token = other["page"]["next_token"]
    stolen = await world.post(SUBJECTS, who("view", "plan", page={"token": token}))
    assert (stolen.status_code, stolen.json()["code"]) == (400, "invalid_cursor")


async def test_every_result_is_a_permit(world: Pdp) -> None:
    """And nobody else who is named anywhere is permitted, unless everyone is."""
    names = ["ann", "bob", "eve@example.com", "zoe", "nobody"]
    for document in ("plan", "open", "draft", "/docs/{id}"):
        for action in ("view", "edit", "remove"):
            told = await world.ask(SUBJECTS, who(action, document))
            found = {item["id"] for item in told["results"]}
            everyone = told.get("context", {}).get("wildcard", False)
            answers = await asyncio.gather(
                *(
                    world.ask("/access/v1/evaluation", _one(name, action, document))
                    for name in names
                )
            )
            for name, answer in zip(names, answers, strict=True):
                if not everyone or name in found or name == "bob":
                    assert answer["decision"] is (name in found), (document, action, name)


def _one(name: str, action: str, document: str) -> Json:
    return {
        "subject": entity("user", name),
        "action": {"name": action},
        "resource": entity("document", document),
    }
