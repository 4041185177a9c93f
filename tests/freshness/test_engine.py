"""Two nodes, whole: what one acknowledged, the other's next call takes into account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.cache.redis import RedisAnnouncer
from engine.consistency import Freshness
from engine.engine import Engine
from engine.errors import StoreNotFound
from engine.requests import AtLeastAsFresh, Check, DeleteRequest, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import TupleFilter
from engine.tuples import parse_object, parse_subject
from tests.store.tenant import touch

ONE = "definition user {}\ndefinition document { relation viewer: user }"
TWO = "definition user {}\ndefinition document { relation viewer: user\n relation editor: user }"
NEVER = 1e9

Pair = tuple[Engine, Engine]


@pytest.fixture(params=["redis", "no redis"])
async def nodes(request: pytest.FixtureRequest, valkey_url: str) -> AsyncIterator[Pair]:
    """Two engines that confirm heads only when something tells them to, on a store with ONE."""
    storage = MemoryStorage()
    redis = request.param == "redis"
    here, there = (
        Engine(
            storage,
            freshness=Freshness(
                storage,
                announcer=RedisAnnouncer(valkey_url) if redis else None,
                max_staleness=NEVER,
            ),
        )
        for _ in range(2)
    )
    await here.create_store("acme")
    await here.write_schema("acme", ONE)
    for _ in range(4):
        assert not await allowed(there, "document:0", "viewer")
    yield here, there
    await here.close()
    await there.close()


async def allowed(node: Engine, object_: str, relation: str, zookie: str = "") -> bool:
    """Whether ann is allowed."""
    check = Check(parse_object(object_), relation, parse_subject("user:ann"))
    if zookie:
        return (await node.check("acme", check, AtLeastAsFresh(zookie))).decision.allowed
    return (await node.check("acme", check)).decision.allowed


async def test_a_check_sees_a_write_through_another_node(nodes: Pair) -> None:
    here, there = nodes
    for number in range(5):
        await here.write("acme", WriteRequest(touch(f"document:{number}#viewer@user:ann")))
        assert await allowed(there, f"document:{number}", "viewer")


async def test_a_check_sees_a_removal_through_another_node(nodes: Pair) -> None:
    here, there = nodes
    for _ in range(5):
        await here.write("acme", WriteRequest(touch("document:1#viewer@user:ann")))
        assert await allowed(there, "document:1", "viewer")
        await here.delete("acme", DeleteRequest(TupleFilter(object_type="document")))
        assert not await allowed(there, "document:1", "viewer")


async def test_a_check_at_a_zookie_is_never_older(nodes: Pair) -> None:
    here, there = nodes
    written = await here.write("acme", WriteRequest(touch("document:1#viewer@user:ann")))
    assert await allowed(there, "document:1", "viewer", written.zookie)


async def test_a_check_sees_a_schema_through_another_node(nodes: Pair) -> None:
    here, there = nodes
    await here.write_schema("acme", TWO)
    assert not await allowed(there, "document:9", "editor")


async def test_a_write_is_held_to_the_schema_written_through_another_node(nodes: Pair) -> None:
    here, there = nodes
    await here.write_schema("acme", TWO)
    await there.write("acme", WriteRequest(touch("document:1#editor@user:ann")))
    assert await allowed(here, "document:1", "editor")


@pytest.mark.parametrize("first", ["schema", "write", "check"])
async def test_a_store_that_was_made_anew_elsewhere_is_found(nodes: Pair, first: str) -> None:
    here, there = nodes
    await here.delete_store("acme")
    await here.create_store("acme")
    if first == "schema":
        await there.write_schema("acme", ONE)
    else:
        await here.write_schema("acme", ONE)
    node = there if first == "write" else here
    answer = await node.write("acme", WriteRequest(touch("document:1#viewer@user:ann")))
    asked = (allowed(there, "document:1", "viewer", answer.zookie) for _ in range(3))
    assert all(await asyncio.gather(*asked))
    await here.delete_store("acme")
    with pytest.raises(StoreNotFound):
        await allowed(there, "document:1", "viewer")
