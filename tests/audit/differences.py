"""Compares diffs with the difference of two snapshots that are decided pair by pair."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from engine.consistency import Freshness
from engine.cursor import Cursors
from engine.decision import Decision
from engine.diff import Diff, DiffAnswer, Diffs
from engine.limits import Limits
from engine.pages import Pages, Way
from engine.requests import AtExactSnapshot, AtTime
from engine.sides import OfObject, OfSubject, OfType, Target
from engine.store.protocol import Snapshot, Storage, Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple, Subject
from engine.zookie import encode
from schema.model import Schema
from tests.engine.agreement import simplified
from tests.lookups.subjects import FORMS, IDS, OneSchema
from tests.reference import Oracle, World
from tests.worlds import NOW

Said = str | frozenset[str]
SIZES = (1, 3, 1000)
NAMES = ("all", "view", "edit", "viewer")


def diffs_of(storage: Storage, schema: Schema) -> Diffs:
    """Diffs in stores that hold tuples alone, under one schema."""
    freshness = Freshness(storage, now=lambda: NOW)
    cursors = Cursors(storage)
    pages = Pages(storage, freshness, OneSchema(storage, schema), cursors, Limits())
    return Diffs(storage, freshness, pages, cursors)


async def random_writes(
    storage: Storage, world: World, dice: random.Random, steps: int
) -> tuple[str, list[tuple[Snapshot, list[RelationTuple]]]]:
    """The name of a store that was written to at random, and what each snapshot holds."""
    store = await storage.create_store(f"d{dice.getrandbits(60):x}")
    living: dict[object, RelationTuple] = {}
    history = []
    for _ in range(steps):
        updates = []
        for item in dice.sample(world.tuples, min(len(world.tuples), dice.randint(1, 8))):
            if item.identity in living and dice.random() < 0.7:
                del living[item.identity]
                updates.append(Update(UpdateOp.DELETE, item))
            else:
                living[item.identity] = item
                updates.append(Update(UpdateOp.TOUCH, item))
        # Before any expiry, so that all of them are stored.
        early = NOW - timedelta(hours=1)
        outcome = await storage.write(store.id, WriteCommand(updates, (), 0, early))
        history.append((outcome.snapshot, list(living.values())))
    return store.name, history


async def whole(diffs: Diffs, store: str, asked: Diff, size: int) -> list[DiffAnswer]:
    """Every page."""
    pages = []
    way = Way(size)
    while True:
        pages.append(await diffs.page(store, asked, way))
        assert len(pages[-1].differences) <= size
        if pages[-1].cursor is None:
            return pages
        assert len(pages[-1].differences) == size
        way = replace(way, cursor=pages[-1].cursor)


def said(decision: Decision) -> Said:
    return simplified(decision)


def pairs_of(target: Target) -> list[tuple[Object, Subject]]:
    """Every pair that the target asks about."""
    if isinstance(target, OfSubject):
        return [(Object(target.type, id_), target.subject) for id_ in IDS[target.type]]
    kind, relation = target.subject_type, target.subject_relation
    subjects = [Subject(kind, id_, relation) for id_ in IDS[kind]]
    ids = [target.object.id] if isinstance(target, OfObject) else list(IDS[target.type])
    return [(Object(target.type, id_), subject) for id_ in ids for subject in subjects]


class Truth:
    """What is true at one side, pair by pair."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._oracles: dict[Subject, Oracle] = {}
        self._everything = [Object(kind, id_) for kind, ids in IDS.items() for id_ in ids]

    def of(self, object_: Object, relation: str, subject: Subject) -> Said:
        """One pair."""
        if subject not in self._oracles:
            self._oracles[subject] = Oracle(self._world, subject, self._everything)
        return self._oracles[subject].answer(object_, relation)


def wrong_in(pages: list[DiffAnswer], target: Target, before: Truth, after: Truth) -> list[str]:
    """Where the pages are not the difference of what is true."""
    told: dict[tuple[Object, Subject], tuple[Said, Said]] = {}
    gaps = {gap.about for page in pages for gap in page.gaps}
    wrong = []
    for one in (one for page in pages for one in page.differences):
        key = (one.object, one.subject)
        if key in told:
            wrong.append(f"{key} is told twice")
        told[key] = (said(one.before), said(one.after))
        expected = {"denied": "gained"}.get(str(told[key][0]))
        if expected and one.kind != expected:
            wrong.append(f"{key} is {one.kind}")
    for object_, subject in pairs_of(target):
        truth = tuple(side.of(object_, target.relation, subject) for side in (before, after))
        everyone = Subject(subject.type, "*", subject.relation)
        named = {f"{object_}#{target.relation}@{each}" for each in (subject, everyone)}
        if named & gaps or "error" in truth:
            continue
        unlisted = told.get((object_, everyone))
        is_ = told.get((object_, subject))
        if is_ is None and subject.id == "nobody":
            is_ = unlisted
        if (is_ or (truth[0], truth[0])) != truth and not (is_ is None and unlisted == truth):
            wrong.append(f"{object_}#{target.relation}@{subject} is {truth}, told {is_}")
        if is_ is not None and truth[0] == truth[1]:
            wrong.append(f"{object_}#{target.relation}@{subject} did not change, told {is_}")
    return wrong


async def compare(storage: Storage, world: World, seed: int, tally: dict[str, int]) -> list[str]:
    """The disagreements in one world."""
    dice = random.Random(seed)
    store, history = await random_writes(storage, world, dice, 6)
    diffs = diffs_of(storage, world.schema)
    wrong: list[str] = []
    for _ in range(3):
        first, second = sorted(dice.sample(range(len(history)), 2))
        start, end = history[first], history[second]
        later = dice.random() < 0.5
        to = AtTime(NOW) if later else AtExactSnapshot(encode(end[0]))
        held = history[-1][1] if later else end[1]
        sides = [
            Truth(world._replace(tuples=start[1], now=start[0].committed_at, context={})),
            Truth(
                world._replace(tuples=held, now=NOW if later else end[0].committed_at, context={})
            ),
        ]
        form = dice.choice(FORMS[:3])
        kind, name = dice.choice(("doc", "folder", "group")), dice.choice(NAMES)
        name = name if name != "viewer" or kind != "group" else "member"
        person = dice.choice((Subject("user", "a"), Subject("user", "b"), Subject("group", "1")))
        person = person if person.type == "user" else person._replace(relation="member")
        targets: Mapping[str, Target] = {
            "object": OfObject(Object(kind, dice.choice("12")), name, *form),
            "subject": OfSubject(person, kind, name),
            "type": OfType(kind, name, *form),
        }
        for way, target in targets.items():
            asked = Diff(target, AtExactSnapshot(encode(start[0])), to)
            told = [await whole(diffs, store, asked, size) for size in SIZES]
            every = [[one for page in pages for one in page.differences] for pages in told]
            if any(one != every[0] for one in every):
                wrong.append(f"{target}: the pages differ: {every}")
            wrong += [f"{way} {one}" for one in wrong_in(told[-1], target, *sides)]
            tally[way] = tally.get(way, 0) + len(every[0])
    return wrong
