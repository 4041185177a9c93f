"""Several nodes on one database, and what collection leaves in its tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from engine.errors import StoreNotFound, Unavailable
from engine.store.postgres import PostgresStorage
from engine.store.postgres.sql import statement
from engine.store.postgres.transaction import lock
from tests.store.tenant import NOW, Tenant, key, touch

ANN = "doc:1#viewer@user:ann"
TABLES = ("store", "revision", "schema_version", "relation_tuple", "idempotency")


@pytest.fixture
async def nodes(fresh_database: str) -> AsyncIterator[list[PostgresStorage]]:
    """Three nodes of four connections each."""
    opened = [await PostgresStorage.connect(fresh_database, pool_size=4) for _ in range(3)]
    yield opened
    for node in opened:
        await node.close()


@pytest.fixture
async def connection(fresh_database: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(fresh_database)
    yield opened
    await opened.close()


async def test_a_write_on_one_node_wakes_another(nodes: list[PostgresStorage]) -> None:
    tenant = await Tenant.make(nodes[0])
    waiting = asyncio.create_task(nodes[1].wait_for_change(tenant.id, 0, 60))
    await tenant.write(touch(ANN))
    async with asyncio.timeout(20):
        await waiting
    assert (await nodes[1].head(tenant.id)).snapshot == await tenant.snapshot()


async def test_a_closed_node_lets_no_one_wait(nodes: list[PostgresStorage]) -> None:
    tenant = await Tenant.make(nodes[0])
    waiting = asyncio.create_task(nodes[0].wait_for_change(tenant.id, 0, 60))
    await asyncio.sleep(0)
    await nodes[0].close()
    with pytest.raises(Unavailable):
        await waiting


async def test_nodes_that_start_at_once_share_their_secrets(nodes: list[PostgresStorage]) -> None:
    made = await asyncio.gather(*(node.secrets() for node in nodes * 3))
    assert {tuple(secrets) for secrets in made} == {tuple(await nodes[0].secrets())}
    assert len(made[0]) == 1
    await asyncio.gather(*(node.rotate_secret() for node in nodes))
    newest = await nodes[0].secrets()
    assert len(newest) == 2
    assert newest == await nodes[1].secrets()


async def test_writers_who_wait_leave_room_for_readers(
    nodes: list[PostgresStorage], connection: asyncpg.Connection
) -> None:
    """Writers of one store share a connection; those of three would need three of the four."""
    node = nodes[0]
    hot, other = [await Tenant.make(node) for _ in range(3)], await Tenant.make(node)
    await connection.execute(statement("begin_write"))
    for tenant in hot:
        await lock(connection, tenant.id)
    writers = [
        asyncio.create_task(tenant.write(touch(f"doc:{n}#v@user:a"), schema_version=0))
        for n in range(8)
        for tenant in hot
    ]
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(10):
        while await connection.fetchval(waiting) < 2:
            await asyncio.sleep(0)
    assert await asyncio.gather(*(other.head() for _ in range(20)))
    await connection.execute(statement("rollback"))
    outcomes = await asyncio.gather(*writers)
    revisions = [outcome.snapshot.revision for outcome in outcomes]
    assert sorted(revisions) == [number for number in range(1, 9) for _ in hot]


async def test_a_deleted_store_goes_in_batches(
    nodes: list[PostgresStorage], connection: asyncpg.Connection
) -> None:
    node = nodes[0]
    gone, kept = await Tenant.make(node), await Tenant.make(node)
    await gone.put_schema("definition user {}")
    await gone.write(touch(*(f"doc:{n}#viewer@user:ann" for n in range(50))), idempotency=key("k"))
    await kept.write(touch(ANN))
    await node.delete_store(gone.name)
    removed = []
    while not (step := await node.collect_garbage(kept.id, NOW - timedelta(days=9999), 20)).done:
        removed.append(step.removed)
    removed.append(step.removed)
    assert all(count <= 20 for count in removed)
    # 50 tuples, revisions 0 to 2, a schema version, a key and the store itself
    assert sum(removed) == 50 + 3 + 1 + 1 + 1
    for table in TABLES:
        column = "id" if table == "store" else "store_id"
        left = f"SELECT count(*) FROM {table} WHERE {column} = $1"  # noqa: S608 - names above
        assert await connection.fetchval(left, gone.id) == 0
    assert await kept.texts() == [ANN]


async def test_an_idempotency_key_has_a_day(
    nodes: list[PostgresStorage], connection: asyncpg.Connection
) -> None:
    tenant = await Tenant.make(nodes[0])
    await tenant.write(touch(ANN), idempotency=key("k"))
    ago = "UPDATE idempotency SET used_at = clock_timestamp() - $1::interval"
    await connection.execute(ago, timedelta(hours=23, minutes=59))
    assert (await tenant.write(touch(ANN), idempotency=key("k"))).replayed
    await connection.execute(ago, timedelta(hours=24))
    again = await tenant.write(touch(ANN), idempotency=key("k", "another body"))
    assert (again.results, again.replayed) == (("unchanged",), False)
    await connection.execute(ago, timedelta(hours=24))
    assert (await nodes[0].collect_garbage(tenant.id, NOW - timedelta(days=9999), 9)).removed == 1


@pytest.mark.parametrize("store_id", ["", "default", "0" * 31, "0" * 33, "G" * 32, "0" * 32])
async def test_what_is_no_store_id_is_not_found(
    nodes: list[PostgresStorage], store_id: str
) -> None:
    with pytest.raises(StoreNotFound):
        await nodes[0].head(store_id)
