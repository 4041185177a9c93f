"""The data directory of a server: owned by one user, used by one server at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import IO

from api.servers.failure import ServerFailed

LONGEST_SOCKET_PATH = 107
LONGEST_SOCKET_NAME = len("/.s.PGSQL.5432.lock")


class DataDirectory:
    """`path` exists and is locked from `__enter__` to `__exit__`.

    The lock is the kernel's: it ends with the process that holds it, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    def __enter__(self) -> DataDirectory:
        """Raises ServerFailed when another server uses the directory or it cannot be made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise ServerFailed(f"cannot use {self.path} for data: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise ServerFailed(
                f"another stonetown server (process {holder}) uses {self.path}; stop it, or give "
                "this one another STONETOWN_DATA"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def socket_directory(data: Path) -> Path:
    """A directory of mode 0700 for the unix sockets of the servers in `data`.

    It is `data/run`, or, where that path is too long for a socket, one beside the system's
    temporary files whose name follows from `data`, so that nothing piles up.
    """
    directory = data / "run"
    if len(os.fsencode(directory)) + LONGEST_SOCKET_NAME > LONGEST_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
        place = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        directory = Path(place) / f"stonetown-{os.geteuid()}-{digest}"
    directory.mkdir(exist_ok=True, mode=0o700)
    found = directory.lstat()
    # Anyone may make a name in /tmp: a directory of another user, or a link, is not ours.
    if not stat.S_ISDIR(found.st_mode) or (os.geteuid() not in {0, found.st_uid}):
        raise ServerFailed(f"{directory} belongs to another user")
    directory.chmod(0o700)
    return directory
