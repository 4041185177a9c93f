"""A Postgres that is away, slow, frozen, full or cut off: refused in time, and never in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from api.servers.postgres import PrivatePostgres
from engine.errors import InvalidRequest, OutcomeUnknown, Unavailable
from engine.store.postgres import PostgresStorage
from engine.store.postgres.migrate import migrate
from engine.store.postgres.pool import Pool
from engine.store.postgres.sql import statement
from engine.store.postgres.transaction import lock
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, RelationTuple, Subject
from tests.store.postgres_proxy import Proxy, proxy
from tests.store.tenant import ANY, NOW, Tenant, key, must_match, probe, scan, touch

ANN = "doc:1#viewer@user:ann"
BEN = "doc:1#viewer@user:ben"


@asynccontextmanager
async def opened(dsn: str, **settings: float) -> AsyncIterator[PostgresStorage]:
    storage = await PostgresStorage.connect(dsn, **settings)  # type: ignore[arg-type]
    try:
        yield storage
    finally:
        await storage.close()


@pytest.fixture
async def line(fresh_database: str) -> AsyncIterator[Proxy]:
    """A proxy to the test's database."""
    async with proxy(fresh_database) as made:
        yield made


@pytest.fixture
async def storage(line: Proxy) -> AsyncIterator[PostgresStorage]:
    """A storage whose connections run through `line`; it gives up after half a second."""
    async with opened(line.dsn, statement_timeout=0.5, connect_timeout=0.5) as made:
        yield made


class TestCutConnections:
    """A connection lost at each point of a write."""

    @pytest.mark.parametrize("at", [b"SET LOCAL", b"FOR UPDATE", b"FROM unnest", b"INSERT INTO"])
    async def test_before_the_commit_the_write_is_done_again(
        self, storage: PostgresStorage, line: Proxy, at: bytes
    ) -> None:
        tenant = await Tenant.make(storage)
        line.cut_before = at
        outcome = await tenant.write(touch(ANN))
        assert line.cut_before == b""
        assert (outcome.results, outcome.snapshot.revision) == (("created",), 1)

    async def test_at_the_commit_the_outcome_is_unknown(
        self, storage: PostgresStorage, line: Proxy
    ) -> None:
        tenant = await Tenant.make(storage)
        line.cut_before = b"COMMIT\x00"
        with pytest.raises(OutcomeUnknown):
            await tenant.write(touch(ANN), schema_version=0, idempotency=key("k"))
        assert await tenant.texts() == []
        again = await tenant.write(touch(ANN), schema_version=0, idempotency=key("k"))
        assert (again.results, again.replayed) == (("created",), False)

    async def test_after_the_commit_a_key_tells_what_was_done(
        self, storage: PostgresStorage, line: Proxy
    ) -> None:
        tenant = await Tenant.make(storage)
        line.cut_after = b"COMMIT\x00"
        with pytest.raises(OutcomeUnknown):
            await tenant.write(touch(ANN), schema_version=0, idempotency=key("k"))
        assert await tenant.texts() == [ANN]
        again = await tenant.write(touch(ANN), schema_version=0, idempotency=key("k"))
        assert (again.results, again.replayed) == (("created",), True)
        assert again.snapshot == await tenant.snapshot()
        assert again.snapshot.revision == 1

    async def test_a_read_is_done_again(self, storage: PostgresStorage, line: Proxy) -> None:
        tenant = await Tenant.make(storage)
        await tenant.write(touch(ANN))
        reader = storage.reader(await tenant.snapshot())
        line.cut_before = b"guard"
        assert (await reader.fetch([probe(ANN)], [], 1))[0] != [None]
        assert line.cut_before == b""

    async def test_sessions_that_the_server_ended_are_replaced(
        self, storage: PostgresStorage, fresh_database: str
    ) -> None:
        tenant = await Tenant.make(storage)
        await asyncio.gather(*(tenant.head() for _ in range(10)))
        admin = await asyncpg.connect(fresh_database)
        try:
            ended = await admin.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await admin.close()
        assert len(ended) > 1
        assert (await tenant.write(touch(ANN))).results == ("created",)
        await asyncio.gather(*(tenant.head() for _ in range(10)))


class TestFrozenServer:
    """A server that takes connections and answers nothing."""

    async def test_every_call_ends_in_time_and_works_again_after(
        self, storage: PostgresStorage, line: Proxy
    ) -> None:
        tenant = await Tenant.make(storage)
        snapshot = (await tenant.write(touch(ANN))).snapshot
        reader = storage.reader(snapshot)
        line.flowing.clear()
        calls = [
            tenant.head(),
            tenant.write(touch(BEN), schema_version=0),
            tenant.changes(),
            reader.fetch([probe(ANN)], [], 1),
            storage.ping(),
            storage.create_store("frozen"),
            storage.wait_for_change(tenant.id, 1, 60),
        ]
        async with asyncio.timeout(20):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * len(calls)
        line.flowing.set()
        assert (await tenant.write(touch(BEN), schema_version=0)).snapshot.revision == 2
        assert await tenant.texts() == [ANN, BEN]

    async def test_a_commit_that_is_not_answered_is_in_doubt(
        self, storage: PostgresStorage, line: Proxy, fresh_database: str
    ) -> None:
        """The server commits, and its answer never comes."""
        tenant = await Tenant.make(storage)
        slow = (
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON revision"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle();"
        )
        admin = await asyncpg.connect(fresh_database)
        try:
            await admin.execute(slow)
            with pytest.raises(OutcomeUnknown):
                await tenant.write(touch(ANN), schema_version=0)
        finally:
            await admin.close()


class TestRestart:
    """A server of its own, stopped and started."""

    async def test_it_is_unavailable_while_away_and_works_when_back(self, tmp_path: Path) -> None:
        server = PrivatePostgres(tmp_path, durable=False)
        server.start()
        try:
            await migrate(server.dsn)
            async with opened(server.dsn) as storage:
                tenant = await Tenant.make(storage)
                await tenant.write(touch(ANN))
                server.stop()
                for call in (storage.ping, tenant.head, tenant.changes):
                    with pytest.raises(Unavailable):
                        await call()
                with pytest.raises(Unavailable):
                    await tenant.write(touch(BEN), schema_version=0)
                server.start()
                await storage.ping()
                assert (await tenant.write(touch(BEN))).snapshot.revision == 2
                assert await tenant.texts() == [ANN, BEN]
        finally:
            server.stop()


class TestBusyServer:
    """Locks, conflicts and too few connections."""

    async def test_a_frozen_writer_holds_up_its_own_store_alone(
        self, storage: PostgresStorage, fresh_database: str
    ) -> None:
        held, other = await Tenant.make(storage), await Tenant.make(storage)
        holder = await asyncpg.connect(fresh_database)
        try:
            await holder.execute(statement("begin_write"))
            await lock(holder, held.id)
            with pytest.raises(Unavailable):
                await held.write(touch(ANN), schema_version=0)
            assert (await other.write(touch(ANN))).results == ("created",)
            assert await held.texts() == []
            await holder.execute(statement("rollback"))
            assert (await held.write(touch(ANN))).results == ("created",)
        finally:
            await holder.close()

    async def test_a_pool_smaller_than_the_demand_refuses_or_answers(
        self, fresh_database: str
    ) -> None:
        """Two connections, ten questions of twenty branches each: no one waits while holding."""
        async with opened(fresh_database, pool_size=2) as storage:
            tenant = await Tenant.make(storage)
            await tenant.write(touch(ANN, "doc:1#viewer@group:eng#member"))
            reader = storage.reader(await tenant.snapshot())

            async def question() -> int:
                asked = ([probe(ANN)], [scan("doc:1#viewer", only_usersets=True)], 10)
                found = await asyncio.gather(
                    *(reader.fetch(*asked) for _ in range(20)), return_exceptions=True
                )
                wrong = [each for each in found if isinstance(each, BaseException)]
                assert all(isinstance(each, Unavailable) for each in wrong)
                return len(found) - len(wrong)

            async with asyncio.timeout(20):
                answered = await asyncio.gather(*(question() for _ in range(10)))
            assert sum(answered) > 0
            assert (await reader.fetch([probe(ANN)], [], 1))[0] != [None]

    async def test_when_every_connection_is_held_the_next_is_refused(
        self, fresh_database: str
    ) -> None:
        async with opened(fresh_database, pool_size=1) as storage:
            tenant = await Tenant.make(storage)
            holder = await asyncpg.connect(fresh_database)
            try:
                await holder.execute(statement("begin_write"))
                await lock(holder, tenant.id)
                blocked = asyncio.create_task(tenant.write(touch(ANN), schema_version=0))
                waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
                while not await holder.fetchval(waiting):
                    await asyncio.sleep(0)
                with pytest.raises(Unavailable, match="every connection"):
                    await tenant.head()
                await holder.execute(statement("rollback"))
                assert (await blocked).results == ("created",)
                assert (await tenant.snapshot()).revision == 1
            finally:
                await holder.close()

    @pytest.mark.parametrize(("failures", "state"), [(2, "40001"), (2, "40P01"), (9, "40001")])
    async def test_a_conflict_is_tried_again_a_few_times(
        self, fresh_database: str, failures: int, state: str
    ) -> None:
        admin = await asyncpg.connect(fresh_database)
        try:
            # A sequence counts across the transactions that the trigger makes fail.
            await admin.execute(
                "CREATE SEQUENCE tries;"
                "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" IF nextval('tries') <= {failures} THEN"
                f" RAISE EXCEPTION 'met' USING ERRCODE = '{state}'; END IF;"
                " RETURN NEW; END $$;"
                "CREATE TRIGGER conflict BEFORE INSERT ON relation_tuple"
                " FOR EACH ROW EXECUTE FUNCTION conflict();"
            )
            async with opened(fresh_database) as storage:
                tenant = await Tenant.make(storage)
                if failures == 2:
                    assert (await tenant.write(touch(ANN))).snapshot.revision == 1
                else:
                    with pytest.raises(Unavailable):
                        await tenant.write(touch(ANN))
                    assert (await tenant.snapshot()).revision == 0
                assert await admin.fetchval("SELECT last_value FROM tries") == 3
        finally:
            await admin.close()

    async def test_a_driver_that_lost_its_place_gets_another_connection(
        self, fresh_database: str
    ) -> None:
        """What asyncpg says when the server's last words come between two of its own."""
        bounds = {"patience": 0.5, "connect_timeout": 0.5, "statement_timeout": 0.5}
        pool = await Pool.open(fresh_database, size=1, prepared_statements=True, **bounds)
        sessions: list[int] = []

        async def lost(connection: asyncpg.Connection, times: int) -> int:
            sessions.append(connection.get_server_pid())
            if len(sessions) <= times:
                raise asyncpg.InternalClientError("cannot switch to state 12")
            return len(sessions)

        try:
            assert await pool.transact(lambda connection: lost(connection, 1)) == 2
            assert len(set(sessions)) == 2
            sessions.clear()
            with pytest.raises(Unavailable):
                await pool.transact(lambda connection: lost(connection, 99))
            assert len(set(sessions)) == len(sessions)
        finally:
            await pool.close()

    async def test_a_cancelled_request_gives_its_connection_back(self, fresh_database: str) -> None:
        async with opened(fresh_database, pool_size=1) as storage:
            tenant = await Tenant.make(storage)
            for _ in range(5):
                request = asyncio.create_task(tenant.write(touch(ANN), schema_version=0))
                await asyncio.sleep(0)
                request.cancel()
                await asyncio.gather(request, return_exceptions=True)
            assert await tenant.head()
            assert (await tenant.write(touch(BEN))).results == ("created",)


class TestValuesThatCannotBeStored:
    """What the engine refuses before; here the last fence."""

    @pytest.mark.parametrize("text", ["nul\x00", "half\ud800"])
    async def test_they_are_wrong_input(self, fresh_database: str, text: str) -> None:
        async with opened(fresh_database) as storage:
            tenant = await Tenant.make(storage)
            bad = RelationTuple(Object("doc", text), "viewer", Subject("user", "ann"))
            good = touch(BEN)
            with pytest.raises(InvalidRequest):
                await tenant.write([*good, Update(UpdateOp.TOUCH, bad)])
            with pytest.raises(InvalidRequest):
                await tenant.write(good, must_match(object_type="doc", object_id=text))
            reader = storage.reader(await tenant.snapshot())
            with pytest.raises(InvalidRequest):
                await reader.fetch([probe(BEN)._replace(object_id=text)], [], 1)
            with pytest.raises(InvalidRequest):
                await storage.read(
                    await tenant.snapshot(),
                    ANY._replace(object_id=text),
                    after=None,
                    limit=1,
                    now=NOW,
                )
            assert await tenant.texts() == []
            with pytest.raises(InvalidRequest):
                await storage.snapshot(tenant.id, 2**63)
