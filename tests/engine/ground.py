"""What unit tests of the evaluator stand on: a schema, stored tuples, and a reader that counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from engine.asking import Ground, answer
from engine.budget import Budget
from engine.decision import Decision
from engine.errors import EngineError
from engine.limits import Limits
from engine.reader import Edge, Probe, Reader, Scan
from engine.requests import Check
from engine.schemas import CompiledSchema, compile_schema
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple, Subject, parse_tuple

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLENTY = Limits(evaluation_reads=10**6, evaluation_nodes=10**6)


class Counting:
    """A reader that remembers what it was asked and counts the tuples that it found."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.rounds: list[tuple[list[Probe], list[Scan]]] = []
        self.found = 0

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """As the reader inside."""
        self.rounds.append((list(probes), list(scans)))
        edges, lists = await self._reader.fetch(probes, scans, limit)
        self.found += sum(edge is not None for edge in edges) + sum(map(len, lists))
        return edges, lists

    @property
    def asked(self) -> list[Probe | Scan]:
        """Every probe and scan so far."""
        found: list[Probe | Scan] = []
        for probes, scans in self.rounds:
            found += probes
            found += scans
        return found

    @property
    def relations(self) -> set[str]:
        """What was read, as `type#relation`."""
        return {f"{one.object_type}#{one.relation}" for one in self.asked}


async def reader_of(tuples: Iterable[RelationTuple]) -> Counting:
    """A reader over stored tuples, which no schema was asked about."""
    storage = MemoryStorage(lambda: NOW)
    store = await storage.create_store("acme")
    updates = [Update(UpdateOp.CREATE, item) for item in tuples]
    snapshot = (await storage.write(store.id, WriteCommand(updates, (), 0, NOW))).snapshot
    return Counting(storage.reader(snapshot))


class Setting:
    """A compiled schema over a counting reader."""

    def __init__(self, compiled: CompiledSchema, reader: Counting, limits: Limits) -> None:
        self.compiled = compiled
        self.reader = reader
        self.ground = Ground(compiled, reader, NOW, limits)

    def budget(self, **changes: Any) -> Budget:
        """The limits' budget, with another `reads`, `nodes` or `deadline` if given."""
        limits = self.ground.limits
        given = {"reads": limits.evaluation_reads, "nodes": limits.evaluation_nodes}
        return Budget(**{**given, "deadline": perf_counter() + 60.0, **changes})

    async def ask(self, *checks: Check, budget: Budget | None = None) -> list[Any]:
        """The verdict of each check in words, or its error."""
        results = await answer(self.ground, checks, budget or self.budget(), "checks")
        return [said(result) for result in results]

    async def says(self, *texts: str, **budget: Any) -> list[Any]:
        """As `ask`, of checks in the form of tuples."""
        return await self.ask(*map(question, texts), budget=self.budget(**budget))


def said(result: Decision | EngineError) -> Any:
    """A decision's verdict in words; an error as it is."""
    return result if isinstance(result, EngineError) else str(result.verdict)


async def setting(
    schema: str, tuples: Iterable[str | RelationTuple], limits: Limits = PLENTY
) -> Setting:
    """A setting of tuples, in string form or as they are."""
    made = [parse_tuple(item) if isinstance(item, str) else item for item in tuples]
    return Setting(compile_schema(schema), await reader_of(made), limits)


def question(text: str) -> Check:
    """A check in the form of a tuple."""
    made = parse_tuple(text)
    return Check(made.object, made.relation, made.subject)


def link(
    object_type: str, object_id: object, relation: str, subject_type: str, subject_id: object
) -> RelationTuple:
    """A tuple from its parts, for tests of many."""
    subject = Subject(subject_type, str(subject_id))
    return RelationTuple(Object(object_type, str(object_id)), relation, subject)


def nest(group: object, inner: object) -> RelationTuple:
    """`group:…#member@group:…#member`."""
    return RelationTuple(
        Object("group", str(group)), "member", Subject("group", str(inner), "member")
    )
