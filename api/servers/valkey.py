"""A private Valkey: nothing on disk, on a unix socket only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from api.servers.account import Account
from api.servers.binaries import valkey_program
from api.servers.directory import socket_directory
from api.servers.process import Keeper, end_processes_in, spawn, tail

STOP_SIGNALS = ((signal.SIGTERM, 5.0),)
MEMORY = "256mb"


class PrivateValkey:
    """A Valkey with its socket in the socket directory of `data`, which exists.

    It keeps nothing over a restart and evicts nothing: a full one refuses writes, which the
    service survives, where a forgotten key could make it forget a write.
    """

    name = "Valkey"
    stop_signals = STOP_SIGNALS

    def __init__(self, data: Path) -> None:
        self._program = valkey_program()
        self.directory = data.resolve() / "valkey"
        self._socket = socket_directory(data) / "valkey.sock"
        self._log = data / "valkey.log"
        self.keeper = Keeper(self)

    @property
    def url(self) -> str:
        """A URL for redis-py."""
        return f"unix://{quote(str(self._socket))}"

    def start(self) -> None:
        """Raises ServerFailed."""
        self.directory.mkdir(exist_ok=True, mode=0o700)
        self.keeper.start()

    def stop(self) -> None:
        """Stop it and return when it is gone."""
        self.keeper.stop()

    def __enter__(self) -> PrivateValkey:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, when one of an earlier run is gone."""
        end_processes_in(self.directory, STOP_SIGNALS)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "maxmemory": MEMORY,
            "maxmemory-policy": "noeviction",
        }
        return spawn(
            [
                self._program,
                *(part for name, value in settings.items() for part in (f"--{name}", value)),
            ],
            account=Account(),
            log=self._log,
            death=signal.SIGTERM,
            environment=os.environ,
        )

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:  # noqa: ARG002 - one socket each
        """Whether it answers a PING."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            try:
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def complaint(self) -> str:
        """The end of the server's log."""
        return tail(self._log)
