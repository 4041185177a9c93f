"""No new enemy on Postgres; and the test would find a storage that has one."""

from __future__ import annotations

from redis.asyncio import Redis

from tests.histories.new_enemy import run_trials
from tests.histories.nodes import cluster
from tests.histories.sequence_storage import SequenceStorage

TRIALS = 2000


async def test_a_removed_tuple_never_allows_again(fresh_database: str) -> None:
    async with cluster(fresh_database) as nodes:
        assert await run_trials(nodes, range(TRIALS), seed=1) == []
        before = sum(one.allowed for one in nodes.seen)
        assert before > TRIALS // 2, "few checks raced with a removal"


async def test_nor_while_redis_forgets(fresh_database: str, valkey_url: str) -> None:
    async with (
        cluster(fresh_database, valkey_url=valkey_url) as nodes,
        Redis.from_url(valkey_url, protocol=2) as redis,
    ):
        assert await run_trials(nodes, range(TRIALS // 5), 2, disturb=redis.flushall) == []


async def test_revisions_from_a_sequence_make_enemies(fresh_database: str) -> None:
    async with cluster(fresh_database, SequenceStorage) as nodes:
        for start in range(0, TRIALS, 100):
            violations = await run_trials(nodes, range(start, start + 100), seed=start)
            if violations:
                break
        assert violations
