"""Compares lookups of subjects with what is true of every subject by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from engine.caveats import CaveatSet
from engine.consistency import Freshness
from engine.cursor import Cursors
from engine.errors import EngineError
from engine.limits import Limits
from engine.lookup_subjects import Subjects
from engine.pages import Pages, Way
from engine.requests import FoundSubject, Gap, LookupSubjects, SubjectsAnswer
from engine.schemas import CompiledSchema, Schemas
from engine.store.protocol import Snapshot, Storage
from engine.tuples import Object, RelationTuple, Subject
from engine.write import checked_tuple
from schema import rewrite as rw
from schema.model import ObjectType, Schema, SubjectType
from tests.engine.agreement import plant, simplified
from tests.reference import Oracle, World
from tests.worlds import NOW

SIZES = (1, 2, 3, 1000)
IDS = {"user": ("a", "b", "nobody"), "group": "129", "folder": "129", "doc": "129"}
FORMS = (("user", ""), ("group", "member"), ("doc", "view"), ("folder", ""), ("folder", "view"))
Answer = str | frozenset[str]
Page = Callable[[str, LookupSubjects, Way], Awaitable[SubjectsAnswer]]


class Listed(NamedTuple):
    """A whole list, page by page."""

    subjects: tuple[FoundSubject, ...]
    gaps: frozenset[str]


class OneSchema(Schemas):
    """Schemas of stores that hold tuples alone: each has this one."""

    def __init__(self, storage: Storage, schema: Schema) -> None:
        super().__init__(storage)
        self._compiled = CompiledSchema(schema, CaveatSet(schema))

    async def at(self, snapshot: Snapshot) -> CompiledSchema:
        """The one schema."""
        return self._compiled


def pages_of(storage: Storage, schema: Schema, limits: Limits | None = None) -> Pages:
    """Opens pages in stores that hold planted tuples."""
    freshness = Freshness(storage, now=lambda: NOW)
    schemas = OneSchema(storage, schema)
    return Pages(storage, freshness, schemas, Cursors(storage), limits or Limits())


async def every_page(
    page: Page, store: str, asked: LookupSubjects, way: Way
) -> tuple[list[FoundSubject], list[Gap]]:
    """All entries and gaps of a list that is read page by page."""
    found: list[FoundSubject] = []
    gaps: list[Gap] = []
    while True:
        answer = await page(store, asked, way)
        assert len(answer.subjects) <= (way.limit or 1000)
        found += answer.subjects
        gaps += answer.gaps
        if answer.cursor is None:
            return found, gaps
        way = replace(way, cursor=answer.cursor)


async def listed(subjects: Subjects, store: str, asked: LookupSubjects) -> Listed:
    """The list, which is the same at every size of page and as a stream."""
    made: list[Listed] = []
    for size in SIZES:
        found, gaps = await every_page(subjects.page, store, asked, Way(size))
        made.append(Listed(tuple(found), frozenset(gap.about for gap in gaps)))
    streamed = [answer async for answer in subjects.stream(store, asked, Way(2))]
    found = [item for answer in streamed for item in answer.subjects]
    made.append(Listed(tuple(found), frozenset(g.about for a in streamed for g in a.gaps)))
    assert all(one == made[0] for one in made)
    return made[0]


def differences(told: Listed, form: tuple[str, str], truth: Mapping[str, Answer]) -> list[str]:
    """Where a list is not what is true of each id by itself; the last one is a stranger's."""
    kind, relation = form
    keys = ["" if item.subject.id == "*" else item.subject.id for item in told.subjects]
    wrong = [] if keys == sorted(set(keys)) else [f"not sorted, or not distinct: {keys}"]
    says = {item.subject.id: simplified(item.decision) for item in told.subjects}
    everyone = "error" if f"{kind}:*" in told.gaps else says.get("*", "denied")
    assert all((each.subject.type, each.subject.relation) == form for each in told.subjects)
    if "denied" in says.values() and "*" not in says:
        wrong.append("a denied subject is listed though no wildcard lets it in")
    for id_, is_ in truth.items():
        subject = str(Subject(kind, id_, relation))
        unlisted = "error" if subject in told.gaps else everyone
        said = says.get(id_, unlisted)
        spoiled = unlisted == everyone == "error" and id_ not in says and is_ == "denied"
        if said != is_ and not spoiled:
            wrong.append(f"{subject} is {is_}, the list says {said}")
    *_, stranger = truth.values()
    if everyone != stranger:
        wrong.append(f"a stranger is {stranger}, the list says {everyone}")
    return wrong


def halves(
    schema: Schema, tuples: Sequence[RelationTuple], start: int | None
) -> tuple[list[RelationTuple], list[RelationTuple]]:
    """Tuples to store, and every second one that may be contextual; None: all to store."""
    if start is None:
        return list(tuples), []
    compiled = CompiledSchema(schema, CaveatSet(schema))
    stored, contextual = list(tuples[1 - start :: 2]), []
    for item in tuples[start::2]:
        try:
            contextual.append(checked_tuple(compiled, item, Limits(), "tuple"))
        except EngineError:
            stored.append(item)
    return stored, contextual


def with_wildcards(world: World) -> World:
    """The world with a wildcard for users in the first relation of each type's object 1, which
    `edit` gives to all but the members of the second and of `view`."""
    everyone = SubjectType("user", wildcard=True)
    types: dict[str, ObjectType] = {}
    tuples = {item.identity: item for item in world.tuples}
    for name, known in world.schema.object_types.items():
        if not known.relations:
            continue
        first, second, *_ = known.relations.values()
        open_ = replace(first, subject_types=tuple({*first.subject_types, everyone}))
        without = rw.Union((rw.Computed(second.name), rw.Computed("view")))
        edit = replace(
            known.permissions["edit"], rewrite=rw.Exclusion(rw.Computed(first.name), without)
        )
        types[name] = replace(
            known,
            relations={**known.relations, first.name: open_},
            permissions={**known.permissions, "edit": edit},
        )
        item = RelationTuple(Object(name, "1"), first.name, Subject("user", "*"))
        tuples.setdefault(item.identity, item)
    schema = replace(world.schema, object_types={**world.schema.object_types, **types})
    return world._replace(schema=schema, tuples=list(tuples.values()))


async def compare(
    storage: Storage,
    world: World,
    goals: Sequence[tuple[Object, str, tuple[str, str]]],
    tally: Counter[str],
) -> list[str]:
    """The differences in one world: with all tuples stored, and with half of them contextual."""
    subjects = Subjects(pages_of(storage, world.schema))
    oracles: dict[Subject, Oracle] = {}
    everything = [Object(kind, id_) for kind, ids in IDS.items() for id_ in ids]

    def oracle(subject: Subject) -> Oracle:
        if subject not in oracles:
            oracles[subject] = Oracle(world, subject, everything)
        return oracles[subject]

    wrong: list[str] = []
    for start in (None, 0, 1):
        stored, contextual = halves(world.schema, world.tuples, start)
        store = await planted(storage, stored)
        for object_, relation, form in goals:
            asked = LookupSubjects(object_, relation, *form, world.context, contextual)
            told = await listed(subjects, store, asked)
            tally.update(str(item.decision.verdict) for item in told.subjects)
            tally["wildcard"] += any(item.subject.id == "*" for item in told.subjects)
            tally["gap"] += len(told.gaps)
            is_ = {
                id_: oracle(Subject(form[0], id_, form[1])).answer(object_, relation)
                for id_ in IDS[form[0]]
            }
            question = f"{object_}#{relation} for {form}, contextual from {start}: "
            wrong += [question + one for one in differences(told, form, is_)]
    return wrong


async def planted(storage: Storage, tuples: Sequence[RelationTuple]) -> str:
    """The name of a new store with these tuples."""
    snapshot = await plant(storage, tuples)
    stores = await storage.list_stores("", 1000)
    return next(store.name for store in stores if store.id == snapshot.store_id)
