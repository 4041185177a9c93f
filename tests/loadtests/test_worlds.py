"""The generated Drive: the same each time, valid, with the answers that its probes promise."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from engine.engine import Engine
from engine.store.memory import MemoryStorage
from loadtests import bench
from loadtests.worlds import CHAIN, GROUPS_DEEP, Drive, Kind, Probe, Size

SIZE = Size(users=20, groups=9, folders=30, documents=50)


@pytest.fixture
async def engine() -> Engine:
    engine = Engine(MemoryStorage())
    await bench.load(engine, Drive(SIZE))
    return engine


def test_a_seed_gives_one_world() -> None:
    first = list(Drive(SIZE).tuples())
    assert first == list(Drive(SIZE).tuples())
    assert first != list(Drive(SIZE, seed=2).tuples())
    assert len({item.identity for item in first}) == len(first)


async def test_every_probe_has_the_answer_it_promises(engine: Engine) -> None:
    await bench.require_right_answers(engine, Drive(SIZE))


async def test_a_wrong_answer_ends_the_benchmark(engine: Engine) -> None:
    class Lying(Drive):
        def probes(self, kind: Kind) -> list[Probe]:
            return [probe._replace(allowed=not probe.allowed) for probe in super().probes(kind)]

    with pytest.raises(bench.WrongAnswerError):
        await bench.require_right_answers(engine, Lying(SIZE))


@pytest.mark.parametrize(
    ("kind", "relation", "length"),
    [(Kind.GROUP, "member", GROUPS_DEEP), (Kind.CHAIN, "parent", CHAIN)],
)
def test_the_way_in_is_as_long_as_its_name_says(kind: Kind, relation: str, length: int) -> None:
    stored = list(Drive(SIZE).tuples())
    above = {
        (item.object.type, item.object.id): item.subject
        for item in stored
        if item.relation == relation
    }
    (probe, *_) = Drive(SIZE).probes(kind)
    step = "group" if kind is Kind.GROUP else "folder"
    first = (step, f"{probe.check.object.id}-0")
    way = [first]
    while (following := above.get(way[-1])) is not None and following.type == step:
        way.append((following.type, following.id))
    assert len(way) == length
    assert all(left != right for left, right in pairwise(way))


async def test_the_benchmark_measures_every_kind_on_both_stores(
    empty_database: str,
) -> None:
    found = await bench.run(Drive(SIZE), 0.001, empty_database)
    rows = {(figure["kind"], figure["store"]) for figure in found["figures"]}
    assert rows == {(kind, store) for kind in Kind for store in ("memory", "Postgres")}
    assert json.loads(json.dumps(found))["tuples"] == len(list(Drive(SIZE).tuples()))
    assert bench.table(found).row_count == len(rows)
