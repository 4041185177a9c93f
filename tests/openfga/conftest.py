"""A server that speaks OpenFGA, on memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.serving import Served, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A fresh server."""
    async with serving() as server:
        yield server
