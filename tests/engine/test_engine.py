"""The façade on both storages: writes again and at once, schemas in force, pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from engine.engine import Engine
from engine.errors import (
    EngineError,
    IdempotencyConflict,
    InvalidCursor,
    SchemaInUse,
    SchemaRefused,
    SubjectNotAllowed,
)
from engine.limits import Limits
from engine.requests import (
    FULLY_CONSISTENT,
    AtExactSnapshot,
    DeleteRequest,
    WriteRequest,
)
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage, TupleFilter, WriteCommand, WriteOutcome
from engine.tuples import parse_tuple
from tests.conftest import database_dsn
from tests.engine.facade import allowed, stored
from tests.engine.ground import question
from tests.store.tenant import create, delete, touch

ONE = "definition user {}\ndefinition document { relation viewer: user  permission view = viewer }"
TWO = ONE.replace("relation viewer: user ", "relation viewer: user  relation editor: user ")
DOCUMENTS = TupleFilter(object_type="document")


@pytest.fixture(scope="module", params=["memory", "postgres"])
async def storage(
    request: pytest.FixtureRequest, postgres_dsn: str, database_template: str
) -> AsyncIterator[Storage]:
    """One storage, which each test finds empty."""
    if request.param == "memory":
        yield MemoryStorage()
        return
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE facade TEMPLATE {database_template}")
    opened = await PostgresStorage.connect(database_dsn(postgres_dsn, "facade"))
    yield opened
    await opened.close()
    await admin.execute("DROP DATABASE facade WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def engine(storage: Storage) -> AsyncIterator[Engine]:
    """An engine with a store `acme` under the schema ONE, and small pages."""
    made = Engine(storage, limits=replace(Limits(), page_default=3, page_maximum=5))
    await made.create_store("acme")
    await made.write_schema("acme", ONE)
    yield made
    for record in await storage.list_stores("", 100):
        await storage.delete_store(record.name)
    await made.freshness.close()


def viewers(count: int) -> list[str]:
    return [f"document:1#viewer@user:{number}" for number in range(count)]


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a" * 64, "a\n", "-a", "ä", "a b"])
async def test_a_store_has_a_plain_name(name: str) -> None:
    with pytest.raises(EngineError) as refused:
        await Engine(MemoryStorage()).create_store(name)
    assert (refused.value.code, refused.value.field) == ("invalid_request", "name")


async def test_stores_are_listed_in_pages(engine: Engine) -> None:
    for name in ("b", "a" * 63, "a-1", "zz"):
        await engine.create_store(name)
    first, cursor = await engine.list_stores()
    second, end = await engine.list_stores(cursor=cursor, limit=5)
    assert [one.name for one in first] == ["a-1", "a" * 63, "acme"]
    assert [one.name for one in second] == ["b", "zz"]
    assert end is None
    for limit in (0, 6, -1):
        with pytest.raises(EngineError) as refused:
            await engine.list_stores(limit=limit)
        assert (refused.value.code, refused.value.field) == ("limit_exceeded", "limit")


async def test_stores_have_titles(engine: Engine) -> None:
    for number in range(5):
        await engine.create_store(f"fga-{number}", "Ours")
    await engine.create_store("fga-x", "Theirs")
    some, cursor = await engine.list_stores(prefix="fga-", title="Ours")
    rest, end = await engine.list_stores(prefix="fga-", title="Ours", cursor=cursor)
    assert [one.name for one in some + rest] == [f"fga-{number}" for number in range(5)]
    assert {one.title for one in some + rest} == {"Ours"}
    assert end is None
    with pytest.raises(EngineError) as refused:
        await engine.list_stores(prefix="fga-", cursor=cursor)
    assert refused.value.code == "invalid_cursor"
    for title in ("a\nb", "\ud800", "x" * 257):
        with pytest.raises(EngineError) as refused:
            await engine.create_store("fine", title)
        assert (refused.value.code, refused.value.field) == ("invalid_request", "title")


async def test_a_deleted_store_leaves_nothing_to_its_name(engine: Engine) -> None:
    await engine.write("acme", WriteRequest(touch(*viewers(1))))
    await engine.delete_store("acme")
    with pytest.raises(EngineError) as gone:
        await allowed(engine, viewers(1)[0])
    assert gone.value.code == "store_not_found"
    await engine.create_store("acme")
    await engine.write_schema("acme", ONE)
    assert not await allowed(engine, viewers(1)[0])


async def test_a_repeated_write_is_answered_and_not_done_again(engine: Engine) -> None:
    request = WriteRequest(create(*viewers(2)), idempotency_key="k", metadata={"why": 1})
    first = await engine.write("acme", request)
    await engine.write("acme", WriteRequest(delete(*viewers(2))))
    assert await engine.write("acme", request) == first
    assert await stored(engine) == []
    others: list[WriteRequest] = [
        replace(request, updates=create(*viewers(1))),
        replace(request, updates=touch(*viewers(2))),
        replace(request, metadata={"why": 2}),
    ]
    for other in others:
        with pytest.raises(IdempotencyConflict):
            await engine.write("acme", other)


async def test_a_repeated_delete_is_answered_and_not_done_again(engine: Engine) -> None:
    await engine.write("acme", WriteRequest(touch(*viewers(3))))
    request = DeleteRequest(DOCUMENTS, limit=2, idempotency_key="k")
    first = await engine.delete("acme", request)
    assert (first.deleted, first.complete) == (2, False)
    assert await engine.delete("acme", request) == first
    assert len(await stored(engine)) == 1
    for other in (replace(request, limit=1), replace(request, filter=TupleFilter(relation="a"))):
        with pytest.raises(IdempotencyConflict):
            await engine.delete("acme", other)
    with pytest.raises(IdempotencyConflict):
        await engine.write("acme", WriteRequest(touch(*viewers(1)), idempotency_key="k"))


async def test_a_repeated_schema_write_is_answered_and_not_done_again(engine: Engine) -> None:
    first = await engine.write_schema("acme", TWO, idempotency_key="k")
    await engine.write_schema("acme", ONE)
    again = await engine.write_schema("acme", TWO, idempotency_key="k")
    assert (again.version, again.zookie) == (first.version, first.zookie)
    assert (await engine.read_schema("acme")).text == ONE
    with pytest.raises(IdempotencyConflict):
        await engine.write_schema("acme", ONE + "\n", idempotency_key="k")


async def test_a_schema_that_would_orphan_tuples_is_refused_with_them(engine: Engine) -> None:
    await engine.write_schema("acme", TWO)
    kept, lost = "document:1#viewer@user:ann", "document:1#editor@user:bob"
    await engine.write("acme", WriteRequest(touch(kept, lost)))
    preview = await engine.write_schema("acme", ONE, dry_run=True)
    assert [str(item) for item in preview.blocked_by] == [lost]
    assert any("editor" in change["text"] for change in preview.changes)
    with pytest.raises(SchemaInUse) as refused:
        await engine.write_schema("acme", ONE)
    assert refused.value.extra["tuples"] == (lost,)
    assert (await engine.read_schema("acme")).text == TWO
    await engine.write("acme", WriteRequest(delete(lost)))
    await engine.write_schema("acme", ONE)
    assert await allowed(engine, kept)


async def test_a_dry_run_changes_nothing(engine: Engine) -> None:
    before = await engine.read_schema("acme")
    preview = await engine.write_schema("acme", TWO, dry_run=True)
    assert preview.blocked_by == ()
    assert (preview.version, preview.zookie) == (before.version, before.zookie)
    assert await engine.read_schema("acme") == before
    with pytest.raises(SchemaRefused):
        await engine.write_schema("acme", "definition", dry_run=True)


async def test_what_the_schema_no_longer_allows_can_be_deleted(engine: Engine) -> None:
    ghost = "ghost:1#haunts@user:ann"
    record = await engine.get_store("acme")
    head = (await engine.storage.head(record.id)).snapshot
    planted = WriteCommand(touch(ghost), (), head.schema_version, datetime.now(UTC))
    await engine.storage.write(record.id, planted)
    assert await stored(engine) == [ghost]
    answer = await engine.write("acme", WriteRequest(delete(ghost)))
    assert answer.results == ("deleted",)
    assert await stored(engine) == []


async def test_an_export_is_of_one_snapshot(engine: Engine) -> None:
    await engine.write("acme", WriteRequest(touch(*viewers(9))))
    pages = engine.export("acme", consistency=FULLY_CONSISTENT)
    first = await anext(pages)
    await engine.delete("acme", DeleteRequest(DOCUMENTS))
    others = [page async for page in pages]
    assert [len(page.tuples) for page in (first, *others)] == [5, 4]
    assert [page.cursor is None for page in (first, *others)] == [False, True]
    assert {page.zookie for page in others} == {first.zookie}
    after = parse_tuple(viewers(9)[6])
    rest = engine.export("acme", consistency=AtExactSnapshot(first.zookie), after=after)
    assert [str(item) async for page in rest for item in page.tuples] == viewers(9)[7:]


async def test_a_list_read_in_pages_is_of_one_snapshot(engine: Engine) -> None:
    await engine.write("acme", WriteRequest(touch(*viewers(7))))
    page = await engine.read("acme", DOCUMENTS, consistency=FULLY_CONSISTENT)
    found, sizes = list(page.tuples), [len(page.tuples)]
    await engine.delete("acme", DeleteRequest(DOCUMENTS))
    while page.cursor is not None:
        page = await engine.read("acme", DOCUMENTS, cursor=page.cursor, limit=2)
        found, sizes = [*found, *page.tuples], [*sizes, len(page.tuples)]
    assert [str(item) for item in found] == viewers(7)
    assert sizes == [3, 2, 2]
    first = await engine.read("acme", DOCUMENTS, consistency=FULLY_CONSISTENT)
    assert (first.tuples, first.cursor) == ((), None)


async def test_a_cursor_is_of_its_own_list(engine: Engine) -> None:
    await engine.write("acme", WriteRequest(touch(*viewers(7))))
    page = await engine.read("acme", DOCUMENTS, consistency=FULLY_CONSISTENT)
    assert page.cursor is not None
    with pytest.raises(InvalidCursor):
        await engine.read("acme", TupleFilter(relation="viewer"), cursor=page.cursor)
    with pytest.raises(InvalidCursor):
        await engine.list_stores(cursor=page.cursor)
    with pytest.raises(EngineError) as refused:
        await engine.read("acme", TupleFilter())
    assert refused.value.code == "empty_filter"


async def test_a_snapshot_is_answered_with_its_own_schema(engine: Engine) -> None:
    old = await engine.write("acme", WriteRequest(touch("document:1#viewer@user:ann")))
    await engine.write_schema("acme", TWO.replace("view = viewer", "view = viewer & editor"))
    assert not await allowed(engine, "document:1#view@user:ann")
    assert await allowed(engine, "document:1#view@user:ann", AtExactSnapshot(old.zookie))
    with pytest.raises(EngineError) as refused:
        await allowed(engine, "document:1#editor@user:ann", AtExactSnapshot(old.zookie))
    assert refused.value.code == "unknown_relation"


async def test_a_batch_has_answers_and_errors_in_order(engine: Engine) -> None:
    await engine.write("acme", WriteRequest(touch("document:1#viewer@user:ann")))
    context = {"long": "x" * 5000}
    twice = [parse_tuple("document:1#viewer@user:bob")] * 2
    good = question("document:1#view@user:ann")
    checks = [
        good,
        question("file:1#view@user:ann"),
        question("document:1#see@user:ann"),
        question("document:1#view@person:ann"),
        question("document:1#view@document:1#see"),
        question("document:1#view@user:*"),
        replace(good, context=context),
        replace(good, contextual_tuples=twice),
        replace(good, contextual_tuples=[parse_tuple("document:1#view@user:bob")]),
        replace(
            good, contextual_tuples=[parse_tuple(f"document:{n}#viewer@user:b") for n in range(101)]
        ),
        question("document:1#view@user:bob"),
    ]
    answer = await engine.check_batch("acme", checks, FULLY_CONSISTENT)
    assert [told(result) for result in answer.results] == [
        "allowed",
        ("unknown_type", "checks[1].object"),
        ("unknown_relation", "checks[2].relation"),
        ("unknown_type", "checks[3].subject"),
        ("unknown_relation", "checks[4].subject"),
        ("invalid_request", "checks[5].subject"),
        ("limit_exceeded", "checks[6].context"),
        ("invalid_request", "checks[7].contextual_tuples[1]"),
        ("not_writable", "checks[8].contextual_tuples[0].relation"),
        ("limit_exceeded", "checks[9].contextual_tuples"),
        "denied",
    ]
    for wrong in ([], [good] * 1001):
        with pytest.raises(EngineError) as refused:
            await engine.check_batch("acme", wrong)
        assert refused.value.field == "checks"


def told(result: Any) -> Any:
    """A result's verdict, or its error's code and field."""
    if isinstance(result, EngineError):
        return result.code, result.field
    return str(result.verdict)


class Interrupted(MemoryStorage):
    """Memory in which something else happens just before a write."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], Any] | None = None

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        if self.before is not None:
            await self.before()
        return await super().write(store_id, command)


async def interrupted() -> tuple[Engine, Engine, Interrupted]:
    """Two engines on one storage under TWO."""
    storage = Interrupted()
    here, there = Engine(storage), Engine(storage)
    await here.create_store("acme")
    await here.write_schema("acme", TWO)
    return here, there, storage


async def test_a_write_is_validated_again_when_the_schema_moves_under_it() -> None:
    here, there, storage = await interrupted()

    async def once() -> None:
        storage.before = None
        await there.write_schema("acme", ONE)

    storage.before = once
    with pytest.raises(EngineError) as refused:
        await here.write("acme", WriteRequest(touch("document:1#editor@user:ann")))
    assert refused.value.code == "unknown_relation"
    storage.before = once
    await here.write_schema("acme", TWO)
    answer = await here.write("acme", WriteRequest(touch("document:1#viewer@user:ann")))
    assert answer.results == ("created",)


async def test_a_schema_that_never_rests_is_not_waited_for() -> None:
    here, there, storage = await interrupted()
    texts = iter(f"{TWO}\n// {number}" for number in range(100))

    async def always() -> None:
        await there.write_schema("acme", next(texts))

    storage.before = always
    with pytest.raises(EngineError) as refused:
        await here.write("acme", WriteRequest(touch("document:1#viewer@user:ann")))
    assert refused.value.code == "unavailable"
    storage.before = None
    assert await stored(here) == []


async def test_writes_race_with_a_schema_and_none_is_orphaned(engine: Engine) -> None:
    await engine.write_schema("acme", TWO)

    async def write(number: int) -> Any:
        item = f"document:{number}#editor@user:ann"
        return await engine.write("acme", WriteRequest(touch(item)))

    racing = [*map(write, range(5)), engine.write_schema("acme", ONE), *map(write, range(5, 10))]
    results = await asyncio.gather(*racing, return_exceptions=True)
    codes = {getattr(one, "code", "done") for one in results}
    assert codes <= {"done", "schema_in_use", "unknown_relation"}
    text = (await engine.read_schema("acme")).text
    assert (await stored(engine) == []) == (text == ONE)


async def test_the_deadline_is_of_the_request(engine: Engine) -> None:
    check = question("document:1#view@user:ann")
    for asked in (
        lambda: engine.check("acme", check, deadline=0.0),
        lambda: engine.expand("acme", check.object, "view", deadline=0.0),
    ):
        with pytest.raises(EngineError) as refused:
            await asked()
        assert (refused.value.code, refused.value.extra["budget"]) == (
            "budget_exceeded",
            "milliseconds",
        )


async def test_a_refused_write_leaves_nothing(engine: Engine) -> None:
    good, bad = "document:1#viewer@user:ann", "document:1#viewer@document:2"
    with pytest.raises(SubjectNotAllowed):
        await engine.write("acme", WriteRequest(touch(good, bad)))
    await engine.write("acme", WriteRequest(create(good)))
    with pytest.raises(EngineError) as exists:
        await engine.write("acme", WriteRequest(create("document:2#viewer@user:bob", good)))
    assert exists.value.code == "tuple_exists"
    assert await stored(engine) == [good]
