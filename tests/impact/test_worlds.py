"""An impact is the difference of what is true without the change and with it, in random worlds."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.engine import Engine
from engine.limits import Limits
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.impact.truth import compare
from tests.worlds import NOW

_LIMITS = Limits(evaluation_reads=10**6, evaluation_nodes=10**6, deadline=120.0)
KINDS = ("tuples", "people", "schema", "both")


async def compare_seeds(storage: Storage, kind: str, seeds: range) -> Counter[str]:
    engine = Engine(storage, limits=_LIMITS, clock=lambda: NOW)
    tally: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in seeds:
        wrong += await compare(engine, seed, kind, tally, relations=bool(seed % 3 == 0))
    assert not wrong, "\n".join(wrong[:20])
    return tally


@pytest.mark.parametrize("kind", KINDS)
async def test_an_impact_is_the_difference(kind: str) -> None:
    tally = await compare_seeds(MemoryStorage(lambda: NOW), kind, range(8))
    for each in ("gained", "lost", "changed"):
        assert tally[each] >= 1, tally
    assert tally["same condition"] > 2, tally


@pytest.mark.parametrize("kind", KINDS)
async def test_an_impact_on_postgres_is_the_difference(fresh_database: str, kind: str) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    tally = await compare_seeds(storage, kind, range(100, 102))
    await storage.close()
    assert tally["gained"] + tally["lost"] > 0, tally
