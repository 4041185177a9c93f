"""The steps of a proof held against the schema and the tuples, one goal at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, assert_never

from engine.caveats import CaveatSet
from engine.decision import Verdict
from engine.errors import EngineError
from engine.tuples import WILDCARD, Object, RelationTuple, Subject
from engine.verify.claims import (
    NO,
    UNTOLD,
    YES,
    AllOf,
    AnyOf,
    Claimed,
    Constant,
    Goal,
    Json,
    Minus,
    Term,
    goal_of,
    member,
    objects,
    tuple_of,
    value,
    verdict_of,
)
from schema import rewrite as rw
from schema.model import Schema, SubjectType
from schema.reachability import SubjectReach


class Ground:
    """What a proof is held against: the schema, the tuples, the moment and the context."""

    def __init__(
        self,
        schema: Schema,
        tuples: Iterable[RelationTuple],
        subject: Subject,
        now: datetime,
        context: Mapping[str, Any],
    ) -> None:
        self.schema = schema
        self.subject = subject
        self._reach = SubjectReach(schema)
        self._bound = CaveatSet(schema).bind(context)
        self._now = now
        self._stored: defaultdict[tuple[Object, str], dict[Subject, RelationTuple]] = defaultdict(
            dict
        )
        for item in tuples:
            self._stored[item.object, item.relation][item.subject] = item

    def stored(self, at: Object, relation: str) -> dict[Subject, RelationTuple]:
        """The tuples of `at#relation` by subject."""
        return self._stored.get((at, relation), {})

    def reaches(self, kind: str, name: str) -> bool:
        """Whether the schema lets the subject ever be a member of `kind#name`."""
        return self._reach.reaches(kind, name, self.subject.type, self.subject.relation)

    def leads(self, kind: str, target: rw.Computed | rw.Arrow) -> bool:
        """Whether an arrow's target may have the subject as a member on objects of a type."""
        if isinstance(target, rw.Computed):
            return self.reaches(kind, target.relation)
        known = self.schema.object_types.get(kind)
        return known is not None and target.relation in known.relations

    def condition(self, item: RelationTuple) -> Term | None:
        """What a tuple says by itself; None if it is as if it were not stored."""
        relation = self.schema.object_types[item.object.type].relations[item.relation]
        form = SubjectType(
            item.subject.type,
            item.subject.relation,
            wildcard=item.subject.id == WILDCARD,
            caveat=item.caveat,
            expiration=item.expires_at is not None,
        )
        if form not in relation.subject_types:
            return None
        if item.expires_at is not None and item.expires_at <= self._now:
            return None
        if not item.caveat:
            return YES
        try:
            result = self._bound.evaluate(item.caveat, item.context)
        except EngineError:
            return Constant(Verdict.CONDITIONAL)
        if isinstance(result, bool):
            return YES if result else NO
        return Constant(Verdict.CONDITIONAL, result)


class Reader:
    """Reads the steps of a proof into terms; collects what is wrong with them in `problems`."""

    def __init__(self, ground: Ground, claims: Mapping[Goal, Verdict]) -> None:
        self._ground = ground
        self._claims = claims
        self._types = ground.schema.object_types
        self.problems: list[str] = []

    def judgement(self, goal: Goal, step: Json) -> Term:
        """The term of one goal. Raises MalformedError and InvalidTuple."""
        known = self._types.get(goal.object.type)
        rewrite = None if known is None else known.rewrite_of(goal.relation)
        if rewrite is None:
            self.problems.append(f"`{goal}`: the schema has no such relation or permission")
            return UNTOLD
        kind = member(step, "kind", str)
        if kind == "identity":
            holds = (*goal.object, goal.relation) == self._ground.subject
            return self._checked(goal, step, YES if holds else NO)
        if kind == "unreachable" and not self._ground.reaches(goal.object.type, goal.relation):
            return self._checked(goal, step, NO)
        return self._step(rewrite, goal, step)

    def _step(self, rewrite: rw.Rewrite, goal: Goal, step: Json) -> Term:
        kind = member(step, "kind", str)
        term: Term = UNTOLD
        match rewrite:
            case rw.This() if kind == "tuples":
                term = self._tuples(goal, step)
            case rw.Computed(relation=name):
                term = self._computed(Goal(goal.object, name), kind, step)
            case rw.Arrow():
                term = self._arrow(rewrite, goal.object, kind, step)
            case rw.Union(children=children) if kind == "union":
                term = AnyOf(self._parts(children, goal, step))
            case rw.Intersection(children=children) if kind == "intersection":
                term = AllOf(self._parts(children, goal, step))
            case rw.Exclusion(base=base, subtracted=subtracted) if kind == "exclusion":
                term = Minus(*self._parts((base, subtracted), goal, step))
            case rw.Nil() if kind == "nil":
                term = NO
            case rw.Self() if kind == "self":
                term = YES if (*goal.object, "") == self._ground.subject else NO
            case rw.This() | rw.Union() | rw.Intersection() | rw.Exclusion() | rw.Nil() | rw.Self():
                self.problems.append(f"`{goal}`: a step `{kind}` is not what the schema has there")
            case _:
                assert_never(rewrite)
        return self._checked(goal, step, term)

    def _checked(self, goal: Goal, step: Json, term: Term) -> Term:
        if value(term, self._claims) is not verdict_of(step):
            self.problems.append(
                f"`{goal}`: a step `{step.get('kind')}` claims `{verdict_of(step)}`, which what "
                "is told does not support"
            )
        return term

    def _parts(self, children: tuple[rw.Rewrite, ...], goal: Goal, step: Json) -> tuple[Term, ...]:
        terms: list[Term] = [UNTOLD] * len(children)
        for part in objects(step, "parts"):
            branch = member(part, "branch", int)
            if not 0 <= branch < len(children):
                self.problems.append(f"`{goal}`: the schema has no branch {branch} there")
                continue
            terms[branch] = self._step(children[branch], goal, part)
        return tuple(terms)

    def _computed(self, goal: Goal, kind: str, step: Json) -> Term:
        if kind == "unreachable" and not self._ground.reaches(goal.object.type, goal.relation):
            return NO
        if kind != "computed" or goal_of(step.get("then")) != goal:
            self.problems.append(f"`{goal}` is what the schema has there, not a step `{kind}`")
            return UNTOLD
        return Claimed(goal)

    # -- stored tuples --------------------------------------------------------------------------

    def _tuples(self, goal: Goal, step: Json) -> Term:
        """The tuples told, and UNTOLD for each other stored one that could count."""
        told: dict[Subject, Term] = {}
        for fact in objects(step, "tuples"):
            item = self._fact(goal.object, goal.relation, fact)
            if item is not None:
                there = self._then(item, fact)
                told[item.subject] = self._fact_term(goal, fact, item, there)
        for item in self._ground.stored(goal.object, goal.relation).values():
            if item.subject not in told and self._could_count(item):
                told[item.subject] = UNTOLD
        return AnyOf(tuple(told.values()))

    def _could_count(self, item: RelationTuple) -> bool:
        subject, stored = self._ground.subject, item.subject
        if not stored.relation:
            everyone = Subject(subject.type, WILDCARD)
            if subject.relation or stored not in (subject, everyone):
                return False
        elif not self._ground.reaches(stored.type, stored.relation):
            return False
        return self._ground.condition(item) not in (None, NO)

    def _then(self, item: RelationTuple, fact: Json) -> Term:
        """What a tuple of a relation leads to: the subject itself, or a userset's goal."""
        if not item.subject.relation:
            subject = self._ground.subject
            itself = item.subject in (subject, Subject(subject.type, WILDCARD))
            return YES if itself and not subject.relation else NO
        return self._claimed(Goal(Object(*item.subject[:2]), item.subject.relation), fact)

    def _claimed(self, goal: Goal, fact: Json) -> Term:
        if not self._ground.reaches(goal.object.type, goal.relation):
            return NO
        if "then" in fact and goal_of(fact["then"]) != goal:
            self.problems.append(f"a tuple that leads to `{goal}` is said to lead elsewhere")
        return Claimed(goal) if "then" in fact else UNTOLD

    def _fact(self, at: Object, relation: str, fact: Json) -> RelationTuple | None:
        """The stored tuple that a fact tells of; a problem if it is not stored as told."""
        item = tuple_of(member(fact, "tuple", dict))
        if (item.object, item.relation) != (at, relation):
            self.problems.append(f"`{item}` is told as a tuple of `{at}#{relation}`")
            return None
        if self._ground.stored(at, relation).get(item.subject) != item:
            self.problems.append(f"`{item}` is not stored")
            return None
        return item

    def _fact_term(self, goal: Goal, fact: Json, item: RelationTuple, there: Term) -> Term:
        holds = self._ground.condition(item)
        term = NO if holds is None else AllOf((holds, there))
        if value(term, self._claims) is not verdict_of(fact):
            self.problems.append(f"`{goal}`: `{item}` does not come to `{verdict_of(fact)}`")
        return term

    # -- arrows ---------------------------------------------------------------------------------

    def _arrow(self, arrow: rw.Arrow, at: Object, kind: str, step: Json) -> Term:
        goal = Goal(at, arrow.relation)
        relation = self._types[at.type].relations.get(arrow.relation)
        walked = () if relation is None else relation.subject_types
        if not any(self._ground.leads(s.type, arrow.target) for s in walked if not s.wildcard):
            return NO
        if kind != "arrow" or step.get("relation") != arrow.relation:
            self.problems.append(f"`{at}`: an arrow over `{arrow.relation}` was left out")
            return UNTOLD
        told: dict[Subject, Term] = {}
        for fact in objects(step, "tuples"):
            item = self._fact(at, arrow.relation, fact)
            if item is not None and item.subject.id != WILDCARD:
                there = self._walked(arrow, item, fact)
                told[item.subject] = self._fact_term(goal, fact, item, there)
        return self._arrow_term(arrow, goal, told)

    def _arrow_term(self, arrow: rw.Arrow, goal: Goal, told: Mapping[Subject, Term]) -> Term:
        terms: list[Term] = []
        for item in self._ground.stored(goal.object, arrow.relation).values():
            holds = self._ground.condition(item)
            if holds is None or item.subject.id == WILDCARD:
                continue
            certain = holds == NO or not self._ground.leads(item.subject.type, arrow.target)
            terms.append(NO if certain else told.get(item.subject, UNTOLD))
        if arrow.mode is rw.ArrowMode.ANY:
            return AnyOf(tuple(terms))
        return AllOf(tuple(terms)) if terms else NO

    def _walked(self, arrow: rw.Arrow, item: RelationTuple, fact: Json) -> Term:
        there = Object(item.subject.type, item.subject.id)
        if isinstance(arrow.target, rw.Computed):
            return self._claimed(Goal(there, arrow.target.relation), fact)
        if not self._ground.leads(there.type, arrow.target):
            return NO
        if "walk" not in fact:
            return UNTOLD
        walk = member(fact, "walk", dict)
        return self._checked(
            Goal(there, arrow.target.relation),
            walk,
            self._arrow(arrow.target, there, member(walk, "kind", str), walk),
        )
