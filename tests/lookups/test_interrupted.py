"""Time runs out while members are being confirmed: what was decided stands, and the rest is a gap.

The deadline is put behind by hand after so many reads, or so many entries.
"""

from __future__ import annotations

from engine.errors import BudgetExceeded
from engine.limits import Limits
from engine.listing import Listing
from engine.lookup_subjects import Look
from engine.pages import Page, Pages, Way
from engine.requests import LookupObjects, LookupSubjects
from engine.tuples import Object, RelationTuple, Subject, parse_tuple
from schema import parse_schema
from tests.lookups.counting import CountingStorage
from tests.lookups.subjects import pages_of, planted

SCHEMA = parse_schema("""definition user {}

definition doc {
  relation viewer: user
  relation banned: user
  permission read = view - banned
  permission view = viewer
}
""")
LONG_AGO = 0.0
READS = 250
"""Checks of 100 documents fit in so many reads; those of the other 150 are made a few at a time."""


def documents() -> list[RelationTuple]:
    return [parse_tuple(f"doc:{n:03}#viewer@user:ann") for n in range(250)]


async def opened(pages: Pages, store: str, way: Way) -> Page:
    return await pages.open(store, "lookup", (), way)


async def test_a_list_of_objects_ends_where_it_was_decided_to() -> None:
    storage = CountingStorage()
    store = await planted(storage, documents())
    pages = pages_of(storage, SCHEMA, Limits(evaluation_reads=READS))
    asked = LookupObjects(("doc",), "read", Subject("user", "ann"))
    page = await opened(pages, store, Way(deadline=60.0))
    listing = Listing(page, asked, 100)
    await listing.begin(None)

    def end(reads: int) -> None:
        if reads == 6:
            listing.confirmation.deadline = LONG_AGO

    storage.restart()
    storage.after_fetch = end
    decided = []
    while (item := await listing.next()) is not None:
        decided.append(item[0].id)
    assert storage.fetched == 6
    assert 100 < len(decided) < 250
    assert decided == [f"{n:03}" for n in range(len(decided))]
    (gap,) = listing.told_stop()
    assert isinstance(gap.error, BudgetExceeded)
    assert gap.error.extra["budget"] == "milliseconds"
    assert await listing.more()
    assert listing.position == ("doc", decided[-1])

    rest = Listing(
        Page(page.call, page.snapshot, page.ground, page.reader, page.budget, listing.position),
        asked,
        100,
    )
    await rest.begin(listing.reach)
    while (item := await rest.next()) is not None:
        decided.append(item[0].id)
    assert decided == [f"{n:03}" for n in range(250)]
    assert rest.stopped is None


async def test_a_list_of_subjects_ends_where_it_was_decided_to() -> None:
    storage = CountingStorage()
    users = [f"{n:03}" for n in range(100)]
    tuples = [f"doc:1#viewer@user:{name}" for name in users]
    tuples += [f"doc:1#banned@user:{name}" for name in users[::2]]
    store = await planted(storage, [parse_tuple(text) for text in tuples])
    asked = LookupSubjects(Object("doc", "1"), "read", "user")
    page = await opened(pages_of(storage, SCHEMA), store, Way(deadline=60.0))
    look = Look(page.ground, asked, page.budget)
    await look.begin()
    decided = []
    async for id_, _ in look.decided("", 10):
        decided.append(id_)
        if id_ == "034":
            page.budget.deadline = LONG_AGO
    assert decided == users[:40]
    assert look.interrupted
    (gap,) = look.told_gaps()
    assert isinstance(gap.error, BudgetExceeded)
    assert gap.error.extra["budget"] == "milliseconds"
