"""A proxy on a unix socket between asyncpg and Postgres, for what a real server does rarely.

It reads the messages of the wire protocol (PostgreSQL documentation, chapter "Frontend/Backend
Protocol"), so that it can cut a connection at a chosen statement, stop the flow, or give every
transaction another backend as a pooler in transaction mode does.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

_CANCEL_REQUEST = 80877102
_SOCKET = ".s.PGSQL.5432"

Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """One listening socket; `dsn` leads through it.

    `cut_before` and `cut_after` are texts: the next message that holds one ends its connection
    before it is passed on, or after the server has answered it and before the client hears.
    """

    def __init__(self, dsn: str, directory: Path, backends: int) -> None:
        server = parse_qs(urlsplit(dsn).query)["host"][0]
        self.dsn = dsn.replace(quote(server, safe=""), quote(str(directory), safe=""))
        self.cut_before = self.cut_after = b""
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._server = str(Path(server) / _SOCKET)
        self._backends = backends
        self._sessions: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's connection until either side ends it."""
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        links: list[Link] = []
        try:
            startup = await _untyped(reader)
            if int.from_bytes(startup[4:8]) != _CANCEL_REQUEST:
                await self.flowing.wait()
                for _ in range(self._backends):
                    links.append(await self._link(startup, writer if not links else None))
                await self._converse((reader, writer), links)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # an end like any other: both sides are closed below
        finally:
            self._sessions.discard(session)
            for _, end in [*links, (reader, writer)]:
                end.close()

    async def stop(self) -> None:
        """End every connection."""
        for session in list(self._sessions):
            session.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions)

    async def _link(self, startup: bytes, client: asyncio.StreamWriter | None) -> Link:
        """A backend of the server, started as the client asked."""
        link = await asyncio.open_unix_connection(self._server)
        link[1].write(startup)
        await _pump(link[0], client, until=b"Z")
        return link

    async def _converse(self, client: Link, links: list[Link]) -> None:
        """Pass messages on; when a transaction is over, the next backend has its turn."""
        turn = 0
        while True:
            kind, message = await _message(client[0])
            await self.flowing.wait()
            if kind == b"X" or self._cuts("cut_before", message):
                return
            answers, requests = links[turn % len(links)]
            requests.write(message)
            deaf = self._cuts("cut_after", message)
            if kind in {b"Q", b"S"}:
                last = await _pump(answers, None if deaf else client[1], until=b"Z")
                if deaf:
                    return
                turn += last[5:6] == b"I"
            elif kind == b"H":
                await _pump(answers, client[1], until=b"TnE")

    def _cuts(self, which: str, message: bytes) -> bool:
        wanted: bytes = getattr(self, which)
        if not wanted or wanted not in message:
            return False
        setattr(self, which, b"")
        return True


@asynccontextmanager
async def proxy(dsn: str, backends: int = 1) -> AsyncIterator[Proxy]:
    """A proxy to the server of `dsn` that gives each client `backends` backends in turn."""
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        made = Proxy(dsn, Path(directory), backends)
        server = await asyncio.start_unix_server(made.serve, Path(directory) / _SOCKET)
        try:
            yield made
        finally:
            server.close()
            await made.stop()
            await server.wait_closed()


async def _untyped(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length) - 4)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    return kind, kind + await _untyped(reader)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, *, until: bytes
) -> bytes:
    """Pass the server's messages on up to one of the kinds `until`, which is returned."""
    while True:
        kind, message = await _message(reader)
        if writer is not None:
            writer.write(message)
        if kind in until:
            return message
