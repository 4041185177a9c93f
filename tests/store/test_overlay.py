"""Tuples laid over a reader, and taken away, read as if that had been written."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from engine.errors import BudgetExceeded
from engine.reader import Edge, Probe, Reader, Scan
from engine.store.memory import MemoryStorage
from engine.store.overlay import OverlayReader
from engine.tuples import parse_tuple
from tests.store.tenant import NO_LIMIT, NOW, Tenant, edge, probe, scan, touch

ANN = "doc:1#viewer@user:ann"
ENG = "doc:1#viewer@group:eng#member"
IDENTITIES = [
    f"doc:{object_}#{relation}@{subject}"
    for object_ in (1, 2)
    for relation in ("viewer", "editor")
    for subject in ("user:a", "user:*", "group:a", "group:a#member", "group:b#member")
]
SUFFIXES = ("", "[weekday]", '[weekday:{"day":1}]', "[expiration:2001-01-01T00:00:00Z]")
PROBES = [probe(identity) for identity in IDENTITIES]
SCANS = [
    scan(f"doc:{object_}#{relation}", only_usersets=only)
    for object_ in (1, 2, 3)
    for relation in ("viewer", "editor")
    for only in (False, True)
]


async def reader_of(*texts: str) -> Reader:
    """A reader of a store that holds these tuples."""
    tenant = await Tenant.make(MemoryStorage())
    await tenant.write(touch(*texts), now=NOW.replace(year=2000))
    return tenant.storage.reader(await tenant.snapshot())


def over(reader: Reader, *texts: str) -> OverlayReader:
    """Contextual tuples laid over a reader."""
    return OverlayReader(reader, [parse_tuple(text) for text in texts])


async def answers(reader: Reader) -> tuple[list[Edge | None], list[list[Edge]]]:
    """Every probe and scan of this module, the edges of each scan sorted by identity."""
    found, lists = await reader.fetch(PROBES, SCANS, NO_LIMIT)
    return list(found), [sorted(edges, key=lambda one: one[:3]) for edges in lists]


@pytest.mark.parametrize("seed", range(50))
async def test_an_overlay_reads_as_if_written(seed: int) -> None:
    dice = random.Random(seed)
    stored = {one: one + dice.choice(SUFFIXES) for one in dice.sample(IDENTITIES, 8)}
    context = {one: one + dice.choice(SUFFIXES) for one in dice.sample(IDENTITIES, 6)}
    removed = dice.sample([one for one in IDENTITIES if one not in context], 5)
    left = {one: text for one, text in stored.items() if one not in removed}
    laid_over = OverlayReader(
        await reader_of(*stored.values()),
        [parse_tuple(text) for text in context.values()],
        [parse_tuple(text) for text in removed],
    )
    assert await answers(laid_over) == await answers(await reader_of(*(left | context).values()))


async def test_the_limit_does_not_count_what_is_removed() -> None:
    reader = OverlayReader(await reader_of(ANN, ENG), [], [parse_tuple(ANN)])
    _, lists = await reader.fetch([], [scan("doc:1#viewer")], 1)
    assert lists == [[edge(ENG)]]


async def test_a_probe_that_the_context_answers_reads_no_store() -> None:
    asked: list[tuple[Sequence[Probe], Sequence[Scan]]] = []
    stored = await reader_of(ENG)

    class Counting:
        async def fetch(
            self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
        ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
            asked.append((probes, scans))
            return await stored.fetch(probes, scans, limit)

    reader = over(Counting(), ANN)
    assert await reader.fetch([probe(ANN)], [], 1) == ([edge(ANN)], [])
    assert asked == []
    assert await reader.fetch([probe(ANN), probe(ENG)], [], 1) == ([edge(ANN), edge(ENG)], [])
    assert asked == [([probe(ENG)], [])]


async def test_the_limit_counts_what_is_seen() -> None:
    reader = over(await reader_of(ANN, ENG), f"{ANN}[weekday]", "doc:1#viewer@user:ben")
    asked = [scan("doc:1#viewer")]
    _, lists = await reader.fetch([], asked, 3)
    assert len(lists[0]) == 3
    with pytest.raises(BudgetExceeded) as stopped:
        await reader.fetch([], asked, 2)
    assert stopped.value.extra["budget"] == "reads"
    hidden = over(await reader_of(ANN, ENG), ANN)
    assert len((await hidden.fetch([], asked, 2))[1][0]) == 2


async def test_the_last_of_equal_identities_counts() -> None:
    reader = over(await reader_of(), ANN, f"{ANN}[weekday]")
    found, lists = await reader.fetch([probe(ANN)], [scan("doc:1#viewer")], 9)
    assert (found, lists) == ([edge(f"{ANN}[weekday]")], [[edge(f"{ANN}[weekday]")]])
