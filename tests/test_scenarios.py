"""The scenarios of `tests/scenarios`: one idea each, as schema, tuples and expected answers.

Every check is asked alone, in a batch, in the batch turned round, in a batch with other contexts,
and with all and either half of the tuples contextual; on the memory store and on Postgres.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import yaml

from engine.decision import Decision
from engine.engine import Engine
from engine.errors import CycleThroughExclusion, EngineError
from engine.requests import FULLY_CONSISTENT, Check, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage, Update, UpdateOp
from engine.tuples import RelationTuple, parse_tuple
from tests.conftest import database_dsn

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


class Expected(NamedTuple):
    """An answer in the words of a scenario; `cycle` in any rotation, "" elsewhere."""

    verdict: str
    detail: frozenset[str] = frozenset()
    cycle: frozenset[str] = frozenset()


class Group(NamedTuple):
    """Checks at one time with one context, and their answers."""

    now: datetime
    checks: list[Check]
    expected: list[Expected]


class Scenario(NamedTuple):
    """One file."""

    schema: str
    tuples: list[RelationTuple]
    groups: list[Group]


class Clock:
    """The time that a scenario says it is."""

    def __init__(self) -> None:
        self.now = NEW_YEAR

    def __call__(self) -> datetime:
        return self.now


def read(path: Path) -> Scenario:
    """A scenario from its file, which may hold nothing that is not understood."""
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(told) == {"about", "schema", "tuples", "checks"}, path
    return Scenario(
        told["schema"], [parse_tuple(text) for text in told["tuples"]], list(groups(told["checks"]))
    )


def groups(told: list[dict[str, Any]]) -> Iterator[Group]:
    for each in told:
        rest = dict(each)
        now, context = rest.pop("now", NEW_YEAR), rest.pop("at", {})
        answers = dict(expectations(rest))
        checks = [check(text, context) for text in answers]
        yield Group(now.astimezone(UTC), checks, list(answers.values()))


def expectations(told: dict[str, Any]) -> Iterator[tuple[str, Expected]]:
    for text in told.pop("allowed", ()):
        yield text, Expected("allowed")
    for text in told.pop("denied", ()):
        yield text, Expected("denied")
    for text, names in told.pop("conditional", {}).items():
        yield text, Expected("conditional", frozenset(names))
    for text, error in told.pop("error", {}).items():
        code, cycle = (error["code"], error["cycle"]) if isinstance(error, dict) else (error, ())
        yield text, Expected("error", frozenset({code}), frozenset(cycle))
    assert not told, f"not understood: {list(told)}"


def check(text: str, context: Mapping[str, Any]) -> Check:
    """A check in the form of a tuple."""
    made = parse_tuple(text)
    return Check(made.object, made.relation, made.subject, context)


def told(result: Decision | EngineError) -> Expected:
    """A result in the words of a scenario."""
    if isinstance(result, EngineError):
        cycle = result.extra["cycle"] if isinstance(result, CycleThroughExclusion) else ()
        return Expected("error", frozenset({result.code}), frozenset(cycle))
    return Expected(str(result.verdict), result.missing)


@pytest.fixture(scope="module", params=["memory", "postgres"])
async def storage(
    request: pytest.FixtureRequest, postgres_dsn: str, database_template: str
) -> AsyncIterator[Storage]:
    """One storage for all scenarios, each of which has stores of its own."""
    if request.param == "memory":
        yield MemoryStorage(lambda: NEW_YEAR)
        return
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE scenarios TEMPLATE {database_template}")
    opened = await PostgresStorage.connect(database_dsn(postgres_dsn, "scenarios"))
    yield opened
    await opened.close()
    await admin.execute("DROP DATABASE scenarios WITH (FORCE)")
    await admin.close()


async def with_stored(
    engine: Engine, name: str, scenario: Scenario, tuples: list[RelationTuple]
) -> None:
    """Make a store with the scenario's schema that holds these tuples."""
    await engine.create_store(name)
    await engine.write_schema(name, scenario.schema)
    if tuples:
        await engine.write(name, WriteRequest([Update(UpdateOp.CREATE, one) for one in tuples]))


async def alone(engine: Engine, name: str, check: Check) -> Decision | EngineError:
    try:
        return (await engine.check(name, check, FULLY_CONSISTENT)).decision
    except EngineError as error:
        return error


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_scenario(storage: Storage, path: Path) -> None:
    scenario, clock = read(path), Clock()
    engine = Engine(storage, clock=clock)
    name = f"{path.stem}-stored"
    await with_stored(engine, name, scenario, scenario.tuples)
    for group in scenario.groups:
        clock.now = group.now
        singly = [await alone(engine, name, check) for check in group.checks]
        batch = await engine.check_batch(name, group.checks, FULLY_CONSISTENT)
        turned = await engine.check_batch(name, group.checks[::-1], FULLY_CONSISTENT)
        compare(group, {"alone": singly, "batch": batch.results, "turned": turned.results[::-1]})
    for moment in {group.now for group in scenario.groups}:
        clock.now = moment
        group = together([group for group in scenario.groups if group.now == moment])
        batch = await engine.check_batch(name, group.checks, FULLY_CONSISTENT)
        compare(group, {"with other contexts": batch.results})


def together(groups: list[Group]) -> Group:
    """Groups of one time as one."""
    checks = [check for group in groups for check in group.checks]
    return Group(groups[0].now, checks, [one for group in groups for one in group.expected])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_scenario_with_contextual_tuples(storage: Storage, path: Path) -> None:
    scenario, clock = read(path), Clock()
    engine = Engine(storage, clock=clock)
    everything = scenario.tuples
    parts = [([], everything), (everything[::2], everything[1::2])]
    parts.append((everything[1::2], everything[::2]))
    for number, (stored, contextual) in enumerate(parts):
        name = f"{path.stem}-part-{number}"
        clock.now = NEW_YEAR
        await with_stored(engine, name, scenario, stored)
        for group in scenario.groups:
            clock.now = group.now
            asked = [replace(check, contextual_tuples=contextual) for check in group.checks]
            batch = await engine.check_batch(name, asked, FULLY_CONSISTENT)
            compare(group, {f"contextual {contextual}": batch.results})


def compare(group: Group, found: Mapping[str, Any]) -> None:
    wrong = [
        f"{way}: {check.object}#{check.relation}@{check.subject} {dict(check.context)} "
        f"at {group.now} is {told(result)}, not {expected}"
        for way, results in found.items()
        for check, expected, result in zip(group.checks, group.expected, results, strict=True)
        if told(result) != expected
    ]
    assert wrong == []


def test_there_are_scenarios() -> None:
    assert len(FILES) > 30
