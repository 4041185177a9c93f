"""LookupObjects: of which objects is a subject a member?

`engine.reach` walks backwards from the subject, guided by the schema (`engine.entrances`), and
`engine.candidates` puts what it leads to in order; what is not certain by then is checked
(`engine.listing`). Every page of a list is at one snapshot, and what was found beyond the end of a
page is kept for the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from time import perf_counter
from typing import cast

from engine.decision import Verdict
from engine.digest import Part, of_tuples
from engine.jsontext import canonical_json
from engine.kept import Kept, Key, key_of
from engine.listing import Listing, Spoiled
from engine.pages import Page, Pages, Way
from engine.reach import Reach
from engine.requests import FoundObject, Gap, LookupObjects, ObjectCount, ObjectsAnswer
from engine.tuples import Object

_NAME = "lookup_objects"
_AT_ONCE = 5_000
_GAPS_TOLD = 10
_KEPT_OBJECTS = 200_000


class Objects:
    """Answers lookups of objects in pages, as a stream, and as numbers.

    Every method raises UnknownType, UnknownRelation, InvalidRequest, LimitExceeded,
    InvalidContext, what `Pages.open` raises and what the reader raises. A budget that is used up
    is a gap in the answer.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._kept: Kept[tuple[Reach, Listing | None]] = Kept(_KEPT_OBJECTS)

    async def page(self, store: str, asked: LookupObjects, way: Way) -> ObjectsAnswer:
        """One page."""
        size = self._pages.size(way)
        page, listing = await self._begin(store, asked, way, size + 1)
        answer = await self._page(page, listing, size)
        if answer.cursor is not None and listing.reach is not None:
            self._keep(key_of(page), listing.reach, listing)
        return answer

    async def stream(
        self, store: str, asked: LookupObjects, way: Way
    ) -> AsyncGenerator[ObjectsAnswer, None]:
        """All pages after a cursor, of one walk; the deadline is the walk's, and each page's."""
        size = self._pages.size(way)
        page, listing = await self._begin(store, asked, way, _AT_ONCE)
        while True:
            answer = await self._page(page, listing, size)
            yield answer
            if answer.cursor is None or listing.stopped:
                return
            listing.confirmation.deadline = perf_counter() + self._pages.seconds(way)

    async def count(self, store: str, asked: LookupObjects, way: Way) -> ObjectCount:
        """How many entries the list has from the cursor on."""
        page, listing = await self._begin(store, asked, way, _AT_ONCE)
        counts: Counter[Verdict] = Counter()
        gaps: list[Gap] = []
        while items := await listing.take(_AT_ONCE):
            for item in items:
                if isinstance(item, FoundObject):
                    counts[item.decision.verdict] += 1
                elif len(gaps) < _GAPS_TOLD:
                    gaps.append(Gap(str(item.object), item.error))
        gaps += listing.told_stop()
        numbers = (counts[Verdict.ALLOWED], counts[Verdict.CONDITIONAL])
        return ObjectCount(*numbers, tuple(gaps), page.zookie)

    async def _begin(
        self, store: str, asked: LookupObjects, way: Way, at_once: int
    ) -> tuple[Page, Listing]:
        ids = asked.candidates or ()
        named = tuple(Object(kind, id_) for kind in asked.types for id_ in ids)
        page = await self._pages.open(store, _NAME, _arguments(asked), way, named)
        key = key_of(page)
        reach, before = (way.cursor and self._kept.use(key)) or (None, None)
        if reach is not None and before is not None:
            # It is this page's alone from now on; the walk stays for whoever asks again.
            self._keep(key, reach, None)
            if before.position == page.position and before.stopped is None:
                before.go_on(page.budget.deadline)
                return page, before
        listing = Listing(page, asked, at_once)
        await listing.begin(reach)
        return page, listing

    def _keep(self, key: Key, reach: Reach, listing: Listing | None) -> None:
        size = 1 + (reach.size if listing is None else listing.size)
        if size > _KEPT_OBJECTS:
            listing, size = None, 1 + reach.size
        self._kept.keep(key, (reach, listing), size)

    async def _page(self, page: Page, listing: Listing, size: int) -> ObjectsAnswer:
        items = await listing.take(size)
        gaps: list[Gap] = []
        if listing.spoiled:
            gaps = [Gap(str(item.object), item.error) for item in items if type(item) is Spoiled]
            items = [item for item in items if type(item) is FoundObject]
        found = cast("tuple[FoundObject, ...]", tuple(items))
        position = listing.position if await listing.more() else None
        cursor = None if position is None else await self._pages.seal(page, position)
        name = page.ground.compiled.name
        return ObjectsAnswer(found, cursor, (*gaps, *listing.told_stop()), page.zookie, name)


def _arguments(asked: LookupObjects) -> Part:
    candidates = None if asked.candidates is None else sorted(asked.candidates)
    return (
        sorted(asked.types),
        asked.relation,
        *asked.subject,
        canonical_json(dict(asked.context)),
        of_tuples(asked.contextual_tuples),
        candidates,
    )
