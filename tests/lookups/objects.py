"""Compares lookups of objects with what is true of every object by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from engine.lookup_objects import Objects
from engine.pages import Way
from engine.requests import FoundObject, Gap, LookupObjects, ObjectsAnswer
from engine.store.protocol import Storage
from engine.tuples import Object, Subject
from tests.engine.agreement import in_words, simplified
from tests.lookups.subjects import IDS, halves, pages_of, planted
from tests.reference import Oracle, World

SIZES = (1, 2, 3, 1000)
SUBJECTS = (
    Subject("user", "a"),
    Subject("user", "b"),
    Subject("user", "nobody"),
    Subject("group", "1", "member"),
    Subject("doc", "2", "view"),
    Subject("folder", "1"),
    Subject("group", "2", "all"),
    Subject("folder", "2", "view"),
)
TYPES = (("doc",), ("folder",), ("group",), ("folder", "doc", "group"))
Listed = tuple[tuple[FoundObject, ...], tuple[Gap, ...]]


Page = Callable[[str, LookupObjects, Way], Awaitable[ObjectsAnswer]]


async def every_page(
    page: Page, store: str, asked: LookupObjects, way: Way
) -> tuple[list[FoundObject], list[Gap]]:
    """All entries and gaps of a list that is read page by page."""
    found: list[FoundObject] = []
    gaps: list[Gap] = []
    while True:
        answer = await page(store, asked, way)
        assert len(answer.objects) + len(answer.gaps) <= (way.limit or 1000)
        found += answer.objects
        gaps += answer.gaps
        if answer.cursor is None:
            return found, gaps
        assert answer.objects or answer.gaps
        way = replace(way, cursor=answer.cursor)


async def listed(objects: Objects, store: str, asked: LookupObjects) -> dict[str, str]:
    """What the list says of each object: it is the same at every size of page, as a stream, with
    all objects as candidates, and as numbers."""
    kinds = asked.types
    candidates = sorted({id_ for kind in kinds for id_ in IDS[kind]}, reverse=True)
    chosen = replace(asked, candidates=candidates)
    made = [await every_page(objects.page, store, asked, Way(size)) for size in SIZES]
    made += [await every_page(objects.page, store, chosen, Way(size)) for size in SIZES]
    streamed = [answer async for answer in objects.stream(store, asked, Way(2))]
    made.append(
        (
            [item for answer in streamed for item in answer.objects],
            [gap for answer in streamed for gap in answer.gaps],
        )
    )
    told = [(found, [gap.about for gap in gaps]) for found, gaps in made]
    assert all(one == told[0] for one in told), told
    found, gaps = told[0]
    count = await objects.count(store, asked, Way())
    says = {str(item.object): in_words(simplified(item.decision)) for item in found}
    assert count.allowed == sum(said == "allowed" for said in says.values())
    assert count.allowed + count.conditional == len(found)
    assert [gap.about for gap in count.gaps] == gaps[:10]
    places = [item.object for item in found]
    assert places == sorted(set(places))
    assert not says.keys() & set(gaps)
    return says | dict.fromkeys(gaps, "error")


async def compare(
    storage: Storage,
    world: World,
    questions: Sequence[tuple[Subject, str, tuple[str, ...]]],
    tally: Counter[str],
) -> list[str]:
    """The differences in one world: with all tuples stored, and with half of them contextual."""
    objects = Objects(pages_of(storage, world.schema))
    everything = [Object(kind, id_) for kind, ids in IDS.items() for id_ in ids]
    oracles = {subject: Oracle(world, subject, everything) for subject, *_ in questions}
    wrong: list[str] = []
    for start in (None, 0, 1):
        stored, contextual = halves(world.schema, world.tuples, start)
        store = await planted(storage, stored)
        for subject, relation, kinds in questions:
            asked = LookupObjects(kinds, relation, subject, world.context, contextual)
            says = await listed(objects, store, asked)
            oracle = oracles[subject]
            truth = {
                str(Object(kind, id_)): in_words(oracle.answer(Object(kind, id_), relation))
                for kind in kinds
                for id_ in IDS[kind]
            }
            is_ = {at: said for at, said in truth.items() if said != "denied"}
            tally.update(said if said.isalpha() else "conditional" for said in is_.values())
            if says != is_:
                wrong.append(
                    f"{kinds}#{relation} of {subject}, contextual from {start}: "
                    f"is {sorted(is_.items())}, the list says {sorted(says.items())}"
                )
    return wrong
