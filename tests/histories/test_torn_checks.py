"""A check on Postgres sees one revision, however many reads it takes and whatever is written."""

from __future__ import annotations

from tests.histories.nodes import cluster
from tests.histories.rooms import ROOMS, swap_rooms
from tests.histories.sequence_storage import SequenceStorage

SWAPS = 100


async def test_a_check_sees_one_revision(fresh_database: str) -> None:
    async with cluster(fresh_database) as nodes:
        assert await swap_rooms(nodes, SWAPS) == []
        assert len({one.revision for one in nodes.seen}) > ROOMS


async def test_revisions_from_a_sequence_tear_checks(fresh_database: str) -> None:
    async with cluster(fresh_database, SequenceStorage) as nodes:
        for _ in range(SWAPS):
            wrong = await swap_rooms(nodes, 2)
            if wrong:
                break
        assert wrong
