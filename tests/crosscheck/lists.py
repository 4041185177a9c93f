"""Lists of objects, of subjects and of permissions against the truth, at every size of page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.pages import Way
from engine.requests import LookupObjects, LookupPermissions, LookupSubjects
from engine.tuples import WILDCARD, Object, Subject
from tests.crosscheck.layout import Laid
from tests.crosscheck.truth import Answer, Goal, Truth
from tests.engine.agreement import simplified
from tests.lookups.subjects import Listed, differences

SIZES = (1, 2, 3, 1000)
_PAGES = 300
Told = tuple[tuple[tuple[str, Answer], ...], tuple[str, ...]]
"""The entries of a list in its order, and what it has gaps about."""


async def _every_page(read: Any, store: str, asked: Any, way: Way) -> list[Any]:
    """The pages of a list; one that goes round in circles is let go of."""
    pages = [await read(store, asked, way)]
    while pages[-1].cursor is not None and len(pages) < _PAGES:
        pages.append(await read(store, asked, replace(way, cursor=pages[-1].cursor)))
    for page in pages:
        entries = len(getattr(page, "objects", getattr(page, "subjects", ())))
        assert entries <= (way.limit or 0)
    return pages


def _same(lists: dict[str, Told], question: str) -> list[str]:
    """Where a list depends on how it is asked for, is not sorted, or has something twice."""
    first = next(iter(lists.values()))
    wrong = [f"{question}: {how} it is {told}, not {first}" for how, told in lists.items()]
    wrong = [text for text, told in zip(wrong, lists.values(), strict=True) if told != first]
    places = [place for place, _ in first[0]]
    if len(set(places)) < len(places):
        wrong.append(f"{question}: something is listed twice: {places}")
    return wrong


async def compare_objects(
    laid: Laid,
    truth: Truth,
    kinds: Sequence[str],
    relation: str,
    subject: Subject,
    tally: Counter[str],
) -> list[str]:
    """The differences between a list of objects and the checks of every object."""
    world, engine = laid.case.world, laid.engine
    there = [at for at in laid.case.objects if at.type in kinds]
    candidates = sorted({at.id for at in there}, reverse=True)
    asked = LookupObjects(kinds, relation, subject, world.context)
    chosen = replace(asked, candidates=candidates)
    lists: dict[str, Told] = {}
    for size in SIZES:
        for of, question in (("all", asked), ("candidates", chosen)):
            way = replace(laid.way, limit=size)
            pages = await _every_page(engine.lookup_objects, laid.store, question, way)
            found = [item for page in pages for item in page.objects]
            gaps = [gap for page in pages for gap in page.gaps]
            places = [item.object for item in found]
            if places != sorted(places):
                return [f"{kinds}#{relation} of {subject} is not sorted: {places}"]
            lists[f"{of} by {size}"] = (
                tuple((str(item.object), simplified(item.decision)) for item in found),
                tuple(gap.about for gap in gaps),
            )
    pages = [
        page async for page in engine.stream_objects(laid.store, asked, replace(laid.way, limit=2))
    ]
    lists["streamed"] = (
        tuple((str(i.object), simplified(i.decision)) for page in pages for i in page.objects),
        tuple(gap.about for page in pages for gap in page.gaps),
    )
    question_text = f"{list(kinds)}#{relation} of {subject}"
    wrong = _same(lists, question_text)
    found_, gaps_ = lists["all by 1000"]
    says = {**dict(found_), **dict.fromkeys(gaps_, "error")}
    is_ = {str(at): truth[subject, (at, relation)] for at in there}
    is_ = {at: answer for at, answer in is_.items() if answer != "denied"}
    if says != is_:
        wrong.append(f"{question_text} is {is_}, the list says {says}")
    count = await engine.count_objects(laid.store, asked, laid.way)
    numbers = Counter(
        answer if isinstance(answer, str) else "conditional" for answer in is_.values()
    )
    told = (count.allowed, count.conditional, len(count.gaps))
    if told != (numbers["allowed"], numbers["conditional"], min(numbers["error"], 10)):
        wrong.append(f"{question_text} has {numbers}, the count says {told}")
    tally.update(f"object {kind}" for kind in numbers.elements())
    tally["lists of objects"] += 1
    return wrong


async def compare_subjects(
    laid: Laid, truth: Truth, goal: Goal, form: tuple[str, str], tally: Counter[str]
) -> list[str]:
    """The differences between a list of subjects and the checks of every subject."""
    world, engine = laid.case.world, laid.engine
    ids = laid.case.forms[form]
    asked = LookupSubjects(*goal, *form, world.context)
    lists: dict[str, Told] = {}
    listed: list[Listed] = []
    for size in SIZES:
        way = replace(laid.way, limit=size)
        pages = await _every_page(engine.lookup_subjects, laid.store, asked, way)
        found = [item for page in pages for item in page.subjects]
        gaps = [gap for page in pages for gap in page.gaps]
        about = tuple(sorted({gap.about for gap in gaps}))
        entries = tuple((str(i.subject), simplified(i.decision)) for i in found)
        lists[f"by {size}"] = (entries, about)
        listed.append(Listed(tuple(found), frozenset(about)))
    pages = [
        page async for page in engine.stream_subjects(laid.store, asked, replace(laid.way, limit=2))
    ]
    lists["streamed"] = (
        tuple((str(i.subject), simplified(i.decision)) for page in pages for i in page.subjects),
        tuple(sorted({gap.about for page in pages for gap in page.gaps})),
    )
    question = f"{goal[0]}#{goal[1]} for {'#'.join(form)}"
    wrong = _same(lists, question)
    is_ = {id_: truth[Subject(form[0], id_, form[1]), goal] for id_ in ids}
    wrong += [f"{question}: {one}" for one in differences(listed[-1], form, is_)]
    wrong += await _narrowed(laid, truth, goal, form)
    count = await engine.count_subjects(laid.store, asked, laid.way)
    others = [item.decision for item in listed[-1].subjects if item.subject.id != WILDCARD]
    first = [item.decision for item in listed[-1].subjects if item.subject.id == WILDCARD]
    everyone = first[0] if first else None
    numbers = Counter(str(decision.verdict) for decision in others)
    says = (count.allowed, count.conditional, count.denied, count.wildcard)
    if says != (numbers["allowed"], numbers["conditional"], numbers["denied"], everyone):
        wrong.append(f"{question} has {numbers} and {everyone}, the count says {says}")
    tally.update(f"subject {kind}" for kind in numbers.elements())
    tally["wildcards"] += everyone is not None
    tally["lists of subjects"] += 1
    return wrong


async def _narrowed(laid: Laid, truth: Truth, goal: Goal, form: tuple[str, str]) -> list[str]:
    """Where the list of some candidates, the wildcard one of them, is not who of them is in."""
    kind, relation = form
    *named, stranger = laid.case.forms[form]
    is_ = {id_: truth[Subject(kind, id_, relation), goal] for id_ in [*named[::2], stranger]}
    if not relation:
        is_[WILDCARD] = is_[stranger]
    asked = LookupSubjects(*goal, *form, laid.case.world.context, candidates=list(is_)[::-1])
    wrong = []
    for size in SIZES:
        way = replace(laid.way, limit=size)
        pages = await _every_page(laid.engine.lookup_subjects, laid.store, asked, way)
        found = [item for page in pages for item in page.subjects]
        gaps = [gap for page in pages for gap in page.gaps]
        says = {item.subject.id: simplified(item.decision) for item in found}
        says |= {gap.about.partition(":")[2].partition("#")[0]: "error" for gap in gaps}
        members = {id_: answer for id_, answer in is_.items() if answer != "denied"}
        if says != members or len(found) != len({item.subject for item in found}):
            wrong.append(f"{asked} by {size}: they are {members}, the list says {says}")
    return wrong


async def compare_permissions(
    laid: Laid, truth: Truth, at: Object, subject: Subject, tally: Counter[str]
) -> list[str]:
    """The differences between what a subject may do on an object and the checks of each name."""
    known = laid.case.world.schema.object_types[at.type]
    wrong = []
    for relations, names in ((True, known.names), (False, tuple(known.permissions))):
        asked = LookupPermissions(at, subject, laid.case.world.context, relations=relations)
        told = await laid.engine.lookup_permissions(laid.store, asked, laid.way)
        found = [(name, simplified(decision)) for name, decision in told.permissions]
        says = {**dict(found), **{gap.about: "error" for gap in told.gaps}}
        is_ = {name: truth[subject, (at, name)] for name in names}
        is_ = {name: answer for name, answer in is_.items() if answer != "denied"}
        if says != is_ or [name for name, _ in found] != sorted(dict(found)):
            wrong.append(f"{subject} may {is_} on {at}, the list says {says}")
    tally["lists of permissions"] += 1
    return wrong
