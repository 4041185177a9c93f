"""Random worlds from a seed: a schema, tuples (a tenth of them off the schema), contexts, times.

The schemas are mean on purpose: usersets of permissions that contain them, exclusions inside
cycles, nested arrows, arrows over usersets, caveats that fail. What the type checker would refuse
but the engine must survive (transitive wildcards, aliases in a circle) is let through.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from engine.jsontext import canonical_json, parse_json_object
from engine.requests import Check
from engine.tuples import Object, RelationTuple, Subject
from schema import rewrite as rw
from schema.model import (
    Caveat,
    ObjectType,
    ParameterType,
    Permission,
    Relation,
    Schema,
    SubjectType,
)
from tests.reference import Condition, World

NOW = datetime(2030, 1, 1, tzinfo=UTC)
_INT, _STRING = ParameterType("int"), ParameterType("string")
_CAVEATS = {
    "one": Caveat("one", {"x": _INT}, "x == 1"),
    "both": Caveat("both", {"x": _INT, "y": _STRING}, 'x < 5 && y == "a"'),
    "fails": Caveat("fails", {"x": _INT}, "10 / x > 1"),
}
# With one of two values known, the first caveat is often certain, and this one never.
_STRICT = {name: replace(caveat, strict=True) for name, caveat in _CAVEATS.items()}
_STRICT["both"] = replace(_STRICT["both"], expression='x < 5 || y == "a"')
_IDS = "12"
_PEOPLE = "ab"


def says(name: str, stored: str, request: Mapping[str, Any], *, strict: bool = False) -> Condition:
    """The caveats above, evaluated by hand; stored context wins."""
    given = {**request, **(parse_json_object(stored) if stored else {})}
    x, y = given.get("x"), given.get("y")
    if name == "both":
        missing = frozenset(key for key, value in (("x", x), ("y", y)) if value is None)
        if strict:
            return missing or bool(y == "a" or (x is not None and x < 5))
        parts = [x is None or x < 5, y is None or y == "a"]
        return False if not all(parts) else missing or True
    if x is None:
        return frozenset({"x"})
    if name == "one":
        return bool(x == 1)
    return None if x == 0 else int(10 / x) > 1


class Worlds:
    """Draws worlds and checks from one seed. Their caveats are strict on demand, which no text of
    a schema in `zed` can say."""

    def __init__(self, seed: int, *, strict: bool = False) -> None:
        self._random = random.Random(seed)
        self._strict = strict

    def world(self) -> World:
        """A schema of four types with tuples over three ids each, and a request context."""
        schema = self._schema()
        tuples: dict[object, RelationTuple] = {}
        for _ in range(self._random.randint(8, 60)):
            item = self._tuple(schema)
            tuples.setdefault(item.identity, item)
        context = self._context()
        caveats = partial(says, strict=self._strict)
        return World(schema, list(tuples.values()), context, NOW, caveats)

    def checks(self, world: World, subjects: int, each: int) -> list[Check]:
        """Checks of what exists in the schema: `each` for every one of `subjects` subjects."""
        return [
            self._check(world, subject)
            for subject in [self._subject() for _ in range(subjects)]
            for _ in range(each)
        ]

    def _check(self, world: World, subject: Subject) -> Check:
        pick = self._random.choice
        kind = pick(["doc", "doc", "folder", "group"])
        object_type = world.schema.object_types[kind]
        names = object_type.names if self._chance(0.2) else tuple(object_type.permissions)
        return Check(Object(kind, pick(_IDS)), pick(names), subject, world.context)

    def _subject(self) -> Subject:
        if self._chance(0.2):
            usersets = [("group", "1", "member"), ("doc", "2", "view"), ("folder", "1", "")]
            return Subject(*self._random.choice(usersets))
        return Subject("user", self._random.choice(_PEOPLE))

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _some(self, items: list[Any], least: int, most: int) -> list[Any]:
        return self._random.sample(items, min(len(items), self._random.randint(least, most)))

    def _schema(self) -> Schema:
        people = [
            *(
                SubjectType("user", caveat=c, expiration=e)
                for c in ("", "one", "both")
                for e in (False, True)
            ),
            SubjectType("user", wildcard=True),
            SubjectType("user", wildcard=True, caveat="one"),
            SubjectType("user", caveat="fails"),
            SubjectType("group", "member"),
            SubjectType("group", "member", caveat="both"),
            SubjectType("group", "all"),
            SubjectType("doc", "view"),
            SubjectType("folder", "view", expiration=True),
            SubjectType("folder"),
        ]
        places = [
            SubjectType("folder"),
            SubjectType("folder", caveat="one"),
            SubjectType("folder", "view"),
            SubjectType("doc"),
            SubjectType("group", expiration=True),
        ]
        plain = SubjectType("user")
        types = {"user": ObjectType("user", {}, {})}
        for kind, stored in (
            ("group", ["member", "banned"]),
            ("folder", ["viewer", "owner"]),
            ("doc", ["viewer", "banned"]),
        ):
            relations = {
                n: Relation(n, (plain, *(f for f in self._some(people, 1, 5) if f != plain)))
                for n in stored
            }
            for name in ("parent", "home"):
                relations[name] = Relation(name, tuple(self._some(places, 1, 3)))
            names = [*stored, "all", "view", "edit"]
            permissions = {n: Permission(n, self._rewrite(names, 3)) for n in names[2:]}
            types[kind] = ObjectType(kind, relations, permissions)
        return Schema(types, _STRICT if self._strict else _CAVEATS)

    def _rewrite(self, names: list[str], depth: int) -> rw.Rewrite:
        pick = self._random.choice
        if depth == 0 or self._chance(0.25):
            kind = self._random.random()
            if kind < 0.6:
                return rw.Computed(pick(names))
            return rw.Nil() if kind > 0.98 else rw.Self() if kind > 0.95 else self._arrow(names, 1)
        parts = tuple(self._rewrite(names, depth - 1) for _ in range(self._random.randint(2, 3)))
        kind = self._random.random()
        if kind < 0.66:
            return rw.Union(parts)
        return rw.Intersection(parts[:2]) if kind < 0.86 else rw.Exclusion(parts[0], parts[1])

    def _arrow(self, names: list[str], nested: int) -> rw.Arrow:
        pick = self._random.choice
        mode = rw.ArrowMode.ALL if self._chance(0.2) else rw.ArrowMode.ANY
        if nested and self._chance(0.2):
            target: rw.Computed | rw.Arrow = self._arrow(names, nested - 1)
        else:
            target = rw.Computed(pick([*names, "viewer", "member"]))
        return rw.Arrow(pick(["parent", "home"]), mode, target)

    def _tuple(self, schema: Schema) -> RelationTuple:
        pick = self._random.choice
        kind = pick(["doc", "doc", "folder", "group"])
        relation = pick(list(schema.object_types[kind].relations.values()))
        form = pick(relation.subject_types)
        if self._chance(0.1):
            other = pick(list(schema.object_types["doc"].relations.values()))
            form = pick(
                [*other.subject_types, SubjectType("ghost"), SubjectType("group", "viewer")]
            )
        name = relation.name if self._chance(0.98) else "view"
        id_ = "*" if form.wildcard else pick(_PEOPLE if form.type == "user" else _IDS)
        expires = NOW + timedelta(seconds=pick([-1, 0, 1, 60])) if form.expiration else None
        context = canonical_json(self._context()) if form.caveat and self._chance(0.25) else ""
        subject = Subject(form.type, id_, form.relation)
        return RelationTuple(Object(kind, pick(_IDS)), name, subject, form.caveat, context, expires)

    def _context(self) -> dict[str, Any]:
        pick = self._random.choice
        context: dict[str, Any] = {}
        if self._chance(0.2):
            context["x"] = pick([0, 1, 1, 3, 4, 7])
        if self._chance(0.2):
            context["y"] = pick(["a", "a", "b"])
        return context
