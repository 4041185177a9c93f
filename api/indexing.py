"""The indexes of a node as its processes see them: where they are, and who keeps the indexer."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from api.servers.account import Account
from api.servers.failure import ServerFailed
from api.servers.process import Keeper, spawn
from api.servers.readiness import Readiness
from api.settings import Settings
from engine.index.closures import Allowance
from engine.index.local import LocalIndexes
from engine.index.status import refuse_all

_log = structlog.get_logger(__name__)

_SEALING_SECONDS = 30.0
_FATAL = {-signal.SIGBUS, -signal.SIGSEGV, -signal.SIGABRT}
"""How a process ends that reads a damaged file through its memory."""


def own_root(root: Path) -> Path:
    """`root`, made if need be. Raises OSError if it cannot be used, or if
    somebody else could put an index there, for what is in it is believed."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in (root, root.parent):
        found = path.stat()
        if os.geteuid() not in {0, found.st_uid} and found.st_uid != 0:
            raise PermissionError(f"{path} belongs to another user")
    if root.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"others may write to {root}")
    return root


def local_indexes(settings: Settings) -> LocalIndexes | None:
    """The node's indexes for one worker; None if there are to be none."""
    if settings.index_root is None:
        return None
    try:
        root = own_root(settings.index_root)
        allowance = Allowance(settings.index_memory)
        return LocalIndexes(root, size=settings.index_size, allowance=allowance)
    except OSError as error:
        _log.warning("served without indexes", why=str(error))
        return None


def after_death(root: Path | None, pid: int, status: int | None) -> None:
    """Have the indexes under `root` built again if a process ended as one does whose index is
    damaged; `status` is its exit status."""
    if root is not None and status in _FATAL:
        _log.error("a process died of its memory; indexes are built again", pid=pid)
        refuse_all(root)


class IndexerServer:
    """The indexer's process, as `Keeper` sees it."""

    name = "indexer"
    stop_signals = ((signal.SIGTERM, _SEALING_SECONDS),)

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = environment
        self._ready = Readiness()
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process; it tells that it runs by a byte in a pipe."""
        if self._process is not None:
            after_death(self._root, self._process.pid, self._process.poll())
        with self._ready.expected() as ready:
            self._process = spawn(
                [sys.executable, "-m", "api.indexer", str(ready)],
                account=Account(),
                log=None,
                death=signal.SIGTERM,
                environment=self._environment,
                descriptors=[ready],
            )
        return self._process

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:  # noqa: ARG002 - its own pipe
        """Whether the byte has come."""
        return self._ready.has_come()

    def complaint(self) -> str:
        """Where its words went."""
        return "see the log lines above"


class IndexerPlace:
    """Keeps a node's indexer beside its workers, which do without one while there is none."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """`environment` holds every setting."""
        self._keeper: Keeper | None = None
        self._starting: threading.Thread | None = None
        if settings.index_root is not None:
            server = IndexerServer(settings.index_root, environment)
            self._keeper = Keeper(server)

    def start(self) -> None:
        """Start it; nobody waits for it."""
        if self._keeper is not None:
            self._starting = threading.Thread(target=self._start, args=(self._keeper,), daemon=True)
            self._starting.start()

    def stop(self) -> None:
        """Return when it has sealed its indexes and ended."""
        if self._keeper is not None and self._starting is not None:
            self._starting.join()
            self._keeper.stop()

    @staticmethod
    def _start(keeper: Keeper) -> None:
        try:
            keeper.start()
        except (OSError, ServerFailed) as error:
            _log.error("served without an indexer", why=str(error))
