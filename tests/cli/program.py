"""Runs the program: in this process for most tests, as a process of its own for signals."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from api.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
_UNSET = ("STONETOWN_STORE", "STONETOWN_TOKEN", "STONETOWN_TIMEOUT", "DATABASE_URL", "REDIS_URL")
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


class Ended(NamedTuple):
    """How a run ended and what it printed."""

    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)


class Program:
    """`stonetown` against one store of one server."""

    def __init__(self, url: str, store: str = "") -> None:
        self.url = url
        self.store = store
        self.environment = {"STONETOWN_URL": url}
        if store:
            self.environment["STONETOWN_STORE"] = store

    def __call__(self, *arguments: str, input_: str | bytes = "", **variables: str) -> Ended:
        unset = dict.fromkeys(_UNSET)
        environment: Mapping[str, str | None] = {**unset, **self.environment, **variables}
        result = CliRunner().invoke(app, list(arguments), input=input_, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    def ok(self, *arguments: str, **more: Any) -> Ended:
        """A run that must end well."""
        ended = self(*arguments, **more)
        assert ended.code == 0, ended
        return ended

    @contextlib.contextmanager
    def started(self, *arguments: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
        """The program as a process of its own, killed if it still runs at the end."""
        kept = {name: value for name, value in os.environ.items() if "STONETOWN" not in name}
        made: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "api.cli.main", *arguments],
            cwd=ROOT,
            env=kept | self.environment,
            **made,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


class Proxy:
    """A TCP proxy before a server. What the server sends on one connection is held for ever, or the
    connection is cut once, before the bytes of that number have passed."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rsplit(":", 1)[1])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.hold_after: int | None = None
        self.cut_after: int | None = None
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._port))
            self._open += [client, server]
            threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            threading.Thread(target=self._reply, args=(server, client), daemon=True).start()

    def _reply(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := server.recv(4096):
                passed += len(chunk)
                if self.hold_after is not None and passed >= self.hold_after:
                    return
                if self.cut_after is not None and passed >= self.cut_after:
                    self.cut_after = None
                    break
                client.sendall(chunk)
            server.shutdown(socket.SHUT_RDWR)
            client.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(4096):
            sink.sendall(chunk)
