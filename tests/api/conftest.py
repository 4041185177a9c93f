"""A fresh server for each test of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.serving import Served, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server with default settings and `serving.SCHEMA`."""
    async with serving() as made:
        yield made
