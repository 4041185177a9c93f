"""Lookups of subjects against the oracle, in random worlds with contextual tuples.

`tests/crosscheck` does so with overlays, and with more worlds.
"""

from __future__ import annotations

from collections import Counter

import pytest

from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from engine.tuples import Object
from tests.lookups.subjects import FORMS, compare, with_wildcards
from tests.worlds import Worlds


async def compare_seeds(storage: Storage, seeds: range, tally: Counter[str], each: int) -> None:
    wrong: list[str] = []
    for seed in seeds:
        worlds = Worlds(seed, strict=seed % 4 == 0)
        world = worlds.world()
        goals = [
            (check.object, check.relation, FORMS[number % len(FORMS)] if number % 2 else FORMS[0])
            for number, check in enumerate(worlds.checks(world, 1, each))
        ]
        if seed % 2:
            world = with_wildcards(world)
            kinds = ("doc", "folder", "group")
            goals += [(Object(kind, "1"), "edit", FORMS[0]) for kind in kinds]
        found = await compare(storage, world, goals, tally)
        wrong += [f"seed {seed}: {one}" for one in found]
    assert not wrong, "\n".join(wrong[:20])


def assert_varied(tally: Counter[str], least: int) -> None:
    for kind in ("allowed", "conditional", "denied", "wildcard", "gap"):
        assert tally[kind] >= least, tally


@pytest.mark.parametrize("first", range(0, 60, 20))
async def test_a_list_is_what_checks_say(first: int) -> None:
    tally: Counter[str] = Counter()
    await compare_seeds(MemoryStorage(), range(first, first + 20), tally, 8)
    assert_varied(tally, 5)


async def test_a_list_from_postgres_is_what_checks_say(fresh_database: str) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    tally: Counter[str] = Counter()
    await compare_seeds(storage, range(1000, 1015), tally, 4)
    await storage.close()
    assert_varied(tally, 5)
