"""Asks over raw connections, cheaply enough not to be what is measured.

Requests are bytes made beforehand; an answer is read only as far as its length and its status.
`closed_loop` keeps every connection busy and finds how much a server can do. `open_loop` asks at a
given rate whatever the server does, and measures from the moment at which each request was due:
a server that stalls is charged for all who would have come meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter, sleep
from typing import NamedTuple

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "
OK = b"HTTP/1.1 200"
PATIENCE_SECONDS = 30.0
LONGEST_SLEEP = 0.0001
"""Seconds. An answer that comes meanwhile is counted that much later."""


class Question(NamedTuple):
    """A request as it is sent, what its answer must hold (b"" for anything), and whether its
    latency is to be told apart from the others'."""

    request: bytes
    expected: bytes = b""
    apart: bool = False


@dataclass(slots=True)
class Outcome:
    """What came of a run: seconds from due to answered of each good answer, those to be told apart
    by themselves, and the others."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0

    @property
    def per_second(self) -> float:
        """Good answers per second."""
        return self.answered / self.seconds

    @property
    def answered(self) -> int:
        """How many good answers there were."""
        return len(self.latencies) + len(self.apart)

    def percentile(self, share: float, *, apart: bool = False) -> float:
        """The latency in seconds that `share` of the good answers did not exceed, of those to be
        told apart or of the rest; 0 of none."""
        ordered = sorted(self.apart if apart else self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, outcome: Outcome, idle: Callable[[Connection, float], None]) -> None:
        self._outcome = outcome
        self._idle = idle
        self._buffer = b""
        self._due = 0.0
        self._expected = b""
        self._apart = False
        self.busy = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember what to write to."""
        self.transport = transport

    def ask(self, question: Question, due: float) -> None:
        """Send a request that was due at a time of `perf_counter`."""
        self._due = due
        self._expected, self._apart = question.expected, question.apart
        self.busy = True
        self.transport.write(question.request)

    def data_received(self, data: bytes) -> None:
        """Count the answer once it is whole."""
        if self._buffer:
            data = self._buffer + data
        head = data.find(END_OF_HEAD)
        if head < 0:
            self._buffer = data
            return
        at = data.find(LENGTH, 0, head) + len(LENGTH)
        whole = head + len(END_OF_HEAD) + int(data[at : data.find(b"\r", at)])
        if len(data) < whole:
            self._buffer = data
            return
        self._buffer = b""
        self._count(data)

    def _count(self, answer: bytes) -> None:
        now = perf_counter()
        self.busy = False
        if not answer.startswith(OK):
            self._outcome.errors[answer[9:12].decode("latin-1")] += 1
        elif self._expected not in answer:
            self._outcome.errors["wrong answer"] += 1
        else:
            found = self._outcome.apart if self._apart else self._outcome.latencies
            found.append(now - self._due)
        self._idle(self, now)

    def connection_lost(self, _error: Exception | None) -> None:
        """A connection that is lost while it waits for an answer is an error."""
        if self.busy:
            self.busy = False
            self._outcome.errors["connection lost"] += 1


async def closed_loop(
    address: tuple[str, int], questions: Sequence[Question], connections: int, seconds: float
) -> Outcome:
    """Ask on every connection as soon as it has its answer, for `seconds`."""
    outcome = Outcome()
    endless = cycle(questions)
    end = float("inf")

    def idle(connection: Connection, now: float) -> None:
        if now < end:
            connection.ask(next(endless), now)

    opened = await _connect(address, connections, outcome, idle)
    begun = perf_counter()
    end = begun + seconds
    for connection in opened:
        connection.ask(next(endless), begun)
    await asyncio.sleep(seconds)
    answered, apart = len(outcome.latencies), len(outcome.apart)
    await _finish(opened, outcome)
    del outcome.latencies[answered:]  # what came after the end is not of these seconds
    del outcome.apart[apart:]
    outcome.seconds = seconds
    return outcome


async def open_loop(
    address: tuple[str, int],
    questions: Sequence[Question],
    connections: int,
    seconds: float,
    rate: float,
) -> Outcome:
    """Ask `rate` times a second at even distances, for `seconds`.

    What is due while every connection is busy waits its turn, and its waiting counts.
    """
    outcome = Outcome()
    endless = cycle(questions)
    waiting: deque[float] = deque()
    free: list[Connection] = []

    def idle(connection: Connection, _now: float) -> None:
        if waiting:
            connection.ask(next(endless), waiting.popleft())
        else:
            free.append(connection)

    opened = await _connect(address, connections, outcome, idle)
    free.extend(opened)
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    begun = perf_counter()
    total = int(rate * seconds)
    sent = 0

    def tick() -> None:
        # In every turn of the loop, for its timers are as coarse as an answer takes. It sleeps
        # between: a busy loop would keep the core from all that the server itself waits for.
        nonlocal sent
        early = begun + sent / rate - perf_counter()
        if early > 0:
            sleep(min(early, LONGEST_SLEEP))
        due = min(total, int((perf_counter() - begun) * rate) + 1)
        while sent < due:
            moment = begun + sent / rate
            sent += 1
            if free:
                free.pop().ask(next(endless), moment)
            else:
                waiting.append(moment)
        if sent < total:
            loop.call_soon(tick)
        else:
            done.set_result(None)

    tick()
    await done
    await _finish(opened, outcome, lambda: not waiting)
    outcome.seconds = seconds
    outcome.unanswered = total - outcome.answered - sum(outcome.errors.values())
    return outcome


async def _connect(
    address: tuple[str, int],
    count: int,
    outcome: Outcome,
    idle: Callable[[Connection, float], None],
) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(count):
        _, connection = await loop.create_connection(lambda: Connection(outcome, idle), *address)
        made.append(connection)
    return made


async def _finish(
    opened: list[Connection], outcome: Outcome, done: Callable[[], bool] = lambda: True
) -> None:
    """Wait for what is under way, and close."""
    end = perf_counter() + PATIENCE_SECONDS
    while any(one.busy for one in opened) or not done():
        if perf_counter() > end:
            outcome.errors["no answer"] += sum(one.busy for one in opened)
            break
        await asyncio.sleep(0.01)
    for one in opened:
        one.busy = False
        one.transport.close()
