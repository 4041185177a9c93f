"""Diffs over random write sequences are the differences of what is true before and after."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from tests.audit.differences import compare
from tests.lookups.subjects import with_wildcards
from tests.reference import World
from tests.worlds import Worlds


def without_expiries(world: World) -> World:
    """The world without tuples that may expire."""
    types = {}
    for name, known in world.schema.object_types.items():
        relations = {
            key: replace(
                relation,
                subject_types=tuple(
                    dict.fromkeys(
                        replace(form, expiration=False) for form in relation.subject_types
                    )
                ),
            )
            for key, relation in known.relations.items()
        }
        types[name] = replace(known, relations=relations)
    tuples = [item._replace(expires_at=None) for item in world.tuples]
    return world._replace(schema=replace(world.schema, object_types=types), tuples=tuples)


async def compare_seeds(storage: Storage, seeds: range) -> Counter[str]:
    wrong: list[str] = []
    tally = Counter[str](overlay=0, context=0)
    for seed in seeds:
        world = Worlds(seed).world()
        if seed % 2:
            world = with_wildcards(world)
        if seed % 4 < 2:
            # Then only the objects that a change can reach are looked at.
            world = without_expiries(world)
        wrong += [f"seed {seed}: {one}" for one in await compare(storage, world, seed, tally)]
    assert not wrong, "\n".join(wrong[:20])
    return tally


@pytest.mark.parametrize("first", range(0, 60, 20))
async def test_a_diff_is_the_difference(first: int) -> None:
    tally = await compare_seeds(MemoryStorage(), range(first, first + 20))
    assert min(tally.values()) > 3, tally


async def test_a_diff_on_postgres_is_the_difference(fresh_database: str) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    tally = await compare_seeds(storage, range(500, 512))
    await storage.close()
    assert min(tally.values()) > 3, tally
