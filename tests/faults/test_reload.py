"""SIGHUP: new workers in the place of the old ones, while clients go on asking."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import httpx

from tests.faults.service import Service, write
from tests.faults.test_life import workers_of
from tests.servers import eventually

CHECK = {"object": "document:a", "relation": "view", "subject": "user:a"}


async def test_a_reload_refuses_and_cuts_nothing(data: Path) -> None:
    """Four clients keep their connections, and two open one for each request."""
    async with Service(data, STONETOWN_WORKERS="2") as service:
        await service.set_up()
        async with service.client() as client:
            assert await write(client, "document:a", ("user:a",)) == 200
        parent = service.process.pid
        first = workers_of(parent)
        opened = descriptors_of(parent)
        done = asyncio.Event()
        askers = [asyncio.create_task(ask(service, done, keep=n < 4)) for n in range(6)]
        for _ in range(2):
            before = workers_of(parent)
            service.process.send_signal(signal.SIGHUP)

            async def replaced(before: list[int] = before) -> bool:
                now = workers_of(parent)
                return len(now) == 2 and not {*before} & {*now}

            await eventually(replaced)
        done.set()
        answered = await asyncio.gather(*askers)
        assert min(answered) > 0
        assert not {*first} & {*workers_of(parent)}

        async def as_before() -> bool:
            return descriptors_of(parent) == opened

        await eventually(as_before)
        assert await service.stop() == 0
        assert not [pid for pid in first if Path(f"/proc/{pid}").exists()]


def descriptors_of(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def ask(service: Service, done: asyncio.Event, *, keep: bool) -> int:
    """Ask until `done`, on one connection or on one for each; how often. Fails when an answer is
    not what it should be."""
    count = 0
    limits = httpx.Limits(max_keepalive_connections=1 if keep else 0)
    url = f"{service.url}/v1/stores/default/check"
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        while not done.is_set():
            answer = await client.post(url, json=CHECK)
            assert answer.status_code == 200, answer.text
            assert answer.json()["decision"] == "allowed"
            count += 1
    return count


async def test_a_watch_ends_with_a_zookie_to_go_on_from(data: Path) -> None:
    async with Service(data, STONETOWN_WORKERS="2") as service, service.client() as client:
        await service.set_up()
        lines = {"accept": "application/x-ndjson"}
        async with client.stream("GET", "/watch", headers=lines) as watched:
            assert watched.status_code == 200
            service.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(60):
                told = [line async for line in watched.aiter_lines()]
        assert "zookie" in told[-1]


async def test_it_can_be_stopped_while_it_reloads(data: Path) -> None:
    async with Service(data, STONETOWN_WORKERS="2") as service:
        workers = workers_of(service.process.pid)
        service.process.send_signal(signal.SIGHUP)
        assert await service.stop() == 0
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


async def test_further_signals_do_not_cut_a_stop(data: Path) -> None:
    async with Service(data) as service:
        ended = asyncio.create_task(service.process.wait())
        for number in cycle((signal.SIGTERM, signal.SIGHUP, signal.SIGINT)):
            # Not by its own `send_signal`, which may take the exit status away from who waits.
            with suppress(ProcessLookupError):
                os.kill(service.process.pid, number)
            if ended in (await asyncio.wait([ended], timeout=0.001))[0]:
                break
        assert await ended == 0, await service.words()
