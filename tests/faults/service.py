"""`stonetown serve` as a process of its own, and clients that outlive it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

SERVE = [sys.executable, "-m", "api.cli.main", "serve", "--json"]
START_SECONDS = 60.0
SCHEMA = """
definition user {}

definition document {
    relation viewer: user
    permission view = viewer
}
"""


class Service:
    """One server on a port of its own choice; `variables` are its environment beside ours, and
    `through` is a command that is given its command."""

    def __init__(self, data: Path, *, through: Sequence[str] = (), **variables: str) -> None:
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("STONETOWN_") and name not in {"DATABASE_URL", "REDIS_URL"}
        }
        self.data = data
        self._command = [*through, *SERVE]
        self._environment = ours | {
            "STONETOWN_DATA": str(data),
            "STONETOWN_PORT": "0",
            **variables,
        }
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The running process."""
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        """Return when it says that it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self._process.stdout.readline()
        assert line, await self.words()
        self.url = json.loads(line)["url"]
        if "STONETOWN_PORT" in self._environment:
            self._environment["STONETOWN_PORT"] = self.url.rpartition(":")[2]

    async def refusal(self) -> tuple[int, str]:
        """Start it where it cannot serve: its exit status and its words."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(START_SECONDS):
            words = await self.words()
            return await self._process.wait(), words

    async def words(self) -> str:
        """What it has said on standard error, once it has ended."""
        assert self._process is not None
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        async with asyncio.timeout(START_SECONDS):
            return await self.process.wait()

    async def __aenter__(self) -> Service:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.stop()

    def client(self) -> httpx.AsyncClient:
        """A client of the store `default`."""
        return httpx.AsyncClient(
            base_url=f"{self.url}/v1/stores/default", timeout=20, trust_env=False
        )

    async def status(self, path: str) -> int:
        """The status of a GET, 0 while nobody listens."""
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            try:
                return (await client.get(f"{self.url}{path}")).status_code
            except httpx.TransportError:
                return 0

    async def set_up(self) -> None:
        """Give the store a schema."""
        async with self.client() as client:
            answer = await client.put("/schema", json={"schema": SCHEMA})
            assert answer.status_code == 200, answer.text

    async def viewers(self) -> dict[str, set[str]]:
        """Who is stored as a viewer, by document."""
        found: dict[str, set[str]] = {}
        async with self.client() as client:
            cursor: str | None = None
            while True:
                body: dict[str, Any] = {
                    "filter": {"object_type": "document"},
                    "limit": 1000,
                    "consistency": "fully_consistent",
                }
                answer = await client.post(
                    "/read", json=body | ({"cursor": cursor} if cursor else {})
                )
                assert answer.status_code == 200, answer.text
                page = answer.json()
                for item in page["tuples"]:
                    found.setdefault(item["object"], set()).add(item["subject"])
                cursor = page["cursor"]
                if cursor is None:
                    return found


async def write(client: httpx.AsyncClient, document: str, users: tuple[str, ...]) -> int:
    """Write one tuple per user as one request; its status, 0 when the connection was lost."""
    updates = [{"op": "create", "tuple": f"{document}#viewer@{user}"} for user in users]
    try:
        return (await client.post("/write", json={"updates": updates})).status_code
    except httpx.TransportError:
        return 0
