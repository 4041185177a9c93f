"""What every storage does with a write: results, atomicity, preconditions, expiry, revisions."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import PreconditionFailed, TupleExists
from engine.store.protocol import (
    Precondition,
    SchemaMoved,
    Storage,
    Update,
    UpdateOp,
    UpdateResult,
    WriteOutcome,
)
from engine.tuples import Object, RelationTuple, Subject
from tests.store.tenant import (
    LATER,
    NOW,
    Tenant,
    create,
    delete,
    described,
    edge,
    must_match,
    must_not_match,
    probe,
    touch,
)

ANN = "doc:1#viewer@user:ann"
BEN = "doc:1#viewer@user:ben"
EXPIRED = f"{ANN}[expiration:2030-01-01T00:00:00Z]"


class WritesContract:
    """Updates, in one request and one after the other."""

    async def test_every_update_has_its_result(self, tenant: Tenant) -> None:
        first = await tenant.write([*touch(ANN), *create(BEN), *delete("doc:1#viewer@user:cy")])
        assert first.results == ("created", "created", "absent")
        second = await tenant.write([*delete(BEN), *touch(ANN), *touch("doc:2#viewer@user:*")])
        assert second.results == ("deleted", "unchanged", "created")
        assert not first.replayed
        assert (first.snapshot.revision, second.snapshot.revision) == (1, 2)
        assert await tenant.texts() == [ANN, "doc:2#viewer@user:*"]

    async def test_a_write_that_changes_nothing_takes_no_revision(self, tenant: Tenant) -> None:
        first = await tenant.write(touch(ANN))
        again = await tenant.write([*touch(ANN), *delete(BEN)])
        assert again.results == (UpdateResult.UNCHANGED, UpdateResult.ABSENT)
        assert again.snapshot == first.snapshot == await tenant.snapshot()
        assert (await tenant.write([])).snapshot == first.snapshot

    @pytest.mark.parametrize(
        "suffix",
        [
            "[weekday]",
            '[weekday:{"day":1}]',
            "[expiration:2031-01-01T00:00:00Z]",
            "[expiration:2031-01-01T00:00:00.000001Z]",
            '[weekday:{"day":1}][expiration:2031-01-01T00:00:00Z]',
        ],
    )
    async def test_touch_updates_what_differs(
        self, storage: Storage, tenant: Tenant, suffix: str
    ) -> None:
        plain = (await tenant.write(touch(ANN))).snapshot
        changed = await tenant.write(touch(ANN + suffix))
        assert changed.results == ("updated",)
        assert await tenant.texts() == [ANN + suffix]
        assert await tenant.texts(plain) == [ANN]
        fetched = await storage.reader(changed.snapshot).fetch([probe(ANN)], [], 1)
        assert fetched == ([edge(ANN + suffix)], [])
        assert (await tenant.write(touch(ANN + suffix))).results == ("unchanged",)
        assert (await tenant.write(touch(ANN))).results == ("updated",)

    async def test_create_refuses_a_tuple_that_is_there(self, tenant: Tenant) -> None:
        before = (await tenant.write(touch(ANN))).snapshot
        with pytest.raises(TupleExists) as refused:
            await tenant.write([*touch(BEN), *create(f"{ANN}[weekday]"), *delete(ANN)])
        assert refused.value.extra["tuple"].startswith(ANN)
        assert await tenant.snapshot() == before
        assert await tenant.texts() == [ANN]
        assert len(await tenant.changes()) == 1

    async def test_delete_looks_at_the_identity_alone(self, tenant: Tenant) -> None:
        await tenant.write(touch(f"{ANN}[weekday]"))
        assert (await tenant.write(delete(ANN))).results == ("deleted",)
        await tenant.write(touch(ANN))
        assert (await tenant.write(delete(f"{ANN}[weekday]"))).results == ("deleted",)
        assert await tenant.texts() == []

    async def test_a_tuple_comes_back(self, tenant: Tenant) -> None:
        for _ in range(3):
            assert (await tenant.write(create(ANN))).results == ("created",)
            assert (await tenant.write(delete(ANN))).results == ("deleted",)
        assert described(await tenant.changes()) == [[f"touch {ANN}"], [f"delete {ANN}"]] * 3

    async def test_many_updates_are_one_revision(self, tenant: Tenant) -> None:
        updates = [
            Update(
                UpdateOp.TOUCH, RelationTuple(Object("doc", f"{i}"), "viewer", Subject("u", "a"))
            )
            for i in range(2000)
        ]
        outcome = await tenant.write(updates)
        assert outcome.results == (UpdateResult.CREATED,) * 2000
        assert outcome.snapshot.revision == 1
        assert len(await tenant.tuples(page=1000)) == 2000

    async def test_a_write_against_another_schema_does_nothing(self, tenant: Tenant) -> None:
        await tenant.put_schema("definition user {}")
        before = await tenant.put_schema("definition doc {}")
        with pytest.raises(SchemaMoved) as moved:
            await tenant.write(touch(ANN), schema_version=before.schema_version - 1)
        assert moved.value.current_version == before.schema_version
        assert await tenant.snapshot() == before
        assert await tenant.texts() == []


class PreconditionsContract:
    """Preconditions hold before any update of their request, or nothing is done."""

    async def test_preconditions_that_hold_let_the_write_pass(self, tenant: Tenant) -> None:
        await tenant.write(touch(ANN))
        outcome = await tenant.write(
            touch(BEN), must_match(subject_id="ann"), must_not_match(subject_id="ben")
        )
        assert outcome.results == ("created",)

    @pytest.mark.parametrize(
        "failing",
        [
            must_match(object_type="doc", object_id="2"),
            must_match(object_type="Doc"),
            must_match(relation="viewer", subject_type="user", subject_id="cy"),
            must_match(subject_relation="member"),
            must_not_match(object_type="doc"),
            must_not_match(object_id="1", subject_id="ann"),
            must_not_match(subject_relation=""),
            must_not_match(
                object_type="doc",
                object_id="1",
                relation="viewer",
                subject_type="user",
                subject_id="ann",
                subject_relation="",
            ),
        ],
    )
    async def test_one_that_fails_stops_the_write(
        self, tenant: Tenant, failing: Precondition
    ) -> None:
        before = (await tenant.write(touch(ANN))).snapshot
        holding = must_match(subject_id="ann")
        with pytest.raises(PreconditionFailed):
            await tenant.write([*touch(BEN), *delete(ANN)], holding, failing)
        assert await tenant.snapshot() == before
        assert await tenant.texts() == [ANN]

    async def test_they_do_not_see_their_own_request(self, tenant: Tenant) -> None:
        with pytest.raises(PreconditionFailed):
            await tenant.write(touch(ANN), must_match(subject_id="ann"))
        await tenant.write(touch(ANN), must_not_match(subject_id="ann"))
        await tenant.write(delete(ANN), must_match(subject_id="ann"))

    async def test_they_do_not_see_expired_tuples(self, tenant: Tenant) -> None:
        await tenant.write(touch(f"{ANN}[expiration:2030-01-01T01:00:00Z]"))
        await tenant.write(touch(BEN), must_match(subject_id="ann"))
        with pytest.raises(PreconditionFailed):
            await tenant.write(delete(BEN), must_match(subject_id="ann"), now=LATER)
        await tenant.write(delete(BEN), must_not_match(subject_id="ann"), now=LATER)


class ExpiryContract:
    """A tuple is gone from its expiry on, to the microsecond."""

    async def test_writes_do_not_see_expired_tuples(self, tenant: Tenant) -> None:
        await tenant.write(touch(EXPIRED), now=NOW.replace(year=2029))
        nothing = await tenant.write(delete(ANN))
        assert nothing.results == ("absent",)
        assert nothing.snapshot.revision == 1
        assert (await tenant.write(create(ANN))).results == ("created",)
        assert await tenant.texts() == [ANN]

    async def test_touch_creates_over_an_expired_tuple(self, tenant: Tenant) -> None:
        before = (await tenant.write(touch(EXPIRED), now=NOW.replace(year=2029))).snapshot
        outcome = await tenant.write(touch(ANN))
        assert outcome.results == ("created",)
        assert await tenant.texts() == [ANN]
        assert await tenant.texts(before, now=NOW.replace(year=2029)) == [EXPIRED]
        assert described(await tenant.changes()) == [[f"touch {EXPIRED}"], [f"touch {ANN}"]]

    async def test_the_moment_of_expiry_is_too_late(self, tenant: Tenant) -> None:
        just_before = NOW.replace(year=2029, month=12, day=31, hour=23, minute=59, second=59)
        just_before = just_before.replace(microsecond=999_999)
        await tenant.write(touch(EXPIRED), now=just_before)
        assert await tenant.texts(now=just_before) == [EXPIRED]
        assert await tenant.texts(now=NOW) == []
        with pytest.raises(TupleExists):
            await tenant.write(create(ANN), now=just_before)
        assert (await tenant.write(create(ANN), now=NOW)).results == ("created",)

    async def test_expired_tuples_are_removed_as_a_revision(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        texts = [f"doc:{i}#viewer@user:ann[expiration:2030-01-01T00:0{i}:00Z]" for i in range(5)]
        await tenant.write(touch(*texts, BEN), now=NOW.replace(year=2029))
        at = NOW.replace(minute=3)
        first = await storage.remove_expired(tenant.id, at, 3)
        assert (first.deleted, first.complete, first.replayed) == (3, False, False)
        second = await storage.remove_expired(tenant.id, at, 3)
        assert (second.deleted, second.complete) == (1, True)
        assert (first.snapshot.revision, second.snapshot.revision) == (2, 3)
        assert {*first.objects, *second.objects} == {("doc", f"{i}") for i in range(4)}
        third = await storage.remove_expired(tenant.id, at, 3)
        assert third[:3] == (second.snapshot, 0, True)
        early = NOW.replace(year=2029)
        assert await tenant.texts(now=early) == [BEN, texts[4]]
        entries = await tenant.changes(1)
        assert [change.op for entry in entries for change in entry.changes] == ["delete"] * 4
        removed = [change.tuple.object.id for entry in entries for change in entry.changes]
        assert sorted(removed) == ["0", "1", "2", "3"]

    async def test_a_tuple_written_again_is_not_removed(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        await tenant.write(touch(EXPIRED), now=NOW.replace(year=2029))
        await tenant.write(touch(ANN), now=NOW.replace(year=2029))
        outcome = await storage.remove_expired(tenant.id, LATER, 10)
        assert (outcome.deleted, outcome.complete, outcome.objects) == (0, True, ())
        assert outcome.snapshot.revision == 2


class ConcurrencyContract:
    """Writers at the same time."""

    async def test_twenty_writers_leave_no_gap(self, tenant: Tenant) -> None:
        async def writer(number: int) -> list[WriteOutcome]:
            return [
                await tenant.write(touch(f"doc:{number}-{turn}#viewer@user:ann"), schema_version=0)
                for turn in range(5)
            ]

        written = await asyncio.gather(*(writer(number) for number in range(20)))
        outcomes = [outcome for outcomes in written for outcome in outcomes]
        outcomes.sort(key=lambda outcome: outcome.snapshot.revision)
        snapshots = [outcome.snapshot for outcome in outcomes]
        assert [snapshot.revision for snapshot in snapshots] == list(range(1, 101))
        assert [entry.snapshot for entry in await tenant.changes()] == snapshots
        times = [snapshot.committed_at for snapshot in snapshots]
        assert times == sorted(times)
        assert len({snapshot.stamp for snapshot in snapshots}) == 100
        assert len(await tenant.tuples()) == 100

    async def test_one_of_many_creates_wins(self, tenant: Tenant) -> None:
        made = await asyncio.gather(
            *(tenant.write(create(ANN), schema_version=0) for _ in range(10)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, TupleExists) for result in made) == 9
        assert (await tenant.snapshot()).revision == 1

    async def test_a_precondition_guards_against_other_writers(self, tenant: Tenant) -> None:
        await tenant.write(touch("doc:1#lock@user:nobody"))
        made = await asyncio.gather(
            *(
                tenant.write(
                    [*delete("doc:1#lock@user:nobody"), *touch(f"doc:1#owner@user:{number}")],
                    must_match(object_type="doc", object_id="1", relation="lock"),
                    schema_version=0,
                )
                for number in range(10)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, PreconditionFailed) for result in made) == 9
        assert len(await tenant.tuples()) == 1
