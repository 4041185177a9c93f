"""Tuples laid over a reverse reader, and taken away, read as if that had been written."""

from __future__ import annotations

import random

import pytest

from engine.errors import BudgetExceeded
from engine.reader import ReverseEdge, ReverseReader
from engine.store.memory import MemoryStorage
from engine.store.reverse_overlay import ReverseOverlayReader
from engine.tuples import parse_tuple
from tests.store.contract_reverse import reverse
from tests.store.tenant import NO_LIMIT, NOW, Tenant, touch

IDENTITIES = [
    f"doc:{object_}#{relation}@{subject}"
    for object_ in range(6)
    for relation in ("viewer", "editor")
    for subject in ("user:a", "user:*", "group:a#member")
]
SUFFIXES = ("", "[weekday]", '[weekday:{"day":1}]', "[expiration:2001-01-01T00:00:00Z]")
SCANS = [
    reverse(f"doc#{relation}@{subject}", after)
    for relation in ("viewer", "editor")
    for subject in ("user:a", "user:*", "group:a#member", "group:a")
    for after in ("", "2", "9")
]


async def reader_of(*texts: str) -> ReverseReader:
    """A reader of a store that holds these tuples."""
    tenant = await Tenant.make(MemoryStorage())
    await tenant.write(touch(*texts), now=NOW.replace(year=2000))
    return tenant.storage.reader(await tenant.snapshot())


@pytest.mark.parametrize("seed", range(40))
async def test_an_overlay_reads_as_if_written(seed: int) -> None:
    dice = random.Random(seed)
    stored = {one: one + dice.choice(SUFFIXES) for one in dice.sample(IDENTITIES, 16)}
    context = {one: one + dice.choice(SUFFIXES) for one in dice.sample(IDENTITIES, 12)}
    removed = dice.sample([one for one in IDENTITIES if one not in context], 8)
    left = {one: text for one, text in stored.items() if one not in removed}
    written = await reader_of(*(left | context).values())
    laid_over = ReverseOverlayReader(
        await reader_of(*stored.values()),
        [parse_tuple(text) for text in context.values()],
        [parse_tuple(text) for text in removed],
    )
    for each in (1, 2, 3, NO_LIMIT):
        expected = await written.objects_of(SCANS, each, NO_LIMIT)
        assert await laid_over.objects_of(SCANS, each, NO_LIMIT) == expected


async def test_the_limit_does_not_count_what_is_removed() -> None:
    stored = await reader_of(*(f"doc:{id_}#viewer@user:a" for id_ in range(5)))
    removed = [parse_tuple(f"doc:{id_}#viewer@user:a") for id_ in range(4)]
    reader = ReverseOverlayReader(stored, [], removed)
    assert await reader.objects_of([reverse("doc#viewer@user:a")], 1, 1) == [[ReverseEdge("4")]]


async def test_the_limit_counts_what_is_seen() -> None:
    stored = await reader_of("doc:1#viewer@user:a", "doc:2#viewer@user:a")
    more = [parse_tuple(f"doc:{id_}#viewer@user:a") for id_ in (2, 3)]
    reader = ReverseOverlayReader(stored, more)
    asked = [reverse("doc#viewer@user:a")]
    assert await reader.objects_of(asked, 9, 3) == [[ReverseEdge(id_) for id_ in "123"]]
    with pytest.raises(BudgetExceeded) as stopped:
        await reader.objects_of(asked, 9, 2)
    assert stopped.value.extra["budget"] == "reads"
