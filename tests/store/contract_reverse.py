"""The contract of `objects_of`: reading from subjects to objects."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import BudgetExceeded, SnapshotExpired
from engine.reader import ReverseEdge, ReverseScan
from engine.store.protocol import Storage
from tests.store.tenant import NOW, Tenant, delete, edge, touch

STORED = (
    "doc:1#viewer@user:ann",
    "doc:10#viewer@user:ann",
    "doc:2#viewer@user:ann[weekday]",
    'doc:A#viewer@user:ann[limits:{"k":1}]',
    "doc:a#viewer@user:ann",
    "doc:a#editor@user:ann",
    "doc:a#viewer@user:*",
    "doc:a#viewer@user:ben",
    "doc:b#viewer@group:eng",
    "doc:b#viewer@group:eng#member",
    "doc:c#viewer@group:eng#owner",
    "doc:\u00e9#viewer@user:ann",
    "doc:\U0001f600#viewer@user:ann",
    "doc:\uff5e#viewer@user:ann",
    "folder:1#viewer@user:ann",
)
ANN = ("1", "10", "2", "A", "a", "\u00e9", "\uff5e", "\U0001f600")
PLENTY = 1000


def reverse(text: str, after: str = "") -> ReverseScan:
    """A reverse scan of `type#relation@type:id#relation`."""
    place, _, subject = text.partition("@")
    kind, _, relation = place.partition("#")
    stated = edge(f"doc:x#viewer@{subject}")
    return ReverseScan(*stated[:3], kind, relation, after)


def ids(edges: object) -> list[str]:
    """The ids of the objects found."""
    assert isinstance(edges, list)
    return [found.object_id for found in edges]


class ReverseContract:
    """`reader().objects_of`: exact, sorted, bounded, at one snapshot."""

    async def test_scans_are_exact(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.write(touch(*STORED))
        reader = storage.reader(await tenant.snapshot())
        asked = {
            "doc#viewer@user:ann": [*ANN],
            "doc#editor@user:ann": ["a"],
            "folder#viewer@user:ann": ["1"],
            "doc#viewer@user:*": ["a"],
            "doc#viewer@user:Ann": [],
            "doc#viewer@user:an": [],
            "doc#viewer@group:ann": [],
            "doc#owner@user:ann": [],
            "doc#viewer@group:eng": ["b"],
            "doc#viewer@group:eng#member": ["b"],
            "doc#viewer@group:eng#owner": ["c"],
            "doc#viewer@group:eng#viewer": [],
        }
        found = await reader.objects_of([reverse(text) for text in asked], PLENTY, PLENTY)
        assert dict(zip(asked, map(ids, map(list, found)), strict=True)) == asked
        assert list(await reader.objects_of([], PLENTY, 0)) == []

    async def test_edges_say_what_they_depend_on(self, storage: Storage, tenant: Tenant) -> None:
        text = "doc:z#viewer@user:ann[expiration:2001-01-01T00:00:00Z]"
        await tenant.write(touch(*STORED, text), now=NOW.replace(year=2000))
        reader = storage.reader(await tenant.snapshot())
        (found,) = await reader.objects_of([reverse("doc#viewer@user:ann")], PLENTY, PLENTY)
        by_id = {one.object_id: one for one in found}
        assert by_id["1"] == ReverseEdge("1")
        assert by_id["2"] == ReverseEdge("2", "weekday")
        assert by_id["A"] == ReverseEdge("A", "limits", '{"k":1}')
        assert by_id["z"] == ReverseEdge("z", "", "", edge(text).expires_at)

    @pytest.mark.parametrize("each", [1, 2, 3, 8, 9])
    async def test_parts_follow_each_other(
        self, storage: Storage, tenant: Tenant, each: int
    ) -> None:
        await tenant.write(touch(*STORED))
        reader = storage.reader(await tenant.snapshot())
        got: list[str] = []
        while True:
            after = got[-1] if got else ""
            asked = [reverse("doc#viewer@user:ann", after), reverse("doc#viewer@user:ben", after)]
            first, second = await reader.objects_of(asked, each, 2 * each)
            assert ids(list(second)) == (["a"] if after < "a" else [])
            got += ids(list(first))
            if len(first) < each:
                break
        assert got == [*ANN]

    async def test_no_part_of_more_than_the_limit(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.write(touch(*STORED))
        reader = storage.reader(await tenant.snapshot())
        asked = [reverse("doc#viewer@user:ann"), reverse("doc#viewer@user:ben")]
        assert [len(part) for part in await reader.objects_of(asked, PLENTY, 9)] == [8, 1]
        assert [len(part) for part in await reader.objects_of(asked, 2, 3)] == [2, 1]
        for each, limit in ((PLENTY, 8), (PLENTY, 0), (8, 8), (2, 2)):
            with pytest.raises(BudgetExceeded) as stopped:
                await reader.objects_of(asked, each, limit)
            assert stopped.value.extra["budget"] == "reads"

    async def test_a_reverse_reader_keeps_its_snapshot(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        asked = [reverse("doc#viewer@user:ann")]
        old = storage.reader((await tenant.write(touch(*STORED))).snapshot)
        before = await old.objects_of(asked, PLENTY, PLENTY)
        await tenant.write([*delete("doc:1#viewer@user:ann"), *touch("doc:0#viewer@user:ann")])
        await tenant.write(touch("doc:10#viewer@user:ann[weekday]"))
        assert await old.objects_of(asked, PLENTY, PLENTY) == before
        (found,) = await storage.reader(await tenant.snapshot()).objects_of(asked, 2, PLENTY)
        assert list(found) == [ReverseEdge("0"), ReverseEdge("10", "weekday")]

    async def test_what_was_collected_is_not_read(self, storage: Storage, tenant: Tenant) -> None:
        asked = [reverse("doc#viewer@user:ann")]
        old = storage.reader((await tenant.write(touch(*STORED))).snapshot)
        await tenant.write(delete(*STORED))
        await tenant.write(touch("doc:1#viewer@user:ann"))
        horizon = (await tenant.snapshot()).committed_at + timedelta(days=1)
        while not (await storage.collect_garbage(tenant.id, horizon, PLENTY)).done:
            pass
        with pytest.raises(SnapshotExpired):
            await old.objects_of(asked, PLENTY, PLENTY)
        (found,) = await storage.reader(await tenant.snapshot()).objects_of(asked, 9, PLENTY)
        assert list(found) == [ReverseEdge("1")]
