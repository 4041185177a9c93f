"""The ways by which objects become members' objects: a schema's rewrites read backwards.

For one form of subject, every relation and permission (a place) has entrances: stored tuples of the
subject itself, of its wildcard, or of objects that were reached at another place, and places of the
same object. Whoever is a member got in by an entrance, since a union needs one child, an
intersection each, so that any one will do, and an exclusion its base. An entrance is *certain* if
whoever gets in by it is a member: only unions and any-arrows lie between.

Like the planner, this drops what can never lead to the form of subject, and follows only the forms
of tuples that the schema allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, assert_never

from engine.plan import Forms, Plan, Planner, allowed_forms
from schema.model import Relation
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    This,
    Union,
)

_SOME, _MANY, _MOST = 5, 10, 100
_DEEP = 20

Place = tuple[str, str | Arrow]
"""An object type, and the name of a relation or permission or the rest of a nested arrow."""


class Itself(NamedTuple):
    """The subject's own object is there: `self`, and a userset as a member of itself."""

    certain: bool


class Alias(NamedTuple):
    """The objects that were reached at another place of the same type."""

    source: Place
    certain: bool


class Stored(NamedTuple):
    """The objects of stored tuples whose subject was reached at `source` and has the relation
    `subject_relation`; of the lookup's subject, or its wildcard, if there is no source."""

    source: Place | None
    wildcard: bool
    subject_relation: str
    relation: str
    forms: Forms
    certain: bool


Entrance = Itself | Alias | Stored


class Entrances:
    """The entrances of one form of subject, found as they are needed and kept by place."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._found: dict[Place, tuple[Entrance, ...]] = {}
        self._breadths: dict[Place, int] = {}

    def plan(self, place: Place) -> Plan:
        """The plan that decides membership of a place; there are entrances only to such places."""
        kind, name = place
        planner = self._planner
        plan = planner.plan(kind, name) if isinstance(name, str) else planner.target(kind, name)
        assert plan is not None
        return plan

    def of(self, place: Place) -> tuple[Entrance, ...]:
        """The entrances of a place that the form of subject may reach."""
        found = self._found.get(place)
        if found is None:
            kind, name = place
            rewrite: Rewrite | None = name if isinstance(name, Arrow) else None
            if rewrite is None:
                assert isinstance(name, str)
                rewrite = self._planner.schema.object_types[kind].rewrite_of(name)
                assert rewrite is not None  # a place that is reached exists
            found = self._found[place] = tuple(dict.fromkeys(self._gather(place, rewrite)))
        return found

    def _gather(self, place: Place, rewrite: Rewrite) -> Iterator[Entrance]:
        if place == tuple(self._planner.form):
            yield Itself(certain=True)
        yield from self._entrances(place, rewrite, certain=True)

    def _entrances(self, place: Place, rewrite: Rewrite, *, certain: bool) -> Iterator[Entrance]:
        match rewrite:
            case This():
                yield from self._stored(place, certain)
            case Computed(relation=name):
                if self._planner.plan(place[0], name) is not None:
                    yield Alias((place[0], name), certain)
            case Arrow():
                yield from self._arrow(place, rewrite, certain)
            case Union(children=children):
                for child in children:
                    yield from self._entrances(place, child, certain=certain)
            case Intersection(children=children):
                narrowest = min(children, key=lambda child: self._breadth(place, child, 0))
                yield from self._entrances(place, narrowest, certain=False)
            case Exclusion(base=base):
                yield from self._entrances(place, base, certain=False)
            case Nil():
                pass
            case Self():
                if self._planner.form == (place[0], ""):
                    yield Itself(certain)
            case _:
                assert_never(rewrite)

    def _stored(self, place: Place, certain: bool) -> Iterator[Stored]:
        kind, name = place
        assert isinstance(name, str)  # only relations have tuples
        relation = self._planner.schema.object_types[kind].relations[name]
        form = self._planner.form
        followed = {
            userset: forms
            for userset, forms in allowed_forms(relation, usersets=True).items()
            if self._planner.plan(*userset) is not None
        }
        for wildcard in (False, True):
            own = self._own_forms(relation, wildcard=wildcard)
            # A userset is reached at its own place, too, and its tuples by the way from there.
            if own and (wildcard or form not in followed):
                yield Stored(None, wildcard, form.relation, name, own, certain)
        for userset, forms in followed.items():
            yield Stored(userset, False, userset[1], name, forms, certain)

    def _own_forms(self, relation: Relation, *, wildcard: bool) -> Forms:
        return frozenset(
            (allowed.caveat, allowed.expiration)
            for allowed in relation.subject_types
            if (allowed.type, allowed.relation) == self._planner.form
            and allowed.wildcard == wildcard
        )

    def _arrow(self, place: Place, arrow: Arrow, certain: bool) -> Iterator[Stored]:
        relation = self._planner.schema.object_types[place[0]].relations[arrow.relation]
        certain = certain and arrow.mode is ArrowMode.ANY
        for (kind, userset), forms in allowed_forms(relation, usersets=False).items():
            if self._planner.target(kind, arrow.target) is not None:
                target = arrow.target
                end = target.relation if isinstance(target, Computed) else target
                yield Stored((kind, end), False, userset, relation.name, forms, certain)

    def _breadth(self, place: Place, rewrite: Rewrite, depth: int) -> int:
        """How many objects a rewrite seems to let in: an intersection is best entered by few."""
        match rewrite:
            case Nil() | Self():
                return 0
            case This():
                return self._breadth_of_tuples(place)
            case Computed(relation=name):
                return self._breadth_of((place[0], name), depth + 1)
            case Arrow():
                return _MANY
            case Union(children=children):
                return max(self._breadth(place, child, depth) for child in children)
            case Intersection(children=children):
                return min(self._breadth(place, child, depth) for child in children)
            case Exclusion(base=base):
                return self._breadth(place, base, depth)
        assert_never(rewrite)

    def _breadth_of(self, place: tuple[str, str], depth: int) -> int:
        known = self._breadths.get(place)
        if known is not None:
            return known
        self._breadths[place] = _MANY  # what it is to itself, if it is recursive
        if self._planner.plan(*place) is None:
            breadth = 0
        elif depth > _DEEP:
            breadth = _MANY
        else:
            rewrite = self._planner.schema.object_types[place[0]].rewrite_of(place[1])
            assert rewrite is not None  # it has a plan
            breadth = self._breadth(place, rewrite, depth)
        self._breadths[place] = breadth
        return breadth

    def _breadth_of_tuples(self, place: Place) -> int:
        stored = list(self._stored(place, certain=True))
        if any(entrance.wildcard for entrance in stored):
            return _MOST
        if any(entrance.source is not None for entrance in stored):
            return _SOME
        return len(stored)
