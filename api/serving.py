"""One serving process: the engine on its storage, the application on the engine, HTTP around it."""

from __future__ import annotations

import asyncio
import math
import random
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import structlog
import uvicorn

from api import memory
from api.app import Application, create_app
from api.indexing import local_indexes
from api.protocol import BoundedHttp
from api.settings import Settings
from engine.cache.redis import RedisAnnouncer
from engine.consistency import Freshness
from engine.engine import Engine
from engine.errors import EngineError, StoreExists, StoreNotFound
from engine.index.local import LocalIndexes
from engine.store.postgres.storage import PostgresStorage

DEFAULT_STORE = "default"
# Longer than the idle time of common load balancers (60 s), so that they are the ones that close.
KEEP_ALIVE_SECONDS = 75
# How long a worker that is replaced waits for connections on which nothing is asked.
DRAIN_SECONDS = 5.0
FOR_EVER = timedelta(days=365_000)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a serving process finds what it needs. `tends` says that it collects garbage, and
    `shared` that others listen on the socket, too, and that somebody keeps indexes."""

    database_url: str
    redis_url: str | None
    listener: socket.socket
    tends: bool = True
    shared: bool = False


async def serve(settings: Settings, place: Place, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, calling `ready` when requests are taken.

    Then nothing new is accepted, streams end with the zookie to resume from, and what is under way
    has `settings.stop_timeout` seconds to finish; a second SIGINT ends the wait. Raises Unavailable
    when Postgres cannot be reached at the start.
    """
    indexes = local_indexes(settings) if place.shared else None
    engine = await open_engine(settings, place.database_url, place.redis_url, indexes)
    tending: asyncio.Task[None] | None = None
    try:
        await ensure_default_store(engine)
        if place.tends:
            tending = asyncio.create_task(_tend(engine, settings))
        app = create_app(engine, settings)
        await serve_app(app, settings, place.listener, ready, drains=place.shared)
    finally:
        if tending is not None:
            tending.cancel()
            await asyncio.gather(tending, return_exceptions=True)
        await engine.close()
        if indexes is not None:
            indexes.close()


async def serve_app(
    app: Application,
    settings: Settings,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    drains: bool = False,
) -> None:
    """HTTP around an application, until a signal as `serve` says. With `drains`, SIGHUP lets
    connections come to an end first: somebody else must listen on the same socket."""
    server = _Server(_config(settings, app), app, ready)
    _stop_on_signals(server, drains=drains)
    memory.settle()
    try:
        await server.serve(sockets=[listener])
    finally:
        app.metrics.flush()


async def open_engine(
    settings: Settings,
    database_url: str,
    redis_url: str | None,
    indexes: LocalIndexes | None = None,
) -> Engine:
    """An engine as `settings` describe it, on this database and Redis (None: without one), that
    reads what `indexes` show from there; whoever gives them closes them."""
    storage = await PostgresStorage.connect(
        database_url,
        pool_size=settings.database_pool,
        prepared_statements=settings.prepared_statements,
        index=indexes,
        notifies=indexes is not None and redis_url is None,
    )
    freshness = Freshness(
        storage,
        announcer=RedisAnnouncer(redis_url) if redis_url else None,
        max_staleness=settings.max_staleness,
        read_your_writes=settings.read_your_writes,
        local=indexes,
    )
    return Engine(storage, limits=settings.limits, freshness=freshness)


async def ensure_default_store(engine: Engine) -> None:
    """The store `default` exists afterwards, whoever made it. Raises Unavailable."""
    try:
        await engine.get_store(DEFAULT_STORE)
    except StoreNotFound:
        try:
            await engine.create_store(DEFAULT_STORE)
        except StoreExists:
            return


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, which worker processes may share. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL under which a bound socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Uvicorn's server, which here leaves signals alone and tells the application first."""

    def __init__(self, config: uvicorn.Config, app: Application, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._drained_by: float | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        # Uvicorn's own would end the process by the signal, with Postgres still to be stopped.
        await self._serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def drain(self) -> None:
        """Take no new connections, end each with its next answer, and then stop. A connection on
        which nothing is asked ends after some seconds: its client might be about to ask."""
        if self._drained_by is not None:
            return
        self._drained_by = monotonic() + DRAIN_SECONDS
        for server in self.servers:
            server.close()
        self._app.drain()
        for connection in self.server_state.connections:
            if isinstance(connection, BoundedHttp):
                connection.drain()

    async def on_tick(self, counter: int) -> bool:
        ended = await super().on_tick(counter)
        if self._drained_by is None:
            return ended
        return ended or not self.server_state.connections or monotonic() > self._drained_by

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        await super().shutdown(sockets)


def _config(settings: Settings, app: Application) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # Named, for `auto` falls back to ones that are four times slower without a word.
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",  # its comings and goings are told by the command
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.stop_timeout),
    )


def _stop_on_signals(server: _Server, *, drains: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    if drains:
        loop.add_signal_handler(signal.SIGHUP, server.drain)


async def _tend(engine: Engine, settings: Settings) -> None:
    """Collect garbage for ever, at intervals that differ between the nodes."""
    window = settings.history_window or FOR_EVER
    while True:
        await asyncio.sleep(settings.gc_interval * random.uniform(0.8, 1.2))  # noqa: S311
        try:
            removed = await engine.collect_garbage(window=window)
        except EngineError as error:
            _log.warning("garbage was not collected", error=error.message, code=error.code)
        else:
            _log.debug("collected garbage", rows=removed)
