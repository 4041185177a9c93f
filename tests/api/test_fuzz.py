"""Odd and mutated input at every call: never a 5xx, never a hang, always a problem document."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from api.native.operations import OPERATIONS
from api.native.transfer import import_tuples
from tests.api.serving import Served

ROUNDS = 150
NAMES = ["object", "relation", "subject", "context", "filter", "updates", "op", "tuple", "checks"]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    -(2**63),
    "",
    "*",
    "...",
    "document:a",
    "document:*",
    "user:ann",
    "group:g#member",
    "document:a#viewer@user:ann",
    'document:a#viewer@user:ann[on_day:{"wanted":"x"}]',
    "document:a#viewer@user:ann[expiration:2999-01-01T00:00:00Z]",
    "#@:[]",
    "a" * 5000,
    "\u202e\u0000",
    "\U0001f600:\u00e9",
    "touch",
    "must_match",
    "viewer",
    "view",
    "fully_consistent",
    "2030-01-01T00:00:00Z",
    "9999-99-99T99:99:99Z",
    [],
    {},
    [[[[[[]]]]]],
]
GOOD: dict[str, Any] = {
    "check": {"object": "document:a", "relation": "view", "subject": "user:ann"},
    "check_batch": {
        "checks": [{"object": "document:a", "relation": "view", "subject": "user:ann"}],
        "consistency": "fully_consistent",
    },
    "expand": {"object": "document:a", "relation": "view"},
    "read": {"filter": {"object_type": "document"}, "limit": 3, "consistency": "minimize_latency"},
    "post_export": {
        "filter": {"object_type": "document"},
        "after": "document:a#viewer@user:ann",
        "overlay": {"add": ["document:a#viewer@user:zoe"], "remove": ["group:a#member@user:bo"]},
    },
    "write": {
        "updates": [{"op": "touch", "tuple": "document:a#viewer@user:ann"}],
        "preconditions": [{"op": "must_not_match", "filter": {"object_type": "group"}}],
        "metadata": {"a": 1},
    },
    "delete": {"filter": {"object_type": "document"}, "limit": 1},
    "write_schema": {"schema": "definition user {}\ndefinition document { relation viewer: user }"},
    "import": {"object": "document:a", "relation": "viewer", "subject": "user:ann"},
    "create_store": {"name": "acme"},
}


def mutate(chance: random.Random, value: Any) -> Any:
    """The value with something changed, somewhere in it."""
    kind = chance.random()
    if kind < 0.25:
        return chance.choice(VALUES)
    if isinstance(value, dict) and value:
        name = chance.choice([*value, chance.choice(NAMES)])
        if kind < 0.35:
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: mutate(chance, value.get(name))}
    if isinstance(value, list) and value:
        index = chance.randrange(len(value))
        return [*value[:index], mutate(chance, value[index]), *value[index + 1 :]]
    if isinstance(value, str) and value:
        index = chance.randrange(len(value))
        odd = chance.choice(["#", "@", ":", "[", "]", "\x00", "\n", " ", "*", "\ud800", "\u202e"])
        return value[:index] + odd + value[index + chance.randrange(2) :]
    return chance.choice(VALUES)


def encode(chance: random.Random, value: Any) -> bytes:
    """JSON text of the value; at times broken."""
    text = json.dumps(value).encode()
    kind = chance.random()
    if kind < 0.1 and text:
        index = chance.randrange(len(text))
        return text[:index] + bytes([chance.randrange(256)]) + text[index + 1 :]
    if kind < 0.15:
        return text[: chance.randrange(len(text) + 1)]
    if kind < 0.2:
        return text.replace(b":", b":NaN,", 1)
    return text


@pytest.mark.parametrize("name", GOOD)
async def test_no_input_gives_a_server_error(served: Served, name: str) -> None:
    (operation,) = [item for item in OPERATIONS if item.name == name]
    lines = operation.handler is import_tuples
    path = operation.path.replace("{store}", "default")
    headers = {"content-type": "application/x-ndjson" if lines else "application/json"}
    chance = random.Random(f"fuzz {name}")
    statuses: set[int] = set()
    for _ in range(ROUNDS):
        value = GOOD[name]
        for _ in range(chance.randrange(4)):
            value = mutate(chance, value)
        body = encode(chance, value)
        async with asyncio.timeout(10):
            response = await served.http.request(
                operation.method, path, content=body, headers=headers
            )
        assert response.status_code < 500, (body, response.text)
        if response.status_code >= 400:
            problem = response.json()
            assert problem["status"] == response.status_code
            assert problem["code"]
            assert problem["detail"]
        statuses.add(response.status_code)
    assert 400 in statuses
    assert statuses & {200, 201, 409}


QUERIES = [
    "dry_run",
    "after",
    "types",
    "relations",
    "op",
    "limit",
    "cursor",
    "at_time",
    "object_id",
]


async def test_no_query_gives_a_server_error(served: Served) -> None:
    chance = random.Random("queries")
    gets = [item for item in OPERATIONS if item.method == "GET"]
    for _ in range(ROUNDS):
        operation = chance.choice(gets)
        path = operation.path.replace("{store}", "default")
        names = chance.choices([*operation.query, *QUERIES], k=chance.randrange(3))
        query = "&".join(f"{name}={chance.choice(VALUES)!s:.60}" for name in names)
        safe = query.encode("utf-8", "surrogatepass").hex("%", 1)
        text = f"%{safe}".replace("%3d", "=").replace("%26", "&") if query else ""
        async with (
            asyncio.timeout(10),
            served.http.stream("GET", f"{path}?{text}" if text else path) as response,
        ):
            assert response.status_code < 500, (path, query)
