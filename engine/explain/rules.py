"""One goal at a time: what its rewrite and the tuples that were read make of it.

The rules decide nothing anew: they retrace, from what the evaluation read, how it came to its
answer. A goal whose verdict is not known yet is *met* and waits for `engine.explain.justify`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import assert_never

from engine.caveats import Bound
from engine.decision import Verdict
from engine.errors import EngineError
from engine.explain.remembered import Remembered, Unread
from engine.explain.steps import (
    ABSENT,
    ALLOWED,
    CONDITIONAL,
    DENIED,
    Fact,
    Goal,
    Kind,
    State,
    Step,
    Told,
    all_verdict,
    any_verdict,
    opposite,
    weigh,
)
from engine.plan import Planner
from engine.reader import Edge, Probe, Scan
from engine.tuples import WILDCARD, Object, RelationTuple, Subject
from schema import rewrite as rw
from schema.model import Relation, SubjectType

_UNCOUNTED_SHOWN = 20


class Rules:
    """The rules of one schema for one subject, at one `now`, over what was read.

    `settled` goals have their reasons. What is `assumed` of others counts on subtracted sides
    only if `assumed_below` says so: goals that are denied together may not deny by each other's
    absence. A denied step holds the lightest side that fails, or with `every_side` all of them.
    """

    def __init__(
        self,
        planner: Planner,
        subject: Subject,
        bound: Bound,
        now: datetime,
        read: Remembered,
        every_side: bool = False,
    ) -> None:
        self._planner = planner
        self._types = planner.schema.object_types
        self._subject = subject
        self._bound = bound
        self._now = now
        self._every_side = every_side
        self.read = read
        self.settled: dict[Goal, Step] = {}
        self.assumed: dict[Goal, Verdict] = {}
        self.assumed_below = False
        self.met: dict[Goal, None] = {}
        self._subtracting = 0

    def judge(self, goal: Goal) -> Step | None:
        """Why `goal` has its verdict; None if what is known does not decide it."""
        if (*goal.object, goal.relation) == self._subject:
            return Step(Kind.IDENTITY, ALLOWED)
        if not self._planner.reaches(goal.object.type, goal.relation):
            return Step(Kind.UNREACHABLE, DENIED)
        rewrite = self._types[goal.object.type].rewrite_of(goal.relation)
        assert rewrite is not None  # a name that reaches a form exists
        return self._step(rewrite, goal)

    def _known(self, goal: Goal) -> tuple[Told, int]:
        """The verdict of another goal and the weight of its reasons."""
        step = self.settled.get(goal)
        if step is not None:
            return step.verdict, step.weight
        if goal in self.assumed and (self.assumed_below or not self._subtracting):
            return self.assumed[goal], 1
        self.met[goal] = None
        return None, 1

    def _step(self, rewrite: rw.Rewrite, goal: Goal) -> Step | None:
        match rewrite:
            case rw.This():
                return self._tuples(goal)
            case rw.Computed(relation=name):
                return self._computed(Goal(goal.object, name))
            case rw.Arrow():
                return self._arrow(rewrite, goal.object)
            case rw.Union(children=children):
                return self._joined(Kind.UNION, children, goal)
            case rw.Intersection(children=children):
                return self._joined(Kind.INTERSECTION, children, goal)
            case rw.Exclusion(base=base, subtracted=subtracted):
                sides = (self._step(base, goal), self._subtracted(subtracted, goal))
                return _excluded(*sides, self._every_side)
            case rw.Nil():
                return Step(Kind.NIL, DENIED)
            case rw.Self():
                return Step(Kind.SELF, ALLOWED if self._subject == (*goal.object, "") else DENIED)
        assert_never(rewrite)

    def _joined(self, kind: Kind, children: Sequence[rw.Rewrite], goal: Goal) -> Step | None:
        return _joined(kind, [self._step(child, goal) for child in children], self._every_side)

    def _subtracted(self, rewrite: rw.Rewrite, goal: Goal) -> Step | None:
        self._subtracting += 1
        step = self._step(rewrite, goal)
        self._subtracting -= 1
        return step

    def _computed(self, goal: Goal) -> Step | None:
        if not self._reaches(goal):
            return Step(Kind.UNREACHABLE, DENIED, goal.relation)
        verdict, weight = self._known(goal)
        if verdict is None:
            return None
        return Step(Kind.COMPUTED, verdict, goal.relation, then=goal, weight=weigh([weight]))

    def _reaches(self, goal: Goal) -> bool:
        return self._planner.reaches(goal.object.type, goal.relation)

    # -- stored tuples --------------------------------------------------------------------------

    def _tuples(self, goal: Goal) -> Step | None:
        relation = self._types[goal.object.type].relations[goal.relation]
        found = [*self._at_once(goal, relation), *self._usersets(goal, relation)]
        return _any_fact(Kind.TUPLES, goal.relation, found)

    def _at_once(self, goal: Goal, relation: Relation) -> Iterator[Fact | None]:
        """The tuples of the subject itself and of the wildcard, where the schema allows such."""
        if self._subject.relation:
            return
        for id_ in (self._subject.id, WILDCARD):
            wanted = (self._subject.type, "", id_ == WILDCARD)
            if all((s.type, s.relation, s.wildcard) != wanted for s in relation.subject_types):
                continue
            kind, asked = goal.object, (self._subject.type, id_, "")
            edge = self.read.probed(Probe(*kind, goal.relation, *asked))
            if isinstance(edge, Unread):
                yield None
            elif edge is not None:
                yield self._fact(goal, relation, edge, None)

    def _usersets(self, goal: Goal, relation: Relation) -> Iterator[Fact | None]:
        kinds = {(s.type, s.relation) for s in relation.subject_types if s.relation}
        if not any(self._planner.reaches(*kind) for kind in kinds):
            return
        edges = self.read.scanned(Scan(*goal.object, goal.relation, only_usersets=True))
        if isinstance(edges, Unread):
            yield None
            return
        for edge in edges:
            there = Goal(Object(edge.subject_type, edge.subject_id), edge.subject_relation)
            yield self._fact(goal, relation, edge, there)

    def _fact(self, goal: Goal, relation: Relation, edge: Edge, then: Goal | None) -> Fact | None:
        """What a tuple comes to that leads to another goal, or to none."""
        item = _tuple(goal.object, goal.relation, edge)
        state, holds, missing = self._condition(relation, edge)
        if holds is DENIED or then is None:
            return Fact(item, state, holds, missing)
        if not self._reaches(then):
            return Fact(item, State.UNREACHABLE, DENIED)
        verdict, weight = self._known(then)
        if verdict is None:
            return None
        together = all_verdict((holds, verdict))
        assert together is not None
        return Fact(item, state, together, missing, then, weight=weigh([weight]))

    def _condition(self, relation: Relation, edge: Edge) -> tuple[State, Verdict, frozenset[str]]:
        form = SubjectType(
            edge.subject_type,
            edge.subject_relation,
            wildcard=edge.subject_id == WILDCARD,
            caveat=edge.caveat,
            expiration=edge.expires_at is not None,
        )
        nothing: frozenset[str] = frozenset()
        if form not in relation.subject_types:
            return State.NOT_IN_SCHEMA, DENIED, nothing
        if edge.expires_at is not None and edge.expires_at <= self._now:
            return State.EXPIRED, DENIED, nothing
        if not edge.caveat:
            return State.HOLDS, ALLOWED, nothing
        try:
            result = self._bound.evaluate(edge.caveat, edge.context)
        except EngineError:
            return State.CAVEAT_FAILED, CONDITIONAL, nothing
        if isinstance(result, bool):
            return (
                (State.HOLDS, ALLOWED, nothing) if result else (State.CAVEAT_FALSE, DENIED, nothing)
            )
        return State.CAVEAT_NEEDS, CONDITIONAL, result

    # -- arrows ---------------------------------------------------------------------------------

    def _arrow(self, arrow: rw.Arrow, at: Object) -> Step | None:
        if arrow.relation not in self._types[at.type].relations:
            return Step(Kind.UNREACHABLE, DENIED, arrow.relation)
        relation = self._types[at.type].relations[arrow.relation]
        walked = {s.type for s in relation.subject_types if not s.wildcard}
        if not any(self._leads(kind, arrow.target) for kind in walked):
            return Step(Kind.UNREACHABLE, DENIED, arrow.relation)
        edges = self.read.scanned(Scan(*at, arrow.relation, only_usersets=False))
        if isinstance(edges, Unread):
            return None
        found = [
            self._walked(arrow, Goal(at, arrow.relation), relation, edge)
            for edge in edges
            if edge.subject_id != WILDCARD
        ]
        if arrow.mode is rw.ArrowMode.ANY:
            return _any_fact(Kind.ARROW, arrow.relation, found)
        return _every_fact(arrow.relation, found, self._every_side)

    def _leads(self, kind: str, target: rw.Computed | rw.Arrow) -> bool:
        """Whether an arrow's target may have the subject as a member, on objects of this type."""
        if isinstance(target, rw.Computed):
            return self._planner.reaches(kind, target.relation)
        return kind in self._types and target.relation in self._types[kind].relations

    def _walked(self, arrow: rw.Arrow, goal: Goal, relation: Relation, edge: Edge) -> Fact | None:
        there = Object(edge.subject_type, edge.subject_id)
        if isinstance(arrow.target, rw.Computed):
            return self._fact(goal, relation, edge, Goal(there, arrow.target.relation))
        fact = self._fact(goal, relation, edge, None)
        if fact is None or fact.verdict is DENIED:
            return fact
        if not self._leads(there.type, arrow.target):
            return Fact(fact.tuple, State.UNREACHABLE, DENIED)
        walk = self._arrow(arrow.target, there)
        if walk is None:
            return None
        together = all_verdict((fact.verdict, walk.verdict))
        assert together is not None
        weight = weigh([walk.weight])
        return Fact(fact.tuple, fact.state, together, fact.missing, walk=walk, weight=weight)


def _tuple(at: Object, relation: str, edge: Edge) -> RelationTuple:
    return RelationTuple(at, relation, Subject(*edge[:3]), *edge[3:])


def _any_fact(kind: Kind, relation: str, facts: Sequence[Fact | None]) -> Step | None:
    """One tuple is enough: the lightest that allows, or all of them."""
    known = [fact for fact in facts if fact is not None]
    granting = [fact for fact in known if fact.verdict is ALLOWED]
    if granting:
        best = min(granting, key=lambda fact: fact.weight)
        return Step(kind, ALLOWED, relation, facts=(best,), weight=best.weight)
    if len(known) < len(facts):
        return None
    verdict = any_verdict(fact.verdict for fact in known)
    assert verdict is not None
    told = _told(known)
    return Step(kind, verdict, relation, facts=told, weight=weigh(fact.weight for fact in told))


def _every_fact(relation: str, facts: Sequence[Fact | None], every_side: bool) -> Step | None:
    """Every tuple that counts must allow, and there must be one: `all` arrows."""
    known = [fact for fact in facts if fact is not None]
    counted = [fact for fact in known if fact.state not in ABSENT]
    denying = [fact for fact in counted if fact.verdict is DENIED]
    if denying:
        worst = min(denying, key=lambda fact: fact.weight)
        failing = tuple(denying) if every_side else (worst,)
        return Step(Kind.ARROW, DENIED, relation, facts=failing, every=True, weight=worst.weight)
    if len(known) < len(facts):
        return None
    verdict = all_verdict(fact.verdict for fact in counted) if counted else DENIED
    assert verdict is not None
    told = _told(known)
    weight = weigh(fact.weight for fact in told)
    return Step(Kind.ARROW, verdict, relation, facts=told, every=True, weight=weight)


def _told(facts: list[Fact]) -> tuple[Fact, ...]:
    """The facts worth telling: all that lead somewhere, and some of those that never count."""
    uncounted = [f for f in facts if f.state in {*ABSENT, State.UNREACHABLE}]
    left_out = set(map(id, uncounted[_UNCOUNTED_SHOWN:]))
    return tuple(fact for fact in facts if id(fact) not in left_out)


def _joined(kind: Kind, parts: Sequence[Step | None], every_side: bool) -> Step | None:
    """A union or an intersection: the one part that decides it (of those that deny all, if
    `every_side`), or all of them."""
    join, decisive = (any_verdict, ALLOWED) if kind is Kind.UNION else (all_verdict, DENIED)
    verdict = join(None if part is None else part.verdict for part in parts)
    if verdict is None:
        return None
    told = [(index, part) for index, part in enumerate(parts) if part is not None]
    if verdict is decisive:
        told = [(index, part) for index, part in told if part.verdict is decisive]
        if decisive is ALLOWED or not every_side:
            told = [min(told, key=lambda one: one[1].weight)]
    weight = weigh(part.weight for _, part in told)
    return Step(kind, verdict, parts=tuple(told), weight=weight)


def _excluded(base: Step | None, subtracted: Step | None, every_side: bool) -> Step | None:
    """`base` without `subtracted`: both sides if that allows; if not the side that decides, or
    with `every_side` each that would."""
    sides = [(0, base), (1, subtracted)]
    verdicts = [None if step is None else step.verdict for _, step in sides]
    verdict = all_verdict((verdicts[0], opposite(verdicts[1])))
    if verdict is None:
        return None
    told = [(index, step) for index, step in sides if step is not None]
    if verdict is DENIED:
        denying = {0: DENIED, 1: ALLOWED}
        told = [(index, step) for index, step in told if step.verdict is denying[index]]
        if not every_side:
            told = [min(told, key=lambda one: one[1].weight)]
    weight = weigh(step.weight for _, step in told)
    return Step(Kind.EXCLUSION, verdict, parts=tuple(told), weight=weight)
