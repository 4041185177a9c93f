"""Real servers for the tests: one private Postgres and Valkey per worker, a database per test."""

from __future__ import annotations

import itertools
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from api.descriptors import raise_limit
from api.servers.postgres import PrivatePostgres
from api.servers.valkey import PrivateValkey

_numbers = itertools.count(1)

# Whoever starts the tests in the background has them ignore Ctrl-C, and all that they start; some
# of that is there to be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Servers in this process keep an index open for each of hundreds of stores.
raise_limit()


def database_dsn(dsn: str, database: str) -> str:
    """`dsn` of the private Postgres with another database."""
    return dsn.replace("/postgres?", f"/{database}?", 1)


@pytest.fixture
def data() -> Iterator[Path]:
    """A data directory for servers of this test alone."""
    with tempfile.TemporaryDirectory(prefix="stonetown-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def server_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this worker's servers keep their data."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_dsn(server_directory: Path) -> Iterator[str]:
    """A private Postgres for this worker; the string names its `postgres` database."""
    with PrivatePostgres(server_directory, durable=False, connections=200) as server:
        yield server.dsn


@pytest.fixture(scope="session")
def valkey_url(server_directory: Path) -> Iterator[str]:
    """A private Valkey for this worker, shared by its tests."""
    with PrivateValkey(server_directory) as server:
        yield server.url


@pytest.fixture(scope="session")
async def database_template(postgres_dsn: str) -> str:
    """The name of a database that every migration has been applied to, to copy and not to use."""
    from engine.store.postgres.migrate import migrate  # noqa: PLC0415 - needed by few tests

    name = "template_migrated"
    await _command(postgres_dsn, f"CREATE DATABASE {name}")
    await migrate(database_dsn(postgres_dsn, name))
    return name


@pytest.fixture
async def fresh_database(postgres_dsn: str, database_template: str) -> AsyncIterator[str]:
    """The string of a migrated, empty database that is dropped after the test."""
    name = f"test_{next(_numbers)}"
    await _command(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {database_template}")
    yield database_dsn(postgres_dsn, name)
    await _command(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database(postgres_dsn: str) -> AsyncIterator[str]:
    """The string of a database without any migration that is dropped after the test."""
    name = f"test_{next(_numbers)}"
    await _command(postgres_dsn, f"CREATE DATABASE {name}")
    yield database_dsn(postgres_dsn, name)
    await _command(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def _command(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
