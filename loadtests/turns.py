"""What a check over HTTP costs a worker by itself: without sockets, by how many come together.

`python -m loadtests.turns` hands requests to the server's protocol in this process and takes the
answers from it, so many in one turn of the loop, and waits for all of them. What is left out is the
kernel's part; what is in it is Postgres and Valkey, an index, and the whole way between. Beside it
stand the same requests to HTTP before an engine that does nothing, and to uvicorn alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import uvicorn
import uvloop
from rich import box
from rich.console import Console
from rich.table import Table
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from api.app import create_app
from api.protocol import BoundedHttp
from api.settings import Settings
from engine.engine import Engine
from loadtests.bare import BareEngine, same_answer
from loadtests.bench import WrongAnswerError, machine
from loadtests.driver import OK, Question
from loadtests.load import tenant_workloads
from loadtests.node import node, servers
from loadtests.onindex import DRIVE, filled
from loadtests.tenants import DIRECT, TYPICAL, Tenants

TOGETHER = (1, 8, 64)
ROUNDS = 400
QUESTIONS_A_ROUND = 256
WARMING_SECONDS = 2.0


class Row(NamedTuple):
    """Microseconds a request: the least and the median of the rounds."""

    what: str
    together: int
    least: float
    median: float


class Wire(asyncio.Transport):
    """Where a protocol's answers end up."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it; an answer may come in parts."""
        self.answer += data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Addresses, which nobody looks at."""
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def is_closing(self) -> bool:
        """Never."""
        return False

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """As above."""

    def close(self) -> None:
        """Nothing is open."""


class Connections:
    """Protocols of one application, each with a wire."""

    def __init__(self, application: Any, protocol: type[HttpToolsProtocol], number: int) -> None:
        config = uvicorn.Config(
            application, http=protocol, ws="none", lifespan="off", access_log=False,
            proxy_headers=False, log_level="error",
        )  # fmt: skip
        config.load()
        state = ServerState()
        self.pairs: list[tuple[HttpToolsProtocol, Wire]] = []
        for _ in range(number):
            made = protocol(config=config, server_state=state, app_state={})
            wire = Wire()
            made.connection_made(wire)
            self.pairs.append((made, wire))

    async def turn(self, questions: Iterator[Question]) -> None:
        """One request on each, until all are answered. Raises WrongAnswerError."""
        asked = []
        for protocol, wire in self.pairs:
            wire.answer = b""
            question = next(questions)
            asked.append((wire, question))
            protocol.data_received(question.request)
        for wire, question in asked:
            while not wire.answer.endswith(b"}"):  # noqa: ASYNC110 - as fast as it can
                await asyncio.sleep(0)
            if not wire.answer.startswith(OK) or question.expected not in wire.answer:
                raise WrongAnswerError(f"{question.request!r}: {wire.answer!r}")

    def close(self) -> None:
        """Let go of their timers."""
        for protocol, _ in self.pairs:
            protocol.connection_lost(None)


@contextmanager
def connected(
    application: Any, protocol: type[HttpToolsProtocol], number: int
) -> Iterator[Connections]:
    """Connections to an application, from here to there."""
    made = Connections(application, protocol, number)
    try:
        yield made
    finally:
        made.close()


async def timed(what: str, on: Connections, questions: Sequence[Question]) -> Row:
    """The time of a request, when as many come together as there are connections."""
    endless = cycle(questions)
    together = len(on.pairs)
    until = perf_counter() + WARMING_SECONDS
    while perf_counter() < until:
        await on.turn(endless)
    found = []
    turns = max(1, QUESTIONS_A_ROUND // together)
    for _ in range(ROUNDS):
        begun = perf_counter()
        for _ in range(turns):
            await on.turn(endless)
        found.append((perf_counter() - begun) / turns / together * 1e6)
    return Row(what, together, min(found), statistics.median(found))


async def run(directory: Path, tuples: int) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    tenants = Tenants(tuples)
    asked = {
        workload.name: [_of(question) for question in workload.questions]
        for workload in tenant_workloads(tenants)
    }
    unjudged = [Question(question.request) for question in asked[DIRECT]]
    rows = []
    async with servers(directory) as shared:
        await filled(shared, tenants, tuples)
        async with node(shared, directory / "index") as on:
            await on.built(DRIVE)
            whole = create_app(on.engine, Settings())
            bare = create_app(BareEngine(), Settings())
            for number in TOGETHER:
                with connected(same_answer, HttpToolsProtocol, number) as made:
                    rows.append(await timed("uvicorn alone", made, unjudged))
                with connected(bare, BoundedHttp, number) as made:
                    rows.append(await timed("HTTP without an engine", made, unjudged))
                for kind in (DIRECT, TYPICAL):
                    with connected(whole, BoundedHttp, number) as made:
                        rows.append(await timed(kind, made, asked[kind]))
            _prove(on.engine)
    return {"machine": machine(), "tuples": tuples, "rows": [row._asdict() for row in rows]}


def _of(question: Question) -> Question:
    """The same, asked of the store that is measured here."""
    return question._replace(
        request=question.request.replace(b"/default/", b"/%b/" % DRIVE.encode(), 1)
    )


def _prove(engine: Engine) -> None:
    """Nearly all must have been read from the index, or something else was measured."""
    read_from = engine.read_from
    if read_from["storage"] > read_from["index"] / 20:
        raise WrongAnswerError(f"read from {dict(read_from)}")


def table(found: dict[str, Any]) -> Table:
    """The figures for a person."""
    made = Table(box=box.MARKDOWN)
    for number, column in enumerate(("request", "together", "least µs", "median µs")):
        made.add_column(column, justify="left" if number == 0 else "right")
    for row in found["rows"]:
        times = (f"{row['least']:.0f}", f"{row['median']:.0f}")
        made.add_row(row["what"], f"{row['together']}", *times)
    return made


def main() -> None:
    """Measure on private servers."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.turns")
    parser.add_argument("--tuples", type=int, default=100_000, help="how large a store")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stonetown-turns-") as directory:
        found = uvloop.run(run(Path(directory), arguments.tuples))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        console = Console(width=100, highlight=False)
        console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
        console.print(table(found))


if __name__ == "__main__":
    main()
