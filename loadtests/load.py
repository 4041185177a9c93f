"""Requests per second over HTTP, and how long they take at 60 % of that.

`python -m loadtests.load` (or `make load`) starts a `stonetown serve` of its own on a generated
Drive, finds for each kind of question how many a second it can answer (a closed loop of 64
connections, of 4 for batches), then asks at 60 % of that rate at even distances (an open loop,
measured from when each request was due). Server processor time is read from /proc. Beside it stand
what HTTP costs with no engine behind it, and what uvicorn alone costs, of the same minutes; with
`--bare` nothing else is measured.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from api.memory import settle
from engine.requests import Check
from engine.tuples import Object, RelationTuple, Subject
from loadtests import tenants as organisations
from loadtests.bench import machine
from loadtests.driver import Outcome, Question, closed_loop, open_loop
from loadtests.filling import Row
from loadtests.service import STORE, Service, bare, core_seconds, stonetown
from loadtests.tenants import DENIED, DIRECT, TYPICAL, Query, Tenants, zipf
from loadtests.worlds import SCHEMA, SIZES, Drive, Kind

BATCH = 1_000
QUESTIONS = 20_000
BATCHES = 50
CONNECTIONS, OF_BATCHES = 64, 4
WARMING = 1.5
SHARE = 0.6
TIMES = 9
YARDSTICK = "an empty answer of uvicorn alone"
NO_ENGINE = "no engine: "
ALLOWED, DENIED_ANSWER = b'"decision":"allowed"', b'"decision":"denied"'


class Workload(NamedTuple):
    """A kind of question: requests that are asked in turn, each of so many checks."""

    name: str
    questions: Sequence[Question]
    checks: int = 1


Asked = tuple[Service, Workload]
"""What is asked of whom."""


class Figure(NamedTuple):
    """What was found of one workload. Times are in milliseconds, processor time in microseconds of
    the workers per check; `open` is the run at a share of the peak, `busy` are shares of the time
    of the workers, and of the core of everything else, this tool included. Of writes among checks
    only `open_writes_p99` tells. `fastest` and `open_least_p99` are the best of all times,
    `of_first` is the median of what each time reached of the requests of the first workload just
    then, and the others are medians, each by itself."""

    workload: str
    connections: int
    requests_per_second: float
    checks_per_second: float
    p50: float
    p95: float
    p99: float
    processor: float
    processor_share: float
    open_rate: float
    open_p50: float
    open_p95: float
    open_p99: float
    open_writes_p99: float
    open_processor: float
    open_worker_busy: float
    open_other_busy: float
    errors: dict[str, int]
    fastest: float = 0.0
    open_least_p99: float = 0.0
    of_first: float = 0.0


def question(call: str, body: object, expected: bytes = b"") -> Question:
    """A POST of JSON to the default store."""
    text = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {STORE}{call} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return Question(head.encode() + text, expected)


def workloads(drive: Drive, seed: int = 1) -> Iterator[Workload]:
    """Checks of each kind of probe, checks of documents that are asked for unevenly, batches."""
    draw = random.Random(seed)
    for kind in Kind:
        probes = drive.probes(kind)
        draw.shuffle(probes)
        asked = [
            question("/check", wire(probe.check), ALLOWED if probe.allowed else DENIED_ANSWER)
            for probe in probes
        ]
        yield Workload(kind, asked)
    documents = zipf(drive.size.documents, draw)
    users = zipf(drive.size.users, draw)
    mixed = [question("/check", wire(_view(documents(), users()))) for _ in range(QUESTIONS)]
    yield Workload("documents and users by Zipf", mixed)
    batches = [_batch(draw, drive, users()) for _ in range(BATCHES)]
    yield Workload(f"batch of {BATCH:,}, one user", batches, BATCH)


def tenant_workloads(tenants: Tenants) -> Iterator[Workload]:
    """The questions of `loadtests.tenants`: each kind, all together with 1 % writes, batches."""
    for kind in (DIRECT, TYPICAL, DENIED):
        yield Workload(kind, [_asked(query) for query in tenants.alike(kind, 2_000)])
    mixed = [_asked(query) for query in tenants.mixed(QUESTIONS)]
    # In turn a tuple comes and goes, so that each write is one.
    ops = ("touch", "delete")
    for number in range(0, len(mixed), 100):
        item = {"object": f"document:new-{number // 200}", "relation": "owner"}
        written = {"op": ops[number // 100 % 2], "tuple": item | {"subject": "user:new"}}
        mixed[number] = question("/write", {"updates": [written]})._replace(apart=True)
    yield Workload("mixed by Zipf, 1 % writes", mixed)
    batches = []
    for seed in range(BATCHES):
        checks = [wire(query.check) for query in tenants.batch(BATCH, seed)]
        batches.append(question("/check/batch", {"checks": checks}))
    yield Workload(f"batch of {BATCH:,}, one user", batches, BATCH)


def _asked(query: Query) -> Question:
    body: dict[str, Any] = dict(wire(query.check))
    if query.check.context:
        body["context"] = query.check.context
    return question("/check", body, ALLOWED if query.allowed else DENIED_ANSWER)


def _view(document: int, user: int) -> Check:
    return Check(Object("document", f"{document}"), "view", Subject("user", f"{user}"))


def _batch(draw: random.Random, drive: Drive, user: int) -> Question:
    documents = draw.sample(range(drive.size.documents), BATCH)
    return question("/check/batch", {"checks": [wire(_view(one, user)) for one in documents]})


def wire(check: Check) -> dict[str, str]:
    """A check as its body has it."""
    return {
        "object": str(check.object),
        "relation": check.relation,
        "subject": str(check.subject),
    }


def measure(asked: Sequence[Asked], seconds: float) -> list[Figure]:
    """A figure for each workload: the medians of its times, beside the best of them. Times of all
    workloads alternate, so that the rows are of the same minutes."""
    for service, workload in asked:
        connections = _connections(workload)
        uvloop.run(closed_loop(service.address, workload.questions, connections, WARMING * seconds))
    times: list[list[Figure]] = [[] for _ in asked]
    for _ in range(TIMES):
        for (service, workload), found in zip(asked, times, strict=True):
            found.append(uvloop.run(_once(service, workload, seconds)))
    ratios = [
        median(
            one.requests_per_second / alone.requests_per_second
            for one, alone in zip(found, times[0], strict=True)
        )
        for found in times
    ]
    return [
        _of_all(found)._replace(of_first=ratio) for found, ratio in zip(times, ratios, strict=True)
    ]


def _of_all(times: list[Figure]) -> Figure:
    medians: dict[str, Any] = {
        name: median(getattr(figure, name) for figure in times)
        for name, value in times[0]._asdict().items()
        if isinstance(value, float)
    }
    errors = sum((Counter(figure.errors) for figure in times), Counter())
    return (
        times[0]
        ._replace(**medians)
        ._replace(
            errors=dict(errors),
            fastest=max(figure.checks_per_second for figure in times),
            open_least_p99=min(figure.open_p99 for figure in times),
        )
    )


def _connections(workload: Workload) -> int:
    return CONNECTIONS if workload.checks == 1 else OF_BATCHES


async def _once(service: Service, workload: Workload, seconds: float) -> Figure:
    asked, each = workload.questions, workload.checks
    connections = _connections(workload)
    before = service.processor_seconds()
    peak = await closed_loop(service.address, asked, connections, seconds)
    processor = service.processor_seconds() - before
    rate = max(1.0, SHARE * peak.per_second)
    before = service.processor_seconds()
    busy, there = core_seconds()
    steady = await open_loop(service.address, asked, CONNECTIONS, seconds, rate)
    steady_processor = service.processor_seconds() - before
    busy, there = (now - then for now, then in zip(core_seconds(), (busy, there), strict=True))
    errors = peak.errors + steady.errors
    if steady.unanswered:
        errors["unanswered"] = steady.unanswered
    return Figure(
        workload=workload.name,
        connections=connections,
        requests_per_second=peak.per_second,
        checks_per_second=peak.per_second * each,
        **_percentiles("p", peak),
        processor=_per_check(processor, peak, each),
        processor_share=processor / peak.seconds,
        open_rate=rate,
        **_percentiles("open_p", steady),
        open_writes_p99=steady.percentile(0.99, apart=True) * 1e3,
        open_processor=_per_check(steady_processor, steady, each),
        open_worker_busy=steady_processor / len(service.workers) / steady.seconds,
        open_other_busy=busy / there if there else 0.0,
        errors=dict(errors),
    )


def _percentiles(prefix: str, outcome: Outcome) -> dict[str, Any]:
    return {f"{prefix}{share}": outcome.percentile(share / 100) * 1e3 for share in (50, 95, 99)}


def _per_check(processor: float, outcome: Outcome, checks: int) -> float:
    return processor / max(1, outcome.answered) / checks * 1e6


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured, as JSON has it."""
    if arguments.tuples:
        made = Tenants(arguments.tuples)
        schema = organisations.SCHEMA
        tuples: Iterable[RelationTuple] = map(tuple_of, made.rows())
        asked = list(tenant_workloads(made))
    else:
        drive = Drive(SIZES[arguments.size])
        schema, tuples, asked = SCHEMA, drive.tuples(), list(workloads(drive))
    with ExitStack() as stack:
        alone = stack.enter_context(bare(yardstick=True))
        nothing = stack.enter_context(bare())
        rows: list[Asked] = [(alone, _unjudged(asked[0], YARDSTICK))]
        rows += [(nothing, _unjudged(one, NO_ENGINE + one.name)) for one in (asked[0], asked[-1])]
        if arguments.bare:
            service, count = nothing, 0
        else:
            service = stack.enter_context(stonetown(arguments.workers))
            count = service.fill(schema, tuples)
            rows += [(service, one) for one in asked]
        service.index()
        # What the questions were made from is much, and looking through it would hold up the tool.
        settle()
        pinned = stack.enter_context(service.pinned(alone, nothing))
        figures = measure(rows, arguments.seconds)
        memory = service.resident_megabytes()
    return {
        "machine": machine(),
        "server": "bare HTTP" if arguments.bare else f"{len(service.workers)} worker(s)",
        "pinned": pinned,
        "tuples": count,
        "resident_megabytes": memory,
        "figures": [figure._asdict() for figure in figures],
    }


def tuple_of(row: Row) -> RelationTuple:
    """A row as a tuple; none has an expiry."""
    target, subject = Object(row[0], row[1]), Subject(row[3], row[4], row[5])
    return RelationTuple(target, row[2], subject, row[6], row[7])


def _unjudged(workload: Workload, name: str) -> Workload:
    """The same questions under another name; answers are not looked at."""
    asked = [Question(one.request) for one in workload.questions]
    return workload._replace(name=name, questions=asked)


def table(found: dict[str, Any]) -> Table:
    """The figures for a person."""
    made = Table(box=box.MARKDOWN)
    columns = ["question", "requests/s", "of uvicorn alone", "checks/s", "fastest", "p50 ms", "p99"]
    columns += ["server µs/check", "at 60 %: requests/s", "p50 ms", "p95", "p99", "least p99"]
    columns += ["p99 of its writes"]
    columns += ["worker busy", "the other core", "errors"]
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    figures = [Figure(**values) for values in found["figures"]]
    for item in figures:
        made.add_row(
            item.workload,
            f"{item.requests_per_second:,.0f}",
            f"{item.of_first:.2f}" if item.connections == CONNECTIONS else "",
            f"{item.checks_per_second:,.0f}",
            f"{item.fastest:,.0f}",
            *(f"{value:.1f}" for value in (item.p50, item.p99, item.processor)),
            f"{item.open_rate:,.0f}",
            *(f"{value:.1f}" for value in (item.open_p50, item.open_p95, item.open_p99)),
            f"{item.open_least_p99:.1f}",
            f"{item.open_writes_p99:.1f}" if item.open_writes_p99 else "",
            *(f"{value:.0%}" for value in (item.open_worker_busy, item.open_other_busy)),
            ", ".join(f"{number} {what}" for what, number in item.errors.items()) or "0",
        )
    return made


def main() -> int:
    """Exit status 1 when a request failed or was answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make load ARGS=…")
    parser.add_argument("--size", choices=SIZES, default="small", help="how large a world")
    parser.add_argument("--tuples", type=int, help="organisations of so many tuples instead")
    parser.add_argument("--seconds", type=float, default=5.0, help="per run of the closed loop")
    parser.add_argument("--workers", type=int, default=1, help="serving processes")
    parser.add_argument("--bare", action="store_true", help="nothing but HTTP without an engine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = run(arguments)
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        console = Console(width=240, highlight=False)
        pinned = "pinned to cores" if found["pinned"] else "not pinned"
        console.print(
            f"{found['machine']}; {found['server']}, {pinned}; {found['tuples']:,} tuples; "
            f"{found['resident_megabytes']:.0f} MB a worker beside the index",
            soft_wrap=True,
        )
        console.print(table(found))
    wrong = {item["workload"]: item["errors"] for item in found["figures"] if item["errors"]}
    if wrong:
        sys.stderr.write(f"not answered as they should be: {wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
