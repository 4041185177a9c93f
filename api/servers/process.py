"""Keep one server process: start it, see it ready, start it again when it dies, stop it.

A child that outlives a killed parent would block the next start. So the kernel is asked to stop
the child when the thread that made it ends (Linux's parent-death signal), which is why one thread
makes the child, waits for it, and lives exactly as long. What still is left, as on systems without
that signal, is found by its working directory at the next start (`processes_in`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from api.servers.account import Account
from api.servers.failure import ServerFailed

PR_SET_PDEATHSIG = 1
PROC = Path("/proc")
START_SECONDS = 60.0
POLL_SECONDS = 0.01
BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Server(Protocol):
    """What `Keeper` needs to know of a server."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def stop_signals(self) -> Sequence[tuple[signal.Signals, float]]:
        """Signals to send one after the other, each with the seconds to wait for the end."""
        ...

    def launch(self) -> subprocess.Popen[bytes]:
        """Clear away what an earlier run left and start the process. Raises ServerFailed."""
        ...

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the process takes connections now."""
        ...

    def complaint(self) -> str:
        """The last words of the process, for an error message."""
        ...


class Keeper:
    """Keeps one `Server` running from `start` to `stop`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self.restarts = 0

    @property
    def pid(self) -> int:
        """The process id, 0 while there is no process."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Return once the server is ready. Raises ServerFailed with the server's own words."""
        self._stopping.clear()
        first: Future[None] = Future()
        name = f"keep {self._server.name}"
        self._thread = threading.Thread(target=self._keep, args=(first,), name=name, daemon=True)
        self._thread.start()
        first.result()

    def stop(self) -> None:
        """Stop the server, by force in the end, and return when it is gone."""
        self._stopping.set()
        thread, process = self._thread, self._process
        if thread is None:
            return
        for number, seconds in (*self._server.stop_signals, (signal.SIGKILL, 10.0)):
            if process is not None:
                send(process.pid, number)
                send(process.pid, signal.SIGCONT)
            thread.join(seconds)
            if not thread.is_alive():
                break
            process = self._process
        self._thread = None

    def _keep(self, first: Future[None]) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                process = self._server.launch()
                self._process = process
                self._await_ready(process)
            except (OSError, ServerFailed) as error:
                if not first.done():
                    first.set_exception(error)
                    return
                self._stopping.wait(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
                failures += 1
                continue
            failures = 0
            if not first.done():
                first.set_result(None)
            process.wait()
            self._process = None
            self.restarts += 1
        if not first.done():
            first.set_exception(ServerFailed(f"{self._server.name} was stopped while starting"))

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._server.is_ready(process):
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline or self._stopping.is_set():
                process.kill()
                process.wait()
                self._process = None
                what = "ended at once" if ended else "did not become ready"
                words = self._server.complaint()
                raise ServerFailed(f"the private {self._server.name} {what}: {words}")
            time.sleep(POLL_SECONDS)


def spawn(
    command: Sequence[str | Path],
    *,
    account: Account,
    log: Path | None,
    death: signal.Signals,
    environment: Mapping[str, str],
    descriptors: Collection[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that Ctrl-C in a terminal reaches the parent
    alone; `death` is sent to it when the calling thread ends. What it prints goes to `log` (None:
    where ours goes), and it holds `descriptors` under their numbers."""

    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(death), 0, 0, 0)

    with contextlib.ExitStack() as stack:
        output = None
        if log is not None:
            # Kept: the last words of the one that this one replaces.
            with contextlib.suppress(FileNotFoundError):
                log.replace(log.with_suffix(".log.1"))
            output = stack.enter_context(log.open("wb"))
        return subprocess.Popen(  # noqa: S603 - a command made of found programs and own paths
            [*account.prefix, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            cwd="/",
            env=dict(environment),
            start_new_session=True,
            user=account.user,
            group=account.group,
            pass_fds=tuple(descriptors),
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no locks
        )


def processes_in(directory: Path) -> list[int]:
    """Ids of the processes whose working directory is `directory`.

    As /proc tells it, or lsof where there is no /proc; none where there is neither.
    """
    if not (PROC / "self").exists():
        return listed_by_lsof(directory)
    found = []
    for entry in PROC.iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
    return found


def listed_by_lsof(directory: Path) -> list[int]:
    """`processes_in` by the program lsof, which macOS has."""
    program = shutil.which("lsof")
    if program is None or not directory.exists():
        return []
    command = [program, "-t", "-a", "-d", "cwd", "--", str(directory)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return [int(word) for word in listed.stdout.split()]


def can_find_processes() -> bool:
    """Whether an empty answer of `processes_in` means that there are none."""
    return (PROC / "self").exists() or shutil.which("lsof") is not None


def end_processes_in(directory: Path, signals: Sequence[tuple[signal.Signals, float]]) -> int:
    """Stop every process that works in `directory`; returns how many there were.

    Raises ServerFailed when one does not even end by force.
    """
    found = processes_in(directory)
    left = found
    for number, seconds in (*signals, (signal.SIGKILL, 10.0)):
        for pid in left:
            send(pid, number)
            send(pid, signal.SIGCONT)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            left = processes_in(directory)
        if not left:
            return len(found)
    raise ServerFailed(f"processes {left} of an earlier run in {directory} cannot be stopped")


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log file, or a word that there is none."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return "no log"
    return "\n".join(text.splitlines()[-lines:]) or "the log is empty"
