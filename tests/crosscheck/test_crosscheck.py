"""Every question about every scenario and 200 random worlds agrees with a check of everything.

`make crosscheck` does the same with more questions, in both layouts and on every storage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.conformance.data import cases
from tests.crosscheck.cases import (
    Case,
    known_bypasses,
    own_scenarios,
    published_files,
    random_case,
)
from tests.crosscheck.suite import Depth, compare
from tests.index.indexed import NearStorage
from tests.worlds import NOW

Source = Callable[[], list[Case]]
PUBLISHED = [
    *cases(lambda: [published_files, known_bypasses], lambda source: source.__name__),
    own_scenarios,
]
UNSURE = ("subject conditional", "object conditional")
FEW = Depth(
    oracles=1, alone=2, objects=1, subjects=1, permissions=1, trees=3, pages=1, premises=1, trials=5
)


async def crossed(storage: Storage, told: Iterable[Case], depth: Depth) -> Counter[str]:
    """Fails with the differences; counts what was compared."""
    tally: Counter[str] = Counter()
    wrong = [one for case in told for one in await compare(storage, case, depth, tally)]
    assert not wrong, "\n".join(wrong[:20])
    return tally


@pytest.mark.parametrize("first", range(0, 200, 25))
async def test_random_worlds(first: int) -> None:
    tally: Counter[str] = Counter()
    for seed in range(first, first + 25):
        depth = Depth(halves=(seed % 8 != 7,))
        tally += await crossed(MemoryStorage(lambda: NOW), [random_case(seed)], depth)
    assert_varied(tally, "error", "wildcards", "subject denied", "usersets beneath", *UNSURE)
    assert tally["trees too large"] < tally["trees"] / 5


async def test_random_worlds_on_an_index() -> None:
    storage = NearStorage(lambda: NOW)
    tally = await crossed(storage, map(random_case, range(3, 200, 19)), Depth())
    assert storage.served > 10 * storage.refused
    await storage.close()
    assert_varied(tally, "error")


async def test_random_worlds_on_postgres(fresh_database: str) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    tally = await crossed(storage, map(random_case, range(0, 200, 19)), Depth())
    await storage.close()
    assert_varied(tally, "error")


@pytest.mark.parametrize("source", PUBLISHED)
async def test_scenarios(source: Source) -> None:
    tally = Counter[str]()
    for case in source():
        tally += await crossed(MemoryStorage(lambda: NOW), [case], Depth())
    assert_varied(tally)


@pytest.mark.parametrize("source", PUBLISHED)
async def test_scenarios_on_postgres(source: Source, fresh_database: str) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    assert_varied(await crossed(storage, source(), FEW))
    await storage.close()


def assert_varied(tally: Counter[str], *more: str) -> None:
    """Make sure that what was compared was not all of one kind."""
    always = ["allowed", "denied", "conditional", "object allowed", "subject allowed"]
    always += ["lists of permissions", "denials with ways", "ways of 1", "pages of trees"]
    always += [f"{kind} taken away" for kind in ("tuples", "premises", "grants")]
    for kind in (*always, *more):
        assert tally[kind], (kind, tally)
