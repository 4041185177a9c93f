"""The memory storage keeps the contract, and forgets what it may."""

from __future__ import annotations

import gc
from datetime import datetime, timedelta

import pytest

from engine.store.memory import MemoryStorage
from engine.store.multiversion import Bucket
from engine.store.protocol import Storage
from tests.store.contract import StorageContract
from tests.store.tenant import NOW, Tenant, delete, key, touch


class TestMemoryStorage(StorageContract):
    """The contract, on a storage of its own for each test."""

    @pytest.fixture
    async def storage(self) -> Storage:
        return MemoryStorage()


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


async def test_commits_never_go_back_in_time() -> None:
    clock = Clock()
    tenant = await Tenant.make(MemoryStorage(clock))
    first = (await tenant.write(touch("doc:1#viewer@user:a"))).snapshot
    clock.now -= timedelta(hours=1)
    second = (await tenant.write(touch("doc:1#viewer@user:b"))).snapshot
    assert first.committed_at == second.committed_at == NOW
    assert await tenant.storage.snapshot_at(tenant.id, NOW) == second


async def test_a_key_is_kept_for_a_day() -> None:
    clock = Clock()
    storage = MemoryStorage(clock)
    tenant = await Tenant.make(storage)
    await tenant.write(touch("doc:1#viewer@user:a"), idempotency=key("k"))
    clock.now += timedelta(hours=24)
    await storage.collect_garbage(tenant.id, NOW, 10)
    assert (await tenant.write(touch("doc:1#viewer@user:a"), idempotency=key("k"))).replayed
    clock.now += timedelta(microseconds=1)
    await storage.collect_garbage(tenant.id, NOW, 10)
    assert not (await tenant.write(touch("doc:1#viewer@user:a"), idempotency=key("k"))).replayed


def buckets_alive() -> int:
    """How many buckets of tuples this process holds."""
    gc.collect()
    return sum(isinstance(item, Bucket) for item in gc.get_objects())


async def test_collected_garbage_frees_its_memory() -> None:
    storage, before = MemoryStorage(), buckets_alive()
    tenant = await Tenant.make(storage)
    for _ in range(5):
        await tenant.write(touch(*(f"doc:{i}#viewer@user:a" for i in range(50))))
        await tenant.write(delete(*(f"doc:{i}#viewer@user:a" for i in range(50))))
    removed = 0
    while True:
        step = await storage.collect_garbage(tenant.id, NOW + timedelta(days=36500), 40)
        removed += step.removed
        assert step.removed <= 40
        if step.done:
            break
    assert removed == 250 + 10
    assert buckets_alive() == before
    assert await tenant.tuples() == []
    await tenant.write(touch("doc:7#viewer@user:a"))
    assert await tenant.texts() == ["doc:7#viewer@user:a"]
