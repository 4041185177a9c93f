"""Several serving processes on one listening socket, kept by the process that started them.

`python -m api.workers` is one of them; `run` starts and keeps them. Each is started again when it
dies, and ends when its parent does. A reload puts new ones in their places, one after the other.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
import uvloop
from prometheus_client import multiprocess

from api.indexing import IndexerPlace, after_death
from api.orders import Order, Orders
from api.servers.account import Account
from api.servers.failure import ServerFailed
from api.servers.process import Keeper, spawn
from api.servers.readiness import Readiness, tell
from api.serving import DRAIN_SECONDS, Place, serve
from api.settings import Settings, load_settings
from api.telemetry import configure_logging

_log = structlog.get_logger(__name__)


class Worker:
    """One serving process, as `Keeper` sees it."""

    def __init__(
        self,
        number: int,
        listener: socket.socket,
        environment: Mapping[str, str],
        patience: float,
        indexes: Path | None = None,
    ) -> None:
        """`indexes` is the directory of the indexes that it reads."""
        self._indexes = indexes
        self._number = number
        self._listener = listener
        self._environment = environment
        self._ready = Readiness()
        self._before: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._patience = patience
        self.name = f"worker {number}"
        self.stop_signals: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, patience),)

    def drain_first(self) -> None:
        """Let its connections come to an end before it stops: another worker takes new ones."""
        patience = DRAIN_SECONDS + self._patience
        self.stop_signals = ((signal.SIGHUP, patience), (signal.SIGTERM, self._patience))

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process; it tells that it is ready by a byte in a pipe."""
        self.bury()
        if self._process is not None:
            after_death(self._indexes, self._process.pid, self._process.poll())
        with self._ready.expected() as ready:
            descriptors = (self._listener.fileno(), ready)
            process = spawn(
                [sys.executable, "-m", "api.workers", *map(str, descriptors), str(self._number)],
                account=Account(),
                log=None,
                death=signal.SIGTERM,
                environment=self._environment,
                descriptors=descriptors,
            )
        self._before = process.pid
        self._process = process
        return process

    def bury(self) -> None:
        """Leave its process, which has ended, out of what metrics tell of the living."""
        if self._before is not None:
            metrics = self._environment["PROMETHEUS_MULTIPROC_DIR"]
            multiprocess.mark_process_dead(self._before, metrics)  # type: ignore[no-untyped-call]
            self._before = None

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:  # noqa: ARG002 - its own pipe
        """Whether the byte has come."""
        return self._ready.has_come()

    def complaint(self) -> str:
        """Where its words went."""
        return "see the log lines above"


def run(
    settings: Settings,
    place: Place,
    environment: Mapping[str, str],
    ready: Callable[[], None],
    orders: Orders,
) -> None:
    """Keep `settings.workers` processes from when `ready` is called until the order to stop.

    `environment` holds every setting. Raises ServerFailed when one does not start.
    """
    metrics = tempfile.mkdtemp(prefix="stonetown-metrics-")
    shared = {
        **environment,
        "DATABASE_URL": place.database_url,
        "REDIS_URL": place.redis_url or "",
        "PROMETHEUS_MULTIPROC_DIR": metrics,
        # Told in full, for the processes work in another directory.
        "STONETOWN_INDEX_DIR": str(settings.index_root or ""),
    }
    place.listener.listen(2048)

    def place_for(number: int) -> _Place:
        patience = settings.stop_timeout + 5.0
        return _Place(Worker(number, place.listener, shared, patience, settings.index_root))

    places = [place_for(number) for number in range(settings.workers)]
    indexer = IndexerPlace(settings, shared)
    with ThreadPoolExecutor(len(places) + 1) as pool:
        try:
            indexer.start()
            list(pool.map(_Place.start, places))
            ready()
            while orders.get() is Order.RELOAD:
                _reload(places, place_for, orders)
        finally:
            # Ours, too, or clients would wait on a socket that nobody accepts from any more.
            place.listener.close()
            ending = pool.submit(indexer.stop)
            list(pool.map(_Place.stop, places))
            ending.result()
            shutil.rmtree(metrics, ignore_errors=True)


class _Place:
    """A worker and what keeps it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._keeper = Keeper(worker)

    def start(self) -> None:
        """Return once it serves. Raises ServerFailed."""
        self._keeper.start()

    def stop(self) -> None:
        """Return once it has ended."""
        self._keeper.stop()

    def retire(self) -> None:
        """Stop it when its connections have ended."""
        self.worker.drain_first()
        self._keeper.stop()
        self.worker.bury()


def _reload(places: list[_Place], place_for: Callable[[int], _Place], orders: Orders) -> None:
    """Start a new process for each place and then end the old one, place after place, so that
    there are never fewer than before. Ends early when there is another order, or when a new process
    does not start: the old one stays."""
    for number, old in enumerate(places):
        if not orders.empty():
            return
        new = place_for(number)
        try:
            new.start()
        except ServerFailed as error:
            _log.error("not reloaded", worker=number, why=str(error))
            return
        places[number] = new
        old.retire()
    _log.info("reloaded", workers=len(places))


def main() -> None:
    """Serve as one worker: `LISTENER READY NUMBER`, two descriptors and its number from 0."""
    descriptor, awaited, number = map(int, sys.argv[1:])
    settings = load_settings()
    configure_logging(settings)
    database, redis = settings.database_url, settings.redis_url
    if database is None:
        raise SystemExit("a worker needs DATABASE_URL")
    place = Place(
        database.get_secret_value(),
        redis.get_secret_value() if redis else None,
        socket.socket(fileno=descriptor),
        tends=number == 0,
        shared=True,
    )

    uvloop.run(serve(settings, place, lambda: tell(awaited)))


if __name__ == "__main__":
    main()
