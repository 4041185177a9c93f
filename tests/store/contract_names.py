"""What every storage does with versions of a schema that have names."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from engine.errors import SchemaExists, SchemaNotFound, StoreNotFound, UnknownSchema
from engine.store.protocol import SchemaRecord, Storage, WriteCommand
from tests.store.contract_history import collect
from tests.store.tenant import LATER, NOW, Tenant, key, touch

TEXT = '{"schema_version": "1.1", "name": "é"}'
NEWEST = 2**31 - 1


async def names(tenant: Tenant, before: int = NEWEST, limit: int = 100) -> list[str]:
    found = await tenant.storage.named_schemas(tenant.id, before, limit)
    return [record.name for record in found]


class NamedSchemasContract:
    """A version with a name can be asked for by it as long as the store lives."""

    async def test_a_version_is_found_by_its_name(self, storage: Storage, tenant: Tenant) -> None:
        first = await tenant.put_schema(TEXT, language="fga", name="One")
        second = await tenant.put_schema(TEXT, language="fga", name="one")
        assert second.revision == first.revision + 1
        for snapshot, name in ((first, "One"), (second, "one")):
            wanted = SchemaRecord(snapshot.schema_version, TEXT, "fga", name)
            assert await storage.named_schema(tenant.id, name) == wanted
            assert await storage.schema(tenant.id, snapshot.schema_version) == wanted
        assert await tenant.snapshot() == second
        await tenant.put_schema("// without a name")
        for unknown in ("two", "ONE", ""):
            with pytest.raises(UnknownSchema):
                await storage.named_schema(tenant.id, unknown)
        other = await Tenant.make(storage)
        with pytest.raises(UnknownSchema):
            await storage.named_schema(other.id, "one")
        await other.put_schema(TEXT, name="one")
        assert await names(other) == ["one"]

    async def test_a_name_is_given_once(self, tenant: Tenant) -> None:
        await tenant.put_schema(TEXT, name="one")
        before = await tenant.snapshot()
        with pytest.raises(SchemaExists):
            await tenant.put_schema("other", name="one")
        assert await tenant.snapshot() == before
        made = await asyncio.gather(
            *(tenant.put_schema(f"{i}", name="two") for i in range(5)), return_exceptions=True
        )
        assert sum(isinstance(result, SchemaExists) for result in made) == 4

    async def test_many_names_are_written_at_once(self, tenant: Tenant) -> None:
        """None of them is sent back for the others."""
        await asyncio.gather(*(tenant.put_schema(TEXT, name=f"m{i}") for i in range(8)))
        assert sorted(await names(tenant)) == [f"m{i}" for i in range(8)]
        assert (await tenant.snapshot()).revision == 8

    async def test_names_are_listed_newest_first(self, storage: Storage, tenant: Tenant) -> None:
        assert await names(tenant) == []
        for name in ("b", "a", "c"):
            await tenant.put_schema(f"// {name}")
            await tenant.put_schema(TEXT, name=name)
        assert await names(tenant) == ["c", "a", "b"]
        first = await storage.named_schemas(tenant.id, NEWEST, 2)
        assert [record.name for record in first] == ["c", "a"]
        assert await names(tenant, first[-1].version, 2) == ["b"]
        assert await names(tenant, 1) == []

    async def test_names_outlive_their_snapshots(self, storage: Storage, tenant: Tenant) -> None:
        named = await tenant.put_schema(TEXT, name="kept")
        unnamed = await tenant.put_schema("// forgotten")
        await tenant.put_schema("// in force")
        written = (await tenant.write(touch("doc:1#viewer@user:ann"))).snapshot
        await collect(tenant, written.committed_at + timedelta(days=1))
        assert (await storage.named_schema(tenant.id, "kept")).text == TEXT
        assert (await storage.schema(tenant.id, named.schema_version)).text == TEXT
        with pytest.raises(SchemaNotFound):
            await storage.schema(tenant.id, unnamed.schema_version)
        with pytest.raises(SchemaExists):
            await tenant.put_schema(TEXT, name="kept")

    async def test_a_repeated_request_gets_the_first_answer(self, tenant: Tenant) -> None:
        first = await tenant.put_schema(TEXT, name="one", idempotency=key("k"))
        await tenant.put_schema(TEXT, name="two")
        assert await tenant.put_schema(TEXT, name="one", idempotency=key("k")) == first
        assert await names(tenant) == ["two", "one"]

    async def test_a_write_need_not_be_made_for_the_schema_in_force(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        await tenant.put_schema(TEXT, name="one")
        two = await tenant.put_schema(TEXT, name="two")
        updates = touch("doc:1#viewer@user:ann")
        outcome = await storage.write(tenant.id, WriteCommand(updates, (), None, LATER))
        assert outcome.snapshot.revision == two.revision + 1
        assert outcome.snapshot.schema_version == two.schema_version
        assert await tenant.texts(now=NOW) == ["doc:1#viewer@user:ann"]

    async def test_a_deleted_store_has_no_names(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.put_schema(TEXT, name="one")
        await storage.delete_store(tenant.name)
        with pytest.raises(StoreNotFound):
            await storage.named_schema(tenant.id, "one")
        with pytest.raises(StoreNotFound):
            await storage.named_schemas(tenant.id, NEWEST, 1)
