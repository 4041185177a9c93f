"""A closure is whole, or there is none: however little it may cost, it lacks nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.caveats import CaveatSet
from engine.formula import ALLOWED, DENIED
from engine.index.closure import Closures
from engine.index.files import Tables
from engine.index.reader import View
from engine.schemas import CompiledSchema
from engine.sight import Asked
from engine.store.memory import MemoryStorage
from engine.tuples import Subject, parse_tuple
from schema import parse_schema
from tests.engine.agreement import plant
from tests.index.indexed import IndexedStorage

SCHEMA = """\
definition user {}

definition group {
    relation member: user | group#member
}

definition doc {
    relation viewer: user | group#member
    permission view = viewer
}
"""
DEPTH = 5
ANN = Subject("user", "ann")


@pytest.fixture
async def index() -> AsyncIterator[tuple[Tables, View]]:
    """Ann is in a group that is in a group and so on; the last one, and she, view documents."""
    texts = [f"group:g{n + 1}#member@group:g{n}#member" for n in range(DEPTH)]
    texts += ["group:g0#member@user:ann", f"doc:far#viewer@group:g{DEPTH}#member"]
    texts += ["doc:near#viewer@user:ann"]
    storage = IndexedStorage(follows=False)
    snapshot = await plant(storage, [parse_tuple(text) for text in texts])
    tables = (await storage.level(snapshot.store_id)).tables
    assert tables is not None
    reader = storage.local.reader(snapshot, MemoryStorage.reader(storage, snapshot)).local()
    assert reader is not None
    yield tables, reader.view
    await storage.close()


async def test_what_a_closure_may_cost_never_makes_it_lack_something(
    index: tuple[Tables, View],
) -> None:
    tables, view = index
    schema = parse_schema(SCHEMA)
    compiled = CompiledSchema(schema, CaveatSet(schema))
    plan = compiled.plans.for_subject("user", "").plan("doc", "view")
    groups = compiled.plans.for_subject("user", "").plan("group", "member")
    assert plan is not None
    assert groups is not None
    asked = Asked(ANN, compiled.entrances(plan.form), ("doc", "view"))
    closures = Closures(tables)
    made = [closures.make(asked, view, most) for most in range(1, 60)]
    assert made[0] is None
    whole = made[-1]
    assert whole is not None
    for closure in made:
        if closure is not None:
            found = [closure.value(groups, name) for name in ("g0", f"g{DEPTH}", "other")]
            assert found == [ALLOWED, ALLOWED, DENIED]
