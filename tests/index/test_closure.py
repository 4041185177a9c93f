"""A closure is whole, or there is none: however little it may cost, it lacks nothing. All together
take no more memory than they may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from engine.caveats import CaveatSet
from engine.formula import ALLOWED, DENIED
from engine.index.closures import Allowance, Closures
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
MANY = 1_000
"""Goals after which a closure is worth making."""
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
    closures = Closures(tables, Allowance())
    made = [closures.make(asked, view, most) for most in range(1, 60)]
    assert made[0] is None
    whole = made[-1]
    assert whole is not None
    for closure in made:
        if closure is not None:
            found = [closure.value(groups, name) for name in ("g0", f"g{DEPTH}", "other")]
            assert found == [ALLOWED, ALLOWED, DENIED]


@pytest.fixture
def asked() -> Callable[[str], Asked]:
    """What is asked about a user: which documents they view."""
    schema = parse_schema(SCHEMA)
    compiled = CompiledSchema(schema, CaveatSet(schema))
    plan = compiled.plans.for_subject("user", "").plan("doc", "view")
    assert plan is not None
    entrances = compiled.entrances(plan.form)
    return lambda name: Asked(Subject("user", name), entrances, ("doc", "view"))


def kept(closures: Closures, view: View, asked: Asked) -> bool:
    """Whether there is a closure."""
    return closures.of(asked, view.held, view.transaction) is not None


def walked(closures: Closures, view: View, asked: Asked) -> int:
    """Have it walked until a closure was made; about how many bytes are taken then."""
    closures.of(asked, view.held, view.transaction)
    closures.walked(asked, MANY, view)
    return closures.taken


async def test_closures_take_no_more_than_they_may(
    index: tuple[Tables, View], asked: Callable[[str], Asked]
) -> None:
    tables, view = index
    first = Closures(tables, Allowance())
    large = walked(first, view, asked("ann"))
    small = walked(first, view, asked("nobody")) - large
    assert large > small > 0

    some = Closures(tables, Allowance(large + 2 * small))
    for name in ("ann", "b", "c"):
        walked(some, view, asked(name))
    assert all(kept(some, view, asked(name)) for name in ("b", "c", "ann"))
    assert walked(some, view, asked("d")) == large + 2 * small
    left = [name for name in ("ann", "b", "c", "d") if kept(some, view, asked(name))]
    assert left == ["ann", "c", "d"]

    none = Closures(tables, Allowance(0))
    assert walked(none, view, asked("ann")) == 0
    assert not kept(none, view, asked("ann"))


async def test_the_index_with_most_gives_way_to_others(
    index: tuple[Tables, View], asked: Callable[[str], Asked]
) -> None:
    tables, view = index
    alone = walked(Closures(tables, Allowance()), view, asked("b"))
    allowance = Allowance(4 * alone)
    one, other = Closures(tables, allowance), Closures(tables, allowance)
    for name in ("b", "c", "d", "e"):
        walked(one, view, asked(name))
    for name in ("b", "c"):
        walked(other, view, asked(name))
    assert (one.taken, other.taken) == (2 * alone, 2 * alone)
    one.close()
    assert one.taken == 0
    assert walked(one, view, asked("b")) == 0
    for name in ("d", "e", "f"):
        walked(other, view, asked(name))
    assert other.taken == 4 * alone
    assert not kept(other, view, asked("b"))
    assert kept(other, view, asked("f"))
