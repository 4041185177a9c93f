"""Redis absent, frozen, slow, flushed, restarted, restored, full, or lying.

Never an answer at a revision that storage does not have, and never one staler than the bound; and
read-your-writes holds under every fault but a lie.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import uvloop
from redis import Redis as Blocking
from redis.asyncio import Redis

from api.servers.valkey import PrivateValkey
from engine.cache.redis import RedisAnnouncer
from engine.tuples import Object
from tests.freshness.node import BOUND, DOCUMENT
from tests.freshness.test_redis import OTHER, Pair, pair_at
from tests.freshness.test_shared_read import settle
from tests.servers import FaultProxy, frozen

TURNS = 8


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    """A Valkey that tests may freeze, fill and kill."""
    with PrivateValkey(tmp_path_factory.mktemp("faulty")) as server:
        yield server


@pytest.fixture
async def pair(valkey: PrivateValkey) -> AsyncIterator[Pair]:
    async with pair_at(valkey.url, valkey.url) as made:
        await made.settle()
        yield made


async def sees_its_writes(pair: Pair) -> None:
    """Checks through one node see what was acknowledged by the other, in both directions."""
    for turn in range(TURNS):
        writer, checker = (pair.here, pair.there) if turn % 2 else (pair.there, pair.here)
        written = await writer.write(pair.store, DOCUMENT)
        assert await checker.revision(pair.store, objects=[DOCUMENT]) >= written.revision


async def stays_in_bounds(pair: Pair, *objects: Object) -> None:
    """Answers are at revisions that exist and include all that is older than the bound."""
    for _ in range(TURNS):
        written = await pair.here.write(pair.store, *objects)
        assert await pair.there.revision(pair.store, objects=objects) <= written.revision
        pair.there.clock.advance(BOUND + 0.001)
        assert await pair.there.revision(pair.store, objects=objects) == written.revision


async def test_present(pair: Pair) -> None:
    await sees_its_writes(pair)
    await stays_in_bounds(pair, DOCUMENT, OTHER)


async def test_absent(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/nothing.sock"
    async with pair_at(nowhere, nowhere) as pair:
        await sees_its_writes(pair)
        await stays_in_bounds(pair, DOCUMENT, OTHER)


async def test_absent_for_the_writer_only(valkey: PrivateValkey, tmp_path: Path) -> None:
    """The checker's Redis says that nothing was written: so the write waits out the bound."""
    async with pair_at(f"unix://{tmp_path}/nothing.sock", valkey.url) as pair:
        await pair.settle()
        for _ in range(TURNS):
            written = await pair.here.write(pair.store, DOCUMENT)
            found = await pair.there.revision(pair.store, objects=[DOCUMENT])
            assert found >= written.revision
            await pair.settle()


async def test_absent_for_the_checker_only(valkey: PrivateValkey, tmp_path: Path) -> None:
    async with pair_at(valkey.url, f"unix://{tmp_path}/nothing.sock") as pair:
        await sees_its_writes(pair)


async def test_frozen_and_thawed(pair: Pair, valkey: PrivateValkey) -> None:
    await sees_its_writes(pair)
    with frozen(valkey):
        await sees_its_writes(pair)
    await sees_its_writes(pair)


# Where time goes by: after 0, 0.05, 0.15, 0.35, 0.75 and 1.55 seconds, then once a second, about.
@pytest.mark.parametrize(("step", "faults"), [(0.0, range(1, 2)), (0.05, range(6, 11))])
async def test_a_frozen_redis_is_not_asked_by_every_check(
    pair: Pair, valkey: PrivateValkey, step: float, faults: range
) -> None:
    announcer = pair.there.freshness.announcer
    with frozen(valkey):
        for _ in range(100):
            await pair.there.revision(pair.store, objects=[DOCUMENT])
            pair.there.clock.advance(step)
    assert announcer.faults in faults  # type: ignore[union-attr]  # it has one


async def test_a_redis_that_was_slow_once_is_asked_again_soon(
    pair: Pair, valkey: PrivateValkey
) -> None:
    await pair.settle()
    announcer = pair.there.freshness.announcer
    with frozen(valkey):
        await pair.there.revision(pair.store, objects=[OTHER])
    pair.there.clock.advance(0.06)
    await pair.settle()
    before = pair.there.reads
    await pair.there.revision(pair.store, objects=[OTHER])
    assert pair.there.reads == before
    assert announcer.faults == 1  # type: ignore[union-attr]  # it has one


def test_a_process_that_was_kept_from_running_reads_what_came_meanwhile(
    valkey: PrivateValkey,
) -> None:
    """On the loop of servers, where timers that are due come before what has arrived since the
    loop last looked."""

    async def asked() -> int:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        stalled = asyncio.Event()
        blocking = Blocking.from_url(valkey.url, protocol=2)
        blocking.ping()

        def stall() -> None:
            here.recv(1)
            blocking.blpop(["nothing"], timeout=0.3)
            stalled.set()

        loop.add_reader(here, stall)
        async with pair_at(valkey.url, valkey.url) as pair:
            await pair.settle()
            announcer = pair.there.freshness.announcer
            for _ in range(3):
                with frozen(valkey):
                    asking = asyncio.create_task(pair.there.revision(pair.store, objects=[OTHER]))
                    await settle()
                there.send(b".")
                await asking
                await stalled.wait()
                stalled.clear()
        loop.remove_reader(here)
        blocking.close()
        here.close()
        there.close()
        assert isinstance(announcer, RedisAnnouncer)
        return announcer.faults

    assert uvloop.run(asked()) == 0


async def test_slow(valkey: PrivateValkey, tmp_path: Path) -> None:
    target = Path(unquote(valkey.url.removeprefix("unix://")))
    listen = tmp_path / "slow.sock"
    url = f"unix://{listen}"
    async with FaultProxy(listen, target) as proxy, pair_at(url, url) as pair:
        await sees_its_writes(pair)
        for delay in (0.01, 0.03, 0.06, 0.3, 0.0):
            proxy.delay = delay
            await sees_its_writes(pair)


async def test_cut_in_the_middle(valkey: PrivateValkey, tmp_path: Path) -> None:
    target = Path(unquote(valkey.url.removeprefix("unix://")))
    listen = tmp_path / "cut.sock"
    url = f"unix://{listen}"
    async with FaultProxy(listen, target) as proxy, pair_at(url, url) as pair:
        await sees_its_writes(pair)
        for trap in ("cut_at_request", "cut_at_reply"):
            for bytes_to_meet in (b"ZREVRANGE", b"EVALSHA", b":0", b"$35"):
                setattr(proxy, trap, bytes_to_meet)
                await sees_its_writes(pair)


async def test_a_connection_that_was_closed_while_idle_is_opened_anew(pair: Pair) -> None:
    announcer = pair.there.freshness.announcer
    for _ in range(TURNS):
        await pair.redis.client_kill_filter(_type="normal", skipme=True)
        written = await pair.here.write(pair.store, DOCUMENT)
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) >= written.revision
    assert announcer.faults == 0  # type: ignore[union-attr]  # it has one


async def test_flushed_between_write_and_check(pair: Pair) -> None:
    for _ in range(TURNS):
        await pair.settle()
        written = await pair.here.write(pair.store, DOCUMENT)
        await pair.redis.flushall()
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) >= written.revision


async def test_flushed_and_begun_again_by_another_write(pair: Pair) -> None:
    """The record is there again, without the write that was lost: absence proves nothing yet."""
    for _ in range(TURNS):
        await pair.settle()
        written = await pair.here.write(pair.store, DOCUMENT)
        await pair.redis.flushall()
        await pair.here.freshness.published(written._replace(revision=0), [OTHER])
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) >= written.revision


async def test_evicted_and_begun_again(pair: Pair) -> None:
    for _ in range(TURNS):
        await pair.settle()
        written = await pair.here.write(pair.store, DOCUMENT)
        await pair.redis.delete(_writes(pair))
        await pair.here.freshness.published(written._replace(revision=0), [OTHER])
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) >= written.revision


async def test_restarted_empty(pair: Pair, valkey: PrivateValkey) -> None:
    for _ in range(2):
        await sees_its_writes(pair)
        await pair.settle()
        written = await pair.here.write(pair.store, DOCUMENT)
        valkey.stop()
        valkey.start()
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) >= written.revision
        await sees_its_writes(pair)


async def test_restarted_from_an_older_dump(pair: Pair, valkey: PrivateValkey) -> None:
    """The record comes back with its id and without the last write: only the connection tells."""
    await pair.settle()
    await pair.redis.save()
    written = await pair.here.write(pair.store, DOCUMENT)
    before = await pair.redis.zrange(_writes(pair), -1, -1)
    valkey.stop()
    valkey.start()
    await pair.redis.connection_pool.disconnect()
    assert await pair.redis.zrange(_writes(pair), -1, -1) == before
    assert await pair.there.revision(pair.store, objects=[DOCUMENT]) >= written.revision
    await sees_its_writes(pair)


async def test_full(pair: Pair) -> None:
    """It answers and takes no writes: they are acknowledged when the bound has passed."""
    await pair.redis.config_set("maxmemory", 1)
    try:
        await sees_its_writes(pair)
        await stays_in_bounds(pair, DOCUMENT, OTHER)
    finally:
        await pair.redis.config_set("maxmemory", "256mb")
    await sees_its_writes(pair)


LIES = {"too high": 2**40, "too low": 0, "beyond every integer": 10**30, "negative": -1}
GARBAGE = {"infinite": "inf", "a float": 10**6 + 0.5, "very high": 1e300}


async def put(pair: Pair, key: str | bytes, name: Any, revision: str | float) -> None:
    """Put a name on record."""
    await pair.redis.zadd(key, dict[Any, Any]({name: revision}))


async def forge(pair: Pair, lie: str | float) -> None:
    """Put a value in the place of every revision on record."""
    for key in await pair.keys():
        for name in await pair.redis.zrange(key, 0, -2):
            await put(pair, key, name, lie)


@pytest.mark.parametrize("lie", [*LIES.values(), *GARBAGE.values()], ids=[*LIES, *GARBAGE])
async def test_a_forged_revision(pair: Pair, lie: str | float) -> None:
    for _ in range(TURNS):
        await pair.here.write(pair.store, DOCUMENT, OTHER)
        await forge(pair, lie)
        await stays_in_bounds(pair, DOCUMENT)
    await pair.redis.flushall()
    await sees_its_writes(pair)


@pytest.mark.parametrize("lie", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_not_taken_for_no_write(pair: Pair, lie: str | float) -> None:
    for _ in range(TURNS):
        await pair.settle()
        written = await pair.here.write(pair.store, DOCUMENT)
        await forge(pair, lie)
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) == written.revision


async def test_a_forged_revision_that_is_too_high_costs_reads_and_nothing_else(pair: Pair) -> None:
    written = await pair.here.write(pair.store, DOCUMENT)
    await forge(pair, LIES["too high"])
    await pair.settle()
    before = pair.there.seam.asked["head"]
    for _ in range(10):
        assert await pair.there.revision(pair.store, objects=[DOCUMENT]) == written.revision
    assert pair.there.seam.asked["head"] == before + 10


@pytest.mark.parametrize("lie", ["", "x", "1", "id:", "id:" + "z" * 32, b"\xff" * 35])
@pytest.mark.parametrize("beside", [True, False])
async def test_a_forged_id(pair: Pair, lie: str | bytes, beside: bool) -> None:
    for _ in range(2):
        if not beside:
            await pair.redis.zremrangebyrank(_writes(pair), -1, -1)
        await put(pair, _writes(pair), lie, "inf")
        await stays_in_bounds(pair, DOCUMENT)
    await sees_its_writes(pair)


@pytest.mark.parametrize("kind", ["string", "list", "set", "hash", "stream"])
async def test_another_type_under_the_key_is_replaced(pair: Pair, kind: str) -> None:
    key = _writes(pair)
    await pair.redis.delete(key)
    match kind:
        case "string":
            await pair.redis.set(key, "x")
        case "list":
            await pair.redis.rpush(key, "x")
        case "set":
            await pair.redis.sadd(key, "x")
        case "hash":
            await pair.redis.hset(key, "x", "1")
        case "stream":
            await pair.redis.xadd(key, {"x": "x"})
    await sees_its_writes(pair)
    await stays_in_bounds(pair, DOCUMENT)
    await pair.settle()
    before = pair.there.reads
    await pair.there.revision(pair.store, objects=[OTHER])
    assert pair.there.reads == before


async def test_the_record_of_another_store(pair: Pair) -> None:
    """Its id and its revisions, as one that can write to Redis would copy them."""
    other = await pair.here.seam.inner.create_store("other")
    for _ in range(5):
        await pair.here.write(other, DOCUMENT)
        await pair.there.revision(other, objects=[DOCUMENT])
    foreign = _writes(pair).replace(pair.store.id, other.id)
    for _ in range(TURNS):
        await pair.redis.copy(foreign, _writes(pair), replace=True)
        await stays_in_bounds(pair, DOCUMENT)


async def test_faults_one_upon_the_other(pair: Pair, valkey: PrivateValkey) -> None:
    """Two writers and two checkers all the while; each check sees what was acknowledged."""
    last = 0
    stop = asyncio.Event()

    async def write_always() -> None:
        nonlocal last
        while not stop.is_set():
            written = await pair.here.write(pair.store, DOCUMENT)
            last = max(last, written.revision)

    async def check_always() -> int:
        checks = 0
        while not stop.is_set():
            acknowledged = last
            assert await pair.there.revision(pair.store, objects=[DOCUMENT]) >= acknowledged
            checks += 1
        return checks

    async def disturb() -> None:
        async with Redis.from_url(valkey.url, protocol=2) as redis:
            for turn in range(60):
                await redis.flushall()
                for _ in range(turn % 7):
                    await asyncio.sleep(0)
                await redis.client_kill_filter(_type="normal", skipme=True)
                await pair.there.revision(pair.store, objects=[DOCUMENT])
        with frozen(valkey):
            await sees_its_writes(pair)
        stop.set()

    done = await asyncio.gather(
        disturb(), *(write_always() for _ in range(2)), *(check_always() for _ in range(2))
    )
    assert min(checks for checks in done if checks is not None) > 0


def _writes(pair: Pair) -> str:
    return f"stonetown:2:{{{pair.store.id}}}:writes"
