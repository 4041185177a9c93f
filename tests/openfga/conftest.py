"""Servers that speak OpenFGA: one on memory for each test, and those that all published cases
share: on memory, on a node's index, and on Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from engine.store.postgres import PostgresStorage
from tests.api.serving import Served, serving
from tests.api.together import serving_together
from tests.conftest import database_dsn
from tests.index.indexed import NearStorage
from tests.openfga.client import Fga
from tests.openfga.model import filled


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A fresh server."""
    async with serving() as server:
        yield server


@pytest.fixture
async def fga(served: Served) -> Fga:
    """A client of a store with the model and the tuples of `tests.openfga.model`."""
    return await filled(served)


@pytest.fixture(scope="session")
async def on_memory() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server on memory."""
    async with serving() as server:
        yield server.http


@pytest.fixture(scope="session")
async def on_index(valkey_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that reads an index, and answers checks together."""
    async with serving_together(valkey_url) as (server, counting):
        yield server.http
    storage = server.engine.storage
    assert isinstance(storage, NearStorage)
    assert storage.served > storage.refused
    assert counting.answered


@pytest.fixture(scope="session")
async def on_postgres(
    postgres_dsn: str, database_template: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server on Postgres."""
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE DATABASE openfga TEMPLATE {database_template}")
    await connection.close()
    storage: Any = await PostgresStorage.connect(database_dsn(postgres_dsn, "openfga"))
    async with serving(storage) as server:
        yield server.http


@pytest.fixture(params=["memory", "index", "postgres"])
def openfga(request: pytest.FixtureRequest) -> httpx.AsyncClient:
    """A client of each kind of server, which many tests share, each in a store of its own."""
    found: httpx.AsyncClient = request.getfixturevalue(f"on_{request.param}")
    return found
