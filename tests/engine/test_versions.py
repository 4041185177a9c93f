"""Versions of a schema with names: written, listed, and asked by, on both storages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from engine.asking import NO_OVERLAY
from engine.engine import Engine
from engine.errors import EngineError
from engine.grounds import Grounds
from engine.limits import Limits
from engine.pages import Way
from engine.requests import (
    FULLY_CONSISTENT,
    AtExactSnapshot,
    LookupObjects,
    LookupSubjects,
    Overlay,
    SchemaWritten,
    WriteRequest,
)
from engine.schemas import Schemas
from engine.store.memory import MemoryStorage
from engine.store.protocol import Storage, WriteCommand, WriteOutcome
from engine.tuples import Subject
from tests.engine.ground import question
from tests.store.tenant import create, touch

VIEWER = "document:1#viewer@user:ann"
EDITOR = "document:1#editor@user:ann"


def model(*relations: str) -> str:
    """An OpenFGA model of documents with relations that users are written to."""
    users = {"directly_related_user_types": [{"type": "user"}]}
    document = {
        "type": "document",
        "relations": {name: {"this": {}} for name in relations},
        "metadata": {"relations": dict.fromkeys(relations, users)},
    }
    return json.dumps({"schema_version": "1.1", "type_definitions": [{"type": "user"}, document]})


class Store:
    """A store of an engine, and the questions that are asked here."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    async def put(self, name: str, *relations: str) -> SchemaWritten:
        return await self.engine.write_schema(self.name, model(*relations), "fga", name=name)

    async def write(self, *texts: str, by: str = "") -> tuple[str, ...]:
        request = WriteRequest(touch(*texts), schema_name=by)
        return (await self.engine.write(self.name, request)).results

    async def allows(self, text: str, named: str | None = None) -> bool:
        overlay = None if named is None else Overlay(named=named)
        answer = await self.engine.check(
            self.name, question(text), FULLY_CONSISTENT, overlay=overlay
        )
        return answer.decision.allowed


@pytest.fixture
async def store(either_storage: Storage) -> AsyncIterator[Store]:
    engine = Engine(either_storage, limits=replace(Limits(), page_default=2, page_maximum=4))
    name = f"s{uuid4().hex}"
    await engine.create_store(name)
    yield Store(engine, name)
    await engine.freshness.close()


async def refused(awaited: object) -> str:
    with pytest.raises(EngineError) as error:
        await awaited  # type: ignore[misc]
    return error.value.code


async def test_versions_are_told_by_name_and_in_order(store: Store) -> None:
    engine, name = store.engine, store.name
    assert await engine.schemas(name) == ([], None)
    for number in range(5):
        written = await store.put(f"M{number}", f"r{number}")
        assert (written.changes, written.blocked_by) == ((), ())
    one = await engine.schema_named(name, "M1")
    assert (one.text, one.language, one.name) == (model("r1"), "fga", "M1")
    newest = await engine.read_schema(name)
    assert (newest.name, newest.version) == ("M4", 5)
    listed, cursor = await engine.schemas(name)
    assert [each.name for each in listed] == ["M4", "M3"]
    rest, end = await engine.schemas(name, limit=3, cursor=cursor)
    assert [each.name for each in rest] == ["M2", "M1", "M0"]
    assert end is None
    assert await refused(engine.schemas(name, cursor="x")) == "invalid_cursor"
    assert await refused(engine.schemas(name, limit=5)) == "limit_exceeded"
    assert await refused(engine.schema_named(name, "M9")) == "unknown_schema"
    assert await refused(store.put("M1", "other")) == "schema_exists"
    for bad in ("a b", "ä", "x" * 65, "a\n"):
        assert await refused(store.put(bad, "other")) == "invalid_request"


async def test_a_model_orphans_nothing(store: Store) -> None:
    await store.put("A", "viewer")
    await store.write(VIEWER)
    await store.put("B", "editor")
    await store.write(EDITOR)
    assert await store.allows(EDITOR)
    assert await refused(store.allows(VIEWER)) == "unknown_relation"
    assert await store.allows(VIEWER, "A")
    await store.put("C", "viewer", "editor")
    assert await store.allows(VIEWER)
    assert await store.allows(EDITOR, "B")
    assert await refused(store.allows(EDITOR, "A")) == "unknown_relation"
    assert await refused(store.allows(EDITOR, "Z")) == "unknown_schema"


async def test_models_written_at_once_do_not_hold_each_other_up(store: Store) -> None:
    await asyncio.gather(*(store.put(f"M{number}", "viewer") for number in range(12)))
    listed, _ = await store.engine.schemas(store.name, limit=4)
    assert [each.version for each in listed] == [12, 11, 10, 9]


async def test_an_answer_names_its_version(store: Store) -> None:
    engine, check = store.engine, question(VIEWER)
    await store.put("A", "viewer")
    await store.put("B", "viewer")
    for overlay, wanted in ((None, "B"), (Overlay(named="A"), "A"), (Overlay(named="B"), "B")):
        how = (FULLY_CONSISTENT,)
        checked = await engine.check(store.name, check, *how, overlay=overlay)
        batch = await engine.check_batch(store.name, [check], *how, overlay=overlay)
        tree = await engine.expand(store.name, check.object, "viewer", *how, overlay=overlay)
        assert {checked.schema_name, batch.schema_name, tree.schema_name} == {wanted}
        way = Way(consistency=FULLY_CONSISTENT, overlay=overlay)
        objects = LookupObjects(["document"], "viewer", check.subject)
        subjects = LookupSubjects(check.object, "viewer", "user")
        lists = (
            await engine.lookup_objects(store.name, objects, way),
            await engine.lookup_subjects(store.name, subjects, way),
        )
        assert {page.schema_name for page in lists} == {wanted}
    written = await engine.write(store.name, WriteRequest(touch(VIEWER)))
    assert written.schema_name == "B"
    written = await engine.write(store.name, WriteRequest(touch(VIEWER), schema_name="A"))
    assert (written.schema_name, written.results) == ("A", ("unchanged",))


async def test_a_version_may_be_newer_than_the_snapshot(store: Store) -> None:
    await store.put("A", "viewer")
    await store.write(VIEWER)
    then = AtExactSnapshot((await store.engine.read_schema(store.name)).zookie)
    await store.put("B", "viewer", "editor")
    answer = await store.engine.check(
        store.name, question(VIEWER), then, overlay=Overlay(named="B")
    )
    assert answer.decision.allowed
    assert (answer.schema_name, answer.zookie) == ("B", then.zookie)


async def test_the_version_in_force_lies_over_nothing(either_storage: Storage) -> None:
    """So that a question by it goes the way of one that names none."""
    record = await either_storage.create_store(f"s{uuid4().hex}")
    engine = Engine(either_storage)
    await engine.write_schema(record.name, model("viewer"), "fga", name="A")
    await engine.write_schema(record.name, model("viewer"), "fga", name="B")
    snapshot = (await either_storage.head(record.id)).snapshot
    schemas = Schemas(either_storage)
    grounds = Grounds(either_storage, schemas, Limits())
    now = datetime(2030, 1, 1, tzinfo=UTC)
    plain, _ = await grounds.at(snapshot, now)
    same, _ = await grounds.at(snapshot, now, Overlay(named="B"))
    other, _ = await grounds.at(snapshot, now, Overlay(named="A"))
    assert same.overlay is NO_OVERLAY
    assert same.compiled is plain.compiled
    assert other.overlay is not NO_OVERLAY
    assert other.compiled.name == "A"
    again, _ = await grounds.at(snapshot, now, Overlay(named="A"))
    assert again.compiled is other.compiled
    both = Overlay(named="A", schema="definition user {}")
    assert await refused(grounds.at(snapshot, now, both)) == "invalid_request"


async def test_pages_are_of_one_version(store: Store) -> None:
    await store.put("A", "viewer")
    await store.put("B", "viewer", "editor")
    await store.write(*(f"document:{number}#viewer@user:ann" for number in range(5)))
    asked = LookupObjects(["document"], "viewer", Subject("user", "ann"))
    found: list[str] = []
    cursor = None
    while cursor is not None or not found:
        way = Way(cursor=cursor, consistency=FULLY_CONSISTENT, overlay=Overlay(named="A"))
        page = await store.engine.lookup_objects(store.name, asked, way)
        found += [each.object.id for each in page.objects]
        if cursor is None:
            assert page.cursor is not None
            for overlay in (None, Overlay(named="B"), Overlay(schema="A")):
                other = Way(cursor=page.cursor, overlay=overlay)
                call = store.engine.lookup_objects(store.name, asked, other)
                assert await refused(call) == "invalid_cursor"
        cursor = page.cursor
    assert found == ["0", "1", "2", "3", "4"]


async def test_a_write_is_validated_by_the_version_it_names(store: Store) -> None:
    await store.put("A", "viewer")
    await store.put("B", "editor")
    assert await store.write(VIEWER, by="A") == ("created",)
    assert await refused(store.write(EDITOR, by="A")) == "unknown_relation"
    assert await refused(store.write(VIEWER)) == "unknown_relation"
    assert await refused(store.write(VIEWER, by="Z")) == "unknown_schema"
    keyed = WriteRequest(touch(VIEWER), schema_name="A", idempotency_key="k")
    await store.engine.write(store.name, keyed)
    await store.engine.write(store.name, keyed)
    other = store.engine.write(store.name, replace(keyed, schema_name="B"))
    assert await refused(other) == "unknown_relation"
    await store.put("C", "viewer")
    other = store.engine.write(store.name, replace(keyed, schema_name="C"))
    assert await refused(other) == "idempotency_conflict"


class _Crowded(MemoryStorage):
    """Before each write another model comes in force."""

    def __init__(self) -> None:
        super().__init__()
        self.others = 0

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        self.others += 1
        await Engine(self).write_schema("acme", model("x"), "fga", name=f"other-{self.others}")
        return await super().write(store_id, command)


async def test_models_that_come_meanwhile_are_nothing_to_a_write_by_name() -> None:
    storage = _Crowded()
    engine = Engine(storage)
    await engine.create_store("acme")
    await engine.write_schema("acme", model("viewer"), "fga", name="A")
    answer = await engine.write("acme", WriteRequest(create(VIEWER), schema_name="A"))
    assert (answer.results, answer.schema_name, storage.others) == (("created",), "A", 1)


async def test_names_outlive_their_snapshots(store: Store) -> None:
    await store.put("A", "viewer")
    await store.write(VIEWER)
    await store.put("B", "editor")
    await store.engine.collect_garbage(store.name, window=timedelta(days=-1))
    head = await store.engine.storage.head((await store.engine.get_store(store.name)).id)
    assert head.oldest_revision == head.snapshot.revision
    fresh = Store(Engine(store.engine.storage), store.name)
    assert await fresh.allows(VIEWER, "A")
