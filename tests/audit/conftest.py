"""An engine on each storage, whose clock the tests set ahead of the commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from engine.consistency import Freshness
from engine.engine import Engine
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.conftest import database_dsn


class Clock:
    """The real time and what tests add to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="package", params=["memory", "postgres"])
async def storage(
    request: pytest.FixtureRequest, postgres_dsn: str, database_template: str
) -> AsyncIterator[Storage]:
    """One storage for all tests of the package."""
    if request.param == "memory":
        yield MemoryStorage()
        return
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE audit TEMPLATE {database_template}")
    opened = await PostgresStorage.connect(database_dsn(postgres_dsn, "audit"))
    yield opened
    await opened.close()
    await admin.execute("DROP DATABASE audit WITH (FORCE)")
    await admin.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(storage: Storage, clock: Clock) -> AsyncIterator[Engine]:
    """An engine with an empty store `acme`."""
    made = Engine(storage, freshness=Freshness(storage, now=clock), clock=clock)
    await made.create_store("acme")
    yield made
    await made.delete_store("acme")
    await made.freshness.close()
