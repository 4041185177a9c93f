"""What every storage does with stores, secrets and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from engine.errors import StoreExists, StoreNotFound
from engine.store.protocol import Shape, Storage
from engine.tuples import parse_tuple
from tests.store.tenant import ANY, NOW, Tenant, delete, probe, touch


class StoresContract:
    """Stores come, are listed, and go with everything in them."""

    async def test_a_new_store_is_empty_at_revision_0(self, storage: Storage) -> None:
        name = f"t{uuid4().hex}"
        record = await storage.create_store(name)
        assert record.name == name
        assert len(record.id) == 32
        assert set(record.id) <= set("0123456789abcdef")
        assert record.created_at.utcoffset() is not None
        assert await storage.get_store(name) == record
        head = await storage.head(record.id)
        assert head.oldest_revision == 0
        assert head.snapshot[:2] == (record.id, 0)
        assert head.snapshot.schema_version == 0
        assert 0 <= head.snapshot.stamp < 2**64
        assert await storage.snapshot(record.id, 0) == head.snapshot
        assert await storage.changes(record.id, 0, 10) == []

    async def test_a_name_is_taken_once(self, storage: Storage, tenant: Tenant) -> None:
        with pytest.raises(StoreExists):
            await storage.create_store(tenant.name)

    async def test_a_name_is_taken_once_by_many_at_once(self, storage: Storage) -> None:
        name = f"t{uuid4().hex}"
        made = await asyncio.gather(
            *(storage.create_store(name) for _ in range(5)), return_exceptions=True
        )
        assert sum(isinstance(result, StoreExists) for result in made) == 4

    async def test_an_unknown_store_is_not_found(self, storage: Storage) -> None:
        with pytest.raises(StoreNotFound):
            await storage.get_store("no-such-store")
        with pytest.raises(StoreNotFound):
            await storage.delete_store("no-such-store")
        with pytest.raises(StoreNotFound):
            await storage.head("0" * 32)

    async def test_stores_are_listed_by_name_in_pages(self, storage: Storage) -> None:
        prefix = f"p{uuid4().hex}"
        names = [prefix + suffix for suffix in ("-b", "0", "a", "a-", "aa")]
        for name in reversed(names):
            await storage.create_store(name)
        listed = [record.name for record in await storage.list_stores(prefix, 5)]
        assert listed == names
        assert [record.name for record in await storage.list_stores(names[1], 2)] == names[2:4]
        last = await storage.list_stores(names[4], 1)
        assert all(record.name > names[4] for record in last)

    async def test_a_store_made_again_is_another_one(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        await tenant.write(touch("doc:1#viewer@user:ann"))
        await tenant.put_schema("definition user {}")
        await storage.delete_store(tenant.name)
        record = await storage.create_store(tenant.name)
        assert record.id != tenant.id
        again = Tenant(storage, record.id, record.name)
        assert (await again.snapshot())[1] == 0
        assert await again.texts() == []
        with pytest.raises(StoreNotFound):
            await storage.head(tenant.id)

    async def test_nothing_is_done_in_a_deleted_store(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        snapshot = (await tenant.write(touch("doc:1#viewer@user:ann"))).snapshot
        reader = storage.reader(snapshot)
        await storage.delete_store(tenant.name)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: storage.get_store(tenant.name),
            lambda: storage.delete_store(tenant.name),
            lambda: storage.head(tenant.id),
            lambda: storage.snapshot(tenant.id, 1),
            lambda: storage.snapshot_at(tenant.id, NOW),
            lambda: storage.schema(tenant.id, 1),
            lambda: tenant.put_schema("definition user {}", expected_version=0),
            lambda: storage.tuples_of_shapes(tenant.id, [Shape("doc", "viewer")], NOW, 1),
            lambda: storage.read(snapshot, ANY, after=None, limit=1, now=NOW),
            lambda: tenant.write(touch("doc:1#viewer@user:ann"), schema_version=0),
            lambda: tenant.delete(ANY),
            lambda: storage.remove_expired(tenant.id, NOW, 1),
            lambda: storage.changes(tenant.id, 0, 1),
            lambda: storage.wait_for_change(tenant.id, 5, 10),
            lambda: storage.collect_garbage(tenant.id, NOW, 1),
            lambda: reader.fetch([probe("doc:1#viewer@user:ann")], [], 1),
        ]
        for index, call in enumerate(calls):
            try:
                await call()
            except StoreNotFound:
                continue
            pytest.fail(f"call {index} found the deleted store")

    async def test_stores_do_not_see_each_other(self, storage: Storage, tenant: Tenant) -> None:
        other = await Tenant.make(storage)
        await tenant.write(touch("doc:1#viewer@user:ann"))
        await other.write(touch("doc:1#viewer@user:ben"))
        await other.write(delete("doc:1#viewer@user:ann"))
        assert await tenant.texts() == ["doc:1#viewer@user:ann"]
        assert await other.texts() == ["doc:1#viewer@user:ben"]
        assert (await tenant.snapshot()).revision == (await other.snapshot()).revision == 1
        reader = storage.reader(await other.snapshot())
        assert await reader.fetch([probe("doc:1#viewer@user:ann")], [], 1) == ([None], [])


class ServiceContract:
    """What is not a store's: secrets, waiting, health."""

    async def test_secrets_are_made_once_and_stay(self, storage: Storage) -> None:
        first = await storage.secrets()
        assert first
        assert all(len(secret) >= 32 for secret in first)
        assert await storage.secrets() == first

    async def test_a_rotated_secret_stays_valid_once(self, storage: Storage) -> None:
        oldest = (await storage.secrets())[0]
        await storage.rotate_secret()
        newer = await storage.secrets()
        assert newer[1:] == [oldest]
        assert newer[0] != oldest
        await storage.rotate_secret()
        newest = await storage.secrets()
        assert newest[1:] == newer[:1]

    async def test_ping_answers(self, storage: Storage) -> None:
        await storage.ping()

    async def test_waiting_ends_with_a_write(self, storage: Storage, tenant: Tenant) -> None:
        async def follow() -> int:
            while (head := await tenant.snapshot()).revision < 3:
                await storage.wait_for_change(tenant.id, head.revision, 60)
            return head.revision

        followers = [asyncio.create_task(follow()) for _ in range(3)]
        for number in range(3):
            await asyncio.sleep(0)
            await tenant.write(touch(f"doc:{number}#viewer@user:ann"))
        assert await asyncio.wait_for(asyncio.gather(*followers), 20) == [3, 3, 3]

    async def test_waiting_for_the_past_returns(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.write(touch("doc:1#viewer@user:ann"))
        await asyncio.wait_for(storage.wait_for_change(tenant.id, 0, 60), 20)

    async def test_waiting_ends_without_a_change(self, storage: Storage, tenant: Tenant) -> None:
        await asyncio.wait_for(storage.wait_for_change(tenant.id, 0, 0.01), 20)
        assert (await tenant.snapshot()).revision == 0

    async def test_waiting_ends_when_the_store_goes(self, storage: Storage, tenant: Tenant) -> None:
        async def follow() -> None:
            while True:
                await storage.wait_for_change(tenant.id, 0, 60)

        follower = asyncio.create_task(follow())
        await asyncio.sleep(0)
        await storage.delete_store(tenant.name)
        with pytest.raises(StoreNotFound):
            await asyncio.wait_for(follower, 20)

    async def test_a_write_in_another_store_moves_no_head(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        other = await Tenant.make(storage)
        await other.write(touch("doc:1#viewer@user:ann"))
        assert await tenant.changes() == []
        assert await other.tuples() == [parse_tuple("doc:1#viewer@user:ann")]
