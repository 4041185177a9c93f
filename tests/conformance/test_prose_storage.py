"""Known bypasses told in prose, about writes, snapshots, connections and cancelled requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest

from engine.engine import Engine
from engine.errors import LimitExceeded
from engine.limits import Limits
from engine.reader import Edge, Probe, ReverseEdge, ReverseReader, ReverseScan, Scan
from engine.requests import FULLY_CONSISTENT, AtExactSnapshot, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Snapshot, TupleFilter, Update, UpdateOp
from engine.tuples import RelationTuple, parse_tuple
from tests.conformance.systems import System, touches
from tests.conformance.test_prose_answers import ask, store_with

VIEWERS = "definition user {}\ndefinition doc { relation viewer: user }\n"


class GatedReader:
    """Lets reads through only while the gate is open, and tells when one waits before it."""

    def __init__(self, reader: ReverseReader, gate: asyncio.Event, waiting: asyncio.Event) -> None:
        self._reader, self._gate, self._waiting = reader, gate, waiting

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        self._waiting.set()
        await self._gate.wait()
        return await self._reader.fetch(probes, scans, limit)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        self._waiting.set()
        await self._gate.wait()
        return await self._reader.objects_of(scans, each, limit)


class GatedStorage(MemoryStorage):
    """Memory whose evaluation reads can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.waiting = asyncio.Event(), asyncio.Event()
        self.gate.set()

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        return GatedReader(super().reader(snapshot), self.gate, self.waiting)


async def test_a_cancelled_check_leaves_no_answer_behind_d02() -> None:
    storage = GatedStorage()
    system = System(Engine(storage))
    tenant, zookie = await store_with(
        system,
        "definition user {}\ndefinition group { relation member: user | group#member }\n"
        "definition doc {\n relation fast: user\n relation slow: group#member\n"
        " permission view = fast + slow\n}\n",
        "doc:1#fast@user:u",
        "doc:1#slow@group:a#member",
        "group:a#member@group:b#member",
        "group:b#member@user:u",
    )
    checks = [ask("doc:1#view@user:u"), ask("doc:1#slow@user:u"), ask("group:a#member@user:u")]
    for check in checks:
        storage.gate.clear()
        storage.waiting.clear()
        running = asyncio.create_task(tenant.check(check, zookie))
        await storage.waiting.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        storage.gate.set()
        for asked in checks:
            assert (await tenant.check(asked, zookie)).verdict == "allowed"


async def test_a_pool_smaller_than_the_breadth_never_deadlocks_d05(fresh_database: str) -> None:
    engine = Engine(
        await PostgresStorage.connect(fresh_database, pool_size=2), limits=Limits(deadline=60)
    )
    names = [f"branch{index}" for index in range(20)]
    relations = "\n".join(f" relation {name}: group#member" for name in names)
    schema = (
        "definition user {}\ndefinition group { relation member: user | group#member }\n"
        f"definition doc {{\n{relations}\n permission view = {' + '.join(names)}\n}}\n"
    )
    tuples = [f"doc:1#{name}@group:{name}#member" for name in names]
    tuples += [f"group:{name}#member@group:{name}-inner#member" for name in names]
    try:
        tenant, zookie = await store_with(
            System(engine), schema, *tuples, "group:branch19-inner#member@user:u"
        )
        asked = [tenant.check(ask("doc:1#view@user:u"), zookie) for _ in range(10)]
        assert {outcome.verdict for outcome in await asyncio.gather(*asked)} == {"allowed"}
    finally:
        await engine.close()


async def test_lists_that_are_cancelled_give_everything_back_d12(fresh_database: str) -> None:
    engine = Engine(await PostgresStorage.connect(fresh_database, pool_size=4))
    try:
        tuples = [f"doc:{index}#viewer@user:u" for index in range(50)]
        tenant, _ = await store_with(System(engine), VIEWERS, *tuples)
        before = len(asyncio.all_tasks())
        filter_ = TupleFilter(object_type="doc")
        for _ in range(30):
            running = [
                asyncio.create_task(engine.read(tenant.name, filter_, limit=10)) for _ in range(12)
            ]
            for task in running[::3]:
                await asyncio.sleep(0)
                task.cancel()
            answers = await asyncio.gather(*running, return_exceptions=True)
            for index, answer in enumerate(answers):
                if index % 3:
                    assert not isinstance(answer, BaseException)
        assert len(asyncio.all_tasks()) <= before
        async with asyncio.timeout(30):
            while await busy_connections(fresh_database):
                await asyncio.sleep(0.01)
        assert (await engine.read(tenant.name, filter_, limit=100)).tuples[49:]
    finally:
        await engine.close()


async def busy_connections(dsn: str) -> int:
    """Connections to a database that are in the middle of something."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state <> 'idle' AND pid <> pg_backend_pid()"
            )
        )
    finally:
        await connection.close()


async def test_no_check_is_wrong_while_schemas_are_rewritten_d13(engine: Engine) -> None:
    tenant, _ = await store_with(System(engine), VIEWERS, "doc:1#viewer@user:u")
    wider = VIEWERS + "definition extra {}\n"
    done = asyncio.Event()
    wrong: list[object] = []
    asked = 0

    async def check_all_the_time() -> None:
        nonlocal asked
        while not done.is_set():
            for who, verdict in (("u", "allowed"), ("v", "denied")):
                answer = await engine.check(tenant.name, ask(f"doc:1#viewer@user:{who}"))
                asked += 1
                if answer.decision.verdict != verdict:
                    wrong.append(answer)
            await asyncio.sleep(0)

    checkers = [asyncio.create_task(check_all_the_time()) for _ in range(3)]
    for number in range(20):
        for text in (VIEWERS, wider, wider + f"// {number}\n"):
            await engine.write_schema(tenant.name, text)
            await asyncio.sleep(0)
    done.set()
    await asyncio.gather(*checkers)
    assert not wrong
    assert asked > 0


async def test_a_write_is_visible_at_its_own_zookie_and_never_before_e03(engine: Engine) -> None:
    tenant, _ = await store_with(System(engine), VIEWERS)
    items = [parse_tuple(f"doc:{index}#viewer@user:u") for index in range(30)]
    written = await asyncio.gather(
        *(engine.write(tenant.name, WriteRequest(touches([item]))) for item in items)
    )
    zookies = [answer.zookie for answer in written]
    assert len(set(zookies)) == len(items)
    seen = []
    for own, zookie in zip(items, zookies, strict=True):
        page = await engine.read(
            tenant.name,
            TupleFilter(object_type="doc"),
            consistency=AtExactSnapshot(zookie),
        )
        assert own in page.tuples
        seen.append(frozenset(page.tuples))
    seen.sort(key=len)
    assert [len(tuples) for tuples in seen] == list(range(1, len(items) + 1))
    assert all(smaller < larger for smaller, larger in pairwise(seen))
    head = await engine.read(
        tenant.name, TupleFilter(object_type="doc"), consistency=FULLY_CONSISTENT
    )
    assert set(head.tuples) == set(items)


async def test_too_large_a_write_fails_loudly_and_a_large_one_is_whole_e08(engine: Engine) -> None:
    tenant, _ = await store_with(System(engine), VIEWERS)
    items = [parse_tuple(f"doc:{index:05}#viewer@user:u") for index in range(20_000)]
    for call in (engine.write, engine.import_batch):
        with pytest.raises(LimitExceeded):
            await call(tenant.name, WriteRequest(touches(items)))
    assert await everything(engine, tenant.name) == []
    half = items[:10_000]
    answer = await engine.import_batch(tenant.name, WriteRequest(touches(half)))
    assert answer.results == ("created",) * len(half)
    assert await everything(engine, tenant.name) == half


async def everything(engine: Engine, store: str) -> list[RelationTuple]:
    found: list[RelationTuple] = []
    async for page in engine.export(store, consistency=FULLY_CONSISTENT):
        found += page.tuples
    return found


EXPIRING = """
use expiration
definition user {}
definition doc { relation viewer: user | user with expiration }
"""


async def test_a_touch_sets_the_expiry_it_says_and_a_retry_sets_none_e11(engine: Engine) -> None:
    tenant, _ = await store_with(System(engine), EXPIRING)
    forever = parse_tuple("doc:1#viewer@user:u")
    hour = forever._replace(
        expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    )
    first = WriteRequest([Update(UpdateOp.TOUCH, forever)], idempotency_key="first")
    await engine.write(tenant.name, first)
    assert await everything(engine, tenant.name) == [forever]
    await engine.write(tenant.name, WriteRequest(touches([hour])))
    assert await everything(engine, tenant.name) == [hour]
    await engine.write(tenant.name, first)
    assert await everything(engine, tenant.name) == [hour]
    await engine.write(tenant.name, replace(first, idempotency_key=""))
    assert await everything(engine, tenant.name) == [forever]
