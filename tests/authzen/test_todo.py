"""The Todo scenario that vendors ran against each other: by stored tuples, and by properties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.authzen.models import published
from tests.authzen.pdp import Pdp, entity, on_memory

Json = dict[str, Any]

_PID = "CiRmZD{}MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs"
RICK, MORTY, SUMMER, BETH, JERRY = (_PID.format(part) for part in ("A2", "E2", "I2", "M2", "Q2"))
MAIL = {
    RICK: "rick@the-citadel.com",
    MORTY: "morty@the-citadel.com",
    SUMMER: "summer@the-smiths.com",
    BETH: "beth@the-smiths.com",
    JERRY: "jerry@the-smiths.com",
}
EDITORS = {MORTY, SUMMER}
STORED = {
    owner: f"7240d0db-8ff0-41ec-98b2-34a096273b9{n}"
    for owner, n in zip((MORTY, RICK, SUMMER, BETH, JERRY), (1, 2, 3, 4, 5), strict=True)
}
MAPPING = {
    "stores": {
        "default": {
            "tuples": {
                "resource.properties.ownerID": "todo:{id}#owner@identity:{value}#user",
                "resource.properties.app": "todo:{id}#parent@app:{value}",
            }
        }
    }
}


def expected(user: str, action: str, owner: str | None) -> bool:
    """The scenario's policy, in its own words."""
    owns = user == owner
    return {
        "can_read_user": True,
        "can_read_todos": True,
        "can_create_todo": user == RICK or user in EDITORS,
        "can_update_todo": user == RICK or (user in EDITORS and owns),
        "can_delete_todo": user == RICK or (user in EDITORS and owns),
    }[action]


async def test_every_user_and_every_todo(tmp_path: Path) -> None:
    async with on_memory(*published("todo.json")) as pdp:
        for user in MAIL:
            for other in MAIL.values():
                assert await _decision(pdp, user, "can_read_user", entity("user", other))
            for action in ("can_read_todos", "can_create_todo"):
                found = await _decision(pdp, user, action, entity("todo", "todo-1"))
                assert found is expected(user, action, None), (user, action)
            for owner, todo in STORED.items():
                resource = entity("todo", todo, ownerID=MAIL[owner])
                for action in ("can_update_todo", "can_delete_todo"):
                    found = await _decision(pdp, user, action, resource)
                    assert found is expected(user, action, owner), (user, owner, action)


async def test_batches_tell_nothing_but_decisions() -> None:
    """The harness compares the texts of the arrays."""
    async with on_memory(*published("todo.json")) as pdp:
        items = [{"resource": entity("todo", todo)} for todo in STORED.values()]
        for user in MAIL:
            body = {
                "subject": entity("user", user),
                "action": {"name": "can_update_todo"},
                "evaluations": items,
            }
            response = await pdp.post("/access/v1/evaluations", body)
            wanted = [{"decision": expected(user, "can_update_todo", owner)} for owner in STORED]
            assert json.loads(response.text) == {"evaluations": wanted}


@pytest.mark.parametrize("user", MAIL.values(), ids=MAIL.values())
async def test_owners_may_come_as_properties(user: str, tmp_path: Path) -> None:
    """Nothing is stored of a todo: its owner and its app are what the request says."""
    model = published("todo.json")
    kept = [text for text in model.tuples if not text.startswith("todo:")]
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps(MAPPING))
    (pid,) = (each for each, mail in MAIL.items() if mail == user)
    async with on_memory(model.schema, kept, authzen_mapping=file) as pdp:
        for owner, mail in MAIL.items():
            resource = entity("todo", "new", ownerID=mail, app="todo")
            for action in ("can_update_todo", "can_delete_todo", "can_create_todo"):
                found = await _decision(pdp, pid, action, resource)
                assert found is expected(pid, action, owner), (user, mail, action)
        without = entity("todo", "new")
        assert not await _decision(pdp, pid, "can_update_todo", without)


async def _decision(pdp: Pdp, user: str, action: str, resource: Json) -> bool:
    body = {"subject": entity("user", user), "action": {"name": action}, "resource": resource}
    told = await pdp.ask("/access/v1/evaluation", body)
    assert set(told) == {"decision"}
    assert isinstance(told["decision"], bool)
    return told["decision"]
