"""Directories short enough for sockets, and servers of a test's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data() -> Iterator[Path]:
    """A data directory for servers of this test alone."""
    with tempfile.TemporaryDirectory(prefix="stonetown-") as directory:
        yield Path(directory)
