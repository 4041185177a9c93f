"""The parts of an explanation: why a goal has its verdict, step by step along its rewrite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from engine.decision import Verdict
from engine.tuples import Object, RelationTuple

ALLOWED, DENIED, CONDITIONAL = Verdict.ALLOWED, Verdict.DENIED, Verdict.CONDITIONAL
Told = Verdict | None
"""A verdict, or None where what is known does not decide."""

_HEAVIEST = 1_000_000_000


class Goal(NamedTuple):
    """Membership in `object#relation`, of the subject that is asked about."""

    object: Object
    relation: str

    def __str__(self) -> str:
        return f"{self.object}#{self.relation}"


class Kind(StrEnum):
    """What a step does. The first three have no parts: the subject is the goal itself (a userset
    is a member of itself), `self` or `nil` of the schema, and what the schema alone rules out."""

    IDENTITY = "identity"
    SELF = "self"
    NIL = "nil"
    UNREACHABLE = "unreachable"
    TUPLES = "tuples"
    COMPUTED = "computed"
    ARROW = "arrow"
    UNION = "union"
    INTERSECTION = "intersection"
    EXCLUSION = "exclusion"


class State(StrEnum):
    """Whether a stored tuple counts, by itself and before what it leads to."""

    HOLDS = "holds"
    EXPIRED = "expired"
    NOT_IN_SCHEMA = "not_in_schema"
    UNREACHABLE = "unreachable"
    CAVEAT_FALSE = "caveat_false"
    CAVEAT_NEEDS = "caveat_needs"
    CAVEAT_FAILED = "caveat_failed"


ABSENT = frozenset({State.EXPIRED, State.NOT_IN_SCHEMA})
"""The states of tuples that are as if they were not stored."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A stored tuple and what it comes to.

    `then` is the goal that it leads to, `walk` the rest of a nested arrow; a tuple of the subject
    itself or of the wildcard has neither. `missing` names parameters that its caveat still needs.
    """

    tuple: RelationTuple
    state: State
    verdict: Verdict
    missing: frozenset[str] = frozenset()
    then: Goal | None = None
    walk: Step | None = None
    weight: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a rewrite: its verdict and what decides it.

    An allowed step holds what it takes to allow, and a denied one what it takes to deny, or every
    side that fails (`Rules.every_side`); a conditional step holds everything. `parts` are numbered
    as the schema orders them (an exclusion has 0, the base, and 1, the subtracted). `then` is
    another goal of the same object. `every` says that all tuples of an arrow must allow.
    """

    kind: Kind
    verdict: Verdict
    relation: str = ""
    parts: tuple[tuple[int, Step], ...] = ()
    facts: tuple[Fact, ...] = ()
    then: Goal | None = None
    every: bool = False
    weight: int = field(default=1, compare=False)

    def goals(self) -> Iterator[Goal]:
        """The goals that this step rests on."""
        if self.then is not None:
            yield self.then
        for _, part in self.parts:
            yield from part.goals()
        for fact in self.facts:
            if fact.then is not None:
                yield fact.then
            if fact.walk is not None:
                yield from fact.walk.goals()

    def tuples(self) -> Iterator[RelationTuple]:
        """The stored tuples that this step tells of."""
        for _, part in self.parts:
            yield from part.tuples()
        for fact in self.facts:
            yield fact.tuple
            if fact.walk is not None:
                yield from fact.walk.tuples()


def any_verdict(verdicts: Iterable[Told]) -> Told:
    """Kleene's union."""
    found = set(verdicts)
    if ALLOWED in found:
        return ALLOWED
    if None in found:
        return None
    return CONDITIONAL if CONDITIONAL in found else DENIED


def all_verdict(verdicts: Iterable[Told]) -> Told:
    """Kleene's intersection."""
    found = set(verdicts)
    if DENIED in found:
        return DENIED
    if None in found:
        return None
    return CONDITIONAL if CONDITIONAL in found else ALLOWED


def opposite(verdict: Told) -> Told:
    """Kleene's complement."""
    return {ALLOWED: DENIED, DENIED: ALLOWED}.get(verdict, verdict) if verdict else None


def weigh(weights: Iterable[int]) -> int:
    """The weight of parts together; bounded, as shared parts count once for each use."""
    return min(1 + sum(weights), _HEAVIEST)
