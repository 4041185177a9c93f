"""Checks that share a moment: as fresh as those that do not, whatever the index lags behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.cache.redis import RedisAnnouncer
from engine.cache.shared import elapsed
from engine.consistency import Freshness
from engine.engine import Engine
from engine.errors import EngineError, UnknownSchema, UnknownType
from engine.pages import Way
from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    Check,
    CheckAnswer,
    LookupObjects,
    Overlay,
    WriteRequest,
)
from engine.store.memory import MemoryStorage
from engine.store.protocol import (
    SchemaCommand,
    StoreRecord,
    Update,
    UpdateOp,
    WriteCommand,
    WriteOutcome,
)
from engine.telling import Found
from engine.tuples import parse_object, parse_subject, parse_tuple
from tests.index.indexed import NearStorage

SCHEMA = "definition user {} definition document { relation viewer: user }"
STORE = "acme"
BOUND = 600.0
UNUSED = "definition group {}"


class Lagging(NearStorage):
    """Its index is brought level only when the test says so."""

    names_read = 0

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        return await MemoryStorage.write(self, store_id, command)

    async def get_store(self, name: str) -> StoreRecord:
        self.names_read += 1
        return await super().get_store(name)

    async def advance(self) -> None:
        await self.level((await self.get_store(STORE)).id)


class Nodes:
    """One that writes and one that checks on its index, with a Valkey between them."""

    def __init__(self, storage: Lagging, url: str, *, waits: bool) -> None:
        self.storage = storage
        self.writing = Engine(
            storage, freshness=Freshness(storage, announcer=RedisAnnouncer(url, prefix="moments"))
        )
        announcer = RedisAnnouncer(url, prefix="moments")
        # A bound that no test lasts as long as: so what is seen is not owed to it.
        freshness = Freshness(
            storage,
            announcer=announcer,
            local=storage.local,
            max_staleness=BOUND,
            clock=lambda: elapsed() + self.ahead,
            pause=self._pause,
        )
        self.checking = Engine(storage, freshness=freshness)
        self.ahead = 0.0
        self.waits = waits
        self.told = 0
        self.pauses = 0

    async def _pause(self, seconds: float) -> None:
        self.pauses += 1
        await asyncio.sleep(seconds)

    async def write(self, text: str, op: UpdateOp = UpdateOp.TOUCH) -> str:
        update = Update(op, parse_tuple(text))
        return (await self.writing.write(STORE, WriteRequest((update,)))).zookie

    async def check(self, item: str, subject: str = "user:ann") -> tuple[bool, str]:
        asked = Check(parse_object(item), "viewer", parse_subject(subject))
        answer = await self.ask(asked)
        return answer.decision.allowed, answer.zookie

    async def ask(self, asked: Check, overlay: Overlay | None = None) -> CheckAnswer:
        """Ask as servers do, by a task or with others and without, as this was made."""
        if self.waits:
            return await self.checking.check(STORE, asked, overlay=overlay)
        told: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        how = (STORE, asked, MINIMIZE_LATENCY, told.set_result)
        if self.checking.together.ask(*how, deadline=60.0, overlay=overlay):
            found = await told
            if isinstance(found, EngineError):
                raise found
            if found is not None:
                self.told += 1
                return found
        return await self.checking.check(STORE, asked, overlay=overlay)

    async def named(self, item: str, name: str | None) -> tuple[bool, str, str]:
        """What a check by the version of a name says, the name it tells, and its zookie."""
        asked = Check(parse_object(item), "viewer", parse_subject("user:ann"))
        overlay = None if name is None else Overlay(named=name)
        answer = await self.ask(asked, overlay)
        return answer.decision.allowed, answer.schema_name, answer.zookie

    async def settle(self) -> str:
        """Have the index level since this node saw the record of writes; the zookie it is at."""
        for _ in range(4):
            await self.storage.advance()
            _, zookie = await self.check("document:none")
        return zookie


@asynccontextmanager
async def started(url: str, *, waits: bool = True) -> AsyncIterator[Nodes]:
    nodes = Nodes(Lagging(), url, waits=waits)
    await nodes.writing.create_store(STORE)
    await nodes.writing.write_schema(STORE, SCHEMA)
    try:
        yield nodes
    finally:
        await nodes.writing.freshness.close()
        await nodes.checking.close()


@pytest.fixture(params=["alone", "together"])
async def nodes(request: pytest.FixtureRequest, valkey_url: str) -> AsyncIterator[Nodes]:
    async with started(valkey_url, waits=request.param == "alone") as made:
        yield made


async def test_a_write_to_the_object_counts_and_others_stay_on_the_index(nodes: Nodes) -> None:
    await nodes.write("document:1#viewer@user:ann")
    before = await nodes.settle()
    assert await nodes.check("document:1") == (True, before)
    after = await nodes.write("document:1#viewer@user:ann", UpdateOp.DELETE)
    assert await nodes.check("document:1") == (False, after)
    read_from = dict(nodes.checking.read_from)
    assert await nodes.check("document:2") == (False, before)
    assert nodes.checking.read_from - Counter(read_from) == {"index": 1}


async def test_writes_do_not_wait_for_the_index(nodes: Nodes) -> None:
    await nodes.settle()
    for number in range(3):
        update = Update(UpdateOp.TOUCH, parse_tuple(f"document:{number}#viewer@user:ann"))
        await nodes.checking.write(STORE, WriteRequest((update,)))
    assert nodes.pauses == 0
    # As a question does that is to show what was written through its node.
    answer = await nodes.checking.read(STORE, None)
    assert len(answer.tuples) == 3
    assert nodes.pauses > 0


async def test_pages_of_lists_are_counted_by_what_they_are_read_from(nodes: Nodes) -> None:
    await nodes.settle()
    asked = LookupObjects(("document",), "viewer", parse_subject("user:ann"))
    before = Counter(nodes.checking.read_from)
    await nodes.checking.lookup_objects(STORE, asked, Way(10))
    assert nodes.checking.read_from - before == {"index": 1}
    await nodes.write("document:1#viewer@user:ann")
    way = Way(10, consistency=FULLY_CONSISTENT)
    assert len((await nodes.checking.lookup_objects(STORE, asked, way)).objects) == 1
    assert nodes.checking.read_from - before == {"index": 1, "storage": 1}


async def test_checks_of_one_moment_differ_where_their_objects_do(nodes: Nodes) -> None:
    before = await nodes.settle()
    for turn in range(20):
        after = await nodes.write(f"document:{turn}#viewer@user:ann")
        found = await asyncio.gather(*(nodes.check(f"document:{n}") for n in range(turn + 2)))
        assert found[turn] == (True, after)
        assert found[turn + 1] == (False, before)


async def test_a_schema_write_counts_for_every_object(nodes: Nodes) -> None:
    before = await nodes.settle()
    written = await nodes.writing.write_schema(STORE, f"{SCHEMA} definition group {{}}")
    assert written.zookie != before
    assert await nodes.check("document:1") == (False, written.zookie)


async def test_the_moment_ends_when_the_index_moves_on(nodes: Nodes) -> None:
    before = await nodes.settle()
    for turn in range(5):
        after = await nodes.write(f"document:{turn}#viewer@user:ann")
        await nodes.storage.advance()
        assert await nodes.check(f"document:{turn}") == (True, after)
        assert await nodes.check("document:none") == (False, after)
    assert after != before


async def test_a_record_that_was_lost_is_not_believed(nodes: Nodes) -> None:
    await nodes.settle()
    for turn in range(5):
        after = await nodes.write(f"document:{turn}#viewer@user:ann")
        assert nodes.writing.freshness.announcer is not None
        await nodes.writing.freshness.announcer.forget((await nodes.storage.get_store(STORE)).id)
        assert await nodes.check(f"document:{turn}") == (True, after)


async def test_checks_by_the_name_of_a_schema_are_by_that_schema(nodes: Nodes) -> None:
    stranger = "definition robot {} definition document { relation viewer: robot }"
    await nodes.writing.write_schema(STORE, SCHEMA, name="users")
    await nodes.write("document:1#viewer@user:ann")
    # Nothing but this version follows the tuple: `Engine.write_schema` would not orphan it.
    record = await nodes.storage.get_store(STORE)
    now = record.created_at
    command = SchemaCommand(f"{SCHEMA}\n{UNUSED}", "zed", None, (), now, name="newer")
    await nodes.storage.put_schema(record.id, command)
    command = SchemaCommand(stranger + " definition user {}", "zed", None, (), now, name="robots")
    await nodes.storage.put_schema(record.id, command)
    at = await nodes.settle()
    for _ in range(2):
        assert await nodes.named("document:1", None) == (False, "robots", at)
        assert await nodes.named("document:1", "robots") == (False, "robots", at)
        assert await nodes.named("document:1", "users") == (True, "users", at)
        assert await nodes.named("document:1", "newer") == (True, "newer", at)
    with pytest.raises(UnknownSchema):
        await nodes.named("document:1", "none")


async def test_checks_are_answered_together_where_the_index_shows_enough(valkey_url: str) -> None:
    async with started(valkey_url, waits=False) as nodes:
        await nodes.write("document:1#viewer@user:ann")
        at = await nodes.settle()
        found = await asyncio.gather(*(nodes.check(f"document:{n}") for n in range(1, 100)))
        assert found == [(True, at)] + [(False, at)] * 98
        assert nodes.told >= 99


async def test_the_name_of_a_store_in_use_is_read_again_before_checks_wait_for_it(
    valkey_url: str,
) -> None:
    async with started(valkey_url, waits=False) as nodes:
        at = await nodes.settle()
        told, read = nodes.told, nodes.storage.names_read
        nodes.ahead = 0.6 * BOUND
        for _ in range(3):
            assert await nodes.check("document:1") == (False, at)
        assert nodes.told == told + 3
        assert nodes.storage.names_read == read + 1


async def test_who_asks_while_a_question_is_under_way_waits_for_the_next(valkey_url: str) -> None:
    """The reply that is under way may have been made before what they saw acknowledged."""
    async with started(valkey_url, waits=False) as nodes:
        await nodes.settle()
        for turn in range(20):
            early = asyncio.create_task(nodes.check("document:none"))
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            after = await nodes.write(f"document:{turn}#viewer@user:ann")
            many = [nodes.check(f"document:{turn}") for _ in range(5)]
            assert await asyncio.gather(*many) == [(True, after)] * 5
            await early


async def test_an_error_is_told_to_the_one_whose_it_is(valkey_url: str) -> None:
    async with started(valkey_url, waits=False) as nodes:
        await nodes.write("document:1#viewer@user:ann")
        await nodes.settle()
        before = nodes.told
        found = await asyncio.gather(
            nodes.check("document:1"),
            nodes.check("nothing:1"),
            nodes.check("document:1", "nobody:x"),
            nodes.check("document:1"),
            return_exceptions=True,
        )
        assert [isinstance(item, UnknownType) for item in found] == [False, True, True, False]
        assert nodes.told == before + 2


async def test_where_valkey_is_away_each_asks_alone(valkey_url: str) -> None:
    async with started(valkey_url, waits=False) as nodes:
        await nodes.write("document:1#viewer@user:ann")
        at = await nodes.settle()
        announcer = nodes.checking.freshness.announcer
        assert announcer is not None
        await announcer.close()
        before = nodes.told
        assert (await nodes.check("document:1")) == (True, at)
        assert nodes.told == before


async def test_what_takes_long_is_asked_alone(valkey_url: str) -> None:
    """Many groups on the way to a denial: more work than one who is asked with others may have."""
    async with started(valkey_url, waits=False) as nodes:
        wide = "definition user {} definition group { relation member: user | group#member }"
        document = "definition document { relation viewer: group#member }"
        await nodes.writing.write_schema(STORE, f"{wide} {document}")
        await nodes.write("document:1#viewer@group:0#member")
        for first in range(0, 4_000, 1_000):
            made = [f"group:0#member@group:{n}#member" for n in range(first + 1, first + 1_001)]
            updates = [Update(UpdateOp.TOUCH, parse_tuple(text)) for text in made]
            await nodes.writing.write(STORE, WriteRequest(updates))
        at = await nodes.settle()
        before = nodes.told
        assert await nodes.check("document:2") == (False, at)
        assert nodes.told == before + 1
        assert await nodes.check("document:1") == (False, at)
        assert nodes.told == before + 1
