"""Wrong decisions that published engines have shipped, as scenarios with checks.

Asked alone, again, in one batch of both orders, at exactly the zookie of the last write, with the
tuples inserted in both orders and with half of them contextual.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import SchemaInUse, SubjectNotAllowed
from engine.requests import WriteRequest
from engine.tuples import RelationTuple
from tests.conformance.data import ROOT, cases
from tests.conformance.planting import plant_schema, plant_tuples
from tests.conformance.scenarios import Scenario, Stage, every_id, every_scenario
from tests.conformance.systems import Outcome, System, Tenant, touches
from tests.conformance.ways import ask_every_way

# Scenarios whose schema is refused: a userset that holds a wildcard. test_refused_schemas.py.
REFUSED = {"A14", "A15", "A16"}
SCENARIOS = cases(
    lambda: [scenario for scenario in every_scenario() if scenario.id not in REFUSED],
    lambda scenario: scenario.id,
)
DECISIONS = Path(__file__).parents[2] / "docs" / "decisions" / "known-bypasses.md"
PROSE_TESTS = [
    *Path(__file__).parent.glob("test_prose*.py"),
    *Path(__file__).parent.glob("test_lookup*.py"),
    *Path(__file__).parents[1].glob("lookups/test_*.py"),
]

# Scenarios with tuples that no write may store, and how many.
OFF_SCHEMA = {"A02": 1, "A21": 2}


def wrong_answers(stage: Stage, answers: dict[str, list[object]]) -> list[str]:
    return [
        f"{way}: {check.object}#{check.relation}@{check.subject} {dict(check.context)} "
        f"is {outcome}, not {verdict}"
        for way, outcomes in answers.items()
        for check, verdict, outcome in zip(stage.checks, stage.verdicts, outcomes, strict=True)
        if getattr(outcome, "verdict", None) != verdict
    ]


async def refused(tenant: Tenant, item: RelationTuple) -> bool:
    """Whether the schema keeps a tuple from being written."""
    try:
        await tenant.engine.write(tenant.name, WriteRequest(touches([item])))
    except SubjectNotAllowed:
        return True
    return False


async def put_in_force(tenant: Tenant, stage: Stage, *, first: bool) -> str:
    """Write the schema of a stage. A later stage orphans tuples, so it is refused, then planted."""
    if first:
        return await tenant.put_schema(stage.schema)
    with pytest.raises(SchemaInUse):
        await tenant.engine.write_schema(tenant.name, stage.schema)
    return await plant_schema(tenant, stage.schema)


async def store(tenant: Tenant, tuples: list[RelationTuple], planted: int) -> str:
    """Write tuples one by one, each a revision; plant those that are refused. The zookie."""
    off_schema = [item for item in tuples if await refused(tenant, item)]
    assert len(off_schema) == planted
    last = [item for item in tuples if item not in off_schema][-1:]
    zookie = await tenant.write(touches(last))
    return await plant_tuples(tenant, off_schema) if off_schema else zookie


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_known_bypass_is_closed(
    system: System, scenario: Scenario, backwards: bool
) -> None:
    tenant = await system.tenant()
    for number, stage in enumerate(scenario.stages):
        zookie = await put_in_force(tenant, stage, first=number == 0)
        tuples = list(stage.tuples[::-1] if backwards else stage.tuples)
        if tuples:
            zookie = await store(tenant, tuples, OFF_SCHEMA.get(scenario.id, 0))
        answers = await ask_every_way(tenant, stage.checks, zookie)
        assert not wrong_answers(stage, {way: list(found) for way, found in answers.items()})


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_contextual_tuples_count_as_stored_ones(
    system: System, scenario: Scenario, start: int
) -> None:
    stage = scenario.stages[0]
    tenant = await system.tenant()
    zookie = await tenant.put_schema(stage.schema)
    stored, contextual = list(stage.tuples[start::2]), list(stage.tuples[1 - start :: 2])
    off_schema = [item for item in stage.tuples if await refused(tenant, item)]
    assert len(off_schema) == OFF_SCHEMA.get(scenario.id, 0)
    tenant = await system.tenant()
    zookie = await tenant.put_schema(stage.schema)
    kept = [item for item in stored if item not in off_schema]
    if kept:
        zookie = await tenant.write(touches(kept))
    if off_schema:
        zookie = await plant_tuples(tenant, off_schema)
    laid = [item for item in contextual if item not in off_schema]
    asked = replace(stage, checks=tuple(replace(c, contextual_tuples=laid) for c in stage.checks))
    answers = await ask_every_way(tenant, asked.checks, zookie)
    assert not wrong_answers(asked, {way: list(found) for way, found in answers.items()})
    for item in off_schema:
        outcome = await tenant.check(replace(stage.checks[0], contextual_tuples=[item]), zookie)
        assert outcome == Outcome("error", frozenset({"subject_not_allowed"}))


@pytest.mark.parametrize(
    "scenario", [case for case in SCENARIOS if getattr(case, "id", "") in {"C05", "C08", "A31"}]
)
async def test_no_answer_leaks_into_another_at_the_same_time(
    system: System, scenario: Scenario
) -> None:
    (stage,) = scenario.stages
    tenant = await system.tenant()
    await tenant.put_schema(stage.schema)
    zookie = await tenant.write(touches(stage.tuples))
    for _ in range(20):
        asked = [tenant.check(check, zookie) for check in stage.checks * 5]
        outcomes = await asyncio.gather(*asked)
        assert [outcome.verdict for outcome in outcomes] == list(stage.verdicts * 5)


def test_every_scenario_is_tested_or_decided() -> None:
    if not ROOT.is_dir():
        pytest.skip(f"the conformance data is not there: {ROOT}")
    told = {scenario.id for scenario in every_scenario()}
    decided = DECISIONS.read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in PROSE_TESTS)
    for id_ in every_id():
        assert id_ in told or f"_{id_.lower()}" in tests or f"**{id_}**" in decided, id_
