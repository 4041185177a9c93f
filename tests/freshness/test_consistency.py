"""What each consistency mode promises, on one node without an announcer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from engine import zookie
from engine.errors import (
    InvalidRequest,
    InvalidZookie,
    SnapshotExpired,
    StoreNotFound,
    ZookieUnknown,
)
from engine.requests import FULLY_CONSISTENT, AtExactSnapshot, AtLeastAsFresh, AtTime
from engine.store.memory import MemoryStorage
from tests.freshness.clock import ManualClock
from tests.freshness.node import BOUND, DOCUMENT, NOW, Node, forged, memory_node
from tests.freshness.test_shared_read import settle
from tests.store.tenant import Tenant, touch

ELSEWHERE = touch("document:1#viewer@user:elsewhere")


async def test_minimize_latency_asks_storage_once_within_the_bound() -> None:
    node, store = await memory_node()
    for _ in range(100):
        await node.revision(store)
    assert node.reads == 1
    node.clock.advance(BOUND + 0.001)
    await node.revision(store)
    assert node.reads == 2


async def test_minimize_latency_is_never_staler_than_the_bound() -> None:
    node, store = await memory_node()
    elsewhere = Tenant(node.seam.inner, store.id, store.name)
    await node.revision(store)
    await elsewhere.write(ELSEWHERE)
    assert await node.revision(store) == 0
    node.clock.advance(BOUND + 0.001)
    assert await node.revision(store) == 1


async def test_staleness_counts_from_when_the_read_began() -> None:
    node, store = await memory_node()
    node.seam.held = {"head"}
    asking = asyncio.create_task(node.revision(store))
    await node.seam.arrived.wait()
    node.clock.advance(BOUND)
    node.seam.gate.set()
    await asking
    node.clock.advance(0.001)
    await node.revision(store)
    assert node.reads == 2


async def test_a_store_in_use_is_read_again_before_anybody_has_to_wait_for_it() -> None:
    node, _ = await memory_node()
    await node.freshness.store("acme")
    node.clock.advance(0.6 * BOUND)
    node.seam.held = {"get_store"}
    for _ in range(3):
        await node.freshness.store("acme")
        await settle()
    assert node.seam.asked["get_store"] == 2
    node.seam.gate.set()
    await settle()
    node.clock.advance(0.6 * BOUND)
    node.seam.gate.clear()
    await node.freshness.store("acme")
    node.seam.gate.set()
    await settle()
    assert node.seam.asked["get_store"] == 3


async def test_a_node_knows_its_own_writes_at_once() -> None:
    node, store = await memory_node()
    await node.revision(store)
    written = await node.write(store, DOCUMENT)
    assert await node.revision(store) == written.revision
    assert node.reads == 1


async def test_without_an_announcer_read_your_writes_asks_storage_for_every_check() -> None:
    node, store = await memory_node(read_your_writes=True)
    elsewhere = Tenant(node.seam.inner, store.id, store.name)
    for revision in range(1, 20):
        await elsewhere.write(touch(f"document:1#viewer@user:{revision}"))
        assert await node.revision(store, objects=[DOCUMENT]) == revision


async def test_fully_consistent_sees_every_write_that_was_acknowledged_before() -> None:
    node, store = await memory_node()
    elsewhere = Tenant(node.seam.inner, store.id, store.name)
    for revision in range(1, 20):
        await elsewhere.write(touch(f"document:1#viewer@user:{revision}"))
        assert await node.revision(store, FULLY_CONSISTENT) == revision


async def test_fully_consistent_does_not_join_a_read_that_began_before_it() -> None:
    node, store = await memory_node()
    node.seam.held = {"head"}
    early = asyncio.create_task(node.revision(store))
    await node.seam.arrived.wait()
    node.clock.advance(0.001)
    asking = [asyncio.create_task(node.revision(store, FULLY_CONSISTENT)) for _ in range(20)]
    await settle()
    node.seam.gate.set()
    await asyncio.gather(early, *asking)
    assert node.reads == 2


async def test_at_least_as_fresh_moves_on_to_the_zookie() -> None:
    node, store = await memory_node()
    await node.revision(store)
    elsewhere = Tenant(node.seam.inner, store.id, store.name)
    written = (await elsewhere.write(ELSEWHERE)).snapshot
    fresh = AtLeastAsFresh(zookie.encode(written))
    assert await node.revision(store, fresh) == 1
    before = node.reads
    for _ in range(100):
        assert await node.revision(store, fresh) == 1
    assert node.reads == before


async def test_at_least_as_fresh_takes_the_newer_head_it_knows() -> None:
    node, store = await memory_node()
    first = await node.write(store, DOCUMENT)
    second = await node.write(store, DOCUMENT)
    fresh = AtLeastAsFresh(zookie.encode(first))
    assert await node.revision(store, fresh) == second.revision


async def test_a_zookie_older_than_the_history_is_still_one_to_be_fresher_than() -> None:
    storage = MemoryStorage()
    store = await storage.create_store("acme")
    node = Node(storage, ManualClock())
    first = await node.write(store, DOCUMENT)
    second = await node.write(store, DOCUMENT)
    await storage.collect_garbage(store.id, second.committed_at + timedelta(days=1), 100)
    fresh = AtLeastAsFresh(zookie.encode(first))
    assert await node.revision(store, fresh) == second.revision
    with pytest.raises(SnapshotExpired):
        await node.revision(store, AtExactSnapshot(zookie.encode(first)))


async def test_at_exact_snapshot_is_that_snapshot_and_its_time() -> None:
    node, store = await memory_node()
    written = [await node.write(store, DOCUMENT) for _ in range(3)]
    for snapshot in written:
        exact = AtExactSnapshot(zookie.encode(snapshot))
        chosen = await node.freshness.choose(store, exact)
        assert chosen == (snapshot, snapshot.committed_at)


async def test_at_time_is_the_newest_snapshot_then_and_the_time_given() -> None:
    storage = MemoryStorage(lambda: NOW - timedelta(minutes=1))
    store = await storage.create_store("acme")
    node = Node(storage, ManualClock())
    written = await node.write(store, DOCUMENT)
    moment = NOW - timedelta(seconds=1)
    assert await node.freshness.choose(store, AtTime(moment)) == (written, moment)
    with pytest.raises(SnapshotExpired):
        await node.revision(store, AtTime(NOW - timedelta(days=1)))


async def test_at_time_refuses_the_future() -> None:
    node, store = await memory_node()
    with pytest.raises(InvalidRequest) as refused:
        await node.revision(store, AtTime(NOW + timedelta(seconds=1)))
    assert refused.value.field == "consistency"


@pytest.mark.parametrize("mode", [AtLeastAsFresh, AtExactSnapshot])
async def test_zookies_of_another_history_are_refused(
    mode: type[AtLeastAsFresh] | type[AtExactSnapshot],
) -> None:
    node, store = await memory_node()
    written = await node.write(store, DOCUMENT)
    other = (await node.seam.inner.head((await node.seam.inner.create_store("other")).id)).snapshot
    unknown = [
        forged(written, stamp=written.stamp ^ 1),
        forged(written, revision=0),
        forged(written, revision=written.revision + 1),
        forged(written, revision=zookie.MAX_REVISION),
        zookie.encode(other),
        zookie.encode(written._replace(store_id=other.store_id)),
    ]
    for text in unknown:
        with pytest.raises(ZookieUnknown) as refused:
            await node.revision(store, mode(text))
        assert refused.value.field == "consistency"
    with pytest.raises(InvalidZookie):
        await node.revision(store, mode("nonsense"))


async def test_a_store_made_again_is_noticed_within_the_bound_and_refuses_the_old_zookie() -> None:
    node, store = await memory_node()
    old = AtLeastAsFresh(zookie.encode(await node.write(store, DOCUMENT)))
    assert await node.freshness.store("acme") == store
    await node.seam.inner.delete_store("acme")
    again = await node.seam.inner.create_store("acme")
    assert await node.freshness.store("acme") == store
    assert await node.freshness.store("acme", fresh=True) == again
    with pytest.raises(ZookieUnknown):
        await node.revision(again, old)


async def test_a_deleted_store_is_noticed_within_the_bound() -> None:
    node, store = await memory_node()
    await node.freshness.store("acme")
    await node.revision(store)
    await node.seam.inner.delete_store("acme")
    node.clock.advance(BOUND + 0.001)
    with pytest.raises(StoreNotFound):
        await node.freshness.store("acme")
    with pytest.raises(StoreNotFound):
        await node.revision(store)


async def test_names_are_asked_for_once_within_the_bound() -> None:
    node, store = await memory_node()
    for _ in range(100):
        assert await node.freshness.store("acme") == store
    assert node.seam.asked["get_store"] == 1
    node.freshness.forget_store("acme")
    await node.freshness.store("acme")
    assert node.seam.asked["get_store"] == 2
