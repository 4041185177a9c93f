"""Scenarios whose schema the type checker refuses: the engine must answer them right all the same.

A relation may not allow a userset that holds a wildcard (SpiceDB's rule). What was stored before
such a rule, or by another language, reaches the engine below the type checker.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter

import pytest

from engine import asking
from engine.budget import Budget
from engine.caveats import CaveatSet
from engine.decision import Decision
from engine.engine import Engine
from engine.errors import SchemaRefused
from engine.limits import Limits
from engine.schemas import CompiledSchema
from engine.store.protocol import WriteCommand
from schema.zed.lower import lower
from schema.zed.parse import parse_document
from tests.conformance.data import cases
from tests.conformance.scenarios import Scenario, every_scenario
from tests.conformance.systems import System, touches
from tests.conformance.test_known_bypasses import REFUSED

SCENARIOS = cases(
    lambda: [scenario for scenario in every_scenario() if scenario.id in REFUSED],
    lambda scenario: scenario.id,
)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_schema_is_refused(system: System, scenario: Scenario) -> None:
    tenant = await system.tenant()
    with pytest.raises(SchemaRefused) as caught:
        await tenant.engine.write_schema(tenant.name, scenario.stages[0].schema)
    assert {problem.code for problem in caught.value.extra["problems"]} == {"transitive_wildcard"}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_engine_answers_right_below_the_type_checker(
    engine: Engine, scenario: Scenario, backwards: bool
) -> None:
    tenant = await System(engine).tenant()
    stage = scenario.stages[0]
    schema, problems = lower(parse_document(stage.schema))
    assert not len(problems)
    store = await engine.storage.get_store(tenant.name)
    tuples = stage.tuples[::-1] if backwards else stage.tuples
    command = WriteCommand(touches(tuples), (), 0, datetime.now(UTC))
    snapshot = (await engine.storage.write(store.id, command)).snapshot
    ground = asking.Ground(
        CompiledSchema(schema, CaveatSet(schema)),
        engine.storage.reader(snapshot),
        datetime.now(UTC),
        Limits(),
    )
    for checks, verdicts in (
        (stage.checks, stage.verdicts),
        (stage.checks[::-1], stage.verdicts[::-1]),
    ):
        results = await asking.answer(
            ground, checks, Budget(10_000, 10_000, perf_counter() + 60), "checks"
        )
        found = [result.verdict if isinstance(result, Decision) else result for result in results]
        assert found == list(verdicts)
