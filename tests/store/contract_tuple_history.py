"""What every storage tells of the tuples of one object or one subject."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import SnapshotExpired
from engine.store.protocol import Snapshot, TupleEvent, TupleFilter, UpdateOp
from tests.store.contract_history import IDENTITIES, collect, random_history
from tests.store.tenant import LATER, NOW, Tenant, delete, touch

DOC = TupleFilter(object_type="doc", object_id="1")
ANN = TupleFilter(subject_type="user", subject_id="ann")
FILTERS = (
    DOC,
    DOC._replace(relation="viewer"),
    DOC._replace(subject_type="user", subject_id="a"),
    TupleFilter(subject_type="user", subject_id="a"),
    TupleFilter(subject_type="user", subject_id="*"),
    TupleFilter(subject_type="group", subject_id="a", subject_relation="member"),
    TupleFilter(subject_type="group", subject_id="b", object_type="doc", relation="editor"),
)


async def events(
    tenant: Tenant,
    filter_: TupleFilter,
    at: Snapshot | None = None,
    *,
    newest_first: bool = False,
    page: int = 1000,
) -> list[TupleEvent]:
    """The whole history, read in pages."""
    found: list[TupleEvent] = []
    at = at or await tenant.snapshot()
    while True:
        last = found[-1] if found else None
        got = await tenant.storage.tuple_history(
            at,
            filter_,
            after=None if last is None else (last.snapshot.revision, last.change.tuple),
            newest_first=newest_first,
            limit=page,
            most=1000,
        )
        assert len(got) <= page
        found += got
        if len(got) < page:
            return found


def told(found: list[TupleEvent]) -> list[str]:
    return [f"{e.snapshot.revision} {e.change.op} {e.change.tuple}" for e in found]


async def expected(tenant: Tenant, filter_: TupleFilter) -> list[TupleEvent]:
    """The same from the changelog."""
    return [
        TupleEvent(entry.snapshot, change, entry.metadata, entry.actor)
        for entry in await tenant.changes((await tenant.head()).oldest_revision)
        for change in entry.changes
        if all(
            want in (None, part)
            for want, part in zip(
                filter_,
                (*change.tuple.object, change.tuple.relation, *change.tuple.subject),
                strict=True,
            )
        )
    ]


class TupleHistoryContract:
    """`Storage.tuple_history`."""

    async def test_events_tell_who_did_what(self, tenant: Tenant) -> None:
        await tenant.write(
            touch("doc:1#viewer@user:ann[weekday]", "doc:2#viewer@user:ann"),
            metadata='{"why":"new"}',
            actor="boss",
        )
        await tenant.write(touch("doc:1#viewer@user:ann"), actor="other")
        await tenant.write(touch("doc:1#viewer@user:bob"))
        await tenant.write(delete("doc:1#viewer@user:ann"))
        await tenant.write(touch("doc:1#viewer@user:ann"))
        found = await events(tenant, DOC)
        assert told(found) == [
            "1 touch doc:1#viewer@user:ann[weekday]",
            "2 touch doc:1#viewer@user:ann",
            "3 touch doc:1#viewer@user:bob",
            "4 delete doc:1#viewer@user:ann",
            "5 touch doc:1#viewer@user:ann",
        ]
        assert [(e.actor, e.metadata) for e in found[:3]] == [
            ("boss", '{"why":"new"}'),
            ("other", ""),
            ("", ""),
        ]
        assert found[4].snapshot == await tenant.snapshot()
        assert told(await events(tenant, ANN))[:3] == [
            "1 touch doc:1#viewer@user:ann[weekday]",
            "1 touch doc:2#viewer@user:ann",
            "2 touch doc:1#viewer@user:ann",
        ]

    async def test_a_deleted_tuple_is_told_as_it_stood(self, tenant: Tenant) -> None:
        text = 'doc:1#viewer@user:ann[weekday:{"day":1}][expiration:2040-01-01T00:00:00Z]'
        await tenant.write(touch(text))
        await tenant.write(delete("doc:1#viewer@user:ann"))
        assert told(await events(tenant, ANN))[1:] == [f"2 delete {text}"]

    async def test_a_removal_by_expiry_is_a_delete(self, tenant: Tenant) -> None:
        text = "doc:1#viewer@user:ann[expiration:2030-01-01T00:00:01Z]"
        await tenant.write(touch(text))
        await tenant.storage.remove_expired(tenant.id, LATER, 10)
        assert told(await events(tenant, DOC)) == [f"1 touch {text}", f"2 delete {text}"]

    @pytest.mark.parametrize("filter_", FILTERS)
    async def test_it_is_what_the_changelog_says(
        self, tenant: Tenant, filter_: TupleFilter
    ) -> None:
        history = await random_history(tenant, 7, 30)
        truth = await expected(tenant, filter_)
        assert len(truth) > 2
        for size in (1, 2, 3, 1000):
            assert await events(tenant, filter_, page=size) == truth
            back = await events(tenant, filter_, page=size, newest_first=True)
            assert back == sorted(
                truth, key=lambda e: (-e.snapshot.revision, e.change.tuple.identity)
            )
        middle = history[15][0]
        assert await events(tenant, filter_, middle) == [
            event for event in truth if event.snapshot.revision <= middle.revision
        ]

    async def test_it_begins_where_the_window_does(self, tenant: Tenant) -> None:
        await random_history(tenant, 8, 20)
        far = NOW + timedelta(days=36500)
        before = await events(tenant, DOC)
        old = await tenant.snapshot()
        await collect(tenant, far)
        assert await events(tenant, DOC) == []
        outcome = await tenant.write([*touch(IDENTITIES[0]), *delete(*IDENTITIES[1:])])
        assert (await tenant.head()).oldest_revision == old.revision
        found = await events(tenant, DOC)
        assert found == await expected(tenant, DOC)
        assert found
        assert len(before) > len(found)
        assert {event.snapshot for event in found} == {outcome.snapshot}
        assert UpdateOp.DELETE in {event.change.op for event in found}
        await collect(tenant, far)
        with pytest.raises(SnapshotExpired):
            await events(tenant, DOC, old)

    async def test_nothing_is_told_of_others(self, tenant: Tenant) -> None:
        await tenant.write(touch("doc:10#viewer@user:ann", "dog:1#viewer@user:anna"))
        assert await events(tenant, DOC) == []
        assert await events(tenant, ANN._replace(subject_id="an")) == []
