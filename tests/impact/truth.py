"""Compares impacts with the difference of two snapshots that are decided pair by pair."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from engine.diff import Difference
from engine.engine import Engine
from engine.impact import Counts, Impact, ImpactAnswer
from engine.pages import Way
from engine.requests import FULLY_CONSISTENT, Overlay
from engine.tuples import Object, RelationTuple, Subject
from schema import parse_schema
from schema.model import Schema
from tests.engine.agreement import simplified
from tests.lookups.subjects import IDS
from tests.reference import Oracle, World
from tests.whatif.cases import case, planted
from tests.worlds import NOW, says

Said = str | frozenset[str]
CONTEXTS = [{"x": x, "y": y} for x in (0, 1, 4, 7) for y in "ab"]
_EVERYTHING = [Object(kind, id_) for kind, ids in IDS.items() for id_ in ids]
_ARROWS = ("parent", "home")


class Proposal(NamedTuple):
    """What is stored, and a change of it."""

    schema: str
    tuples: Sequence[RelationTuple]
    overlay: Overlay


def proposal(seed: int, kind: str) -> Proposal:
    """A random one of a kind: `tuples`, `people` (tuples of few subjects, which no arrow walks),
    `schema`, or `both`."""
    made = case(2 * seed + (kind in {"schema", "both"}))
    overlay = made.overlay
    if kind == "schema":
        overlay = Overlay(schema=overlay.schema)
    if kind == "people":
        add, remove = (
            [item for item in items if item.subject.id != "*" and item.relation not in _ARROWS]
            for items in (overlay.add, overlay.remove)
        )
        overlay = Overlay(add, remove)
    elif kind == "tuples":
        dice = random.Random(seed)
        add, remove = (
            dice.sample(list(items), min(len(items), 3)) for items in (overlay.add, overlay.remove)
        )
        overlay = Overlay(add, remove)
    return Proposal(made.schema, made.tuples, overlay)


class Truth:
    """What is true of one side, pair by pair and context by context."""

    def __init__(self, schema: Schema, tuples: Sequence[RelationTuple]) -> None:
        self.schema = schema
        self._world = World(schema, tuples, {}, NOW, says)
        self._oracles: dict[Any, Oracle] = {}

    def of(
        self, object_: Object, name: str, subject: Subject, context: Mapping[str, Any] | None = None
    ) -> Said:
        known = self.schema.object_types.get(object_.type)
        if known is None or known.rewrite_of(name) is None:
            return "denied"
        key = (subject, *sorted((context or {}).items()))
        if key not in self._oracles:
            world = self._world._replace(context=context or {})
            self._oracles[key] = Oracle(world, subject, _EVERYTHING)
        return self._oracles[key].answer(object_, name)


def sides(made: Proposal) -> tuple[Truth, Truth]:
    """The truth without the change and with it."""
    living = {item.identity: item for item in [*made.tuples, *made.overlay.add]}
    for item in made.overlay.remove:
        living.pop(item.identity, None)
    then = parse_schema(made.overlay.schema or made.schema)
    return Truth(parse_schema(made.schema), made.tuples), Truth(then, list(living.values()))


async def whole(engine: Engine, store: str, asked: Impact) -> ImpactAnswer:
    """The answer in one page, with every difference in the samples."""
    answer = await engine.impact(store, asked, Way(1000, consistency=FULLY_CONSISTENT))
    assert answer.cursor is None
    for row in answer.rows:
        assert row.counts == counted(row.sample)
        assert row.sample
    assert answer.total == counted([one for row in answer.rows for one in row.sample])
    return answer


def counted(found: Sequence[Difference]) -> Counts:
    """The counts of these differences."""
    kinds = Counter(one.kind for one in found)
    lesser = [one.before.allowed or one.kind == "lost" for one in found]
    numbers = (kinds["gained"], kinds["lost"], kinds["changed"])
    return Counts(*numbers, new_access=lesser.count(False))


Told = dict[tuple[Object, str, Subject], tuple[Said, Said]]


def wrong_in(
    answer: ImpactAnswer, made: Proposal, tally: Counter[str], *, relations: bool = False
) -> Iterator[str]:
    """Where the answer is not the difference of what is true."""
    told: Told = {}
    for row in answer.rows:
        for one in row.sample:
            key = (one.object, row.permission, one.subject)
            if key in told:
                yield f"{key} is told twice"
            assert (one.subject.type, one.subject.relation) == (row.subject_type, "")
            told[key] = (simplified(one.before), simplified(one.after))
            tally[one.kind] += 1
    before, after = sides(made)
    seen = {
        item.object
        for item in [*made.tuples, *made.overlay.add]
        if item.expires_at is None or item.expires_at > NOW
    }
    for object_ in _EVERYTHING:
        names = _names(before.schema, object_.type, relations=relations)
        names |= _names(after.schema, object_.type, relations=relations)
        for name, kind in itertools.product(sorted(names), IDS):
            place = _Place(object_, name, kind, before, after)
            yield from place.wrong_in(told, tally, known=object_ in seen)


class _Place(NamedTuple):
    """One object, one name, and one type of subjects."""

    object: Object
    name: str
    kind: str
    before: Truth
    after: Truth

    def wrong_in(self, told: Told, tally: Counter[str], *, known: bool) -> Iterator[str]:
        """What is wrong here; objects that have no tuples need not be `known`."""
        subjects = [Subject(self.kind, id_) for id_ in IDS[self.kind]]
        strangers = self._truth(subjects[-1])
        unlisted = told.get((self.object, self.name, Subject(self.kind, "*")))
        if unlisted is not None and unlisted != strangers:
            yield f"{self.object}#{self.name}@{self.kind}:* is {strangers}, told {unlisted}"
        for subject in subjects:
            truth, is_ = self._truth(subject), told.get((self.object, self.name, subject))
            if "error" in truth or ("error" in strangers and is_ is None):
                tally["error"] += 1
            elif is_ is not None:
                yield from self._wrongly_told(subject, truth, is_, tally)
            elif truth[0] != truth[1]:
                if known and unlisted != truth:
                    yield f"{self.object}#{self.name}@{subject} is {truth}, and not told"
            elif isinstance(truth[0], frozenset) and unlisted is None:
                tally["same condition"] += 1
                yield from self._other_condition(subject)

    def _truth(self, subject: Subject) -> tuple[Said, Said]:
        at = (self.object, self.name, subject)
        return self.before.of(*at), self.after.of(*at)

    def _wrongly_told(
        self,
        subject: Subject,
        truth: tuple[Said, Said],
        is_: tuple[Said, Said],
        tally: Counter[str],
    ) -> Iterator[str]:
        if is_ != truth:
            yield f"{self.object}#{self.name}@{subject} is {truth}, told {is_}"
        elif truth[0] == truth[1]:
            tally["another condition"] += 1
            if isinstance(truth[0], str):
                yield f"{self.object}#{self.name}@{subject} did not change, told {is_}"

    def _other_condition(self, subject: Subject) -> Iterator[str]:
        at = (self.object, self.name, subject)
        for context in CONTEXTS:
            one, two = self.before.of(*at, context), self.after.of(*at, context)
            if one != two:
                yield f"{at} was {one} and is {two} where {context}, and not told"


def _names(schema: Schema, kind: str, *, relations: bool) -> set[str]:
    known = schema.object_types.get(kind)
    if known is None:
        return set()
    return set(known.names) if relations else set(known.permissions)


async def compare(
    engine: Engine, seed: int, kind: str, tally: Counter[str], *, relations: bool = False
) -> list[str]:
    """The disagreements about one proposal."""
    made = proposal(seed, kind)
    overlay = made.overlay
    if not overlay.add and not overlay.remove and overlay.schema is None:
        return []
    store = f"{kind}-{seed}"
    await planted(engine, store, made.schema, made.tuples)
    answer = await whole(engine, store, Impact(overlay, relations=relations))
    # Each restriction leaves a part of the whole.
    parts = [Impact(overlay, types=[name], relations=relations) for name in ("doc", "group")]
    parts += [Impact(overlay, permissions=["view"]), Impact(overlay, subjects=[("user", "")])]
    for part in parts:
        kept = [
            replace(row, sample=[])
            for row in answer.rows
            if (part.types is None or row.type in part.types)
            and (part.permissions is None or row.permission in part.permissions)
            and (part.subjects is None or (row.subject_type, "") in part.subjects)
            and (part.relations or not relations or row.permission in {"view", "edit", "all"})
        ]
        found = await whole(engine, store, part)
        assert [replace(row, sample=[]) for row in found.rows] == kept
    wrong = wrong_in(answer, made, tally, relations=relations)
    return [f"{kind} {seed}: {one}" for one in wrong]
