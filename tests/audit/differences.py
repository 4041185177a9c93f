"""Compares diffs with the difference of two snapshots that are decided pair by pair."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from engine.caveats import CaveatSet
from engine.consistency import Freshness
from engine.cursor import Cursors
from engine.decision import Decision
from engine.diff import Diff, DiffAnswer, Diffs
from engine.errors import EngineError
from engine.limits import Limits
from engine.pages import Pages, Way
from engine.requests import AtExactSnapshot, AtTime, Overlay
from engine.schemas import CompiledSchema
from engine.sides import OfObject, OfSubject, OfType, Target
from engine.store.protocol import Snapshot, Storage, Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple, Subject
from engine.write import checked_tuple
from engine.zookie import encode
from schema.model import Schema
from tests.engine.agreement import simplified
from tests.lookups.subjects import FORMS, IDS, OneSchema
from tests.reference import Oracle, World
from tests.worlds import NOW, Worlds

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


def random_overlay(world: World, dice: random.Random) -> Overlay:
    """Tuples that the schema allows, of this world and of another one, to add and to remove."""
    compiled = CompiledSchema(world.schema, CaveatSet(world.schema))
    found: dict[object, RelationTuple] = {}
    for item in (*world.tuples, *Worlds(dice.getrandbits(30)).world().tuples):
        with contextlib.suppress(EngineError):
            found[item.identity] = checked_tuple(compiled, item, Limits(), "tuple")
    chosen = dice.sample(list(found.values()), min(len(found), dice.randint(1, 12)))
    half = dice.randint(0, len(chosen))
    return Overlay(chosen[:half], chosen[half:])


def laid_over(tuples: list[RelationTuple], overlay: Overlay | None) -> list[RelationTuple]:
    """What would be stored if the overlay were written."""
    if overlay is None:
        return tuples
    hidden = {item.identity for item in (*overlay.add, *overlay.remove)}
    return [item for item in tuples if item.identity not in hidden] + list(overlay.add)


async def whole(diffs: Diffs, store: str, asked: Diff, way: Way) -> list[DiffAnswer]:
    """Every page."""
    pages = []
    while True:
        pages.append(await diffs.page(store, asked, way))
        assert len(pages[-1].differences) <= (way.limit or 0)
        if pages[-1].cursor is None:
            return pages
        assert len(pages[-1].differences) == way.limit
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


async def compare(storage: Storage, world: World, seed: int, tally: Counter[str]) -> list[str]:
    """The disagreements in one world."""
    dice = random.Random(seed)
    extra = random.Random(f"overlays {seed}")
    store, history = await random_writes(storage, world, dice, 6)
    diffs = diffs_of(storage, world.schema)
    wrong: list[str] = []
    for _ in range(5):
        first, second = sorted(dice.sample(range(len(history)), 2))
        start, end = history[first], history[second]
        later = dice.random() < 0.5
        to = AtTime(NOW) if later else AtExactSnapshot(encode(end[0]))
        held = history[-1][1] if later else end[1]
        overlay = random_overlay(world, extra) if extra.random() < 0.6 else None
        given = world.context if extra.random() < 0.8 else {}
        moments = start[0].committed_at, NOW if later else end[0].committed_at
        sides = [
            Truth(world._replace(tuples=laid_over(each, overlay), now=now, context=given))
            for each, now in zip((start[1], held), moments, strict=True)
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
            asked = Diff(target, AtExactSnapshot(encode(start[0])), to, given)
            told = [await whole(diffs, store, asked, Way(size, overlay=overlay)) for size in SIZES]
            stream = diffs.stream(store, asked, Way(extra.choice(SIZES), overlay=overlay))
            told.insert(0, [page async for page in stream])
            every = [[one for page in pages for one in page.differences] for pages in told]
            if any(one != every[0] for one in every):
                wrong.append(f"{target}: the pages differ: {every}")
            wrong += [f"{way} {one}" for one in wrong_in(told[-1], target, *sides)]
            tally[way] += len(every[0])
            tally["overlay"] += len(every[0]) if overlay is not None else 0
            tally["context"] += len(every[0]) if given else 0
    return wrong
