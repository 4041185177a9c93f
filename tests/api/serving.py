"""A real server for the API's tests: uvicorn on a free loopback port, an engine on memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Collection
from hashlib import sha256
from typing import Any

import httpx
import uvicorn

from api.app import Application, create_app
from api.protocol import BoundedHttp
from api.settings import Settings
from engine.consistency import Freshness
from engine.engine import Engine
from engine.store.memory import MemoryStorage
from engine.store.protocol import Head

STORE = "/v1/stores/default"
NDJSON = {"content-type": "application/x-ndjson"}
SCHEMA = """use expiration

definition user {}

definition group {
  relation member: user | group#member
}

caveat on_day(day string, wanted string) {
  day == wanted
}

definition document {
  relation owner: user
  relation viewer: user | user:* | group#member | user with on_day | user with expiration
  permission view = viewer + owner
}
"""


class Served:
    """A server under test: its parts, and a client that talks to it over TCP."""

    def __init__(
        self, engine: Engine, app: Application, port: int, connections: Collection[object]
    ) -> None:
        self.connections = connections
        self.engine = engine
        self.app = app
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=20)

    async def post(self, call: str, body: Any, **extra: Any) -> httpx.Response:
        """POST JSON to a call of the default store."""
        return await self.http.post(f"{STORE}{call}", json=body, **extra)

    async def write(self, *tuples: str) -> str:
        """Touch tuples; the zookie."""
        updates = [{"op": "touch", "tuple": item} for item in tuples]
        response = await self.post("/write", {"updates": updates})
        assert response.status_code == 200, response.text
        return str(response.json()["zookie"])

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection, for what no client library would send."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def metric(self, line: str) -> None:
        """Return once the metrics hold this line."""
        async with asyncio.timeout(20):
            while line not in self.app.metrics.exposition().decode():
                await asyncio.sleep(0.02)

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes and read until the server closes or has answered one request."""
        reader, writer = await self.connect()
        writer.write(data)
        try:
            async with asyncio.timeout(20):
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                return head + await reader.readexactly(length)
        finally:
            writer.close()


class PausingStorage(MemoryStorage):
    """Memory storage whose `head` can be made to wait, like a slow database, or to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = asyncio.Event()
        self.fault: Exception | None = None

    async def head(self, store_id: str) -> Head:
        """As in memory, once the gate is open and unless a fault is set."""
        self.waiting.set()
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return await super().head(store_id)

    async def ping(self) -> None:
        """Fails while a fault is set."""
        if self.fault is not None:
            raise self.fault


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)  # uvicorn's own takes the process's signal handlers


@contextlib.asynccontextmanager
async def serving(
    storage: MemoryStorage | None = None,
    *,
    schema: str = SCHEMA,
    protocol: type[BoundedHttp] = BoundedHttp,
    freshness: Freshness | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Serve a memory engine with the store `default` until the block ends."""
    # The engine here has no index, whatever would be the default.
    configured = Settings(**{"index": False, **settings})
    engine = Engine(storage or MemoryStorage(), limits=configured.limits, freshness=freshness)
    await engine.create_store("default")
    if schema:
        await engine.write_schema("default", schema)
    app = create_app(engine, configured)
    # asyncio turns Nagle's algorithm off only where the protocol is named: 40 ms a request.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            http=protocol,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve([listener]))
        await server.listening.wait()
        served = Served(engine, app, listener.getsockname()[1], server.server_state.connections)
        try:
            yield served
        finally:
            app.stop()
            await served.http.aclose()
            server.should_exit = True
            await task
            await engine.close()


def key(name: str, secret: str, scope: str = "") -> str:
    """An entry of `STONETOWN_API_KEYS`; `scope` begins with a colon."""
    return f"{name}:{sha256(secret.encode()).hexdigest()}{scope}"


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"authorization": f"Bearer {secret}"}
