"""Writes that share a transaction come to what they would come to one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from engine.errors import (
    EngineError,
    InvalidRequest,
    OutcomeUnknown,
    StoreNotFound,
    TupleExists,
    Unavailable,
)
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage, queue
from engine.store.postgres.rows import packed
from engine.store.postgres.sql import statement
from engine.store.postgres.transaction import lock
from engine.store.protocol import (
    Precondition,
    PreconditionOp,
    SchemaMoved,
    Storage,
    TupleFilter,
    Update,
    UpdateOp,
    WriteCommand,
    WriteOutcome,
)
from engine.tuples import Object, RelationTuple, Subject, parse_tuple
from tests.store.postgres_proxy import proxy
from tests.store.tenant import ANY, NOW, Tenant, create, delete, described, key, touch

ANN = "doc:1#viewer@user:ann"
BEN = "doc:1#viewer@user:ben"
CY = "doc:1#viewer@user:cy"
_SUFFIXES = ("", "", "[weekday]", "[expiration:2030-01-01T00:00:02Z]")

# Which parts of an identity a filter names: of an object, whole, of a subject, of a type, others.
_FILTERS = ((0, 1), (0, 1, 2), (0, 1, 4), (0, 1, 2, 3, 4, 5), (3, 4), (0, 2), (2,), (1, 4))


@pytest.fixture
async def storage(fresh_database: str) -> AsyncIterator[PostgresStorage]:
    opened = await PostgresStorage.connect(fresh_database)
    yield opened
    await opened.close()


@pytest.fixture
async def connection(fresh_database: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(fresh_database)
    yield opened
    await opened.close()


def random_command(rng: random.Random) -> WriteCommand:
    """A write over so few tuples that the writes of a group are in each other's way."""
    names = rng.sample([f"doc:{n}#{r}@user:{s}" for n in "12" for r in "vw" for s in "ab"], 3)
    updates = [
        Update(rng.choice(list(UpdateOp)), parse_tuple(name + rng.choice(_SUFFIXES)))
        for name in names[: rng.choice((0, 1, 1, 1, 2, 3))]
    ]
    used = key(rng.choice("xyz"), rng.choice(("one", "other"))) if rng.random() < 0.3 else None
    return WriteCommand(
        updates,
        [random_precondition(rng) for _ in range(rng.choice((0, 0, 1, 2)))],
        0 if rng.random() < 0.95 else 7,
        NOW + timedelta(seconds=rng.randrange(5)),
        metadata=str(rng.randrange(10_000)),
        actor=rng.choice("pq"),
        idempotency=used,
    )


def random_precondition(rng: random.Random) -> Precondition:
    parts = ("doc", rng.choice("12"), rng.choice("vw"), "user", rng.choice("ab"), "")
    kept = rng.choice(_FILTERS)
    wanted = TupleFilter(*(part if at in kept else None for at, part in enumerate(parts)))
    return Precondition(rng.choice(list(PreconditionOp)), wanted)


async def told(storage: Storage, store_id: str, command: WriteCommand) -> tuple[object, ...]:
    """What a writer learns, apart from stamps and times."""
    try:
        outcome = await storage.write(store_id, command)
    except EngineError as error:
        return (error.code, error.message, error.field, error.expected)
    except SchemaMoved as moved:
        return (moved.current_version,)
    return (outcome.snapshot.revision, outcome.results, outcome.replayed)


@pytest.mark.parametrize("seed", range(30))
async def test_a_group_is_as_good_as_one_after_the_other(
    storage: PostgresStorage, seed: int
) -> None:
    rng = random.Random(seed)
    memory = MemoryStorage()
    apart, together = await Tenant.make(memory), await Tenant.make(storage)
    for _ in range(4):
        commands = [random_command(rng) for _ in range(rng.choice((2, 5, 40)))]
        expected = [await told(memory, apart.id, command) for command in commands]
        found = await asyncio.gather(*(told(storage, together.id, command) for command in commands))
        assert found == expected
    changes = await together.changes()
    assert described(changes) == described(await apart.changes())
    assert [(one.metadata, one.actor) for one in changes] == [
        (one.metadata, one.actor) for one in await apart.changes()
    ]
    assert [one.snapshot.revision for one in changes] == list(range(1, len(changes) + 1))
    assert len({one.snapshot.stamp for one in changes}) == len(changes)
    times = [one.snapshot.committed_at for one in changes]
    assert times == sorted(times)
    for at, theirs in zip(changes, await apart.changes(), strict=True):
        assert await together.texts(at.snapshot) == await apart.texts(theirs.snapshot)
        assert await storage.snapshot(together.id, at.snapshot.revision) == at.snapshot


async def transactions(connection: asyncpg.Connection) -> int:
    """How many transactions wrote a store's revisions: rows of one share their `xmin`."""
    asked = "SELECT count(DISTINCT xmin::text) FROM revision WHERE revision > 0"
    found: int = await connection.fetchval(asked)
    return found


async def lock_waiters(connection: asyncpg.Connection, wanted: int) -> None:
    """Return when this many sessions wait for a lock."""
    asked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(10):
        while await connection.fetchval(asked) < wanted:
            await asyncio.sleep(0)


def write(tenant: Tenant, *texts: str) -> asyncio.Task[WriteOutcome]:
    return asyncio.create_task(tenant.write(touch(*texts), schema_version=0))


async def test_writes_that_arrive_together_share_a_transaction(
    storage: PostgresStorage, connection: asyncpg.Connection
) -> None:
    tenant = await Tenant.make(storage)
    texts = [f"doc:{n}#viewer@user:ann" for n in range(100)]
    outcomes = await asyncio.gather(*(write(tenant, text) for text in texts))
    assert [one.snapshot.revision for one in outcomes] == list(range(1, 101))
    assert await transactions(connection) == 1
    # More than one takes, by count.
    await asyncio.gather(*(write(tenant, f"doc:{n}#owner@user:ann") for n in range(300)))
    assert await transactions(connection) == 3
    # And by updates.
    await asyncio.gather(
        *(write(tenant, *(f"doc:{n}-{m}#v@user:a" for m in range(900))) for n in range(3))
    )
    assert await transactions(connection) == 5


async def test_the_bytes_of_a_transaction_are_bounded(
    storage: PostgresStorage, connection: asyncpg.Connection
) -> None:
    tenant = await Tenant.make(storage)
    metadata = "x" * (queue.MOST_BYTES // 3)
    await asyncio.gather(
        *(
            tenant.write(touch(f"doc:{n}#v@user:a"), schema_version=0, metadata=metadata)
            for n in range(4)
        )
    )
    assert await transactions(connection) == 2


async def test_a_wide_precondition_is_asked_apart(
    storage: PostgresStorage, connection: asyncpg.Connection
) -> None:
    """It may take long, which the others need not wait for, and may not share their failure."""
    tenant = await Tenant.make(storage)
    wide = Precondition(PreconditionOp.MUST_NOT_MATCH, ANY._replace(relation="owner"))
    await asyncio.gather(
        write(tenant, ANN),
        write(tenant, BEN),
        asyncio.create_task(tenant.write(touch(CY), wide, schema_version=0)),
        write(tenant, "doc:2#viewer@user:ann"),
    )
    assert await transactions(connection) == 3


async def test_one_that_cannot_be_stored_does_not_hurt_the_others(
    storage: PostgresStorage,
) -> None:
    tenant = await Tenant.make(storage)
    bad = RelationTuple(Object("doc", "nul\x00"), "viewer", Subject("user", "ann"))
    made = await asyncio.gather(
        write(tenant, ANN),
        tenant.write([Update(UpdateOp.TOUCH, bad)], schema_version=0),
        tenant.write([*touch(CY), *create(ANN)], schema_version=0),
        write(tenant, BEN),
        return_exceptions=True,
    )
    assert [type(one) for one in made] == [WriteOutcome, InvalidRequest, TupleExists, WriteOutcome]
    assert await tenant.texts() == [ANN, BEN]
    assert (await tenant.snapshot()).revision == 2


async def test_a_lost_commit_is_in_doubt_for_the_whole_group(fresh_database: str) -> None:
    async with proxy(fresh_database) as line:
        storage = await PostgresStorage.connect(line.dsn)
        try:
            tenant = await Tenant.make(storage)
            line.cut_after = b"COMMIT\x00"
            made = await asyncio.gather(
                *(
                    tenant.write(touch(text), schema_version=0, idempotency=key(text))
                    for text in (ANN, BEN, CY)
                ),
                return_exceptions=True,
            )
            assert [type(one) for one in made] == [OutcomeUnknown] * 3
            assert len({id(one) for one in made}) == 3
            again = await asyncio.gather(
                *(
                    tenant.write(touch(text), schema_version=0, idempotency=key(text))
                    for text in (CY, BEN, ANN)
                )
            )
            assert [(one.snapshot.revision, one.replayed) for one in again] == [
                (3, True),
                (2, True),
                (1, True),
            ]
        finally:
            await storage.close()


async def test_nobody_is_cancelled_with_another(
    storage: PostgresStorage, connection: asyncpg.Connection, fresh_database: str
) -> None:
    """One is cancelled under way, which is carried out all the same, and one that still waits."""
    tenant = await Tenant.make(storage)
    await connection.execute(statement("begin_write"))
    await lock(connection, tenant.id)
    under_way = [write(tenant, ANN), write(tenant, BEN)]
    other = await asyncpg.connect(fresh_database)
    try:
        await lock_waiters(other, 1)
    finally:
        await other.close()
    waiting = [write(tenant, CY), write(tenant, "doc:2#viewer@user:ann")]
    await asyncio.sleep(0)
    under_way[0].cancel()
    waiting[0].cancel()
    await asyncio.wait([under_way[0], waiting[0]])
    await connection.execute(statement("rollback"))
    assert (await under_way[1]).snapshot.revision == 2
    assert (await waiting[1]).snapshot.revision == 3
    assert await tenant.texts() == [ANN, BEN, "doc:2#viewer@user:ann"]


async def test_too_many_that_wait_are_refused(
    storage: PostgresStorage, connection: asyncpg.Connection
) -> None:
    tenant = await Tenant.make(storage)
    await connection.execute(statement("begin_write"))
    await lock(connection, tenant.id)
    writers = [write(tenant, ANN) for _ in range(queue.MOST_WAITING + 1)]
    await asyncio.sleep(0)
    assert [one.done() for one in writers] == [False] * queue.MOST_WAITING + [True]
    with pytest.raises(Unavailable, match="too many"):
        await writers[-1]
    await connection.execute(statement("rollback"))
    outcomes = await asyncio.gather(*writers[:-1])
    assert {one.snapshot.revision for one in outcomes} == {1}


async def test_a_storage_that_closes_refuses_those_who_wait(
    fresh_database: str, connection: asyncpg.Connection
) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    tenant = await Tenant.make(storage)
    await connection.execute(statement("begin_write"))
    await lock(connection, tenant.id)
    under_way = write(tenant, ANN)
    await lock_waiters(connection, 1)
    waiting = write(tenant, BEN)
    await asyncio.sleep(0)
    closing = asyncio.create_task(storage.close())
    with pytest.raises(Unavailable):
        await waiting
    await connection.execute(statement("rollback"))
    assert (await under_way).results == ("created",)
    await closing
    with pytest.raises(Unavailable):
        await write(tenant, BEN)


async def test_a_store_that_is_gone_is_gone_for_all(storage: PostgresStorage) -> None:
    tenant = await Tenant.make(storage)
    await storage.delete_store(tenant.name)
    made = await asyncio.gather(*(write(tenant, ANN) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in made] == [StoreNotFound] * 3


async def test_an_expired_row_made_in_the_group_is_closed(storage: PostgresStorage) -> None:
    tenant = await Tenant.make(storage)
    expiring = f"{ANN}[expiration:2030-01-01T00:00:02Z]"
    later = NOW + timedelta(seconds=3)
    made = await asyncio.gather(
        tenant.write(create(expiring), schema_version=0),
        tenant.write(delete(ANN), schema_version=0, now=later),
        tenant.write(create(ANN), schema_version=0, now=later),
    )
    assert [one.results for one in made] == [("created",), ("absent",), ("created",)]
    assert described(await tenant.changes()) == [[f"touch {expiring}"], [f"touch {ANN}"]]


@pytest.mark.parametrize("columns", [[], [""], ["", ""], ["a", ""], ["", "b", ""], ["-"]])
async def test_a_packed_column_comes_apart_again(
    connection: asyncpg.Connection, columns: list[str]
) -> None:
    taken_apart = "SELECT trim_array(string_to_array($1, E'\\x1f'), 1)"
    assert await connection.fetchval(taken_apart, packed(columns)) == columns


async def test_a_value_that_cannot_be_packed_is_wrong_input(storage: PostgresStorage) -> None:
    tenant = await Tenant.make(storage)
    bad = RelationTuple(Object("doc", "a\x1fb"), "viewer", Subject("user", "ann"))
    with pytest.raises(InvalidRequest):
        await tenant.write([Update(UpdateOp.TOUCH, bad), *touch(ANN)], schema_version=0)
    assert await tenant.texts() == []
