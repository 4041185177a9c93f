"""Single changes of tuples that could help: read off the reasons why it is not allowed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import chain
from typing import NamedTuple

from engine.errors import EngineError
from engine.explain.steps import ALLOWED, DENIED, Fact, Goal, Kind, State, Step
from engine.explain.trial import Trial
from engine.store.protocol import Update, UpdateOp
from engine.tuples import WILDCARD, Object, RelationTuple, Subject
from schema.model import Relation, SubjectType

_RENEWED_FOR = timedelta(days=1)
_NEAR_TRIED = 5


class Cost(NamedTuple):
    """How widely a change lets in, the worst first: to everyone (a wildcard), to the members of
    usersets or to who has access to other objects, and how far from the object asked about it
    lies, so that the subject itself gains more than was asked."""

    everyone: int = 0
    groups: int = 0
    distance: int = 0

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(*(mine + its for mine, its in zip(self, other, strict=True)))


class Idea(NamedTuple):
    """A change and what it costs."""

    change: Update
    cost: Cost


class Ideas:
    """Walks one explained answer that is no yes and collects the changes that touch its reasons.

    `near` has objects that could be tied to others, by type (see `near`).
    """

    def __init__(
        self, trial: Trial, steps: Mapping[Goal, Step], near: Mapping[str, list[Object]]
    ) -> None:
        self._check = trial.check
        self._now = trial.ground.now
        self._types = trial.ground.compiled.schema.object_types
        self._planner = trial.planner
        self._bound = trial.ground.compiled.caveats.bind(trial.check.context)
        self._steps = steps
        self._near = near
        self._fixed = {item.identity for item in trial.contextual}
        self._seen: set[tuple[Goal, bool]] = set()
        self._waiting: deque[tuple[Goal, int, bool]] = deque()
        self._root = trial.root

    def all(self) -> list[Idea]:
        """The changes, the cheapest first, one for each tuple."""
        best: dict[object, Idea] = {}
        for idea in sorted(self._every(), key=lambda idea: idea.cost):
            item = idea.change.tuple
            if item.identity not in self._fixed:
                best.setdefault((idea.change.op, item.identity), idea)
        return list(best.values())

    def _every(self) -> Iterator[Idea]:
        """Changes for every goal on the way, those near the root first."""
        self._meet(self._root, 0, allow=True)
        while self._waiting:
            goal, distance, allow = self._waiting.popleft()
            yield from self._turn(self._steps[goal], goal.object, distance, allow=allow)

    def _meet(self, goal: Goal, distance: int, *, allow: bool) -> None:
        """Let a goal have its turn: to allowed if `allow`, else to denied."""
        if (goal, allow) not in self._seen and goal in self._steps:
            self._seen.add((goal, allow))
            self._waiting.append((goal, distance, allow))

    def _turn(self, step: Step, at: Object, distance: int, *, allow: bool) -> Iterator[Idea]:
        if step.verdict is (ALLOWED if allow else DENIED):
            return
        if step.then is not None:
            self._meet(step.then, distance, allow=allow)
        for branch, part in step.parts:
            flip = step.kind is Kind.EXCLUSION and branch == 1
            yield from self._turn(part, at, distance, allow=allow != flip)
        if step.kind not in (Kind.TUPLES, Kind.ARROW):
            return
        for fact in step.facts:
            yield from self._fact(step, fact, distance, allow=allow)
        if allow:
            relation = self._types[at.type].relations[step.relation]
            if step.kind is Kind.TUPLES:
                yield from self._granted(at, relation, distance)
            yield from self._tied(step, at, relation, distance)

    def _fact(self, step: Step, fact: Fact, distance: int, *, allow: bool) -> Iterator[Idea]:
        if fact.verdict is (ALLOWED if allow else DENIED):
            return
        item = fact.tuple
        width = self._width(step, item.subject, distance)
        if not allow or (step.every and fact.state is not State.EXPIRED):
            yield Idea(Update(UpdateOp.DELETE, item), width)
        if allow and fact.state is not State.HOLDS:
            relation = self._types[item.object.type].relations[item.relation]
            renewed = self._fitting(item.object, relation, item.subject, like=item)
            if renewed is not None:
                yield Idea(Update(UpdateOp.TOUCH, renewed), width)
        if fact.then is not None:
            self._meet(fact.then, distance + 1, allow=allow)
        if fact.walk is not None:
            there = Object(item.subject.type, item.subject.id)
            yield from self._turn(fact.walk, there, distance + 1, allow=allow)

    def _width(self, step: Step, subject: Subject, distance: int) -> Cost:
        if step.kind is Kind.ARROW or (subject.relation and subject != self._check.subject):
            return Cost(groups=1, distance=distance)
        return Cost(everyone=int(subject.id == WILDCARD), distance=distance)

    # -- tuples that are not there yet ----------------------------------------------------------

    def _granted(self, at: Object, relation: Relation, distance: int) -> Iterator[Idea]:
        """The tuple of the subject itself, and of the wildcard."""
        asked = self._check.subject
        subjects = [asked] if asked.relation else [asked, Subject(asked.type, WILDCARD)]
        for subject in subjects:
            made = self._fitting(at, relation, subject)
            if made is not None:
                everyone = int(subject.id == WILDCARD)
                yield Idea(Update(UpdateOp.TOUCH, made), Cost(everyone, 0, distance))

    def _tied(self, step: Step, at: Object, relation: Relation, distance: int) -> Iterator[Idea]:
        """Tuples that lead to objects near by: those that the subject has something to do with,
        and those that the evaluation met. No object is invented."""
        for allowed in dict.fromkeys((s.type, s.relation) for s in relation.subject_types):
            kind, userset = allowed
            if step.kind is Kind.TUPLES and not self._planner.reaches(kind, userset):
                continue
            for there in self._near.get(kind, ())[:_NEAR_TRIED]:
                made = self._fitting(at, relation, Subject(*there, userset))
                if made is not None and there != at:
                    yield Idea(Update(UpdateOp.TOUCH, made), Cost(0, 1, distance))

    def _fitting(
        self,
        at: Object,
        relation: Relation,
        subject: Subject,
        like: RelationTuple | None = None,
    ) -> RelationTuple | None:
        """A tuple that the schema allows and that holds now: in the form and with the context of
        the one it is `like`, else the plainest."""
        forms = [
            form
            for form in relation.subject_types
            if (form.type, form.relation, form.wildcard)
            == (subject.type, subject.relation, subject.id == WILDCARD)
        ]
        later = self._now.replace(microsecond=0) + _RENEWED_FOR
        made = [
            RelationTuple(
                at, relation.name, subject, form.caveat, context, later if form.expiration else None
            )
            for form in sorted(forms, key=lambda form: _preference(form, like))
            for context in self._contexts(form, like)
        ]
        return next((item for item in made if self._holds(item)), None)

    def _contexts(self, form: SubjectType, like: RelationTuple | None) -> Iterable[str]:
        kept = like is not None and like.caveat == form.caveat
        return (like.context, "") if like is not None and kept else ("",)

    def _holds(self, item: RelationTuple) -> bool:
        if not item.caveat:
            return True
        try:
            return self._bound.evaluate(item.caveat, item.context) is True
        except EngineError:
            return False


def _preference(form: SubjectType, like: RelationTuple | None) -> tuple[bool, str, bool]:
    same = like is not None and (form.caveat, form.expiration) == (
        like.caveat,
        like.expires_at is not None,
    )
    return not same, form.caveat, form.expiration


def near(memberships: Iterable[RelationTuple], met: Iterable[Object]) -> dict[str, list[Object]]:
    """By type, objects that the subject's tuples name, then those that the evaluation met."""
    found: dict[str, dict[Object, None]] = {}
    for there in chain((item.object for item in memberships), met):
        if there.id != WILDCARD:
            found.setdefault(there.type, {})[there] = None
    return {kind: list(objects) for kind, objects in found.items()}
