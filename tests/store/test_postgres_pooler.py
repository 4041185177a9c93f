"""No statement relies on the session it runs in, so a pooler may stand before Postgres."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from api.servers.account import account_for
from api.servers.directory import socket_directory
from engine.store.postgres import PostgresStorage
from engine.store.postgres.migrate import migrate, migrations
from engine.store.protocol import Storage
from tests.conftest import database_dsn
from tests.store.contract_history import ChangesContract, GarbageContract
from tests.store.contract_reads import FetchContract
from tests.store.contract_schemas import IdempotencyContract, SchemasContract
from tests.store.contract_stores import ServiceContract
from tests.store.contract_writes import ConcurrencyContract, PreconditionsContract, WritesContract
from tests.store.postgres_proxy import proxy
from tests.store.tenant import Tenant, touch


class PooledContract(
    WritesContract,
    PreconditionsContract,
    ConcurrencyContract,
    FetchContract,
    ChangesContract,
    GarbageContract,
    SchemasContract,
    IdempotencyContract,
    ServiceContract,
):
    """The parts of the contract that between them run every statement."""

    @pytest.fixture
    async def tenant(self, storage: Storage) -> Tenant:
        return await Tenant.make(storage)


@pytest.fixture(scope="module")
async def shared_database(postgres_dsn: str, database_template: str) -> AsyncIterator[str]:
    """One migrated database for the tests of this module, which make stores of their own."""
    admin = await asyncpg.connect(postgres_dsn)
    try:
        await admin.execute(f"CREATE DATABASE pooled TEMPLATE {database_template}")
        yield database_dsn(postgres_dsn, "pooled")
        await admin.execute("DROP DATABASE pooled WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture(scope="module")
async def rotated_storage(shared_database: str) -> AsyncIterator[Storage]:
    """A storage behind a proxy that changes the backend whenever a transaction has ended."""
    async with proxy(shared_database, backends=2) as line:
        opened = await PostgresStorage.connect(line.dsn, prepared_statements=False)
        yield opened
        await opened.close()


class TestAnotherBackendForEveryTransaction(PooledContract):
    """Behind the proxy."""

    @pytest.fixture
    async def storage(self, rotated_storage: Storage) -> Storage:
        return rotated_storage


async def test_the_proxy_shows_what_relies_on_a_session(fresh_database: str) -> None:
    async with proxy(fresh_database, backends=2) as line:
        connection = await asyncpg.connect(line.dsn, statement_cache_size=0)
        try:
            await connection.execute("SET application_name = 'kept'")
            assert await connection.fetchval("SHOW application_name") != "kept"
        finally:
            await connection.close()
        storage = await PostgresStorage.connect(line.dsn, pool_size=1, prepared_statements=True)
        try:
            await storage.list_stores("", 1)
            with pytest.raises(asyncpg.InvalidSQLStatementNameError):
                await storage.list_stores("", 1)
        finally:
            await storage.close()


async def test_migrations_run_behind_a_pooler(empty_database: str) -> None:
    async with proxy(empty_database, backends=3) as line:
        applied = await asyncio.gather(*(migrate(line.dsn) for _ in range(3)))
    assert [name for names in applied for name in names] == [each.name for each in migrations()]


@pytest.fixture(scope="module")
def pgbouncer(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket directory of a PgBouncer in transaction mode before this worker's Postgres."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is not on PATH; the proxy of this module stands for it")
    directory = tmp_path_factory.mktemp("pgbouncer")
    sockets = socket_directory(directory)
    account = account_for(directory)
    address = urlsplit(postgres_dsn)
    server = parse_qs(address.query)["host"][0]
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        "[databases]\n"
        f"* = host={server} user={address.username}\n"
        "[pgbouncer]\n"
        "pool_mode = transaction\ndefault_pool_size = 3\nlisten_port = 6432\n"
        f"unix_socket_dir = {sockets}\nauth_type = any\nlisten_addr =\n"
    )
    account.own(settings)
    process = subprocess.Popen(
        [*account.prefix, program, "-q", str(settings)],
        stderr=subprocess.PIPE,
        text=True,
        user=account.user,
        group=account.group,
    )
    try:
        yield str(sockets)
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
async def bounced_storage(shared_database: str, pgbouncer: str) -> AsyncIterator[Storage]:
    """A storage behind PgBouncer, with more connections than that has to the server."""
    server = parse_qs(urlsplit(shared_database).query)["host"][0]
    dsn = shared_database.replace(quote(server, safe=""), quote(pgbouncer, safe=""))
    opened = await PostgresStorage.connect(f"{dsn}&port=6432", prepared_statements=False)
    async with asyncio.timeout(10):
        while not (Path(pgbouncer) / ".s.PGSQL.6432").exists():
            await asyncio.sleep(0)
    await opened.ping()
    yield opened
    await opened.close()


class TestPgBouncer(PooledContract):
    """Behind the real one."""

    @pytest.fixture
    async def storage(self, bounced_storage: Storage) -> Storage:
        return bounced_storage

    async def test_it_is_a_pooler(self, storage: Storage, tenant: Tenant) -> None:
        """More writers at once than there are server connections."""
        outcomes = await asyncio.gather(
            *(tenant.write(touch(f"doc:{n}#v@user:a"), schema_version=0) for n in range(9))
        )
        assert sorted(outcome.snapshot.revision for outcome in outcomes) == list(range(1, 10))
