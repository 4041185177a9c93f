"""A limit of hops, for those who ask for it: the right answer, or the error of a way too long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from engine.engine import Engine
from engine.errors import BudgetExceeded, EngineError
from engine.limits import Limits
from engine.requests import FULLY_CONSISTENT, BatchAnswer, Check, WriteRequest
from engine.store.protocol import Storage
from engine.tuples import parse_tuple
from tests.engine.ground import question
from tests.store.tenant import touch

SCHEMA = """\
definition user {}
definition group {
    relation member: user | group#member
    permission everyone = member
}
definition folder {
    relation parent: folder
    relation viewer: user | group#everyone
    relation banned: user | group#member
    permission view = (viewer + parent->view) - banned
}
definition chain {
    relation a0: user
    relation a1: chain#a0
    relation a2: chain#a1
    relation a3: chain#a2
    permission end = a3
}
"""
MOST = 4
"""Three hops pass, and the fourth is an error."""


class Store:
    """A store of an engine with a limit, and of one without."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.name = name
        self.limited = Engine(storage, limits=replace(Limits(), depth=MOST))
        self.free = Engine(storage)

    async def says(self, *texts: str) -> list[str]:
        """What the limited engine says of each check, alone and in one batch."""
        checks = [question(text) for text in texts]
        alone = [await self._alone(check) for check in checks]
        batch = await self.limited.check_batch(self.name, checks, FULLY_CONSISTENT)
        assert self._told(batch) == alone
        return alone

    async def _alone(self, check: Check) -> str:
        free = await self.free.check(self.name, check, FULLY_CONSISTENT)
        try:
            found = await self.limited.check(self.name, check)
        except BudgetExceeded as error:
            return str(error.extra["budget"])
        assert found.decision == free.decision
        return str(found.decision.verdict)

    @staticmethod
    def _told(batch: BatchAnswer) -> list[str]:
        return [
            str(one.extra["budget"]) if isinstance(one, EngineError) else str(one.verdict)
            for one in batch.results
        ]


@pytest.fixture
async def store(either_storage: Storage) -> AsyncIterator[Store]:
    name = f"s{uuid4().hex}"
    made = Store(either_storage, name)
    await made.free.create_store(name)
    await made.free.write_schema(name, SCHEMA)
    yield made
    await made.free.freshness.close()
    await made.limited.freshness.close()


async def write(store: Store, *texts: str) -> None:
    await store.free.write(store.name, WriteRequest(touch(*texts)))


async def test_nested_groups_end_at_the_limit(store: Store) -> None:
    await write(store, *(f"group:{n}#member@group:{n + 1}#member" for n in range(9)))
    await write(store, *(f"group:{n}#member@user:{n}" for n in range(10)))
    asked = [f"group:0#member@user:{n}" for n in range(7)]
    told = await store.says(*asked)
    assert told == [*["allowed"] * MOST, *["depth"] * 3]
    assert await store.says("group:7#member@user:9", "group:7#member@user:0") == [
        "allowed",
        "denied",
    ]


async def test_arrows_are_hops_and_computed_relations_are_none(store: Store) -> None:
    await write(store, *(f"folder:{n}#parent@folder:{n + 1}" for n in range(6)))
    await write(store, "folder:3#viewer@user:near", "folder:4#viewer@user:far")
    await write(store, "folder:2#viewer@group:1#everyone", "group:1#member@user:in")
    asked = [f"folder:0#view@user:{name}" for name in ("near", "far", "in", "nobody")]
    assert await store.says(*asked) == ["allowed", "depth", "allowed", "depth"]
    asked = [f"folder:3#view@user:{name}" for name in ("near", "far", "in", "nobody")]
    assert await store.says(*asked) == ["allowed", "allowed", "denied", "denied"]


async def test_hops_on_one_object_count(store: Store) -> None:
    """As in OpenFGA's own case: relation after relation of the same object."""
    await write(store, *(f"chain:1#a{n}@chain:1#a{n - 1}" for n in (1, 2, 3)))
    await write(store, "chain:1#a0@user:ann")
    assert await store.says("chain:1#end@user:ann") == ["allowed"]
    store.limited.limits = replace(store.limited.limits, depth=3)
    assert await store.says("chain:1#end@user:ann") == ["depth"]


async def test_a_circle_is_no_long_way(store: Store) -> None:
    await write(store, "group:1#member@group:2#member", "group:2#member@group:1#member")
    assert await store.says("group:1#member@user:ann") == ["denied"]


async def test_a_short_way_is_enough(store: Store) -> None:
    await write(store, *(f"group:{n}#member@group:{n + 1}#member" for n in range(9)))
    await write(store, "group:0#member@user:ann", "group:0#member@group:8#member")
    await write(store, "group:9#member@user:ben")
    assert await store.says("group:0#member@user:ann", "group:1#member@user:ann") == [
        "allowed",
        "depth",
    ]
    assert await store.says("group:0#member@user:ben") == ["allowed"]


async def test_contextual_tuples_are_hops(store: Store) -> None:
    items = [f"group:{n}#member@group:{n + 1}#member" for n in range(MOST)]
    items.append(f"group:{MOST}#member@user:ann")
    tuples = [parse_tuple(item) for item in items]
    for first, wanted in ((0, "depth"), (1, "allowed")):
        check = replace(question(f"group:{first}#member@user:ann"), contextual_tuples=tuples)
        batch = await store.limited.check_batch(store.name, [check], FULLY_CONSISTENT)
        assert Store._told(batch) == [wanted]
