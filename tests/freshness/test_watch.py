"""Watch gives every change once, in revision order, on both storages and across reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest

from api.servers.valkey import PrivateValkey
from engine import zookie
from engine.cache.redis import RedisAnnouncer
from engine.consistency import Freshness
from engine.errors import InvalidZookie, SnapshotExpired, StoreNotFound, ZookieUnknown
from engine.requests import WatchEvent
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Snapshot, Storage, StoreRecord
from engine.watch import watch
from tests.freshness.seam import Seam
from tests.servers import frozen
from tests.store.tenant import NOW, Tenant, delete, touch

PATIENCE = 30


class Watched:
    """A store that is written to and watched."""

    def __init__(self, storage: Storage, record: StoreRecord) -> None:
        self.storage = storage
        self.record = record
        self.tenant = Tenant(storage, record.id, record.name)
        self.freshness = Freshness(storage, max_staleness=0.05)

    def watch(
        self, after: Snapshot | None = None, **options: object
    ) -> AsyncGenerator[WatchEvent, None]:
        """The events after a snapshot."""
        text = None if after is None else zookie.encode(after)
        return watch(self.storage, self.freshness, self.record, text, **options)  # type: ignore[arg-type]

    async def write(self, *texts: str, metadata: str = "") -> Snapshot:
        """Touch tuples as one revision."""
        return (await self.tenant.write(touch(*texts), metadata=metadata)).snapshot

    async def changes(self, count: int, after: Snapshot, **options: object) -> list[WatchEvent]:
        """The next events that are no heartbeats."""
        return await take(self.watch(after, **options), count)


async def take(events: AsyncGenerator[WatchEvent, None], count: int) -> list[WatchEvent]:
    """The next events that are no heartbeats, and an end to watching."""
    taken: list[WatchEvent] = []
    async with asyncio.timeout(PATIENCE), aclosing(events):
        async for event in events:
            if not event.heartbeat:
                taken.append(event)
            if len(taken) == count:
                break
    return taken


def shown(events: list[WatchEvent]) -> list[list[str]]:
    """The changes of each event in string form."""
    return [[f"{op} {tuple_}" for op, tuple_ in event.changes] for event in events]


@pytest.fixture
def memory_storage() -> Storage:
    return MemoryStorage()


@pytest.fixture
async def postgres_storage(fresh_database: str) -> AsyncIterator[Storage]:
    opened = await PostgresStorage.connect(fresh_database)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory_storage", "postgres_storage"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Each storage in turn."""
    opened: Storage = request.getfixturevalue(request.param)
    return opened


@pytest.fixture
async def watched(storage: Storage) -> Watched:
    return Watched(storage, await storage.create_store("acme"))


async def test_every_revision_once_in_order(watched: Watched) -> None:
    start = await watched.tenant.snapshot()
    await watched.write("document:1#viewer@user:ann", "document:2#viewer@user:bob")
    await watched.tenant.write(delete("document:1#viewer@user:ann"))
    last = await watched.write("document:3#viewer@user:ann")
    events = await watched.changes(3, start)
    assert shown(events) == [
        ["touch document:1#viewer@user:ann", "touch document:2#viewer@user:bob"],
        ["delete document:1#viewer@user:ann"],
        ["touch document:3#viewer@user:ann"],
    ]
    assert events[-1].zookie == zookie.encode(last)


async def test_without_a_zookie_it_begins_now_and_says_where(watched: Watched) -> None:
    now = await watched.write("document:1#viewer@user:before")
    events = watched.watch()
    first = await anext(events)
    assert first == WatchEvent(zookie.encode(now), heartbeat=True)
    await watched.write("document:1#viewer@user:after")
    assert shown(await take(events, 1)) == [["touch document:1#viewer@user:after"]]


@pytest.mark.parametrize("batch", [1, 3, 1000])
async def test_nothing_is_lost_or_repeated_across_reconnects(watched: Watched, batch: int) -> None:
    after = zookie.encode(await watched.tenant.snapshot())
    written = 0
    seen: list[list[str]] = []
    for turn in range(12):
        for _ in range(3):
            await watched.write(f"document:{written}#viewer@user:ann")
            written += 1
        events = watch(watched.storage, watched.freshness, watched.record, after, batch=batch)
        taken = await take(events, 1 + turn % 4)
        seen += shown(taken)
        after = taken[-1].zookie
    assert seen == [[f"touch document:{number}#viewer@user:ann"] for number in range(len(seen))]
    assert len(seen) == 30


async def test_it_waits_for_what_is_written_later(watched: Watched) -> None:
    start = await watched.tenant.snapshot()
    waiting = asyncio.create_task(watched.changes(20, start))
    for number in range(20):
        await watched.write(f"document:{number}#viewer@user:ann")
    assert len(await waiting) == 20


async def test_filters_hide_tuples_and_empty_revisions(watched: Watched) -> None:
    start = await watched.tenant.snapshot()
    await watched.write("folder:1#viewer@user:ann")
    await watched.write("document:1#viewer@user:ann", "folder:2#viewer@user:ann")
    await watched.write("document:1#editor@user:ann")
    types = await watched.changes(2, start, object_types=["document"])
    assert shown(types) == [
        ["touch document:1#viewer@user:ann"],
        ["touch document:1#editor@user:ann"],
    ]
    both = await watched.changes(1, start, object_types=["document"], relations=["editor"])
    assert shown(both) == [["touch document:1#editor@user:ann"]]


async def test_heartbeats_move_on_though_everything_is_hidden(watched: Watched) -> None:
    start = await watched.tenant.snapshot()
    hidden = await watched.write("folder:1#viewer@user:ann")
    events = watched.watch(start, object_types=["document"], heartbeat=0.01)
    async with asyncio.timeout(PATIENCE):
        while (event := await anext(events)).zookie != zookie.encode(hidden):
            assert event.heartbeat
    assert event.heartbeat


async def test_heartbeats_come_while_nothing_happens(watched: Watched) -> None:
    events = watched.watch(heartbeat=0.01)
    async with asyncio.timeout(PATIENCE):
        assert [(await anext(events)).heartbeat for _ in range(5)] == [True] * 5


async def test_a_schema_change_is_told_to_every_watcher(watched: Watched) -> None:
    start = await watched.tenant.snapshot()
    await watched.tenant.put_schema("definition user {}")
    (event,) = await watched.changes(1, start, object_types=["document"])
    assert event.schema_changed
    assert event.changes == ()


async def test_metadata_comes_with_the_changes(watched: Watched) -> None:
    start = await watched.tenant.snapshot()
    await watched.write("document:1#viewer@user:ann", metadata='{"why":"joined"}')
    (event,) = await watched.changes(1, start)
    assert event.metadata == {"why": "joined"}


async def test_a_store_deleted_under_it_ends_it(watched: Watched) -> None:
    events = watched.watch()
    await anext(events)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    await watched.storage.delete_store("acme")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StoreNotFound):
            await waiting


async def test_zookies_that_it_cannot_go_on_from_are_refused(watched: Watched) -> None:
    first = await watched.write("document:1#viewer@user:ann")
    second = await watched.write("document:2#viewer@user:ann")
    with pytest.raises(InvalidZookie):
        await anext(watch(watched.storage, watched.freshness, watched.record, "nonsense"))
    for wrong in (
        first._replace(stamp=first.stamp ^ 1),
        second._replace(revision=second.revision + 1),
        first._replace(store_id="0" * 32),
    ):
        with pytest.raises(ZookieUnknown) as refused:
            await anext(watched.watch(wrong))
        assert refused.value.field == "after"
    await watched.storage.collect_garbage(
        watched.record.id, second.committed_at + timedelta(days=1), 1000
    )
    with pytest.raises(SnapshotExpired):
        await anext(Watched(watched.storage, watched.record).watch(first))


async def test_it_reads_no_more_than_a_batch_ahead_of_its_reader(storage: Storage) -> None:
    record = await storage.create_store("acme")
    seam = Seam(storage)
    watched = Watched(seam.storage, record)
    start = await watched.tenant.snapshot()
    for number in range(30):
        await watched.write(f"document:{number}#viewer@user:ann")
    events = watched.watch(start, batch=10)
    for _ in range(11):  # A heartbeat and one batch.
        await anext(events)
    assert seam.asked["changes"] == 1
    await anext(events)
    assert seam.asked["changes"] == 2


@pytest.mark.parametrize("writes", [0, 1, 2, 5])
async def test_a_store_restored_under_it_ends_it(writes: int) -> None:
    """It must not go on in another history as if nothing were missing."""
    storage = MemoryStorage()
    record = await storage.create_store("acme")
    backup = deepcopy(storage)
    seam = Seam(storage)
    watched = Watched(seam.storage, record)
    for number in range(2):
        last = await watched.write(f"document:{number}#viewer@user:ann")
    events = watched.watch(last, heartbeat=0.01)
    await anext(events)
    seam.inner = backup
    for number in range(writes):
        await watched.write(f"document:{number}#viewer@user:bob")
    with pytest.raises(ZookieUnknown):
        await take(events, 1)


async def test_it_is_woken_by_the_announcer_and_delivers_without_it(tmp_path: Path) -> None:
    storage = MemoryStorage()
    watched = Watched(storage, await storage.create_store("acme"))
    with PrivateValkey(tmp_path) as valkey:
        nodes = [
            Freshness(storage, announcer=RedisAnnouncer(valkey.url), max_staleness=0.05)
            for _ in range(2)
        ]
        events = watch(storage, nodes[0], watched.record, None, heartbeat=PATIENCE)
        await anext(events)
        for number in range(3):
            written = await watched.write(f"document:{number}#viewer@user:ann")
            await nodes[1].published(written, [])
            async with asyncio.timeout(PATIENCE):
                assert (await anext(events)).zookie == zookie.encode(written)
        with frozen(valkey):
            written = await watched.write("document:3#viewer@user:ann")
            async with asyncio.timeout(PATIENCE):
                assert (await anext(events)).zookie == zookie.encode(written)
        await events.aclose()
        for node in nodes:
            await node.close()


async def test_an_expired_tuple_that_is_removed_is_a_change(watched: Watched) -> None:
    start = await watched.write("document:1#viewer@user:ann[expiration:2030-01-01T00:00:01Z]")
    await watched.storage.remove_expired(watched.record.id, NOW + timedelta(hours=1), 10)
    (event,) = await watched.changes(1, start)
    assert [op for op, _ in event.changes] == ["delete"]
