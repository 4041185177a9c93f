"""What every storage tells of the tuples of a snapshot in the order they were written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import SnapshotExpired
from engine.store.protocol import Snapshot, Standing, Storage, Update, UpdateOp, Written
from engine.tuples import Object, RelationTuple, Subject, parse_tuple
from tests.store.contract_history import collect, random_history
from tests.store.tenant import LATER, Tenant, delete, touch


async def standing(tenant: Tenant, at: Snapshot, page: int) -> list[Standing]:
    """All of it, in pages."""
    found: list[Standing] = []
    while True:
        last = found[-1] if found else None
        after = None if last is None else (last.written.revision, last.tuple)
        got = await tenant.storage.standing(at, after, page)
        assert len(got) <= page
        found += got
        if len(got) < page:
            return found


class StandingContract:
    """Revisions as far as they still stand."""

    @pytest.mark.parametrize("page", [1, 3, 1000])
    async def test_each_snapshot_in_the_order_of_writing(self, tenant: Tenant, page: int) -> None:
        history = await random_history(tenant, 31, 12)
        for snapshot, texts in history:
            found = await standing(tenant, snapshot, page)
            assert {str(one.tuple) for one in found} == texts
            places = [(one.written.revision, one.tuple.identity) for one in found]
            assert places == sorted(places)
            written = await tenant.storage.created(snapshot, [one.tuple for one in found])
            assert [one.written for one in found] == written

    async def test_what_is_given_up_still_stands(self, storage: Storage, tenant: Tenant) -> None:
        history = await random_history(tenant, 32, 20)
        head = history[-1][0]
        before = await standing(tenant, head, 1000)
        await collect(tenant, LATER + timedelta(days=36500))
        assert await standing(tenant, head, 2) == before
        with pytest.raises(SnapshotExpired):
            await storage.standing(history[0][0], None, 1)

    async def test_one_revision_is_paged_by_identity(self, tenant: Tenant) -> None:
        tuples = [
            RelationTuple(Object("doc", f"{i:03}"), "viewer", Subject("user", "ann"))
            for i in range(250)
        ]
        made = (await tenant.write([Update(UpdateOp.TOUCH, one) for one in tuples])).snapshot
        later = (await tenant.write(delete("doc:100#viewer@user:ann"))).snapshot
        written = Written(made.revision, made.committed_at)
        whole = [Standing(written, one) for one in tuples]
        assert await standing(tenant, made, 7) == whole
        assert await standing(tenant, later, 50) == whole[:100] + whole[101:]

    async def test_long_spans_of_nothing_are_passed(self, storage: Storage, tenant: Tenant) -> None:
        for _ in range(60):
            await tenant.write(touch("doc:1#viewer@user:ann"))
            await tenant.write(delete("doc:1#viewer@user:ann"))
        await tenant.write(touch("doc:2#viewer@user:ann"))
        for _ in range(60):
            await tenant.write(touch("doc:1#viewer@user:ann"))
            await tenant.write(delete("doc:1#viewer@user:ann"))
        last = (await tenant.write(touch("doc:3#viewer@user:ann"))).snapshot
        for _ in range(2):
            found = await standing(tenant, last, 1)
            assert [one.tuple.object.id for one in found] == ["2", "3"]
            assert [one.written.revision for one in found] == [121, 242]
            await collect(tenant, LATER + timedelta(days=36500))

    async def test_what_is_expired_stands_until_it_is_removed(self, tenant: Tenant) -> None:
        text = "doc:1#viewer@user:ann[expiration:2001-01-01T00:00:00Z]"
        snapshot = (await tenant.write(touch(text))).snapshot
        assert [one.tuple for one in await standing(tenant, snapshot, 5)] == [parse_tuple(text)]
