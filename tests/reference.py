"""The oracle: membership from its definition, over whole sets, with nothing clever in it.

Two sets of goals (object, relation) bound the truth: `sure` is true whatever unknown conditions
are, `possible` could be. Each is a least fixpoint in which exclusions look at the other bound, in
turn until neither changes (the alternating fixpoint of the well-founded semantics). What lies
between is unknown: an error if an error or a cycle through an exclusion is part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from engine.tuples import Object, RelationTuple, Subject
from schema import rewrite as rw
from schema.model import Schema, SubjectType

Condition = bool | frozenset[str] | None  # yes, no, the names that are missing, an error
Goal = tuple[Object, str]
Formula = tuple[str, Any]  # ("is", Condition), ("goal", Goal), ("any" | "all" | "minus", parts)


class World(NamedTuple):
    """Everything that an answer depends on. `caveats` evaluates (name, stored, request)."""

    schema: Schema
    tuples: Sequence[RelationTuple]
    context: Mapping[str, Any]
    now: datetime
    caveats: Callable[[str, str, Mapping[str, Any]], Condition]


class Oracle:
    """Answers for one subject in one world, about the objects that its tuples or `more` name."""

    def __init__(self, world: World, subject: Subject, more: Sequence[Object] = ()) -> None:
        self.world, self.subject, self.types = world, subject, world.schema.object_types
        stored = {Object(*end[:2]) for item in world.tuples for end in (item.object, item.subject)}
        self.bodies: dict[Goal, Formula] = {}
        for at in {Object(*subject[:2]), *more, *stored}:
            for name in self.types[at.type].names if at.type in self.types else ():
                self.bodies[at, name] = self._body(at, name)
        self.sure: set[Goal] = set()
        self.possible, before = set(self.bodies), None
        while before != (before := (self.sure, self.possible)):
            self.possible = self._least(self.sure, hopeful=True)
            self.sure = self._least(self.possible, hopeful=False)

    def answer(self, object_: Object, relation: str) -> str | frozenset[str]:
        """`allowed`, `denied`, `error`, or the names that a conditional answer misses."""
        goal = (object_, relation)
        if goal in self.sure or goal not in self.possible:
            return "allowed" if goal in self.sure else "denied"
        doubts = [(outer, *found) for outer in self._reached(goal) for found in self._doubts(outer)]
        for outer, negative, inner in doubts:
            circular = isinstance(inner, tuple) and negative and outer in self._reached(inner)
            if inner is None or circular:
                return "error"
        return frozenset().union(*(inner for *_, inner in doubts if isinstance(inner, frozenset)))

    def _edges(self, at: Object, relation: str) -> Iterator[tuple[Formula, Subject]]:
        known = self.types[at.type].relations.get(relation) if at.type in self.types else None
        for item in self.world.tuples if known else ():
            (kind, id_, userset), until = item.subject, item.expires_at
            form = SubjectType(kind, userset, id_ == "*", item.caveat, until is not None)
            alive = until is None or until > self.world.now
            if item[:2] == (at, relation) and known and form in known.subject_types and alive:
                args = (item.caveat, item.context, self.world.context)
                yield ("is", self.world.caveats(*args) if item.caveat else True), item.subject

    def _body(self, at: Object, name: str) -> Formula:
        rewrite = self.types[at.type].rewrite_of(name) or rw.Nil()
        return "any", [("is", (*at, name) == self.subject), self._formula(rewrite, at, name)]

    def _formula(self, rewrite: rw.Rewrite, at: Object, name: str) -> Formula:
        match rewrite:
            case rw.This():
                return "any", [
                    ("all", [says, self._grants(s)]) for says, s in self._edges(at, name)
                ]
            case rw.Computed(relation=other):
                return "goal", (at, other)
            case rw.Arrow(relation=walked, mode=mode, target=target):
                ends = [(f, s) for f, s in self._edges(at, walked) if s.id != "*"]
                there = [("all", [f, self._formula(target, Object(*s[:2]), "")]) for f, s in ends]
                return ("all" if mode is rw.ArrowMode.ALL and there else "any"), there
            case rw.Union(children=children):
                return "any", [self._formula(child, at, name) for child in children]
            case rw.Intersection(children=children):
                return "all", [self._formula(child, at, name) for child in children]
            case rw.Exclusion(base=base, subtracted=without):
                unnamed = (at, f"{name} without {len(self.bodies)}")  # a goal, as if it were named
                self.bodies[unnamed] = ("is", False)
                self.bodies[unnamed] = self._formula(without, at, name)
                return "minus", [self._formula(base, at, name), ("goal", unnamed)]
            case rw.Nil():
                return "is", False
            case rw.Self():
                return "is", Subject(*at) == self.subject

    def _grants(self, stored: Subject) -> Formula:
        if stored.relation:
            return "goal", (Object(*stored[:2]), stored.relation)
        return "is", stored in {self.subject, (self.subject.type, "*", self.subject.relation)}

    def _least(self, other: set[Goal], *, hopeful: bool) -> set[Goal]:
        found: set[Goal] = set()
        while rest := self.bodies.keys() - found:
            more = {g for g in rest if self._holds(self.bodies[g], found, other, hopeful)}
            if not more:
                break
            found |= more
        return found

    def _holds(self, formula: Formula, mine: set[Goal], other: set[Goal], hopeful: bool) -> bool:
        kind, content = formula
        if kind == "is":
            return content is True or (hopeful and content is not False)
        if kind == "goal":
            return content in mine
        if kind == "minus":
            return content[1][1] not in other and self._holds(content[0], mine, other, hopeful)
        return (any if kind == "any" else all)(
            self._holds(f, mine, other, hopeful) for f in content
        )

    def _doubts(self, goal: Goal) -> Iterator[tuple[bool, Any]]:
        """What keeps a goal unknown: conditions and goals, each with whether it is subtracted."""
        stack = [(False, self.bodies[goal])]
        while stack:
            negative, formula = stack.pop()
            kind, content = formula
            sure = self._holds(formula, self.sure, self.possible, False)
            if sure or not self._holds(formula, self.possible, self.sure, True):
                continue
            if kind in {"is", "goal"}:
                yield negative, content
            else:
                flips = (negative, negative or kind == "minus")
                stack += [(flips[min(i, 1)], part) for i, part in enumerate(content)]

    def _reached(self, goal: Goal) -> set[Goal]:
        reached, stack = {goal}, [goal]
        while stack:
            inner = {g for _, g in self._doubts(stack.pop()) if isinstance(g, tuple)} - reached
            reached |= inner
            stack += inner
        return reached
