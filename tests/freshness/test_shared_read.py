"""One read for many: who may join it, who waits for the next, and who can stop it."""

from __future__ import annotations

import asyncio

import pytest

from engine.cache.shared import Lru, SharedRead
from engine.errors import Unavailable
from tests.freshness.clock import ManualClock


class Source:
    """A counter behind a gate: each read takes a number when it begins to be answered."""

    def __init__(self) -> None:
        self.began = 0
        self.open = asyncio.Event()
        self.fail = False

    async def read(self) -> int:
        self.began += 1
        number = self.began
        await self.open.wait()
        if self.fail:
            raise Unavailable("away")
        return number


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_ask_together_share_one_read() -> None:
    source, clock = Source(), ManualClock()
    shared = SharedRead(source.read, clock=clock)
    started = clock()
    asking = [asyncio.create_task(shared.since(started)) for _ in range(50)]
    await settle()
    source.open.set()
    assert await asyncio.gather(*asking) == [1] * 50


async def test_a_read_that_began_too_early_is_not_joined_and_the_next_is_shared() -> None:
    source, clock = Source(), ManualClock()
    shared = SharedRead(source.read, clock=clock)
    first = asyncio.create_task(shared.since(clock()))
    await settle()
    began = clock()
    late = [asyncio.create_task(shared.since(began)) for _ in range(50)]
    await settle()
    source.open.set()
    assert await first == 1
    assert await asyncio.gather(*late) == [2] * 50


async def test_a_value_is_as_of_the_moment_its_read_began() -> None:
    source, clock = Source(), ManualClock()
    shared = SharedRead(source.read, clock=clock)
    started = clock()
    asking = asyncio.create_task(shared.since(started))
    await settle()
    clock.advance(5)
    source.open.set()
    assert await asking == 1
    assert await shared.since(started) == 1
    assert await shared.since(clock()) == 2


async def test_one_who_gives_up_does_not_stop_the_others() -> None:
    source, clock = Source(), ManualClock()
    shared = SharedRead(source.read, clock=clock)
    started = clock()
    leaving, staying = (asyncio.create_task(shared.since(started)) for _ in range(2))
    await settle()
    leaving.cancel()
    await settle()
    source.open.set()
    assert await staying == 1
    assert leaving.cancelled()


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    source, clock = Source(), ManualClock()
    shared = SharedRead(source.read, clock=clock)
    started = clock()
    asking = [asyncio.create_task(shared.since(started)) for _ in range(3)]
    await settle()
    source.fail = True
    source.open.set()
    failures = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(failure) for failure in failures] == [Unavailable] * 3
    source.fail = False
    assert await shared.since(clock()) == 2


async def test_a_value_is_renewed_without_anybody_waiting() -> None:
    source, clock = Source(), ManualClock()
    source.open.set()
    shared = SharedRead(source.read, clock=clock)
    assert await shared.since(clock()) == 1
    source.open.clear()
    shared.renew(shared.began - 1)
    assert source.began == 1
    middle = clock()
    shared.renew(middle)
    shared.renew(clock())
    await settle()
    assert (source.began, shared.value) == (2, 1)
    source.open.set()
    await settle()
    assert shared.value == 2
    assert shared.began > middle


async def test_a_renewal_that_fails_leaves_the_value_and_is_not_repeated_at_once() -> None:
    source, clock = Source(), ManualClock()
    source.open.set()
    shared = SharedRead(source.read, clock=clock)
    began = clock()
    assert await shared.since(began) == 1
    source.fail = True
    middle = clock()
    for _ in range(3):
        shared.renew(middle)
        await settle()
    assert (source.began, shared.value) == (2, 1)
    assert began < shared.began < middle
    with pytest.raises(Unavailable):
        await shared.since(middle)


async def test_a_read_that_hangs_ends_at_its_deadline() -> None:
    shared = SharedRead(Source().read, deadline=0.01)
    with pytest.raises(Unavailable):
        await shared.since(0.0)


async def test_closing_ends_the_running_read() -> None:
    source = Source()
    shared = SharedRead(source.read)
    asking = asyncio.create_task(shared.since(0.0))
    await settle()
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_what_was_unused_for_longest_is_dropped() -> None:
    lru: Lru[str, int] = Lru(2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert lru.used("a") == 1
    lru.put("c", 3)
    assert (lru.used("a"), lru.used("b"), lru.used("c")) == (1, None, 3)
