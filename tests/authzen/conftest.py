"""The fixture of the certification on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.authzen.models import published
from tests.authzen.pdp import Pdp, on_memory, on_postgres
from tests.authzen.world import SCHEMA, TUPLES


@pytest.fixture
async def on_database(fresh_database: str) -> AsyncIterator[Pdp]:
    """The certification's fixture on Postgres."""
    async with on_postgres(fresh_database, *published("cert.json")) as pdp:
        yield pdp


@pytest.fixture
async def in_memory() -> AsyncIterator[Pdp]:
    """The certification's fixture in memory."""
    async with on_memory(*published("cert.json")) as pdp:
        yield pdp


@pytest.fixture(params=["in_memory", "on_database"])
def certified(request: pytest.FixtureRequest) -> Pdp:
    """The certification's fixture on each storage."""
    found: Pdp = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def world_in_memory() -> AsyncIterator[Pdp]:
    """`tests.authzen.world` in memory."""
    async with on_memory(SCHEMA, TUPLES) as pdp:
        yield pdp


@pytest.fixture
async def world_on_database(fresh_database: str) -> AsyncIterator[Pdp]:
    """`tests.authzen.world` on Postgres."""
    async with on_postgres(fresh_database, SCHEMA, TUPLES) as pdp:
        yield pdp


@pytest.fixture(params=["world_in_memory", "world_on_database"])
def world(request: pytest.FixtureRequest) -> Pdp:
    """`tests.authzen.world` on each storage."""
    found: Pdp = request.getfixturevalue(request.param)
    return found
