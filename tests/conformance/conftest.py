"""The systems that every scenario runs on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import uvicorn

from engine.engine import Engine
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from tests.conformance.systems import System
from tests.conftest import database_dsn


@pytest.fixture(scope="session")
async def postgres_engine(postgres_dsn: str, database_template: str) -> AsyncIterator[Engine]:
    """An engine on a database that all scenarios share, each in a store of its own."""
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE DATABASE conformance TEMPLATE {database_template}")
    await connection.close()
    engine = Engine(await PostgresStorage.connect(database_dsn(postgres_dsn, "conformance")))
    yield engine
    await engine.close()


@pytest.fixture(scope="session")
async def memory_engine() -> AsyncIterator[Engine]:
    """An engine in memory."""
    engine = Engine(MemoryStorage())
    yield engine
    await engine.close()


@contextlib.asynccontextmanager
async def served(engine: Engine, **settings: str) -> AsyncIterator[str]:
    """The HTTP API of an engine on a loopback port, with these settings; the base URL."""
    from api.app import create_app  # noqa: PLC0415 - only the HTTP scenarios need it
    from api.settings import Settings  # noqa: PLC0415

    config = uvicorn.Config(
        create_app(engine, Settings.model_validate(settings)),
        log_config=None,
        lifespan="on",
        http="httptools",
    )
    server = uvicorn.Server(config)
    # Without the protocol, asyncio does not turn off the delay of small packets.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
            assert not running.done()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await running


@pytest.fixture(scope="session")
async def http_client(postgres_engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a real server on Postgres."""
    async with served(postgres_engine) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture(params=["memory_engine", "postgres_engine"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine on each storage."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["memory", "postgres", "http"])
def system(request: pytest.FixtureRequest) -> System:
    """The engine in memory, on Postgres, and on Postgres through HTTP."""
    if request.param == "memory":
        return System(request.getfixturevalue("memory_engine"))
    engine = request.getfixturevalue("postgres_engine")
    if request.param == "postgres":
        return System(engine)
    return System(engine, request.getfixturevalue("http_client"))
