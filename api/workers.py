"""Several serving processes on one listening socket, kept by the process that started them.

`python -m api.workers` is one of them; `run` starts and keeps them. Each is started again when it
dies, and ends when its parent does.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import uvloop
from prometheus_client import multiprocess

from api.servers.account import Account
from api.servers.process import Keeper, spawn
from api.serving import Place, serve
from api.settings import Settings, load_settings
from api.telemetry import configure_logging


class Worker:
    """One serving process, as `Keeper` sees it."""

    def __init__(
        self, number: int, listener: socket.socket, environment: Mapping[str, str], patience: float
    ) -> None:
        self._number = number
        self._listener = listener
        self._environment = environment
        self._ready = -1
        self._before: int | None = None
        self.name = f"worker {number}"
        self.stop_signals = ((signal.SIGTERM, patience),)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process; it tells that it is ready by a byte in a pipe."""
        if self._ready >= 0:
            os.close(self._ready)
        if self._before is not None:
            metrics = self._environment["PROMETHEUS_MULTIPROC_DIR"]
            multiprocess.mark_process_dead(self._before, metrics)  # type: ignore[no-untyped-call]
        self._ready, tell = os.pipe()
        descriptors = (self._listener.fileno(), tell)
        try:
            process = spawn(
                [sys.executable, "-m", "api.workers", *map(str, descriptors), str(self._number)],
                account=Account(),
                log=None,
                death=signal.SIGTERM,
                environment=self._environment,
                descriptors=descriptors,
            )
        finally:
            os.close(tell)
        self._before = process.pid
        return process

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:  # noqa: ARG002 - its own pipe
        """Whether the byte has come."""
        readable, _, _ = select.select([self._ready], [], [], 0)
        return bool(readable) and os.read(self._ready, 1) == b"."

    def complaint(self) -> str:
        """Where its words went."""
        return "see the log lines above"


def run(
    settings: Settings,
    place: Place,
    environment: Mapping[str, str],
    ready: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Keep `settings.workers` processes from when `ready` is called until `stop` is set.

    `environment` holds every setting. Raises ServerFailed when one does not start.
    """
    patience = settings.stop_timeout + 5.0
    metrics = tempfile.mkdtemp(prefix="stonetown-metrics-")
    shared = {
        **environment,
        "DATABASE_URL": place.database_url,
        "REDIS_URL": place.redis_url or "",
        "PROMETHEUS_MULTIPROC_DIR": metrics,
    }
    place.listener.listen(2048)
    keepers = [
        Keeper(Worker(number, place.listener, shared, patience))
        for number in range(settings.workers)
    ]
    with ThreadPoolExecutor(len(keepers)) as pool:
        try:
            list(pool.map(Keeper.start, keepers))
            ready()
            stop.wait()
        finally:
            list(pool.map(Keeper.stop, keepers))
            shutil.rmtree(metrics, ignore_errors=True)


def main() -> None:
    """Serve as one worker: `LISTENER READY NUMBER`, two descriptors and its number from 0."""
    descriptor, tell, number = map(int, sys.argv[1:])
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
    )

    def ready() -> None:
        os.write(tell, b".")
        os.close(tell)

    uvloop.run(serve(settings, place, ready))


if __name__ == "__main__":
    main()
