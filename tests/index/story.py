"""A store that is written to at random, and what is true of it at each of its revisions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, RelationTuple, Subject
from schema import parse_schema
from schema.model import Schema
from tests.reference import World
from tests.worlds import says

MOMENTS = [datetime(year, 1, 1, tzinfo=UTC) for year in (2051, 2052, 2053)]
"""Times at which questions are asked; some tuples expire between them."""
_EXPIRIES = [datetime(year, 6, 1, tzinfo=UTC) for year in (2050, 2051, 2052)]
_HEAD = """use expiration

caveat one(x int) {
  x == 1
}

caveat both(x int, y string) {
  x < 5 && y == "a"
}

definition user {}

definition pile {
  relation viewer: user
}
"""
_GROUP = """
definition group {{
  relation open: user:*
  relation member: user | user with one | user with expiration | group#member | group#all with both
  relation banned: user | group#member | group#all
  permission all = {rewrite}
}}
"""
_FOLDER = """
definition folder {{
  relation parent: folder | folder with one
  relation viewer: user | group#member | group#all | user with both and expiration
  relation banned: user | group#member
  permission view = {rewrite}
}}
"""
_DOC = """
definition doc {{
  relation parent: folder | folder with expiration
  relation viewer: user{wildcard} | group#member | folder#view
  relation banned: user | user with one
  relation approved: user | group#all
  permission view = viewer + parent->view
  permission read = view - banned
  permission both = view & approved
  permission every = parent.all(view)
}}
"""
SCHEMAS = [
    _HEAD
    + _GROUP.format(rewrite=group)
    + _FOLDER.format(rewrite=folder)
    + _DOC.format(wildcard=any_)
    for group, folder, any_ in product(
        ("member + open", "(member + open) - banned", "member & banned"),
        ("viewer + parent->view", "(viewer + parent->view) - banned"),
        (" | user:*", ""),
    )
]
"""They differ in rewrites, and in whether wildcards may view documents: those that were written
before stay, and are not followed then."""
_LONG = "x" * 450
IDS = {
    "user": ["a", "b", "c", "d"],
    "group": ["1", "2", "3", "4"],
    "folder": ["1", "2", "3", "4", _LONG + "5"],
    "doc": ["1", "2", "3", "4", "5", "6", _LONG + "1", _LONG + "2"],
}
OBJECTS = [Object(kind, id_) for kind in ("group", "folder", "doc") for id_ in IDS[kind]]
_TUPLES = 45
"""How many tuples there are about."""
CONTEXTS: list[dict[str, Any]] = [{}, {"x": 1}, {"x": 1, "y": "a"}, {"x": 7, "y": "a"}]


@cache
def parsed(text: str) -> Schema:
    """The schema of a text."""
    return parse_schema(text)


class State(NamedTuple):
    """What is stored at a revision."""

    schema: str
    tuples: tuple[RelationTuple, ...]

    def world(self, context: Mapping[str, Any], now: datetime) -> World:
        """The world of a question about it."""
        return World(parsed(self.schema), self.tuples, context, now, says)


class Story:
    """The states of a store by revision. Those of the last `kept` revisions are known, and every
    tenth before them."""

    def __init__(self, kept: int) -> None:
        self.head = 0
        self.zookies: dict[int, str] = {}
        self.states: dict[int, State] = {0: State("", ())}
        self._kept = kept
        self._tuples: dict[object, RelationTuple] = {}
        self._schema = ""
        self._waiting: dict[int, tuple[str, Sequence[Update]]] = {}
        self._moved = asyncio.Condition()

    @property
    def now(self) -> State:
        """The newest state that is known."""
        return self.states[self.head]

    async def wrote(
        self, revision: int, zookie: str, updates: Sequence[Update], schema: str = ""
    ) -> None:
        """A write was acknowledged; they may be told in any order."""
        assert revision not in self._waiting
        assert revision > self.head
        self._waiting[revision] = (schema, updates)
        self.zookies[revision] = zookie
        while self.head + 1 in self._waiting:
            self._carry(*self._waiting.pop(self.head + 1))
        async with self._moved:
            self._moved.notify_all()

    def _carry(self, schema: str, updates: Sequence[Update]) -> None:
        self._schema = schema or self._schema
        for update in updates:
            if update.op is UpdateOp.DELETE:
                self._tuples.pop(update.tuple.identity, None)
            elif update.tuple.object.type != "pile":
                self._tuples[update.tuple.identity] = update.tuple
        self.head += 1
        self.states[self.head] = State(self._schema, tuple(self._tuples.values()))
        old = self.head - self._kept
        if old % 10:
            self.states.pop(old, None)
            self.zookies.pop(old, None)

    async def at(self, revision: int) -> State:
        """The state at a revision, once every write up to it was acknowledged."""
        async with self._moved, asyncio.timeout(60):
            await self._moved.wait_for(lambda: self.head >= revision)
        return self.states[revision]

    def past(self, dice: random.Random, most: int) -> int:
        """A revision with a known zookie, one of the last `most`."""
        while True:
            revision = dice.randint(max(1, self.head - most), self.head)
            lasts = not revision % 10 or revision > self.head - self._kept // 2
            if revision in self.zookies and revision in self.states and lasts:
                return revision


def some_updates(story: Story, dice: random.Random) -> list[Update]:
    """A few changes, each of another tuple; some bring back what is there already."""
    found: dict[object, Update] = {}
    there = story.now.tuples
    for _ in range(dice.choice([1, 1, 1, 2, 3, 5])):
        if there and dice.random() < len(there) / (2 * _TUPLES):
            update = Update(UpdateOp.DELETE, dice.choice(there))
        else:
            update = Update(UpdateOp.TOUCH, some_tuple(dice, story.now.schema))
        found[update.tuple.identity] = update
    return list(found.values())


def some_tuple(dice: random.Random, schema: str) -> RelationTuple:
    """A tuple that the schema allows."""
    at = dice.choice(OBJECTS)
    relation = dice.choice(list(parsed(schema).object_types[at.type].relations.values()))
    form = dice.choice(relation.subject_types)
    id_ = "*" if form.wildcard else dice.choice(IDS[form.type])
    expires = None
    if form.expiration:
        soon = datetime.now(UTC) + timedelta(seconds=dice.uniform(-5, 60))
        expires = dice.choice([*_EXPIRIES, soon])
    context = dice.choice(["", '{"x":1}', '{"x":3}']) if form.caveat else ""
    return RelationTuple(
        at, relation.name, Subject(form.type, id_, form.relation), form.caveat, context, expires
    )


def heap(count: int, op: UpdateOp) -> Iterator[Update]:
    """Changes of tuples that nobody asks about."""
    crowd = Subject("user", "crowd")
    for number in range(count):
        yield Update(op, RelationTuple(Object("pile", str(number)), "viewer", crowd))
