"""SpiceDB's own validation files: every assertion, in every way that must not change it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.requests import AtExactSnapshot
from engine.store.protocol import TupleFilter
from tests.conformance.data import cases
from tests.conformance.systems import System, touches
from tests.conformance.validation_files import ValidationFile, every_file
from tests.conformance.ways import ask_every_way, ask_half_contextual

FILES = cases(every_file, lambda file: file.name)


@pytest.mark.parametrize("file", FILES)
async def test_every_assertion_holds(system: System, file: ValidationFile) -> None:
    tenant = await system.tenant()
    await tenant.put_schema(file.schema)
    zookie = await tenant.write(touches(file.tuples))
    checks = [assertion.check for assertion in file.assertions]
    if not checks:
        return
    answers = await ask_every_way(tenant, checks, zookie)
    answers |= await ask_half_contextual(system, file.schema, file.tuples, checks)
    wrong = [
        f"{way}: {assertion.text} is {outcome.verdict}, not {assertion.verdict}"
        for way, outcomes in answers.items()
        for assertion, outcome in zip(file.assertions, outcomes, strict=True)
        if outcome.verdict != assertion.verdict
    ]
    assert not wrong


@pytest.mark.parametrize("file", FILES)
async def test_every_way_names_the_same_missing_context(
    system: System, file: ValidationFile
) -> None:
    tenant = await system.tenant()
    await tenant.put_schema(file.schema)
    zookie = await tenant.write(touches(file.tuples))
    checks = [assertion.check for assertion in file.assertions]
    if not checks:
        return
    answers = await ask_every_way(tenant, checks, zookie)
    for outcomes in answers.values():
        assert outcomes == answers["alone"]
    for outcome in answers["alone"]:
        assert bool(outcome.detail) == (outcome.verdict == "conditional")


@pytest.mark.parametrize("file", FILES)
async def test_every_living_tuple_can_be_read_back(system: System, file: ValidationFile) -> None:
    tenant = await system.tenant()
    await tenant.put_schema(file.schema)
    zookie = await tenant.write(touches(file.tuples))
    engine, now = tenant.engine, datetime.now(UTC)
    for item in file.tuples:
        filter_ = TupleFilter(*item.object, item.relation, *item.subject)
        page = await engine.read(tenant.name, filter_, consistency=AtExactSnapshot(zookie))
        expired = item.expires_at is not None and item.expires_at <= now
        assert [found.identity for found in page.tuples] == ([] if expired else [item.identity])
