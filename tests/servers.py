"""What disturbs real servers in tests: a frozen process, a proxy that delays, stalls and cuts.

The servers themselves are `api.servers.postgres.PrivatePostgres` and
`api.servers.valkey.PrivateValkey`: `start` and `stop` them, or kill `keeper.pid`, and they are
started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType

from api.servers.postgres import PrivatePostgres
from api.servers.process import processes_in, send
from api.servers.valkey import PrivateValkey

CHUNK = 64 * 1024
POLL_SECONDS = 0.02


@contextlib.contextmanager
def frozen(server: PrivatePostgres | PrivateValkey) -> Iterator[None]:
    """Stop every process of `server` with SIGSTOP: connections stay open and nothing answers."""
    pids = processes_in(server.directory)
    assert pids, f"{server.name} does not run"
    for pid in pids:
        send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            send(pid, signal.SIGCONT)


async def eventually(question: Callable[[], Awaitable[bool]], *, seconds: float = 120.0) -> None:
    """Return once `question` answers true; fail the test when it does not in time."""
    async with asyncio.timeout(seconds):
        while not await question():
            await asyncio.sleep(POLL_SECONDS)


class FaultProxy:
    """Stands on the unix socket `listen` before the server on the unix socket `target`.

    For Postgres both are named `.s.PGSQL.5432`, each in a directory of its own. What it does to
    the traffic can be changed at any time:

    - `delay`: seconds that each chunk waits, each way;
    - `refuse`: new connections are closed at once;
    - `stall()` and `flow()`: nothing moves, though all connections stay open;
    - `cut()`: every connection is closed now;
    - `cut_at_request`, `cut_at_reply`: the first chunk that holds these bytes is not delivered,
      its connection is closed, and the trap is taken away.
    """

    def __init__(self, listen: Path, target: Path) -> None:
        self._listen = listen
        self._target = target
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay = 0.0
        self.refuse = False
        self.cut_at_request: bytes | None = None
        self.cut_at_reply: bytes | None = None
        self.cuts = 0

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_unix_server(self._serve, self._listen)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.flow()
        self.cut()
        await self._server.wait_closed()
        self._listen.unlink(missing_ok=True)

    def stall(self) -> None:
        """Deliver nothing until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Deliver again."""
        self._flowing.set()

    def cut(self) -> None:
        """Close every connection, in the middle of whatever it does."""
        for pair in tuple(self._pairs):
            self._close(pair)

    async def _serve(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        if self.refuse:
            to_client.close()
            return
        try:
            from_server, to_server = await asyncio.open_unix_connection(self._target)
        except OSError:
            to_client.close()
            return
        pair = (to_client, to_server)
        self._pairs.add(pair)
        await asyncio.gather(
            self._pump(pair, from_client, to_server, "cut_at_request"),
            self._pump(pair, from_server, to_client, "cut_at_reply"),
        )

    async def _pump(
        self,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        trap: str,
    ) -> None:
        try:
            while chunk := await source.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flowing.wait()
                bytes_to_meet: bytes | None = getattr(self, trap)
                if bytes_to_meet is not None and bytes_to_meet in chunk:
                    setattr(self, trap, None)
                    break
                sink.write(chunk)
                await sink.drain()
        except OSError:
            pass
        finally:
            self._close(pair)

    def _close(self, pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        if pair in self._pairs:
            self._pairs.discard(pair)
            self.cuts += 1
            for writer in pair:
                writer.transport.abort()


def started_by(parent: int) -> Iterator[int]:
    """The processes that the threads of `parent` started, those left out whose thread ends just
    now: they are another's children then."""
    for task in Path(f"/proc/{parent}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield from map(int, (task / "children").read_text().split())
