"""Two nodes that tell each other of writes through a real Valkey: what it saves, and its record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from engine.cache.redis import RedisAnnouncer
from engine.store.memory import MemoryStorage
from engine.store.protocol import StoreRecord
from engine.tuples import Object
from tests.freshness.clock import ManualClock
from tests.freshness.node import BOUND, DOCUMENT, Node
from tests.freshness.seam import Seam

OTHER = Object("document", "2")


class Pair:
    """Two nodes over one storage and one Valkey."""

    def __init__(self, here: Node, there: Node, store: StoreRecord, redis: Redis) -> None:
        self.here = here
        self.there = there
        self.store = store
        self.redis = redis

    async def keys(self) -> list[bytes]:
        """The keys of this store."""
        return sorted([key async for key in self.redis.scan_iter(f"*{self.store.id}*")])

    async def settle(self) -> None:
        """Let `there` see the record and read a head after that, as any check makes it do."""
        for _ in range(4):
            await self.there.revision(self.store, objects=[OTHER])


@asynccontextmanager
async def pair_at(here_url: str, there_url: str) -> AsyncIterator[Pair]:
    """A pair whose nodes reach Valkey at these URLs."""
    clock = ManualClock()
    storage = MemoryStorage()
    store = await storage.create_store("acme")
    here, there = (
        Node(storage, clock, announcer=RedisAnnouncer(url, clock=clock))
        for url in (here_url, there_url)
    )
    async with Redis.from_url(there_url, protocol=2) as redis:
        yield Pair(here, there, store, redis)
    for node in (here, there):
        await node.freshness.close()


@pytest.fixture
async def pair(valkey_url: str) -> AsyncIterator[Pair]:
    async with pair_at(valkey_url, valkey_url) as made:
        yield made


async def test_a_check_sees_the_last_write_to_its_object_through_another_node(pair: Pair) -> None:
    await pair.settle()
    for _ in range(20):
        written = await pair.here.write(pair.store, DOCUMENT)
        found = await pair.there.revision(pair.store, objects=[DOCUMENT])
        assert found == written.revision


async def test_a_check_without_a_recent_write_asks_storage_nothing(pair: Pair) -> None:
    await pair.settle()
    await pair.here.write(pair.store, DOCUMENT)
    before = pair.there.reads
    for _ in range(100):
        await pair.there.revision(pair.store, objects=[OTHER])
    assert pair.there.reads == before


async def test_a_batch_sees_the_last_write_to_any_of_its_objects(pair: Pair) -> None:
    await pair.settle()
    written = await pair.here.write(pair.store, DOCUMENT)
    found = await pair.there.revision(pair.store, objects=[OTHER, DOCUMENT, OTHER])
    assert found == written.revision


async def test_a_schema_write_counts_for_every_object(pair: Pair) -> None:
    await pair.settle()
    written = await pair.here.write(pair.store, DOCUMENT)
    await pair.here.freshness.published(written, None)
    assert await pair.there.revision(pair.store, objects=[OTHER]) == written.revision


async def test_a_write_to_very_many_objects_counts_for_all_and_keeps_the_record_small(
    pair: Pair,
) -> None:
    await pair.settle()
    objects = [Object("document", str(number)) for number in range(5_000)]
    written = await pair.here.write(pair.store, *objects)
    for key in await pair.keys():
        assert await pair.redis.zcard(key) < 10
    assert await pair.there.revision(pair.store, objects=[objects[4_321]]) == written.revision


async def test_publishers_may_arrive_in_either_order(pair: Pair) -> None:
    await pair.settle()
    earlier = await pair.here.write(pair.store, DOCUMENT)
    assert await pair.there.revision(pair.store, objects=[DOCUMENT]) == earlier.revision
    later = await pair.here.write(pair.store, DOCUMENT)
    await pair.here.freshness.published(earlier, [DOCUMENT])
    assert await pair.there.revision(pair.store, objects=[DOCUMENT]) == later.revision


async def test_the_bound_holds_beside_it(pair: Pair) -> None:
    await pair.settle()
    written = await pair.here.write(pair.store, DOCUMENT)
    pair.there.clock.advance(BOUND + 0.001)
    assert await pair.there.revision(pair.store, objects=[OTHER]) == written.revision


async def test_records_stay_small_and_nothing_is_missed_of_what_they_lose(pair: Pair) -> None:
    await pair.settle()
    objects = [Object("document", str(number)) for number in range(1_000)]
    for turn in range(5):
        named = [Object("document", f"{turn}/{item.id}") for item in objects]
        written = await pair.here.write(pair.store, *named)
        (key,) = await pair.keys()
        assert await pair.redis.zcard(key) <= 2_001
        last = await pair.here.write(pair.store, OTHER)
        assert await pair.there.revision(pair.store, objects=[named[-1]]) >= written.revision
        assert await pair.there.revision(pair.store, objects=[OTHER]) == last.revision


@pytest.mark.parametrize("count", [1, 100, 255, 256, 257, 300, 1_900, 2_100])
@pytest.mark.parametrize("which", [0, 0.5, 1])
async def test_nothing_is_missed_however_much_was_written_since(
    pair: Pair, count: int, which: float
) -> None:
    """More is on record than a node is told of at once, and more was written than is on record."""
    await pair.settle()
    objects = [Object("document", f"of-{number}") for number in range(count)]
    asked = objects[int(which * (count - 1))]
    for first in range(0, count, 50):
        batch = objects[first : first + 50]
        outcome = await pair.here.write(pair.store, *batch)
        if asked in batch:
            written = outcome.revision
    assert await pair.there.revision(pair.store, objects=[asked]) >= written


async def test_stores_do_not_meet_in_redis(pair: Pair) -> None:
    other = await pair.here.seam.inner.create_store("other")
    await pair.settle()
    for _ in range(5):
        await pair.here.write(other, DOCUMENT)
    before = pair.there.reads
    assert await pair.there.revision(pair.store, objects=[DOCUMENT]) == 0
    assert pair.there.reads == before


async def test_what_is_kept_in_redis_has_an_end(pair: Pair) -> None:
    await pair.here.write(pair.store, DOCUMENT)
    for key in await pair.keys():
        assert 0 < await pair.redis.ttl(key) <= 24 * 60 * 60


async def test_a_server_that_forgets_its_scripts_is_told_again(pair: Pair) -> None:
    await pair.settle()
    await pair.redis.script_flush()
    written = await pair.here.write(pair.store, DOCUMENT)
    before = pair.there.reads
    assert await pair.there.revision(pair.store, objects=[DOCUMENT]) == written.revision
    assert pair.there.reads > before
    assert isinstance(pair.here.freshness.announcer, RedisAnnouncer)
    assert pair.here.freshness.announcer.faults == 0


async def test_no_name_of_a_client_stands_in_redis(pair: Pair) -> None:
    await pair.here.write(pair.store, Object("document", "secret-plan"))
    for key in await pair.keys():
        fields = await pair.redis.zrange(key, 0, -1)
        assert not any(b"secret" in part or b"acme" in part for part in (key, *fields))


async def test_many_checks_at_once_get_their_own_answers(pair: Pair) -> None:
    objects = [Object("document", str(number)) for number in range(200)]
    await pair.settle()
    for number in (0, 1, 77, 199):
        written = await pair.here.write(pair.store, objects[number])
        found = await asyncio.gather(
            *(pair.there.revision(pair.store, objects=[item]) for item in objects)
        )
        assert found[number] == written.revision


async def test_a_cancelled_check_leaves_no_reply_for_the_next_one(pair: Pair) -> None:
    await pair.settle()
    for turn in range(100):
        leaving = asyncio.create_task(pair.there.revision(pair.store, objects=[OTHER]))
        for _ in range(turn % 12):
            await asyncio.sleep(0)
        leaving.cancel()
        written = await pair.here.write(pair.store, DOCUMENT)
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) == written.revision


async def test_listeners_are_woken_by_writes_to_their_store(pair: Pair) -> None:
    announcer = pair.there.freshness.announcer
    assert announcer is not None
    async with announcer.listen(pair.store.id) as news:
        await news.wait(30)  # The subscription has begun: what came before may be missed.
        news.clear()
        await pair.here.write(pair.store, DOCUMENT)
        async with asyncio.timeout(10):
            await news.wait(30)


async def test_the_seam_counts(pair: Pair) -> None:
    """The counts above mean something: a check that must ask does ask."""
    assert isinstance(pair.there.seam, Seam)
    await pair.settle()
    before = pair.there.reads
    await pair.here.write(pair.store, DOCUMENT)
    await pair.there.revision(pair.store, objects=[DOCUMENT])
    assert pair.there.reads > before
