"""Publications that travel together: every one is under way after it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from engine.cache.publishing import Publishing
from engine.cache.redis import RedisAnnouncer
from engine.store.protocol import Snapshot
from engine.tuples import Object
from tests.store.tenant import NOW

STORE = "a" * 32


class Wire:
    """Where publications go: each waits to be let through, and is kept."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, Collection[bytes] | None]] = []
        self.through = asyncio.Semaphore(0)
        self.says = True

    async def send(self, store_id: str, revision: int, names: Collection[bytes] | None) -> bool:
        self.sent.append((store_id, revision, names))
        await self.through.acquire()
        return self.says


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_arrives_while_one_is_under_way_goes_with_the_next() -> None:
    wire = Wire()
    publishing = Publishing(wire.send, most_names=3)
    first = asyncio.create_task(publishing.publish(STORE, 1, {b"a"}))
    await settled()
    later = [
        asyncio.create_task(publishing.publish(STORE, revision, names))
        for revision, names in ((3, {b"b"}), (2, {b"a"}))
    ]
    other = asyncio.create_task(publishing.publish("b" * 32, 9, None))
    await settled()
    assert wire.sent == [(STORE, 1, {b"a"}), ("b" * 32, 9, None)]
    wire.through.release()
    assert await first
    await settled()
    assert wire.sent[2:] == [(STORE, 3, {b"a", b"b"})]
    assert not any(task.done() for task in later)
    later[0].cancel()
    wire.through.release()
    wire.through.release()
    assert await later[1]
    assert await other


@pytest.mark.parametrize("names", [{b"c", b"d"}, None])
async def test_too_many_names_stand_for_all(names: set[bytes] | None) -> None:
    wire = Wire()
    publishing = Publishing(wire.send, most_names=3)
    wire.through.release()
    assert all(
        await asyncio.gather(
            publishing.publish(STORE, 1, {b"a", b"b"}),
            publishing.publish(STORE, 2, names),
            publishing.publish(STORE, 3, {b"e"}),
        )
    )
    assert wire.sent == [(STORE, 3, None)]


async def test_a_publication_that_fails_fails_for_all_of_it() -> None:
    wire = Wire()
    publishing = Publishing(wire.send, most_names=3)
    wire.says = False
    wire.through.release()
    assert (
        await asyncio.gather(*(publishing.publish(STORE, 1, {b"a"}) for _ in range(3)))
        == [False] * 3
    )


async def test_closing_leaves_it_open() -> None:
    wire = Wire()
    publishing = Publishing(wire.send, most_names=3)
    waiting = [asyncio.create_task(publishing.publish(STORE, 1, {b"a"}))]
    await settled()
    waiting.append(asyncio.create_task(publishing.publish(STORE, 2, {b"b"})))
    await settled()
    await publishing.close()
    assert [await task for task in waiting] == [False, False]


async def test_every_object_is_on_record_under_its_revision_or_a_later_one(
    valkey_url: str,
) -> None:
    announcer = RedisAnnouncer(valkey_url, prefix="publishing")
    try:
        await announcer.written_since(STORE, 0, 0)
        published = await asyncio.gather(
            *(
                announcer.publish(Snapshot(STORE, n, 1, 0, NOW), [Object("doc", f"{n}")])
                for n in range(1, 41)
            )
        )
        assert all(published)
        known_as_of = float("inf")
        written = await announcer.written_since(STORE, 0, known_as_of)
        assert written is not None
        for n in range(1, 41):
            assert n <= written.newest([Object("doc", f"{n}")]) <= 40
        assert written.newest([Object("doc", "41")]) == 0
        later = await announcer.written_since(STORE, 40, known_as_of)
        assert later is not None
        assert later.newest([Object("doc", f"{n}") for n in range(1, 41)]) == 0
    finally:
        await announcer.close()
