"""The file that makes tuples of properties and permissions of actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings, SettingsError, load_settings
from tests.authzen.pdp import entity, on_memory, request
from tests.authzen.world import SCHEMA

Json = dict[str, Any]
ONE = "/access/v1/evaluation"
MAPPING: Json = {
    "stores": {
        "default": {
            "tuples": {
                "resource.properties.ownerID": "document:{id}#owner@user:{value}",
                "subject.properties.groups": "group:{value}#member@user:{id}",
                "resource.properties.shared.group": [
                    "document:{id}#viewer@group:{value}#member",
                    "document:{resource.id}#banned@user:banned-from-{value}",
                ],
            },
            "actions": {"document": {"GET": "view", "PUT": "edit"}},
        }
    }
}


def written(directory: Path, mapping: Any) -> Path:
    file = directory / "mapping.json"
    file.write_text(mapping if isinstance(mapping, str) else json.dumps(mapping))
    return file


def shared(subject: str, groups: Any, group: Any) -> Json:
    made = request(f"user:{subject}", "GET", "document:d")
    made["subject"]["properties"] = {"groups": groups}
    made["resource"]["properties"] = {"shared": {"group": group}, "ownerID": None}
    return made


async def test_properties_make_tuples_for_their_request_alone(tmp_path: Path) -> None:
    async with on_memory(SCHEMA, authzen_mapping=written(tmp_path, MAPPING)) as pdp:
        for groups, group, decision in [
            (["eng", "ops"], "ops", True),
            ("eng", "eng", True),
            (["eng"], ["ops", "eng", "eng"], True),
            (["eng"], "ops", False),
            ([], "eng", False),
            (None, "eng", False),
        ]:
            told = await pdp.ask(ONE, shared("ann", groups, group))
            assert told == {"decision": decision}, (groups, group)
        banned = shared("banned-from-eng", "eng", "eng")
        assert await pdp.ask(ONE, banned) == {"decision": False}
        assert await pdp.ask(ONE, request("user:ann", "GET", "document:d")) == {"decision": False}


async def test_values_that_are_no_ids_are_refused(tmp_path: Path) -> None:
    async with on_memory(SCHEMA, authzen_mapping=written(tmp_path, MAPPING)) as pdp:
        for wrong in (7, True, {"a": 1}, ["eng", 7], "*", "a b", "a#b", "", "x" * 2000):
            asked = shared("ann", wrong, "eng")
            refused = await pdp.post(ONE, asked)
            assert refused.status_code == 400, wrong
            assert "subject.properties.groups" in refused.json()["field"]
            many = {"evaluations": [asked, shared("ann", "eng", "eng")]}
            told = (await pdp.ask("/access/v1/evaluations", many))["evaluations"]
            assert [item["decision"] for item in told] == [False, True]


async def test_a_template_is_only_about_its_own_types(tmp_path: Path) -> None:
    """`document:{id}` is not made of a group's property, nor `user:{id}` of another subject's."""
    async with on_memory(SCHEMA, authzen_mapping=written(tmp_path, MAPPING)) as pdp:
        asked = request("user:ann", "member", "group:x")
        asked["resource"]["properties"] = {"ownerID": "ann"}
        assert await pdp.ask(ONE, asked) == {"decision": False}
        asked = shared("d", "eng", "eng")
        asked["subject"]["type"] = "document"
        assert (await pdp.ask(ONE, asked))["decision"] is False


async def test_searches_take_them_too(tmp_path: Path) -> None:
    async with on_memory(SCHEMA, authzen_mapping=written(tmp_path, MAPPING)) as pdp:
        await pdp.write("document:e#viewer@group:eng#member")
        owned = {"type": "document", "id": "d", "properties": {"ownerID": "ann"}}
        asked = {"subject": {"type": "user"}, "action": {"name": "PUT"}, "resource": owned}
        told = await pdp.ask("/access/v1/search/subject", asked)
        assert told == {"results": [{"type": "user", "id": "ann"}]}
        member = {"type": "user", "id": "bob", "properties": {"groups": ["eng"]}}
        which = {"subject": member, "action": {"name": "GET"}, "resource": {"type": "document"}}
        told = await pdp.ask("/access/v1/search/resource", which)
        assert told == {"results": [{"type": "document", "id": "e"}]}
        actions = {"subject": entity("user", "ann"), "resource": owned}
        told = await pdp.ask("/access/v1/search/action", actions)
        assert told == {"results": [{"name": "GET"}, {"name": "PUT"}]}


async def test_configured_actions_are_all_that_there_are(tmp_path: Path) -> None:
    async with on_memory(SCHEMA, authzen_mapping=written(tmp_path, MAPPING)) as pdp:
        await pdp.write("document:d#owner@user:ann", "group:g#member@user:ann")
        assert await pdp.ask(ONE, request("user:ann", "PUT", "document:d")) == {"decision": True}
        told = await pdp.ask(ONE, request("user:ann", "edit", "document:d"))
        assert told["decision"] is False
        assert told["context"]["error"]["field"] == "action.name"
        assert await pdp.ask(ONE, request("user:ann", "member", "group:g")) == {"decision": True}


async def test_a_tuple_that_the_schema_does_not_allow_is_an_error(tmp_path: Path) -> None:
    templates = {
        "resource.properties.x": "thing:{id}#y@z:{value}",
        "subject.properties.x": "group:{value}#view@user:{id}",
    }
    file = written(tmp_path, {"stores": {"default": {"tuples": templates}}})
    async with on_memory(SCHEMA, authzen_mapping=file) as pdp:
        asked = request("user:ann", "view", "document:d")
        assert await pdp.ask(ONE, asked) == {"decision": False}
        asked["resource"]["properties"] = {"x": "not about a thing"}
        assert await pdp.ask(ONE, asked) == {"decision": False}
        asked["subject"]["properties"] = {"x": "v"}
        refused = await pdp.post(ONE, asked)
        assert (refused.status_code, refused.json()["code"]) == (400, "unknown_relation")


def of(template: Any, name: str = "resource.properties.x") -> Json:
    return {"stores": {"a": {"tuples": {name: template}}}}


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("{", "not valid JSON"),
        ('{"stores": {}, "stores": {}}', "stands twice"),
        ([], "expected an object"),
        ({"tenants": {}}, "`tenants` is not one of"),
        ({"stores": {"Not A Store": {}}}, "is not a store's name"),
        ({"stores": {"a": {"tuple": {}}}}, "`tuple` is not one of"),
        (of("a:{id}#b@c:{value}", "resource.ownerID"), "not a property"),
        (of(5), "expected a tuple"),
        (of("a:b"), "not a relation tuple"),
        (of("a:{id}#b@c:d"), "`{value}` must"),
        (of("a:{ID}#b@c:{value}"), "no place"),
        (of("a:{who}#b@c:{value}"), "no place"),
        (of("a:{id}#b@c:{value}", "action.properties.x"), "no place"),
        (of("{value}:{id}#b@c:d"), "only ids"),
        (of("a:{value}#b@c:*"), "everyone"),
        (of("a:{value}#b@c:d[e]"), "no caveat"),
        ({"stores": {"a": {"actions": {"doc": {"GET": 1}}}}}, "expected names"),
        ({"stores": {"a": {"actions": {"doc": {"GET": "a b"}}}}}, "is not a name"),
        ({"stores": {"a": {"actions": {"d c": {}}}}}, "is not a name"),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path: Path, mapping: Any, said: str) -> None:
    file = written(tmp_path, mapping)
    with pytest.raises(SettingsError, match="STONETOWN_AUTHZEN_MAPPING") as caught:
        load_settings(authzen_mapping=file)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(authzen_mapping=tmp_path / "none")
    assert Settings().authzen == {}
