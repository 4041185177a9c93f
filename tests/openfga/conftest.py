"""Servers that speak OpenFGA: one on memory for each test, and one for all the published cases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.serving import Served, serving
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
async def openfga() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that many tests share, each in a store of its own."""
    async with serving() as server:
        yield server.http
