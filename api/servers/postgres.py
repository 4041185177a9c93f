"""A private Postgres: made, started, kept and stopped by the server that uses it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from api.servers.account import account_for, require_reach
from api.servers.binaries import postgres_directory, postgres_major
from api.servers.directory import socket_directory
from api.servers.failure import ServerFailed
from api.servers.process import Keeper, can_find_processes, end_processes_in, spawn, tail

USER = "stonetown"
READY_LINE = 7
"""Where `postmaster.pid` tells the state, counted from 0 (PostgreSQL, miscadmin.h)."""

# A "fast" stop ends sessions and writes a checkpoint; an "immediate" one leaves recovery to do.
STOP_SIGNALS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0))

OTHER_VERSION = """\
{directory} was made by Postgres {found}, and the Postgres at hand is {ours}.
To keep the data: run Postgres {found} on that directory and name it in DATABASE_URL, or export the
stores from there (`stonetown export`) and import them into a new data directory.
To begin empty: set STONETOWN_DATA to another directory, or move this one away."""


class PrivatePostgres:
    """A Postgres whose data are in `data/postgres`, on a unix socket only.

    `durable=False` trades the data at a crash of the machine for speed, for tests. `data` exists.
    `namespaces=False` is for systems that lie about user namespaces.
    """

    name = "Postgres"
    stop_signals = STOP_SIGNALS

    def __init__(
        self,
        data: Path,
        *,
        durable: bool = True,
        connections: int = 100,
        namespaces: bool = True,
    ) -> None:
        self._programs = postgres_directory()
        self._major = postgres_major(self._programs)
        self._account = account_for(data, namespaces=namespaces)
        self._sockets = socket_directory(data)
        self._durable = durable
        self._connections = connections
        self._log = data / "postgres.log"
        self.directory = data.resolve() / "postgres"
        self._account.own(data)
        self._account.own(self._sockets)
        self.keeper = Keeper(self)

    @property
    def dsn(self) -> str:
        """A connection string for asyncpg and libpq. The database is `postgres`."""
        return f"postgresql://{USER}@/postgres?host={quote(str(self._sockets), safe='')}"

    def start(self) -> None:
        """Make the cluster if there is none, and start it. Raises ServerFailed."""
        require_reach(self._account, self._programs / "postgres", self.directory.parent)
        if self.directory.exists():
            self._require_version()
        else:
            self._make_cluster()
        self.keeper.start()

    def stop(self) -> None:
        """Stop it and return when it is gone."""
        self.keeper.stop()

    def __enter__(self) -> PrivatePostgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the postmaster, when those of an earlier run are gone."""
        # The keeper of the directory's lock is the only one that may have a postmaster here. Its
        # backends hold shared memory for seconds after its death, and a process id that was given
        # to another program since then would make Postgres take it for a living one.
        end_processes_in(self.directory, STOP_SIGNALS)
        if can_find_processes():
            (self.directory / "postmaster.pid").unlink(missing_ok=True)
        return spawn(
            [self._programs / "postgres", "-D", self.directory, *self._settings()],
            account=self._account,
            log=self._log,
            death=signal.SIGINT,
            environment=_environment(),
        )

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """As `pg_ctl` sees it: by the state that the postmaster notes beside its data."""
        try:
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        if len(lines) <= READY_LINE or lines[0] != str(process.pid):
            return False
        return lines[READY_LINE].strip() == "ready"

    def complaint(self) -> str:
        """The end of the server's log."""
        return tail(self._log)

    def _require_version(self) -> None:
        found = (self.directory / "PG_VERSION").read_text().strip()
        if found != str(self._major):
            told = OTHER_VERSION.format(directory=self.directory, found=found, ours=self._major)
            raise ServerFailed(told)

    def _make_cluster(self) -> None:
        # Made beside and renamed, so that a run which is killed here leaves no half a cluster.
        unfinished = self.directory.with_name("postgres.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        made = subprocess.run(  # noqa: S603 - a found program and own paths
            [
                *self._account.prefix,
                self._programs / "initdb",
                f"--pgdata={unfinished}",
                f"--username={USER}",
                "--auth=trust",  # whoever can enter the socket's directory is the owner
                "--encoding=UTF8",
                "--locale=C",
                *(() if self._durable else ("--no-sync",)),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            user=self._account.user,
            group=self._account.group,
        )
        if made.returncode:
            raise ServerFailed(f"initdb failed: {made.stderr.strip()}")
        unfinished.rename(self.directory)

    def _settings(self) -> list[str]:
        directories = str(self._sockets).replace('"', '""')
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": f'"{directories}"',
            "unix_socket_permissions": "0700",
            "max_connections": str(self._connections),
            "timezone": "UTC",
            "log_checkpoints": "off",
            "logging_collector": "off",
        }
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _environment() -> dict[str, str]:
    """Ours without libpq's variables (PGPORT, PGDATA, …), which the server would obey."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
