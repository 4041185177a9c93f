"""What every storage reads: by filter in pages, and for evaluation by probes and scans."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations

import pytest

from engine.errors import BudgetExceeded
from engine.reader import Edge, Probe
from engine.store.protocol import Storage, TupleFilter, Update, UpdateOp
from engine.tuples import Object, RelationTuple, Subject, parse_tuple
from tests.store.tenant import (
    LATER,
    NO_LIMIT,
    NOW,
    Tenant,
    delete,
    edge,
    in_order,
    probe,
    scan,
    touch,
)

WORLD = (
    "doc:1#viewer@user:ann",
    "doc:1#viewer@user:*",
    "doc:1#viewer@group:eng#member",
    "doc:1#viewer@group:eng",
    "doc:1#viewer@group:eng#owner",
    "doc:1#editor@user:ann",
    "doc:2#viewer@user:ann[weekday]",
    'doc:2#viewer@user:ben[weekday:{"day":1}]',
    "doc:10#viewer@user:ann[expiration:2030-01-01T01:00:00Z]",
    "folder:1#viewer@user:ann",
    "folder:1#viewer@team:eng#member",
    "folder:1#editor@service:ann",
    "Doc:1#viewer@user:ann",
)
FIELDS = TupleFilter._fields
EXTREME_IDS = (
    "A",
    "a",
    "aa",
    "a/b",
    "z",
    "\u00e9",  # é in one character
    "e\u0301",  # é as e and an accent
    "\u4f60",
    "\uff5e",  # sorts before the next one in UTF-8 and after it in UTF-16
    "\U0001f600",
    "x" * 1024,
    "\u00e9" * 512,
    "'; DROP TABLE tuples; --",
    "100%_\\",
    "$1",
)


def parts(tuple_: RelationTuple) -> tuple[str, ...]:
    """A tuple's identity in the order of a filter's fields."""
    return (*tuple_.object, tuple_.relation, *tuple_.subject)


def matching(tuples: list[RelationTuple], filter_: TupleFilter) -> list[RelationTuple]:
    """The reference: what a filter means."""
    return in_order(
        [
            tuple_
            for tuple_ in tuples
            if all(
                wanted in (None, part) for wanted, part in zip(filter_, parts(tuple_), strict=True)
            )
        ]
    )


class ReadContract:
    """`read`: filters, order, pages, snapshots, expiry."""

    @pytest.mark.parametrize("sample", [WORLD[0], WORLD[2], WORLD[1], "doc:1#owner@user:zed"])
    async def test_every_combination_of_filter_fields(self, tenant: Tenant, sample: str) -> None:
        world = [parse_tuple(text) for text in WORLD]
        await tenant.write(touch(*WORLD))
        at = await tenant.snapshot()
        values = dict(zip(FIELDS, parts(parse_tuple(sample)), strict=True))
        for width in range(len(FIELDS) + 1):
            for names in combinations(FIELDS, width):
                filter_ = TupleFilter(**{name: values[name] for name in names})
                assert await tenant.tuples(at, filter_) == matching(world, filter_)

    @pytest.mark.parametrize("page", [1, 2, 3, len(WORLD), NO_LIMIT])
    @pytest.mark.parametrize(
        "filter_",
        [
            TupleFilter(),
            TupleFilter(object_type="doc"),
            TupleFilter(object_type="doc", object_id="1"),
            TupleFilter(object_type="doc", object_id="1", relation="viewer"),
            TupleFilter(relation="viewer", subject_relation=""),
            TupleFilter(subject_type="user", subject_id="ann"),
            TupleFilter(subject_type="group", subject_id="eng", subject_relation="member"),
            TupleFilter(object_id="1"),
            TupleFilter(subject_id="*"),
        ],
    )
    async def test_pages_of_any_size_give_the_whole(
        self, tenant: Tenant, filter_: TupleFilter, page: int
    ) -> None:
        await tenant.write(touch(*WORLD))
        world = [parse_tuple(text) for text in WORLD]
        assert await tenant.tuples(filter_=filter_, page=page) == matching(world, filter_)

    async def test_a_page_begins_after_a_tuple_that_is_gone(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        await tenant.write(touch("doc:1#v@user:a", "doc:1#v@user:c", "doc:3#v@user:a"))
        at = await tenant.snapshot()
        for after, found in (
            ("doc:1#v@user:b", ["doc:1#v@user:c", "doc:3#v@user:a"]),
            ("doc:1#v@user:a#m", ["doc:1#v@user:c", "doc:3#v@user:a"]),
            ("doc:1#w@user:a", ["doc:3#v@user:a"]),
            ("doc:2#v@user:z", ["doc:3#v@user:a"]),
            ("doc:3#v@user:a", []),
            ("do:9#v@user:a", ["doc:1#v@user:a", "doc:1#v@user:c", "doc:3#v@user:a"]),
        ):
            start = parse_tuple(after)
            got = await storage.read(at, TupleFilter(), after=start, limit=9, now=NOW)
            assert [str(tuple_) for tuple_ in got] == found
        filter_ = TupleFilter(object_type="doc", object_id="1", relation="v")
        start = parse_tuple("doc:0#v@user:a")
        assert len(await storage.read(at, filter_, after=start, limit=9, now=NOW)) == 2
        start = parse_tuple("doc:2#v@user:a")
        assert await storage.read(at, filter_, after=start, limit=9, now=NOW) == []

    @pytest.mark.parametrize("page", [1, NO_LIMIT])
    async def test_ids_are_bytes(self, tenant: Tenant, page: int) -> None:
        world = [
            RelationTuple(Object("doc", object_), "viewer", Subject("user", subject))
            for object_ in EXTREME_IDS
            for subject in ("a", "\u00e9", "e\u0301", "x" * 1024)
        ]
        outcome = await tenant.write([Update(UpdateOp.CREATE, tuple_) for tuple_ in world])
        assert outcome.results == ("created",) * len(world)
        ordered = in_order(world)
        assert await tenant.tuples(page=page if page > 1 else 7) == ordered
        for id_ in EXTREME_IDS:
            filter_ = TupleFilter(object_id=id_)
            assert await tenant.tuples(filter_=filter_) == matching(world, filter_)
        composed = TupleFilter(object_id="A", subject_id="\u00e9")
        assert len(await tenant.tuples(filter_=composed)) == 1

    async def test_a_large_identity_is_stored(self, storage: Storage, tenant: Tenant) -> None:
        huge = RelationTuple(
            Object("d" * 254, "\U0001f600" * 256),
            "r" * 64,
            Subject("s" * 64, "\U0001f600" * 256, "m" * 64),
        )
        await tenant.write([Update(UpdateOp.CREATE, huge)])
        assert await tenant.tuples() == [huge]
        reader = storage.reader(await tenant.snapshot())
        found, lists = await reader.fetch(
            [probe("doc:1#viewer@user:ann"), probe_of(huge)],
            [scan("doc:1#viewer")],
            1,
        )
        assert (found, lists) == ([None, Edge(*huge.subject)], [[]])

    async def test_context_comes_back_as_written(self, tenant: Tenant) -> None:
        text = 'doc:1#viewer@user:ann[limits:{"a":1,"b":1.5,"c":18446744073709551615,"é":"\\n"}]'
        large = RelationTuple(
            Object("doc", "2"), "viewer", Subject("user", "ann"), "blob", f'{{"k":"{"x" * 24000}"}}'
        )
        written = parse_tuple(text)
        await tenant.write([Update(UpdateOp.TOUCH, written), Update(UpdateOp.TOUCH, large)])
        assert await tenant.tuples() == [written, large]
        again = await tenant.write([Update(UpdateOp.TOUCH, written), Update(UpdateOp.TOUCH, large)])
        assert again.results == ("unchanged", "unchanged")

    async def test_expired_tuples_are_left_out_and_do_not_shorten_pages(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        soon, living = "[expiration:2030-01-01T00:30:00Z]", "doc:3#viewer@user:ann"
        gone = [f"doc:{i}#viewer@user:ann{soon}" for i in (1, 2)]
        await tenant.write(touch(*gone, living))
        at = await tenant.snapshot()
        assert await tenant.texts(at, now=NOW) == [*gone, living]
        got = await storage.read(at, TupleFilter(), after=None, limit=1, now=LATER)
        assert [str(tuple_) for tuple_ in got] == [living]

    async def test_expiry_keeps_its_microseconds(self, tenant: Tenant) -> None:
        moment = NOW + timedelta(microseconds=1)
        tuple_ = parse_tuple("doc:1#viewer@user:ann")._replace(expires_at=moment)
        await tenant.write([Update(UpdateOp.TOUCH, tuple_)])
        assert await tenant.tuples(now=NOW) == [tuple_]
        assert await tenant.tuples(now=moment) == []


def probe_of(tuple_: RelationTuple) -> Probe:
    """The probe for a tuple."""
    return Probe(*tuple_.object, tuple_.relation, *tuple_.subject)


class FetchContract:
    """`reader().fetch`: answers in the order asked, limits, one snapshot."""

    async def test_probes_are_exact(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.write(touch(*WORLD))
        reader = storage.reader(await tenant.snapshot())
        absent = (
            "doc:1#viewer@user:ben",
            "doc:1#owner@user:ann",
            "doc:3#viewer@user:ann",
            "folder:2#viewer@user:ann",
            "doc:1#viewer@group:ann",
            "doc:1#viewer@group:eng#viewer",
            "doc:1#viewer@user:eng#member",
            "doc:2#viewer@user:*",
            "doc:1#viewer@user:Ann",
        )
        asked = [text for pair in zip(WORLD, absent, strict=False) for text in pair]
        found, lists = await reader.fetch([probe(text) for text in asked], [], 0)
        assert list(found) == [edge(text) if text in WORLD else None for text in asked]
        assert list(lists) == []

    async def test_scans_are_whole(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.write(touch(*WORLD))
        reader = storage.reader(await tenant.snapshot())
        asked = ["doc:1#viewer", "doc:9#viewer", "doc:2#viewer", "folder:1#editor", "doc:1#viewer"]
        _, lists = await reader.fetch([], [scan(text) for text in asked], 100)
        for text, edges in zip(asked, lists, strict=True):
            stored = [edge(line) for line in WORLD if line.startswith(f"{text}@")]
            assert sorted(edges) == sorted(stored)
        usersets = [scan(text, only_usersets=True) for text in asked[:3]]
        _, lists = await reader.fetch([], usersets, 100)
        assert sorted(lists[0]) == [Edge("group", "eng", "member"), Edge("group", "eng", "owner")]
        assert [list(edges) for edges in lists[1:]] == [[], []]

    async def test_probes_and_scans_come_together(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.write(touch(*WORLD))
        reader = storage.reader(await tenant.snapshot())
        found, lists = await reader.fetch(
            [probe("doc:1#viewer@user:*"), probe("doc:1#viewer@user:*"), probe(WORLD[7])],
            [scan("doc:1#editor"), scan("doc:1#viewer", only_usersets=True)],
            100,
        )
        assert list(found) == [edge("doc:1#viewer@user:*")] * 2 + [edge(WORLD[7])]
        assert [sorted(edges) for edges in lists] == [
            [Edge("user", "ann", "")],
            [Edge("group", "eng", "member"), Edge("group", "eng", "owner")],
        ]
        assert [list(part) for part in await reader.fetch([], [], 0)] == [[], []]

    async def test_expired_edges_are_returned(self, storage: Storage, tenant: Tenant) -> None:
        text = "doc:1#viewer@user:ann[expiration:2001-01-01T00:00:00Z]"
        await tenant.write(touch(text), now=NOW.replace(year=2000))
        reader = storage.reader(await tenant.snapshot())
        found, lists = await reader.fetch([probe(text)], [scan("doc:1#viewer")], 1)
        assert list(found) == [edge(text)]
        assert list(lists[0]) == [edge(text)]

    async def test_no_part_of_too_much(self, storage: Storage, tenant: Tenant) -> None:
        await tenant.write(touch(*WORLD))
        reader = storage.reader(await tenant.snapshot())
        scans = [scan("doc:1#viewer"), scan("doc:2#viewer")]
        _, lists = await reader.fetch([probe(text) for text in WORLD], scans, 7)
        assert [len(edges) for edges in lists] == [5, 2]
        with pytest.raises(BudgetExceeded) as stopped:
            await reader.fetch([], scans, 6)
        assert stopped.value.extra["budget"] == "reads"
        only = [scan("doc:1#viewer", only_usersets=True)]
        _, lists = await reader.fetch([], only, 2)
        assert len(lists[0]) == 2
        with pytest.raises(BudgetExceeded):
            await reader.fetch([], only, 1)

    async def test_many_probes_and_scans(self, storage: Storage, tenant: Tenant) -> None:
        texts = [f"doc:{i}#viewer@group:{i % 7}#member" for i in range(600)]
        await tenant.write(touch(*texts))
        reader = storage.reader(await tenant.snapshot())
        asked = [f"doc:{i}#viewer@group:{i % 11}#member" for i in range(600)]
        scans = [scan(f"doc:{i}#viewer", only_usersets=True) for i in range(0, 1200, 2)]
        found, lists = await reader.fetch([probe(text) for text in asked], scans, 300)
        assert [edge is not None for edge in found] == [i % 7 == i % 11 for i in range(600)]
        assert [len(edges) for edges in lists] == [1] * 300 + [0] * 300

    async def test_a_reader_keeps_its_snapshot(self, storage: Storage, tenant: Tenant) -> None:
        first = "doc:1#viewer@group:eng#member"
        reader = storage.reader((await tenant.write(touch(first))).snapshot)
        asked = ([probe(first)], [scan("doc:1#viewer"), scan("doc:1#viewer", only_usersets=True)])
        before = await reader.fetch(*asked, 10)
        assert [list(part) for part in before] == [[edge(first)], [[edge(first)]] * 2]
        await tenant.write([*delete(first), *touch("doc:1#viewer@user:ben")])
        await tenant.write(touch(f"{first}[weekday]"))
        await tenant.write(delete("doc:1#viewer@user:ben"))
        assert await reader.fetch(*asked, 10) == before
        found, lists = await storage.reader(await tenant.snapshot()).fetch(*asked, 10)
        assert list(found) == [edge(f"{first}[weekday]")]
        assert [list(edges) for edges in lists] == [[edge(f"{first}[weekday]")]] * 2
