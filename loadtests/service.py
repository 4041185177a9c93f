"""A server of its own for a load test: started, filled, pinned to cores, its cost read."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from api.serving import address_of, listen
from engine.tuples import RelationTuple

PROC = Path("/proc")
STORE = "/v1/stores/default"
LINES = 10_000
START_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


class NotServedError(Exception):
    """The server did not start, or refused what it was filled with."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running server: where it is, the processes that answer, its data directory, None if it
    has none, and the process that started all others."""

    address: tuple[str, int]
    workers: Sequence[int]
    data: str | None = None
    first: int | None = None

    def processor_seconds(self) -> float:
        """Processor time that the answering processes have used, in user and system mode."""
        return sum(map(processor_seconds, self.workers))

    def other_seconds(self) -> float:
        """As `processor_seconds`, of all that was started with them, ended or not."""
        spent = 0.0
        for process in () if self.first is None else _family(self.first):
            if process not in self.workers:
                with contextlib.suppress(OSError):  # it has ended, and its parent counts it
                    spent += processor_seconds(process, ended=True)
        return spent

    def resident_megabytes(self) -> float:
        """The memory of the largest of them, but for mapped files, such as the index."""
        return max(map(anonymous_megabytes, self.workers))

    def index(self, store: str = "default") -> None:
        """Have the node's index of a store built. Raises NotServedError."""
        if self.data is not None:
            host, port = self.address
            named = {"STONETOWN_DATA": self.data, "STONETOWN_URL": f"http://{host}:{port}"}
            command = [sys.executable, "-m", "api.cli.main", "index", "build", store, "--json"]
            ended = subprocess.run(  # noqa: S603 - our own interpreter
                command, env=os.environ | named, stdout=subprocess.DEVNULL, check=False
            )
            if ended.returncode:
                raise NotServedError("the index was not built; see above")

    @contextlib.contextmanager
    def pinned(self, *others: Service) -> Iterator[bool]:
        """Give each worker a core of its own, what it asks the others, and this process the last
        one; whether there are enough. The workers of `others`, asked at other times, share them."""
        ours = os.sched_getaffinity(0)
        cores = sorted(ours)
        if len(cores) <= len(self.workers):
            yield False
            return
        if self.first is not None:
            for process in _family(self.first):
                _pin(process, cores[len(self.workers) :])
        for service in (self, *others):
            for worker, core in zip(service.workers, cores, strict=False):
                _pin(worker, [core])
        os.sched_setaffinity(0, {cores[-1]})
        try:
            yield True
        finally:
            os.sched_setaffinity(0, ours)

    def fill(self, schema: str, tuples: Iterable[RelationTuple]) -> int:
        """Write a schema and import tuples; how many there were. Raises NotServedError."""
        connection = http.client.HTTPConnection(*self.address, timeout=300)
        _send(connection, "PUT", "/schema", json.dumps({"schema": schema}).encode())
        count = 0
        left = iter(tuples)
        while batch := list(islice(left, LINES)):
            lines = b"".join(json.dumps(str(item)).encode() + b"\n" for item in batch)
            _send(connection, "POST", "/import", lines, "application/x-ndjson")
            count += len(batch)
        connection.close()
        return count


@contextlib.contextmanager
def stonetown(workers: int) -> Iterator[Service]:
    """`stonetown serve` on a free port, with a Postgres and a Valkey of its own."""
    with tempfile.TemporaryDirectory(prefix="stonetown-load-") as data:
        command = [sys.executable, "-m", "api.cli.main", "serve", "--json"]
        command += ["--port", "0", "--data", data, "--workers", str(workers)]
        with _running(command) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise NotServedError("stonetown serve did not start; see above")
            host, _, port = json.loads(line)["url"].rpartition("//")[2].rpartition(":")
            serving = [one for one in _family(process.pid) if _serves(one)]
            yield Service((host, int(port)), sorted(serving), data, process.pid)


@contextlib.contextmanager
def bare(*, yardstick: bool = False) -> Iterator[Service]:
    """`loadtests.bare`: HTTP with nothing behind it, or uvicorn alone."""
    with listen("127.0.0.1", 0) as free:
        host, _, port = address_of(free).rpartition("//")[2].rpartition(":")
    command = [sys.executable, "-m", "loadtests.bare", port]
    with _running([*command, "yardstick"] if yardstick else command) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise NotServedError("loadtests.bare did not start; see above")
        yield Service((host, int(port)), [process.pid])


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STONETOWN_") and name not in {"DATABASE_URL", "REDIS_URL"}
    }
    ours["STONETOWN_LOG_LEVEL"] = "error"  # a saturated server warns of every request
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ours) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    call: str,
    body: bytes,
    kind: str = "application/json",
) -> None:
    connection.request(method, STORE + call, body, {"Content-Type": kind})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.client.OK:
        raise NotServedError(f"{method} {call}: {answer.status} {text[:200]!r}")


def _serves(process: int) -> bool:
    """Whether a process answers requests, by its command line."""
    with contextlib.suppress(OSError):  # it has ended
        return b"api.workers" in (PROC / str(process) / "cmdline").read_bytes()
    return False


def _family(first: int) -> list[int]:
    """A process and all that it and those below it have started."""
    below: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                below.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [first]
    for process in found:
        found += below.get(process, [])
    return found


def _pin(process: int, cores: Sequence[int]) -> None:
    """Keep all threads of a process, and all that they will start, to some cores."""
    with contextlib.suppress(OSError):  # it has ended
        for thread in (PROC / str(process) / "task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), cores)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: a name may hold spaces."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def processor_seconds(pid: int, *, ended: bool = False) -> float:
    """Processor time that a process has used, in user and system mode; `ended` adds that of the
    processes that it started and that are gone."""
    fields = _stat(pid)
    return sum(map(int, fields[11 : 15 if ended else 13])) / TICKS


def core_seconds() -> tuple[float, float]:
    """Seconds that the last core this process may use has been busy, and has been there at all:
    where a service is pinned, the core of everything but its workers."""
    core = f"cpu{max(os.sched_getaffinity(0))}"
    for line in (PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == core:
            spent = [int(tick) / TICKS for tick in ticks[:8]]
            return sum(spent) - spent[3] - spent[4], sum(spent)
    return 0.0, 0.0


def resident_megabytes(pid: int) -> float:
    """The resident memory of a process, mapped files included."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def anonymous_megabytes(pid: int | str) -> float:
    """The memory of a process, but for mapped files, such as the index."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
