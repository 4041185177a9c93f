"""Kills under write load: what was acknowledged stays, and no write is there by half."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from api.servers.process import processes_in
from tests.faults.service import Service, write

ROUNDS = 10
WRITERS = 4
USERS = ("user:a", "user:b", "user:c")
NOTHING_DONE = {503}
UNKNOWN = {0, 500, 504}


class Load:
    """Writers that never stop, and what each of their writes came to, by document."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.outcomes: dict[str, int] = {}
        self._acknowledged = asyncio.Condition()
        self._count = 0

    async def run(self, writer: int) -> None:
        """Write documents of this writer's own, one after the other, until cancelled."""
        number = 0
        while True:
            async with self._service.client() as client:
                status = 200
                while status == 200:
                    document = f"document:{writer}-{number}"
                    # A request that is cut off by the end of the test has no known outcome.
                    self.outcomes[document] = 0
                    status = await write(client, document, USERS)
                    self.outcomes[document] = status
                    number += 1
                    if status == 200:
                        await self._acknowledge()
            await asyncio.sleep(0.02)

    async def _acknowledge(self) -> None:
        async with self._acknowledged:
            self._count += 1
            self._acknowledged.notify_all()

    async def more(self, writes: int) -> None:
        """Return when that many further writes were acknowledged."""
        async with self._acknowledged, asyncio.timeout(60):
            target = self._count + writes
            await self._acknowledged.wait_for(lambda: self._count >= target)


def require_whole(outcomes: dict[str, int], stored: dict[str, set[str]]) -> None:
    """Every write is wholly there or wholly not, and as its answer said."""
    halves = {name: users for name, users in stored.items() if users != set(USERS)}
    assert halves == {}
    assert stored.keys() <= outcomes.keys()
    lost = [name for name, status in outcomes.items() if status == 200 and name not in stored]
    assert lost == []
    refused = [name for name, status in outcomes.items() if status in NOTHING_DONE]
    assert [name for name in refused if name in stored] == []
    assert set(outcomes.values()) <= {200} | NOTHING_DONE | UNKNOWN


async def kill_server(service: Service) -> None:
    """As the kernel does when memory is short; then start it again, on the same port."""
    service.process.kill()
    await service.process.wait()
    await service.start()


async def kill_postmaster(service: Service) -> None:
    """Its server starts it again by itself."""
    first = (service.data / "postgres" / "postmaster.pid").read_text().splitlines()[0]
    os.kill(int(first), signal.SIGKILL)


async def kill_backends(service: Service) -> None:
    """Every process of Postgres at once, as when a container is killed."""
    for pid in processes_in(service.data / "postgres"):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", [1, 2])
async def test_kills_lose_nothing(data: Path, seed: int) -> None:
    draw = random.Random(seed)
    kills = [kill_server, kill_postmaster, kill_backends]
    async with Service(data) as service:
        await service.set_up()
        load = Load(service)
        writers = [asyncio.create_task(load.run(number)) for number in range(WRITERS)]
        try:
            for number in range(ROUNDS):
                await load.more(draw.randint(5, 40))
                await kills[number % len(kills)](service)
            await load.more(20)
        finally:
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
        require_whole(load.outcomes, await service.viewers())
        assert Counter(load.outcomes.values())[200] >= ROUNDS * 5


def test_the_judge_finds_a_lost_write() -> None:
    with pytest.raises(AssertionError):
        require_whole({"document:1": 200}, {})


def test_the_judge_finds_half_a_write() -> None:
    with pytest.raises(AssertionError):
        require_whole({"document:1": 0}, {"document:1": {"user:a"}})


def test_the_judge_finds_a_refused_write() -> None:
    with pytest.raises(AssertionError):
        require_whole({"document:1": 503}, {"document:1": set(USERS)})
