"""The load tool: counts right, is not fooled by a server that stalls, and measures a real one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from loadtests import load
from loadtests.driver import Outcome, Question, closed_loop, open_loop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"
ASKED = Question(b"GET / HTTP/1.1\r\n\r\n", b"good")
Address = tuple[str, int]


@contextlib.asynccontextmanager
async def answering(answer: Callable[[int], Awaitable[bytes]]) -> AsyncIterator[Address]:
    """A server that sends what `answer` gives for the number of the request."""
    numbers = iter(range(1_000_000))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with (
            contextlib.closing(writer),
            contextlib.suppress(asyncio.IncompleteReadError, ConnectionError),
        ):
            while await reader.readuntil(b"\r\n\r\n"):
                if not (sent := await answer(next(numbers))):
                    break
                for piece in (sent[:10], sent[10:]):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port


async def test_good_answers_are_told_from_others() -> None:
    async def answer(number: int) -> bytes:
        if number == 1:
            return ANSWER.replace(b"good", b"evil")
        return ANSWER if number else ANSWER.replace(b"200 OK", b"503 No")

    async with answering(answer) as address:
        found = await closed_loop(address, [ASKED], 2, 0.2)
    assert found.errors == {"503": 1, "wrong answer": 1}
    assert found.latencies


async def test_a_connection_that_is_cut_is_an_error() -> None:
    async def answer(number: int) -> bytes:
        return b"" if number == 0 else ANSWER

    async with answering(answer) as address:
        found = await closed_loop(address, [ASKED], 2, 0.2)
    assert found.errors == {"connection lost": 1}


async def test_who_would_have_come_while_the_server_stalls_is_charged() -> None:
    """A loop that waits for its answer before it asks again would see one slow answer."""

    async def answer(number: int) -> bytes:
        if number == 0:
            await asyncio.sleep(0.4)
        return ANSWER

    async with answering(answer) as address:
        found = await open_loop(address, [ASKED], 1, 0.5, rate=100)
    assert (len(found.latencies), found.unanswered, found.errors) == (50, 0, {})
    assert sum(latency > 0.1 for latency in found.latencies) > 10


async def test_what_is_to_be_told_apart_is() -> None:
    async def answer(number: int) -> bytes:
        if number == 1:
            await asyncio.sleep(0.2)
        return ANSWER

    asked = [ASKED, ASKED._replace(apart=True)]
    async with answering(answer) as address:
        found = await open_loop(address, asked, 1, 0.2, rate=10)
    assert (len(found.latencies), len(found.apart), found.answered) == (1, 1, 2)
    assert found.percentile(0.99, apart=True) > 0.1
    assert found.per_second == 10


def test_a_row_is_the_medians_of_its_times_beside_the_best() -> None:
    blank = load.Figure._make(["x", 1, *[0.0] * 15, {"503": 1}, 0.0, 0.0, 0.0])
    times = [
        blank._replace(checks_per_second=rate, open_p99=late)
        for rate, late in ((1.0, 9.0), (5.0, 2.0), (2.0, 4.0))
    ]
    found = load._of_all(times)
    assert (found.checks_per_second, found.fastest) == (2.0, 5.0)
    assert (found.open_p99, found.open_least_p99) == (4.0, 2.0)
    assert found.errors == {"503": 3}


def test_percentiles() -> None:
    found = Outcome(1.0, [float(n) for n in range(100)])
    assert [found.percentile(share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 99]
    assert Outcome().percentile(0.5) == 0


def test_a_real_server_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["load", "--bare", "--seconds", "0.05"])
    assert load.main() == 0
    told = capsys.readouterr().out
    assert "batch of 1,000, one user" in told
