"""What checks cost in each dialect: the native one, OpenFGA's and AuthZEN's.

`python -m loadtests.dialects` (a part of `make bench`) starts a `stonetown serve` of its own, makes
a store through OpenFGA's API, fills it with organisations (`loadtests.tenants`), and asks the same
checks of the same store in each dialect in turn, by a closed loop. The answers are compared with
what they must be. *Of native* is the rate beside that of the native dialect, the median of rounds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from statistics import median
from typing import Any, NamedTuple

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api.fga_ids import store_name
from loadtests import tenants as organisations
from loadtests.bench import machine
from loadtests.driver import Question, closed_loop
from loadtests.load import tuple_of
from loadtests.service import NotServedError, Service, stonetown
from loadtests.tenants import Query, Tenants
from schema import parse_schema
from schema.fga.convert.from_zed import to_model
from schema.fga.encode import encode_model

NATIVE, OPENFGA, AUTHZEN = "native", "OpenFGA", "AuthZEN"
CONNECTIONS = 32
QUESTIONS = 2_000
LINES = 10_000

Ask = Callable[[Query], tuple[str, dict[str, Any], bytes]]


class Figure(NamedTuple):
    """A dialect: its checks a second, microseconds of the worker's processor for each, and both
    beside the native one's of the same round; medians of rounds."""

    dialect: str
    checks_per_second: float
    processor: float
    of_native: float
    processor_of_native: float


class Store:
    """A store of OpenFGA's on a running server."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection(*service.address, timeout=300)
        self.id: str = self._post("/stores", {"name": "dialects"})["id"]
        self.name = store_name(self.id)
        model = to_model(parse_schema(organisations.SCHEMA)).model
        self._post(f"/stores/{self.id}/authorization-models", encode_model(model))

    def fill(self, tenants: Tenants) -> int:
        """Import the tenants' tuples; how many there are."""
        lines = (json.dumps(str(tuple_of(row))).encode() + b"\n" for row in tenants.rows())
        count = 0
        while batch := list(islice(lines, LINES)):
            url = f"/v1/stores/{self.name}/import"
            self._send(url, b"".join(batch), "application/x-ndjson")
            count += len(batch)
        return count

    def _post(self, url: str, body: object) -> Any:
        return json.loads(self._send(url, json.dumps(body).encode(), "application/json"))

    def _send(self, url: str, body: bytes, kind: str) -> bytes:
        self._connection.request("POST", url, body, {"Content-Type": kind})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status not in {http.client.OK, http.client.CREATED}:
            raise NotServedError(f"{url}: {answer.status} {text[:200]!r}")
        return text

    def dialects(self) -> dict[str, Ask]:
        """How each dialect asks a check, and what its answer must hold."""
        return {NATIVE: self._native, OPENFGA: self._openfga, AUTHZEN: self._authzen}

    def _native(self, query: Query) -> tuple[str, dict[str, Any], bytes]:
        check = query.check
        body = {
            "object": str(check.object),
            "relation": check.relation,
            "subject": str(check.subject),
        }
        expected = b'"decision":"allowed"' if query.allowed else b'"decision":"denied"'
        return f"/v1/stores/{self.name}/check", body, expected

    def _openfga(self, query: Query) -> tuple[str, dict[str, Any], bytes]:
        check = query.check
        key = {
            "user": str(check.subject),
            "relation": check.relation,
            "object": str(check.object),
        }
        expected = b'"allowed":true' if query.allowed else b'"allowed":false'
        return f"/stores/{self.id}/check", {"tuple_key": key}, expected

    def _authzen(self, query: Query) -> tuple[str, dict[str, Any], bytes]:
        check = query.check
        body = {
            "subject": {"type": check.subject.type, "id": check.subject.id},
            "action": {"name": check.relation},
            "resource": {"type": check.object.type, "id": check.object.id},
        }
        expected = b'"decision":true' if query.allowed else b'"decision":false'
        return f"/v1/stores/{self.name}/access/v1/evaluation", body, expected


def question(ask: Ask, query: Query) -> Question:
    """A check as it is sent."""
    url, body, expected = ask(query)
    text = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {url} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return Question(head.encode() + text, expected)


def measure(
    service: Service, asked: Mapping[str, Sequence[Question]], seconds: float, rounds: int
) -> list[Figure]:
    """A figure for each dialect. Raises NotServedError for a wrong answer."""
    rates: dict[str, list[float]] = {name: [] for name in asked}
    costs: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(-1, rounds):
        for name, questions in asked.items():
            before = service.processor_seconds()
            run = closed_loop(service.address, questions, CONNECTIONS, seconds)
            outcome = uvloop.run(run)
            if outcome.errors or outcome.unanswered:
                raise NotServedError(f"{name}: {dict(outcome.errors)}")
            if number >= 0:  # the one before is to warm up
                rates[name].append(outcome.per_second)
                used = service.processor_seconds() - before
                costs[name].append(used / len(outcome.latencies) * 1e6)
    return [
        Figure(
            name,
            median(rates[name]),
            median(costs[name]),
            _beside(rates[name], rates[NATIVE]),
            _beside(costs[name], costs[NATIVE]),
        )
        for name in asked
    ]


def _beside(found: list[float], native: list[float]) -> float:
    return median(one / other for one, other in zip(found, native, strict=True))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    tenants = Tenants(arguments.tuples)
    kinds = (organisations.DIRECT, organisations.TYPICAL, organisations.DENIED)
    found = []
    with stonetown(1) as service:
        store = Store(service)
        count = store.fill(tenants)
        service.index(store.name)
        with service.pinned():
            for kind in kinds:
                queries = tenants.alike(kind, QUESTIONS)
                asked = {
                    name: [question(ask, query) for query in queries]
                    for name, ask in store.dialects().items()
                }
                figures = measure(service, asked, arguments.seconds, arguments.rounds)
                found += [{"kind": kind, **figure._asdict()} for figure in figures]
    return {"machine": machine(), "tuples": count, "figures": found}


def table(found: dict[str, Any]) -> Table:
    """The figures for a person."""
    made = Table(box=box.MARKDOWN)
    columns = ["check", "dialect", "checks/s", "of native", "server µs/check", "of native"]
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number < 2 else "right")
    for item in found["figures"]:
        made.add_row(
            item["kind"],
            item["dialect"],
            f"{item['checks_per_second']:,.0f}",
            f"{item['of_native']:.2f}",
            f"{item['processor']:.0f}",
            f"{item['processor_of_native']:.2f}",
        )
    return made


def main() -> None:
    """Measure on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.dialects")
    parser.add_argument("--tuples", type=int, default=100_000, help="how large a store")
    parser.add_argument("--seconds", type=float, default=1.0, help="per dialect and round")
    parser.add_argument("--rounds", type=int, default=7, help="each figure is a median of so many")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = run(arguments)
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    console = Console(width=120, highlight=False)
    console.print(f"{found['machine']}; {found['tuples']:,} tuples", soft_wrap=True)
    console.print(table(found))


if __name__ == "__main__":
    main()
