"""Stored tuples and schemas that validation would refuse: put straight into storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from engine.store.protocol import SchemaCommand, WriteCommand
from engine.tuples import RelationTuple
from engine.zookie import encode
from tests.conformance.systems import Tenant, touches


async def plant_tuples(tenant: Tenant, tuples: Sequence[RelationTuple]) -> str:
    """Store tuples that the schema does not allow; the zookie."""
    storage = tenant.engine.storage
    store = await storage.get_store(tenant.name)
    head = (await storage.head(store.id)).snapshot
    command = WriteCommand(touches(tuples), (), head.schema_version, datetime.now(UTC))
    return encode((await storage.write(store.id, command)).snapshot)


async def plant_schema(tenant: Tenant, text: str) -> str:
    """Put a schema in force that orphans stored tuples; the zookie."""
    storage = tenant.engine.storage
    store = await storage.get_store(tenant.name)
    head = (await storage.head(store.id)).snapshot
    command = SchemaCommand(text, "zed", head.schema_version, (), datetime.now(UTC))
    return encode(await storage.put_schema(store.id, command))
