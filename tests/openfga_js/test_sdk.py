"""OpenFGA's JavaScript SDK, unpatched, drives every method against a real server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from engine.errors import Unavailable
from tests.api.serving import PausingStorage, key, serving
from tests.openfga.client import Fga
from tests.openfga.model import TUPLES, filled
from tests.openfga_js.node import HERE, drive, packages

NAMES = re.findall(r"^  async (\w+)\(\) \{$", (HERE / "drive.cjs").read_text(), re.MULTILINE)
SPECIAL = {"tokens", "retries", "no_retries", "too_much"}
_METHOD = re.compile(r"^    (\w+)\(.*\): (?:Promise|PromiseResult|AsyncGenerator)<", re.MULTILINE)


@pytest.fixture(scope="session")
def installed() -> Path:
    """Where the SDK is."""
    return packages()


def variables(fga: Fga) -> dict[str, str]:
    """What the scenarios are told of a store."""
    url = str(fga.http.base_url).rstrip("/")
    return {"FGA_URL": url, "FGA_STORE": fga.store, "FGA_MODEL": fga.model}


@pytest.mark.parametrize("name", sorted(set(NAMES) - SPECIAL))
async def test_a_scenario(installed: Path, name: str) -> None:
    async with serving() as served:
        await drive(name, installed, **variables(await filled(served)))


async def test_tokens(installed: Path) -> None:
    keys = f"{key('all', 'secret')},{key('narrow', 'few', '::check')}"
    async with serving(api_keys=keys) as served:
        served.http.headers["authorization"] = "Bearer secret"
        fga = await filled(served)
        await drive("tokens", installed, FGA_TOKEN="secret", **variables(fga))  # noqa: S106


async def test_what_fails_for_a_moment_is_tried_again(installed: Path) -> None:
    storage = PausingStorage()
    async with serving(storage) as served:
        fga = await filled(served)
        storage.fault = Unavailable("away")
        await drive("no_retries", installed, **variables(fga))
        running = asyncio.create_task(drive("retries", installed, **variables(fga)))
        storage.waiting.clear()
        await storage.waiting.wait()
        storage.fault = None
        await running


async def test_what_is_too_much_is_told_as_such(installed: Path) -> None:
    storage = PausingStorage()
    async with serving(storage, max_in_flight=1) as served:
        fga = await filled(served)
        storage.open.clear()
        storage.waiting.clear()
        first = asyncio.create_task(fga.check(TUPLES[0], consistency="HIGHER_CONSISTENCY"))
        await storage.waiting.wait()
        await drive("too_much", installed, **variables(fga))
        storage.open.set()
        assert await first


def test_every_method_is_driven(installed: Path) -> None:
    """A newer SDK may have more."""
    types = installed / "node_modules" / "@openfga" / "sdk" / "dist" / "client.d.ts"
    methods = set(_METHOD.findall(types.read_text()))
    assert len(methods) > 20
    driven = (HERE / "drive.cjs").read_text()
    assert {name for name in methods if not re.search(rf"\.{name}\(", driven)} == set()


def test_the_lock_names_no_host() -> None:
    text = (HERE / "package-lock.json").read_text()
    assert "integrity" in text
    assert "://" not in text
