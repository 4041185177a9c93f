"""What an impact says when it could not look at everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.consistency import Freshness
from engine.cursor import Cursors
from engine.digest import Part
from engine.engine import Engine
from engine.impact import Counts, Impact, ImpactAnswer, Impacts
from engine.limits import Limits
from engine.pages import Page, Pages, Way
from engine.reader import Edge, Probe, ReverseEdge, ReverseReader, ReverseScan, Scan
from engine.requests import FULLY_CONSISTENT, Overlay, WriteRequest
from engine.schemas import Schemas
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot
from engine.tuples import Object, parse_tuple
from tests.impact.truth import counted
from tests.store.tenant import touch

SCHEMA = """definition user {}
definition group { relation member: user }
caveat on_day(day string, wanted string) { day == wanted }
definition document {
  relation viewer: user | user with on_day | group#member
  relation owner: user
  permission view = viewer
}"""
OWNERS = SCHEMA.replace("view = viewer", "view = viewer + owner")
NEW = Impact(Overlay(schema=OWNERS))


class Patience:
    """Lets the time of a page run out after some reads."""

    def __init__(self, reads: int) -> None:
        self.reads = reads
        self.page: Page | None = None
        self._left = 0

    def begin(self, page: Page) -> None:
        """Count for this page."""
        self.page = page
        self._left = self.reads

    def count(self) -> None:
        """One read more."""
        self._left -= 1
        if self._left == 0 and self.page is not None:
            self.page.budget.deadline = 0.0


class HurriedReader:
    """Counts what is read."""

    def __init__(self, reader: ReverseReader, patience: Patience) -> None:
        self._reader = reader
        self._patience = patience

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """As the reader inside."""
        self._patience.count()
        return await self._reader.fetch(probes, scans, limit)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        """As the reader inside."""
        self._patience.count()
        return await self._reader.objects_of(scans, each, limit)


class HurriedStorage(MemoryStorage):
    """A storage in memory whose readers count."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self.patience = patience

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        """A reader that counts."""
        return HurriedReader(super().reader(snapshot), self.patience)


class HurriedPages(Pages):
    """Pages whose time runs out after some reads."""

    patience: Patience

    def within(self, limits: Limits) -> Pages:
        """The same pages."""
        del limits
        return self

    async def open(
        self,
        store: str,
        name: str,
        arguments: Part,
        way: Way,
        objects: tuple[Object, ...] = (),
    ) -> Page:
        """A page that is counted for."""
        page = await super().open(store, name, arguments, way, objects)
        self.patience.begin(page)
        return page


def impacts(storage: HurriedStorage) -> Impacts:
    """Impacts whose pages end after some reads."""
    freshness, cursors = Freshness(storage), Cursors(storage)
    limits = Limits(contextual_tuples=1000)
    pages = HurriedPages(storage, freshness, Schemas(storage), cursors, limits)
    pages.patience = storage.patience
    return Impacts(storage, pages)


async def filled(storage: MemoryStorage, *tuples: str) -> Engine:
    engine = Engine(storage)
    await engine.create_store("acme")
    await engine.write_schema("acme", SCHEMA)
    await engine.write("acme", WriteRequest(touch(*tuples)))
    return engine


async def going_on(made: Impacts, asked: Impact, patience: Patience) -> list[ImpactAnswer]:
    """Every page."""
    way = Way(1000, consistency=FULLY_CONSISTENT)
    pages = []
    while True:
        pages.append(await made.page("acme", asked, way))
        if pages[-1].cursor is None:
            return pages
        (gap,) = pages[-1].gaps
        assert (gap.about, gap.error.extra["budget"]) == ("", "milliseconds")
        way = replace(way, cursor=pages[-1].cursor)
        assert patience.page is not None


def added_up(pages: Sequence[ImpactAnswer]) -> Counts:
    return sum((page.total for page in pages), Counts())


@pytest.mark.parametrize("reads", [8, 11, 1000])
async def test_pages_add_up_to_the_whole(reads: int) -> None:
    storage = HurriedStorage(Patience(reads))
    names = [f"document:{n}#{r}@user:{n % 3}{r}" for n in range(20) for r in ("viewer", "owner")]
    engine = await filled(storage, *names, "document:7#viewer@user:7")
    pages = await going_on(impacts(storage), NEW, storage.patience)
    found = [one for page in pages for row in page.rows for one in row.sample]
    assert len({(one.object, one.subject) for one in found}) == len(found) == 20
    assert added_up(pages) == counted(found) == Counts(gained=20, new_access=20)
    assert pages[-1].gaps == ()
    assert len({page.zookie for page in pages}) == 1
    assert (len(pages) > 3) == (reads < 1000)
    await engine.close()


@pytest.mark.parametrize("reads", [5, 6, 1000])
async def test_pages_end_amid_an_object(reads: int) -> None:
    storage = HurriedStorage(Patience(reads))
    people = [f"{n:03}" for n in range(200)]
    one = 'document:a#viewer@user:%s[on_day:{"wanted":"%s"}]'
    engine = await filled(storage, *(one % (n, "x") for n in people))
    other = [parse_tuple(one % (n, "y")) for n in people]
    asked = Impact(Overlay(add=[item for item in other if item.subject.id != "100"]))
    pages = await going_on(impacts(storage), asked, storage.patience)
    found = [one.subject.id for page in pages for row in page.rows for one in row.sample]
    assert found == [n for n in people if n != "100"]
    assert added_up(pages) == Counts(changed=199, new_access=199)
    assert (len(pages) > 1) == (reads < 1000)
    await engine.close()


async def test_no_progress_is_no_cursor() -> None:
    storage = HurriedStorage(Patience(1))
    engine = await filled(storage, "document:a#owner@user:ann")
    answer = await impacts(storage).page("acme", NEW, Way(consistency=FULLY_CONSISTENT))
    assert answer.cursor is None
    assert [gap.about for gap in answer.gaps] == [""]
    await engine.close()


async def test_an_object_that_is_too_large_is_a_gap_and_the_rest_is_counted() -> None:
    storage = MemoryStorage()
    engine = await filled(
        storage,
        *(f"document:{name}#owner@user:ann" for name in "abc"),
        *(f"document:b#viewer@user:{n}" for n in range(60)),
    )
    whole = await engine.impact("acme", NEW, Way(consistency=FULLY_CONSISTENT))
    assert (whole.total.gained, whole.gaps) == (3, ())
    small = Engine(storage, limits=Limits(evaluation_reads=50))
    answer = await small.impact("acme", NEW, Way(consistency=FULLY_CONSISTENT))
    assert (answer.total.gained, answer.cursor) == (2, None)
    assert {gap.about for gap in answer.gaps} == {"document:b#view"}
    assert answer.gaps[0].error.code == "budget_exceeded"


async def test_checks_that_are_too_many_together_are_decided_in_parts() -> None:
    storage = MemoryStorage()
    engine = await filled(storage, *(f"document:{n}#viewer@group:eng#member" for n in range(90)))
    asked = Impact(Overlay(add=[parse_tuple("group:eng#member@user:ann")]))
    whole = await engine.impact("acme", asked, Way(consistency=FULLY_CONSISTENT))
    small = Engine(storage, limits=Limits(evaluation_nodes=20))
    answer = await small.impact("acme", asked, Way(consistency=FULLY_CONSISTENT))
    assert answer == whole
    assert whole.total.gained == 90


async def test_what_does_not_go_on_is_told_at_once() -> None:
    storage = MemoryStorage()
    engine = await filled(storage, "document:a#owner@user:ann")
    told = await engine.schema_impact("acme", OWNERS, (await engine.read_schema("acme")).zookie, 0)
    assert told.total == Counts()
    assert [gap.about for gap in told.gaps] == [""]
