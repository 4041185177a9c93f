"""Lookups of objects against the oracle, in random worlds with contextual tuples.

`tests/crosscheck` does so with overlays, and with more worlds.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.lookups.objects import SUBJECTS, TYPES, compare
from tests.lookups.subjects import with_wildcards
from tests.worlds import Worlds


async def compare_seeds(storage: Storage, seeds: range, tally: Counter[str], each: int) -> None:
    wrong: list[str] = []
    for seed in seeds:
        dice = random.Random(seed)
        world = Worlds(seed, strict=seed % 4 == 0).world()
        questions = [
            (
                dice.choice(SUBJECTS),
                dice.choice(["all", "view", "edit", "edit"]),
                dice.choice(TYPES),
            )
            for _ in range(each)
        ]
        if seed % 2:
            world = with_wildcards(world)
        found = await compare(storage, world, questions, tally)
        wrong += [f"seed {seed}: {one}" for one in found]
    assert not wrong, "\n".join(wrong[:20])


def assert_varied(tally: Counter[str], least: int) -> None:
    for kind in ("allowed", "conditional", "error"):
        assert tally[kind] >= least, tally


@pytest.mark.parametrize("first", range(0, 60, 20))
async def test_a_list_is_what_checks_say(first: int) -> None:
    tally: Counter[str] = Counter()
    await compare_seeds(MemoryStorage(), range(first, first + 20), tally, 5)
    assert_varied(tally, 5)


async def test_a_list_from_postgres_is_what_checks_say(fresh_database: str) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    tally: Counter[str] = Counter()
    await compare_seeds(storage, range(1000, 1020), tally, 4)
    await storage.close()
    assert_varied(tally, 5)
