"""Impact: who would gain and who would lose access by a proposed write or schema.

One snapshot is asked twice at one `now`: as it is, and with the change laid over it. The numbers
are of subjects and objects as a diff tells them: subjects that no tuple names are one entry, the
wildcard, and of a type the objects that have tuples are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine.decision import Verdict
from engine.diff import Difference
from engine.digest import Part
from engine.errors import (
    BudgetExceeded,
    InvalidRequest,
    SchemaNotFound,
    UnknownRelation,
    UnknownType,
)
from engine.grounds import Grounds
from engine.impact_compare import Comparison, Standing
from engine.impact_scope import Aim, Scope, Wanted
from engine.lists import check_limit
from engine.pages import Page, Pages, Way
from engine.plan import SubjectForm
from engine.requests import Gap, Overlay
from engine.schemas import CompiledSchema, one_of
from engine.store.protocol import Storage

_NAME = "impact"
_SAMPLE = 10
_GAPS_TOLD = 10


@dataclass(frozen=True, slots=True)
class Impact:
    """Ask what a change would do. `types`, `permissions` and `subjects` (forms of subject)
    restrict what is compared if they are given; without `subjects`, every type's subjects without
    a relation are counted. `relations` counts who is in relations, too."""

    overlay: Overlay
    types: Sequence[str] | None = None
    permissions: Sequence[str] | None = None
    subjects: Sequence[tuple[str, str]] | None = None
    relations: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How many memberships differ, by `Difference.kind`. `new_access` are those that may now be
    had where they were not before: what is gained, and what is conditional no more, or on
    something else."""

    gained: int = 0
    lost: int = 0
    changed: int = 0
    new_access: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.gained + other.gained,
            self.lost + other.lost,
            self.changed + other.changed,
            self.new_access + other.new_access,
        )


@dataclass(slots=True)
class ImpactRow:
    """What differs in one permission for one form of subject, with some of it as `sample`: the
    first of each kind."""

    type: str
    permission: str
    subject_type: str
    subject_relation: str
    counts: Counts = field(default_factory=Counts)
    sample: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImpactAnswer:
    """The rows in which something differs, sorted. With a cursor they are a part of the answer,
    and going on gives the rest, to be added; with gaps the numbers are at least these."""

    rows: tuple[ImpactRow, ...]
    cursor: str | None
    gaps: tuple[Gap, ...]
    zookie: str

    @property
    def total(self) -> Counts:
        """All rows together."""
        return sum((row.counts for row in self.rows), Counts())


class Impacts:
    """Compares what is with what would be, within the limits of a write."""

    def __init__(self, storage: Storage, pages: Pages) -> None:
        self._storage = storage
        limits = pages.limits
        self._pages = pages.within(replace(limits, contextual_tuples=limits.updates))

    async def page(self, store: str, asked: Impact, way: Way) -> ImpactAnswer:
        """What the change does, as far as one budget goes. `way.limit` is the size of the sample
        of each row and kind.

        Raises InvalidRequest for a change that is none, UnknownType and UnknownRelation for what
        neither schema has, LimitExceeded, and what `Pages.open` raises. A budget that is used up
        is a gap, and the cursor goes on from there.
        """
        overlay = asked.overlay
        if not overlay.add and not overlay.remove and not overlay.brings_schema:
            raise InvalidRequest(
                "it changes nothing", field="overlay", expected="one of `add`, `remove`, `schema`"
            )
        size = _SAMPLE if way.limit is None else way.limit
        check_limit(size, self._pages.limits.page_maximum)
        touched = tuple({item.object for item in (*overlay.add, *overlay.remove)})
        page = await self._pages.open(
            store, _NAME, _arguments(asked), replace(way, overlay=overlay), touched
        )
        before = await _standing(self._pages.grounds, self._storage, page)
        _check_names(asked, before, page)
        scope = Scope(self._storage, page.snapshot, before.ground, page.ground)
        comparison = Comparison(self._storage, page, before, scope)
        work = _Work(comparison, size, self._pages.limits.page_maximum)
        stopped = await work.do(scope, _wanted(asked), page)
        gaps = [*([] if stopped is None else [Gap("", stopped)]), *comparison.gaps][:_GAPS_TOLD]
        cursor = None
        if stopped is not None and work.reached not in (None, page.position):
            assert work.reached is not None  # just looked at
            cursor = await self._pages.seal(page, work.reached)
        rows = tuple(row for _, row in sorted(work.rows.items()))
        return ImpactAnswer(rows, cursor, tuple(gaps), page.zookie)


class _Work:
    """The comparison of one page, and how far it came."""

    def __init__(self, comparison: Comparison, size: int, most: int) -> None:
        self.rows: dict[Aim, ImpactRow] = {}
        self.reached: tuple[str, ...] | None = None
        self._comparison = comparison
        self._size = size
        self._left = most

    async def do(self, scope: Scope, wanted: Wanted, page: Page) -> BudgetExceeded | None:
        """Count until the end, or until the budget that is returned is used up."""
        start = page.position or ()
        try:
            await scope.find(wanted, page.budget)
            for aim in scope.aims:
                place = (aim.type, aim.name, *aim.form)
                if place < start[:4]:
                    continue
                after = start[4:] if place == start[:4] else ()
                async for entry in self._comparison.entries(aim, after):
                    if entry.difference is not None:
                        self._count(aim, entry.difference)
                    self.reached = (*place, *entry.position)
        except BudgetExceeded as error:
            return error
        return None

    def _count(self, aim: Aim, difference: Difference) -> None:
        row = self.rows.get(aim)
        if row is None:
            row = self.rows[aim] = ImpactRow(aim.type, aim.name, *aim.form)
        kind = difference.kind
        lesser = kind == "lost" or difference.before.verdict is Verdict.ALLOWED
        known = getattr(row.counts, kind)
        row.counts += Counts(**{kind: 1}, new_access=int(not lesser))
        if known < self._size and self._left:
            self._left -= 1
            row.sample.append(difference)


async def _standing(grounds: Grounds, storage: Storage, page: Page) -> Standing:
    """The snapshot as it is; without a schema, nobody is a member of anything."""
    try:
        return Standing(*await grounds.at(page.snapshot, page.ground.now))
    except SchemaNotFound:
        return Standing(None, storage.reader(page.snapshot))


def _arguments(asked: Impact) -> Part:
    types, names = (
        None if one is None else sorted(set(one)) for one in (asked.types, asked.permissions)
    )
    return (
        types,
        names,
        None if asked.subjects is None else sorted(set(asked.subjects)),
        asked.relations,
    )


def _wanted(asked: Impact) -> Wanted:
    return Wanted(
        None if asked.types is None else frozenset(asked.types),
        None if asked.permissions is None else frozenset(asked.permissions),
        None if asked.subjects is None else tuple(SubjectForm(*form) for form in asked.subjects),
        asked.relations,
    )


def _check_names(asked: Impact, before: Standing, page: Page) -> None:
    """Names that neither schema has are mistakes, not parts that nothing happens in."""
    grounds = [ground for ground in (before.ground, page.ground) if ground is not None]
    known = [ground.compiled for ground in grounds]
    for index, kind in enumerate(asked.types or ()):
        _check_type(known, kind, f"types[{index}]")
    for index, name in enumerate(asked.permissions or ()):
        names = {
            each
            for one in known
            for kind in one.schema.object_types.values()
            for each in kind.names
        }
        if name not in names:
            raise UnknownRelation(
                f"the schema has no relation or permission `{name}`",
                field=f"permissions[{index}]",
                expected=one_of(name, sorted(names), "relations and permissions"),
            )
    for index, (kind, name) in enumerate(asked.subjects or ()):
        _check_type(known, kind, f"subjects[{index}]")
        types = [one.schema.object_types.get(kind) for one in known]
        if name and not any(each and each.rewrite_of(name) is not None for each in types):
            raise UnknownRelation(
                f"`{kind}` has no relation or permission `{name}`",
                field=f"subjects[{index}]",
                expected="a relation or permission of this type",
            )


def _check_type(known: Sequence[CompiledSchema], kind: str, field_: str) -> None:
    if not any(kind in one.schema.object_types for one in known):
        raise UnknownType(
            f"the schema has no object type `{kind}`",
            field=field_,
            expected=one_of(kind, known[-1].schema.object_types, "object types"),
        )
