"""One server for all tests of the command line, and a store of its own for each."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.api.serving import key
from tests.cli.program import ROOT, SCHEMA, Program

_numbers = itertools.count(1)
KEYS = ",".join((key("reader", "read-secret", "::read+check"), key("boss", "boss-secret")))


@contextlib.contextmanager
def _server(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.cli.server", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server without keys."""
    with _server() as url:
        yield url


@pytest.fixture(scope="session")
def other_url() -> Iterator[str]:
    """Another server without keys."""
    with _server() as url:
        yield url


@pytest.fixture
def fresh_url() -> Iterator[str]:
    """A server of this test alone."""
    with _server() as url:
        yield url


@pytest.fixture(scope="session")
def keyed_url() -> Iterator[str]:
    """A server with the keys `reader` and `boss`."""
    with _server(KEYS) as url:
        yield url


@pytest.fixture
def bare(server_url: str) -> Program:
    """The program with an empty store."""
    program = Program(server_url, f"store-{next(_numbers)}")
    program.ok("store", "create", program.store)
    return program


@pytest.fixture
def program(bare: Program) -> Program:
    """The program with a store that has `SCHEMA`."""
    bare.ok("schema", "write", "-", input_=SCHEMA)
    return bare
