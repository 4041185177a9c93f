"""What every storage does with schemas, deletes by filter and repeated requests."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from engine.errors import (
    IdempotencyConflict,
    PreconditionFailed,
    SchemaInUse,
    SchemaNotFound,
    TupleExists,
)
from engine.store.protocol import (
    SchemaMoved,
    SchemaRecord,
    Shape,
    Storage,
    TupleFilter,
    Update,
    UpdateOp,
)
from engine.tuples import Object, RelationTuple, Subject
from tests.store.tenant import (
    LATER,
    NOW,
    Tenant,
    create,
    delete,
    described,
    in_order,
    key,
    must_match,
    must_not_match,
    touch,
)

ANN = "doc:1#viewer@user:ann"
BEN = "doc:1#viewer@user:ben"
FIRST = "definition user {}"
SECOND = "definition user {}\n\n/* é \U0001f600 */\ndefinition doc {}\n"


class SchemasContract:
    """Versions of the schema, and the tuples that hold one back."""

    async def test_schemas_have_versions(self, storage: Storage, tenant: Tenant) -> None:
        with pytest.raises(SchemaNotFound):
            await storage.schema(tenant.id, 0)
        first = await tenant.put_schema(FIRST)
        second = await tenant.put_schema(SECOND, language="fga")
        assert (first.revision, second.revision) == (1, 2)
        assert 0 < first.schema_version < second.schema_version
        record = await storage.schema(tenant.id, first.schema_version)
        assert record == SchemaRecord(first.schema_version, FIRST, "zed")
        record = await storage.schema(tenant.id, second.schema_version)
        assert record == SchemaRecord(second.schema_version, SECOND, "fga")
        assert await storage.snapshot(tenant.id, 1) == first
        assert await tenant.snapshot() == second
        with pytest.raises(SchemaNotFound):
            await storage.schema(tenant.id, second.schema_version + 1)

    async def test_a_write_keeps_the_schema(self, tenant: Tenant) -> None:
        schema = await tenant.put_schema(FIRST)
        written = await tenant.write(touch(ANN))
        assert written.snapshot.schema_version == schema.schema_version

    async def test_the_same_text_changes_nothing(self, tenant: Tenant) -> None:
        first = await tenant.put_schema(FIRST)
        assert await tenant.put_schema(FIRST) == first
        second = await tenant.put_schema(SECOND)
        assert (await tenant.put_schema(FIRST)).revision == second.revision + 1

    async def test_a_schema_does_not_overwrite_another_unseen(self, tenant: Tenant) -> None:
        first = await tenant.put_schema(FIRST)
        with pytest.raises(SchemaMoved) as moved:
            await tenant.put_schema(SECOND, expected_version=0)
        assert moved.value.current_version == first.schema_version
        assert await tenant.snapshot() == first

    async def test_one_of_many_schema_writers_wins(self, tenant: Tenant) -> None:
        made = await asyncio.gather(
            *(tenant.put_schema(f"// {i}", expected_version=0) for i in range(8)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, SchemaMoved) for result in made) == 7
        assert (await tenant.snapshot()).revision == 1

    @pytest.mark.parametrize(
        ("shape", "used"),
        [
            (Shape("doc", "viewer"), True),
            (Shape("doc", "editor"), False),
            (Shape("Doc", "viewer"), False),
            (Shape("doc", "viewer", "user"), True),
            (Shape("doc", "viewer", "group"), False),
            (Shape("doc", "viewer", "user", subject_relation=""), True),
            (Shape("doc", "viewer", "user", subject_relation="member"), False),
            (Shape("doc", "viewer", "user", wildcard=False), True),
            (Shape("doc", "viewer", "user", wildcard=True), False),
            (Shape("doc", "viewer", "user", caveat="weekday"), True),
            (Shape("doc", "viewer", "user", caveat=""), False),
            (Shape("doc", "viewer", "user", caveat="week"), False),
            (Shape("doc", "viewer", expiration=True), True),
            (Shape("doc", "viewer", expiration=False), False),
            (Shape("doc", "viewer", "user", "", False, "weekday", True), True),
            (Shape("doc", "viewer", "user", "", False, "weekday", False), False),
            (Shape("doc", "banned", "user", "", wildcard=True), True),
            (Shape("doc", "banned", "user", "", wildcard=False), False),
            (Shape("doc", "banned", "user", "", wildcard=True, caveat="", expiration=False), True),
            (Shape("doc", "owner", "group", "member"), True),
            (Shape("doc", "owner", "group", ""), False),
        ],
    )
    async def test_a_shape_in_use_is_not_removed(
        self, storage: Storage, tenant: Tenant, shape: Shape, used: bool
    ) -> None:
        viewer = "doc:1#viewer@user:ann[weekday][expiration:2030-01-01T01:00:00Z]"
        others = ("doc:1#banned@user:*", "doc:1#owner@group:eng#member")
        before = (await tenant.write(touch(viewer, *others))).snapshot
        if not used:
            assert await storage.tuples_of_shapes(tenant.id, [shape], NOW, 10) == []
            assert (await tenant.put_schema(FIRST, shape)).revision == 2
            return
        unused = Shape("doc", "unheard-of")
        found = await storage.tuples_of_shapes(tenant.id, [unused, shape], NOW, 10)
        with pytest.raises(SchemaInUse) as refused:
            await tenant.put_schema(FIRST, unused, shape)
        named = [str(tuple_) for tuple_ in refused.value.extra["tuples"]]
        assert named == [str(tuple_) for tuple_ in found]
        assert len(named) == 1
        assert named[0].startswith(f"doc:1#{shape.relation}@")
        assert await tenant.snapshot() == before

    async def test_few_of_many_orphans_are_named(self, tenant: Tenant) -> None:
        updates = [
            Update(
                UpdateOp.TOUCH, RelationTuple(Object("doc", f"{i}"), "viewer", Subject("u", "a"))
            )
            for i in range(500)
        ]
        await tenant.write(updates)
        with pytest.raises(SchemaInUse) as refused:
            await tenant.put_schema(FIRST, Shape("doc", "viewer"))
        assert 1 <= len(refused.value.extra["tuples"]) <= 100

    async def test_tuples_of_shapes_are_given_once_and_up_to_a_limit(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        await tenant.write(touch(ANN, BEN, "doc:2#viewer@user:ann", "doc:1#editor@user:ann"))
        shapes = [Shape("doc", "viewer"), Shape("doc", "viewer", "user"), Shape("doc", "editor")]
        found = await storage.tuples_of_shapes(tenant.id, shapes, NOW, 10)
        assert in_order(found) == await tenant.tuples()
        for limit in (1, 2, 3):
            some = await storage.tuples_of_shapes(tenant.id, shapes, NOW, limit)
            assert len(set(some)) == limit
            assert set(some) <= set(found)
        assert await storage.tuples_of_shapes(tenant.id, [], NOW, 10) == []

    async def test_what_is_gone_does_not_hold_a_schema_back(self, tenant: Tenant) -> None:
        await tenant.write(touch(f"{ANN}[expiration:2030-01-01T01:00:00Z]", BEN))
        await tenant.write(delete(BEN))
        with pytest.raises(SchemaInUse):
            await tenant.put_schema(FIRST, Shape("doc", "viewer"))
        await tenant.put_schema(FIRST, Shape("doc", "viewer"), now=LATER)

    async def test_old_schemas_live_as_long_as_their_snapshots(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        first = await tenant.put_schema(FIRST)
        second = await tenant.put_schema(SECOND)
        written = (await tenant.write(touch(ANN))).snapshot
        assert (await storage.schema(tenant.id, first.schema_version)).text == FIRST
        horizon = written.committed_at + timedelta(days=1)
        for _ in range(100):
            if (await storage.collect_garbage(tenant.id, horizon, 10)).done:
                break
        assert (await tenant.head()).oldest_revision == written.revision
        assert (await storage.schema(tenant.id, second.schema_version)).text == SECOND


class DeleteContract:
    """Delete by filter: in tuple order, up to a limit, honest about the rest."""

    async def test_up_to_a_limit_in_tuple_order(self, tenant: Tenant) -> None:
        texts = [f"doc:{i}#viewer@user:ann" for i in range(5)]
        await tenant.write(touch(*reversed(texts), "folder:1#viewer@user:ann"))
        filter_ = TupleFilter(object_type="doc")
        first = await tenant.delete(filter_, limit=2)
        assert (first.deleted, first.complete, first.replayed) == (2, False, False)
        assert sorted(first.objects) == [("doc", "0"), ("doc", "1")]
        second = await tenant.delete(filter_, limit=3)
        assert (second.deleted, second.complete) == (3, True)
        assert (first.snapshot.revision, second.snapshot.revision) == (2, 3)
        assert await tenant.texts() == ["folder:1#viewer@user:ann"]
        assert described(await tenant.changes(1)) == [
            [f"delete {text}" for text in texts[:2]],
            [f"delete {text}" for text in texts[2:]],
        ]

    async def test_nothing_to_delete_takes_no_revision(self, tenant: Tenant) -> None:
        before = (await tenant.write(touch(ANN))).snapshot
        outcome = await tenant.delete(TupleFilter(object_type="folder"))
        assert outcome == (before, 0, True, (), False)
        assert await tenant.snapshot() == before

    async def test_objects_are_named_once(self, tenant: Tenant) -> None:
        await tenant.write(touch(ANN, BEN, "doc:1#editor@user:ann", "doc:2#viewer@user:cy"))
        outcome = await tenant.delete(TupleFilter(subject_type="user"))
        assert sorted(outcome.objects) == [("doc", "1"), ("doc", "2")]

    async def test_expired_tuples_are_not_there_to_delete(self, tenant: Tenant) -> None:
        await tenant.write(touch(f"{ANN}[expiration:2030-01-01T00:30:00Z]", BEN))
        outcome = await tenant.delete(TupleFilter(object_type="doc"), now=LATER, limit=1)
        assert (outcome.deleted, outcome.complete) == (1, True)
        assert described(await tenant.changes(1)) == [[f"delete {BEN}"]]

    async def test_preconditions_hold_before_a_delete(self, tenant: Tenant) -> None:
        await tenant.write(touch(ANN))
        with pytest.raises(PreconditionFailed):
            await tenant.delete(TupleFilter(object_type="doc"), must_match(subject_id="ben"))
        with pytest.raises(PreconditionFailed):
            await tenant.delete(TupleFilter(object_type="doc"), must_not_match(subject_id="ann"))
        assert await tenant.texts() == [ANN]
        await tenant.delete(TupleFilter(object_type="doc"), must_match(subject_id="ann"))
        assert await tenant.texts() == []


class IdempotencyContract:
    """A request with a key is done once, and answered alike each time."""

    async def test_a_repeated_write_is_answered_and_not_done(self, tenant: Tenant) -> None:
        updates = [*create(ANN), *delete(BEN)]
        first = await tenant.write(updates, idempotency=key("k"))
        assert not first.replayed
        await tenant.write(delete(ANN))
        again = await tenant.write(updates, idempotency=key("k"))
        assert again == first._replace(replayed=True)
        assert (await tenant.snapshot()).revision == 2
        assert await tenant.texts() == []

    async def test_a_write_that_changed_nothing_is_repeated_too(self, tenant: Tenant) -> None:
        first = await tenant.write(delete(ANN), idempotency=key("k"))
        await tenant.write(touch(ANN))
        again = await tenant.write(delete(ANN), idempotency=key("k"))
        assert again == first._replace(replayed=True)
        assert await tenant.texts() == [ANN]

    async def test_a_key_is_not_used_for_another_request(self, tenant: Tenant) -> None:
        await tenant.write(touch(ANN), idempotency=key("k"))
        with pytest.raises(IdempotencyConflict):
            await tenant.write(touch(BEN), idempotency=key("k", "another"))
        with pytest.raises(IdempotencyConflict):
            await tenant.delete(TupleFilter(object_type="doc"), idempotency=key("k", "another"))
        with pytest.raises(IdempotencyConflict):
            await tenant.put_schema(FIRST, idempotency=key("k", "another"))
        assert (await tenant.snapshot()).revision == 1
        await tenant.write(touch(BEN), idempotency=key("K", "another"))

    async def test_a_failed_request_leaves_its_key_free(self, tenant: Tenant) -> None:
        await tenant.write(touch(ANN))
        with pytest.raises(TupleExists):
            await tenant.write(create(ANN), idempotency=key("k"))
        with pytest.raises(PreconditionFailed):
            await tenant.write(touch(BEN), must_match(subject_id="cy"), idempotency=key("k"))
        with pytest.raises(SchemaMoved):
            await tenant.write(touch(BEN), schema_version=7, idempotency=key("k"))
        written = await tenant.write(touch(BEN), idempotency=key("k", "another"))
        assert not written.replayed

    async def test_a_repeated_write_does_not_mind_what_came_after(self, tenant: Tenant) -> None:
        updates, held = create(ANN), must_not_match(subject_id="ann")
        first = await tenant.write(updates, held, idempotency=key("k"))
        await tenant.put_schema(FIRST)
        again = await tenant.write(updates, held, schema_version=0, idempotency=key("k"))
        assert again == first._replace(replayed=True)

    async def test_a_repeated_delete(self, tenant: Tenant) -> None:
        await tenant.write(touch(ANN, BEN))
        filter_ = TupleFilter(object_type="doc")
        first = await tenant.delete(filter_, limit=1, idempotency=key("k"))
        again = await tenant.delete(filter_, limit=1, idempotency=key("k"))
        assert again == first._replace(objects=(), replayed=True)
        assert await tenant.texts() == [BEN]

    async def test_a_repeated_schema(self, tenant: Tenant) -> None:
        first = await tenant.put_schema(FIRST, idempotency=key("k"))
        await tenant.put_schema(SECOND)
        again = await tenant.put_schema(FIRST, expected_version=0, idempotency=key("k"))
        assert again == first
        assert (await tenant.snapshot()).revision == 2

    async def test_the_same_request_many_times_at_once(self, tenant: Tenant) -> None:
        outcomes = await asyncio.gather(
            *(tenant.write(create(ANN), schema_version=0, idempotency=key("k")) for _ in range(10))
        )
        assert len({outcome.snapshot for outcome in outcomes}) == 1
        assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 9

    async def test_keys_belong_to_their_store(self, storage: Storage, tenant: Tenant) -> None:
        other = await Tenant.make(storage)
        await tenant.write(touch(ANN), idempotency=key("k"))
        written = await other.write(touch(BEN), idempotency=key("k", "another"))
        assert not written.replayed

    async def test_a_young_key_outlives_the_history(self, storage: Storage, tenant: Tenant) -> None:
        first = await tenant.write(touch(ANN), idempotency=key("k"))
        last = (await tenant.write(touch(BEN))).snapshot
        for _ in range(100):
            horizon = last.committed_at + timedelta(days=1)
            if (await storage.collect_garbage(tenant.id, horizon, 10)).done:
                break
        again = await tenant.write(touch(ANN), idempotency=key("k"))
        assert again == first._replace(replayed=True)
