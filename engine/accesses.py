"""The façade's half for admins: who can access what, how that came about, and what would change.

Each method is one question and hands over to the module of that question. Nothing is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from engine.cursor import Cursors
from engine.diff import Diff, DiffAnswer, Diffs
from engine.errors import BudgetExceeded
from engine.expand_further import expand_further
from engine.expand_once import expand_once
from engine.history import Histories, History, HistoryAnswer
from engine.impact import Impact, ImpactAnswer, Impacts
from engine.lookup_objects import Objects
from engine.lookup_permissions import lookup_permissions
from engine.lookup_subjects import Subjects
from engine.pages import Pages, Way
from engine.requests import (
    AtLeastAsFresh,
    ExpandAnswer,
    ExpandPage,
    Gap,
    LookupObjects,
    LookupPermissions,
    LookupSubjects,
    ObjectCount,
    ObjectsAnswer,
    Overlay,
    PermissionsAnswer,
    SubjectCount,
    SubjectsAnswer,
)
from engine.store.protocol import Storage
from engine.tuples import Object

_GRACE = 0.25


class Accesses:
    """The lists and audits of the stores in one storage."""

    def __init__(self, pages: Pages, storage: Storage, cursors: Cursors) -> None:
        self._pages = pages
        self._subjects = Subjects(pages)
        self._objects = Objects(pages)
        self._histories = Histories(storage, pages.freshness, cursors, pages.limits)
        self._diffs = Diffs(storage, pages.freshness, pages, cursors)
        self._impacts = Impacts(storage, pages)

    async def expand_further(
        self,
        store: str,
        object: Object,  # noqa: A002 - the API's word
        relation: str,
        way: Way | None = None,
    ) -> ExpandPage:
        """A page of the trees of `object#relation` and of all usersets beneath it."""
        return await expand_further(self._pages, store, object, relation, way or Way())

    async def expand_once(
        self,
        store: str,
        object: Object,  # noqa: A002 - the API's word
        relation: str,
        way: Way | None = None,
    ) -> ExpandAnswer:
        """What `object#relation` is made of, by one step. Raises as `engine.expand_once` says."""
        return await expand_once(self._pages, store, object, relation, way or Way())

    async def lookup_objects(
        self, store: str, asked: LookupObjects, way: Way | None = None
    ) -> ObjectsAnswer:
        """A page of the objects that a subject is a member of. Raises as `engine.lookup_objects`
        says."""
        return await self._objects.page(store, asked, way or Way())

    def stream_objects(
        self, store: str, asked: LookupObjects, way: Way | None = None
    ) -> AsyncGenerator[ObjectsAnswer, None]:
        """All the pages of `lookup_objects`, for the cost of one."""
        return self._objects.stream(store, asked, way or Way())

    async def count_objects(
        self, store: str, asked: LookupObjects, way: Way | None = None
    ) -> ObjectCount:
        """How many objects `lookup_objects` would list."""
        return await self._objects.count(store, asked, way or Way())

    async def lookup_subjects(
        self, store: str, asked: LookupSubjects, way: Way | None = None
    ) -> SubjectsAnswer:
        """A page of the subjects that are members. Raises as `engine.lookup_subjects` says."""
        return await self._subjects.page(store, asked, way or Way())

    def stream_subjects(
        self, store: str, asked: LookupSubjects, way: Way | None = None
    ) -> AsyncGenerator[SubjectsAnswer, None]:
        """All the pages of `lookup_subjects`, for the cost of one."""
        return self._subjects.stream(store, asked, way or Way())

    async def count_subjects(
        self, store: str, asked: LookupSubjects, way: Way | None = None
    ) -> SubjectCount:
        """How many subjects `lookup_subjects` would list."""
        return await self._subjects.count(store, asked, way or Way())

    async def lookup_permissions(
        self, store: str, asked: LookupPermissions, way: Way | None = None
    ) -> PermissionsAnswer:
        """What a subject may do on an object. Raises as `engine.lookup_permissions` says."""
        return await lookup_permissions(self._pages, store, asked, way or Way())

    async def history(self, store: str, asked: History, way: Way | None = None) -> HistoryAnswer:
        """A page of an object's or a subject's past. Raises as `engine.history` says."""
        return await self._histories.page(store, asked, way or Way())

    async def diff(self, store: str, asked: Diff, way: Way | None = None) -> DiffAnswer:
        """A page of who gained and who lost access, and why. Raises as `engine.diff` says."""
        return await self._diffs.page(store, asked, way or Way())

    def stream_diff(
        self, store: str, asked: Diff, way: Way | None = None
    ) -> AsyncGenerator[DiffAnswer, None]:
        """All the pages of `diff`, for the cost of one."""
        return self._diffs.stream(store, asked, way or Way())

    async def impact(self, store: str, asked: Impact, way: Way | None = None) -> ImpactAnswer:
        """Who would gain and who would lose access. Raises as `engine.impact` says."""
        return await self._impacts.page(store, asked, way or Way())

    async def schema_impact(
        self, store: str, text: str, zookie: str, seconds: float
    ) -> ImpactAnswer:
        """The first page of what a schema would do, at a snapshot that is not older than the
        zookie, or as much of it as is known after so many seconds."""
        asked = Impact(Overlay(schema=text))
        way = Way(consistency=AtLeastAsFresh(zookie), deadline=seconds)
        try:
            async with asyncio.timeout(seconds + _GRACE):
                return await self._impacts.page(store, asked, way)
        except TimeoutError:
            return ImpactAnswer((), None, (Gap("", BudgetExceeded.of("milliseconds")),), zookie)
