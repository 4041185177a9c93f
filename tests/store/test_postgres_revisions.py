"""Revisions follow the order of commits, and stamps tell one line of revisions from another."""

from __future__ import annotations

import asyncio
import itertools
import random
import string
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from engine.errors import SnapshotExpired, ZookieUnknown
from engine.reader import Probe
from engine.store.postgres import PostgresStorage
from engine.store.postgres.sql import statement
from engine.store.postgres.transaction import Revision, lock, take_revision
from engine.store.protocol import TupleFilter, Update, UpdateOp
from engine.tuples import (
    MAX_IDENTITY_BYTES,
    Object,
    RelationTuple,
    Subject,
    make_tuple,
    parse_tuple,
)
from tests.conftest import database_dsn
from tests.store.tenant import NOW, Tenant, delete, edge, probe, scan, touch

ANN = "doc:1#viewer@user:ann"
BEN = "doc:1#viewer@user:ben"
_copies = itertools.count(1)


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


async def someone_waits_for_a_lock(connection: asyncpg.Connection) -> None:
    """Return when another session of the database waits for a lock."""
    waiting = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(10):
        while not await connection.fetchval(waiting):
            await asyncio.sleep(0)


class TestInterleavedWriters:
    """Two transactions that overlap, on plain tables and on ours."""

    async def test_a_sequence_loses_the_late_commit(
        self, fresh_database: str, connection: asyncpg.Connection
    ) -> None:
        """The fault to avoid: a number taken at INSERT is older than its commit."""
        await connection.execute("CREATE TABLE log (revision bigserial, what text)")
        slow, quick = [await asyncpg.connect(fresh_database) for _ in range(2)]
        try:
            insert = "INSERT INTO log (what) VALUES ($1)"
            late = slow.transaction()
            await late.start()
            await slow.execute(insert, "revoke")
            await quick.execute(insert, "grant")
            seen = await connection.fetch("SELECT revision, what FROM log")
            position = max(row["revision"] for row in seen)
            await late.commit()
            after = "SELECT what FROM log WHERE revision > $1"
            assert [row["what"] for row in seen] == ["grant"]
            assert await connection.fetch(after, position) == []
        finally:
            await slow.close()
            await quick.close()

    async def test_the_store_lock_loses_none(
        self, storage: PostgresStorage, connection: asyncpg.Connection, fresh_database: str
    ) -> None:
        tenant = await Tenant.make(storage)
        slow = await asyncpg.connect(fresh_database)
        try:
            await slow.execute(statement("begin_write"))
            head = await lock(slow, tenant.id)
            revision = Revision([], [parse_tuple(ANN)], "", "", head.schema_version)
            late = await take_revision(slow, tenant.id, revision)
            quick = asyncio.create_task(tenant.write(touch(BEN), schema_version=0))
            await someone_waits_for_a_lock(connection)
            assert (await tenant.snapshot()).revision == 0
            assert await tenant.changes() == []
            await slow.execute(statement("commit"))
            outcome = await quick
        finally:
            await slow.close()
        assert (late.revision, outcome.snapshot.revision) == (1, 2)
        assert late.committed_at <= outcome.snapshot.committed_at
        assert [entry.snapshot for entry in await tenant.changes()] == [late, outcome.snapshot]
        assert await tenant.texts(late) == [ANN]
        assert await tenant.texts(outcome.snapshot) == [ANN, BEN]

    async def test_a_writer_that_rolls_back_leaves_no_gap(
        self, storage: PostgresStorage, connection: asyncpg.Connection, fresh_database: str
    ) -> None:
        tenant = await Tenant.make(storage)
        slow = await asyncpg.connect(fresh_database)
        try:
            await slow.execute(statement("begin_write"))
            await lock(slow, tenant.id)
            await take_revision(slow, tenant.id, Revision([], [parse_tuple(ANN)], "", "", 0))
            quick = asyncio.create_task(tenant.write(touch(BEN), schema_version=0))
            await someone_waits_for_a_lock(connection)
            await slow.execute(statement("rollback"))
        finally:
            await slow.close()
        assert (await quick).snapshot.revision == 1
        assert await tenant.texts() == [BEN]

    async def test_a_writer_sees_what_was_committed_while_it_waited(
        self, storage: PostgresStorage, connection: asyncpg.Connection, fresh_database: str
    ) -> None:
        """A lock taken in one statement with a read would show the rows from before it."""
        tenant = await Tenant.make(storage)
        slow = await asyncpg.connect(fresh_database)
        try:
            await slow.execute(statement("begin_write"))
            await lock(slow, tenant.id)
            await take_revision(slow, tenant.id, Revision([], [parse_tuple(ANN)], "", "", 0))
            waiting = asyncio.create_task(tenant.write(delete(ANN), schema_version=0))
            await someone_waits_for_a_lock(connection)
            await slow.execute(statement("commit"))
        finally:
            await slow.close()
        assert (await waiting).results == ("deleted",)

    async def test_the_clock_never_runs_back(
        self, storage: PostgresStorage, connection: asyncpg.Connection
    ) -> None:
        tenant = await Tenant.make(storage)
        ahead = "UPDATE store SET committed_at = now() + interval '1 hour' RETURNING committed_at"
        before = await connection.fetchval(ahead)
        assert (await tenant.write(touch(ANN))).snapshot.committed_at == before


class TestLineages:
    """The same numbers in another line of revisions."""

    async def test_a_store_made_again_has_other_stamps(self, storage: PostgresStorage) -> None:
        first = await Tenant.make(storage)
        await first.write(touch(ANN))
        old = [await storage.snapshot(first.id, revision) for revision in (0, 1)]
        await storage.delete_store(first.name)
        record = await storage.create_store(first.name)
        second = Tenant(storage, record.id, record.name)
        await second.write(touch(ANN))
        new = [await storage.snapshot(second.id, revision) for revision in (0, 1)]
        assert [snapshot.revision for snapshot in new] == [snapshot.revision for snapshot in old]
        assert {snapshot.stamp for snapshot in old}.isdisjoint(snapshot.stamp for snapshot in new)

    async def test_a_restored_database_goes_on_with_other_stamps(
        self, fresh_database: str, postgres_dsn: str
    ) -> None:
        """A copy of the database's files stands for the backup."""
        storage = await PostgresStorage.connect(fresh_database)
        tenant = await Tenant.make(storage)
        kept = (await tenant.write(touch(ANN))).snapshot
        await storage.close()
        backup = f"backup_{next(_copies)}"
        name = fresh_database.split("@/")[1].split("?", maxsplit=1)[0]
        admin = await asyncpg.connect(postgres_dsn)
        try:
            await admin.execute(f"CREATE DATABASE {backup} TEMPLATE {name}")
            storage = await PostgresStorage.connect(fresh_database)
            tenant = Tenant(storage, tenant.id, tenant.name)
            lost = [(await tenant.write(touch(f"doc:{n}#viewer@user:x"))).snapshot for n in "234"]
            await storage.close()
            storage = await PostgresStorage.connect(database_dsn(postgres_dsn, backup))
            tenant = Tenant(storage, tenant.id, tenant.name)
            again = (await tenant.write(touch("doc:9#viewer@user:y"))).snapshot
            assert await storage.snapshot(tenant.id, 1) == kept
            assert (again.store_id, again.revision) == (lost[0].store_id, lost[0].revision)
            assert again.stamp != lost[0].stamp
            with pytest.raises(ZookieUnknown):
                await storage.snapshot(tenant.id, lost[1].revision)
            with pytest.raises(SnapshotExpired):
                await storage.reader(lost[2]).fetch([probe(ANN)], [], 1)
        finally:
            await storage.close()
            await admin.execute(f"DROP DATABASE IF EXISTS {backup} WITH (FORCE)")
            await admin.close()


class TestWholeWrites:
    """What other systems lost or kept too long."""

    async def test_a_write_far_over_the_parameter_limit_is_whole(
        self, storage: PostgresStorage
    ) -> None:
        tenant = await Tenant.make(storage)
        wanted = [
            RelationTuple(Object("doc", f"{n:05}"), "viewer", Subject("user", "ann"))
            for n in range(20_000)
        ]
        outcome = await tenant.write([Update(UpdateOp.TOUCH, made) for made in wanted])
        assert set(outcome.results) == {"created"}
        assert await tenant.tuples(page=7_000) == wanted
        gone = await tenant.delete(TupleFilter(object_type="doc"))
        assert (gone.deleted, gone.complete, len(gone.objects)) == (20_000, True, 20_000)
        changes = await tenant.changes(limit=10)
        assert len(changes[0].changes) == 20_000

    async def test_touch_sets_and_clears_an_expiry(self, storage: PostgresStorage) -> None:
        tenant = await Tenant.make(storage)
        for_an_hour = f"{ANN}[expiration:2030-01-01T01:00:00Z]"
        for text, result in [
            (for_an_hour, "created"),
            (ANN, "updated"),
            (for_an_hour, "updated"),
            (for_an_hour, "unchanged"),
        ]:
            outcome = await tenant.write(touch(text))
            assert outcome.results == (result,)
            reader = storage.reader(outcome.snapshot)
            assert await reader.fetch([probe(ANN)], [], 1) == ([edge(text)], [])
        assert await tenant.texts(now=NOW + timedelta(hours=1)) == []

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Foo", "foo"),
            ("caf\u00e9", "cafe\u0301"),
            ("\u0130", "i"),
            ("\uff41", "a"),
            ("\u00df", "ss"),
            ("a-b", "ab"),
        ],
    )
    async def test_identity_is_bytes(self, storage: PostgresStorage, one: str, other: str) -> None:
        tenant = await Tenant.make(storage)
        await tenant.write(touch(f"doc:{one}#viewer@user:{one}"))
        reader = storage.reader(await tenant.snapshot())
        asked = [(one, one), (one, other), (other, one), (other, other)]
        probes = [probe(f"doc:{object_}#viewer@user:{subject}") for object_, subject in asked]
        found, _ = await reader.fetch(probes, [], 1)
        assert [edge is not None for edge in found] == [True, False, False, False]
        assert (await tenant.write(touch(f"doc:{other}#viewer@user:{one}"))).results == ("created",)

    async def test_the_longest_identity_fits_every_index(self, storage: PostgresStorage) -> None:
        """Random text, because Postgres would compress anything else in an index."""
        rng = random.Random(7)

        def text(length: int) -> str:
            return "".join(rng.choices(string.ascii_letters + string.digits, k=length))

        tenant = await Tenant.make(storage)
        object_ = Object(text(254), text(1024))
        rest = MAX_IDENTITY_BYTES - 254 - 1024 - 64 - 64
        subject = Subject(text(rest - 1024), text(1024), text(64))
        longest = make_tuple(
            object_, text(64), subject, expires_at=NOW + timedelta(hours=1), caveat=text(256)
        )
        assert sum(len(part) for part in (*object_, longest.relation, *subject)) == 2_500
        assert (await tenant.write([Update(UpdateOp.CREATE, longest)])).results == ("created",)
        name = f"{object_}#{longest.relation}"
        reader = storage.reader(await tenant.snapshot())
        parts = (*object_, longest.relation, *subject)
        found, scanned = await reader.fetch([Probe(*parts)], [scan(name, only_usersets=True)], 1)
        assert found == scanned[0] == [(*subject, *longest[3:])]
        assert await tenant.tuples(filter_=TupleFilter(*parts)) == [longest]
        assert await tenant.tuples(filter_=TupleFilter(subject_type=subject.type)) == [longest]
        assert (await tenant.write([Update(UpdateOp.DELETE, longest)])).results == ("deleted",)
        assert await tenant.tuples() == []
