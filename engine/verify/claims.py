"""A proof read from JSON: what it claims of each goal, as terms to be weighed.

The reader follows the schema's rewrite and the stored tuples, not the proof: wherever these have a
part that the proof does not tell of, the term has `UNTOLD` in its place, which decides nothing.
So a proof can leave out what does not matter and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from engine.decision import Verdict
from engine.jsontext import canonical_json
from engine.tuples import (
    Object,
    RelationTuple,
    make_tuple,
    parse_object,
    parse_subject,
    parse_time,
)

Json = Mapping[str, Any]


class Goal(NamedTuple):
    """`object#relation`, for the subject of the proof."""

    object: Object
    relation: str

    def __str__(self) -> str:
        return f"{self.object}#{self.relation}"


@dataclass(frozen=True, slots=True)
class Constant:
    """What needs no other goal; None is UNTOLD. `missing` are parameters it waits for."""

    verdict: Verdict | None
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whatever the proof claims of another goal."""

    goal: Goal


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Minus:
    """The first but not the second."""

    base: Term
    subtracted: Term


Term = Constant | Claimed | AnyOf | AllOf | Minus
UNTOLD = Constant(None)
NO = Constant(Verdict.DENIED)
YES = Constant(Verdict.ALLOWED)


def value(
    term: Term, claims: Mapping[Goal, Verdict], subtracted: Mapping[Goal, Verdict] | None = None
) -> Verdict | None:
    """The term's value in Kleene's logic; None if something untold could decide it.

    `subtracted` has the claims to use on subtracted sides, when these are others.
    """
    below = claims if subtracted is None else subtracted
    match term:
        case Constant(verdict=verdict):
            return verdict
        case Claimed(goal=goal):
            return claims.get(goal)
        case AnyOf(terms=terms):
            found = {value(part, claims, below) for part in terms}
            return _first(found, Verdict.ALLOWED, Verdict.DENIED)
        case AllOf(terms=terms):
            found = {value(part, claims, below) for part in terms}
            return _first(found, Verdict.DENIED, Verdict.ALLOWED)
        case Minus(base=base, subtracted=without):
            found = {value(base, claims, below), _opposite(value(without, below))}
            return _first(found, Verdict.DENIED, Verdict.ALLOWED)


def _opposite(verdict: Verdict | None) -> Verdict | None:
    if verdict is Verdict.ALLOWED:
        return Verdict.DENIED
    return Verdict.ALLOWED if verdict is Verdict.DENIED else verdict


def _first(found: set[Verdict | None], decisive: Verdict, empty: Verdict) -> Verdict | None:
    if decisive in found:
        return decisive
    if None in found:
        return None
    return Verdict.CONDITIONAL if Verdict.CONDITIONAL in found else empty


def leaves(term: Term, *, subtracted: bool = False) -> Iterator[tuple[Constant | Claimed, bool]]:
    """The leaves of a term, each with whether an exclusion subtracts it."""
    match term:
        case Constant() | Claimed():
            yield term, subtracted
        case AnyOf(terms=terms) | AllOf(terms=terms):
            for part in terms:
                yield from leaves(part, subtracted=subtracted)
        case Minus(base=base, subtracted=without):
            yield from leaves(base, subtracted=subtracted)
            yield from leaves(without, subtracted=True)


class MalformedError(Exception):
    """The proof is not of the form that its version promises."""


def refuse(why: str) -> NoReturn:
    """Give up on a proof. Raises MalformedError."""
    raise MalformedError(why)


def member(value: Json, name: str, kind: type) -> Any:
    """A member that must be there. Raises MalformedError."""
    found = value.get(name)
    if type(found) is not kind:
        refuse(f"`{name}` is missing or of another type")
    return found


def objects(value: Json, name: str) -> list[Json]:
    """A list of JSON objects, empty when absent. Raises MalformedError."""
    found = value.get(name, [])
    if type(found) is not list or any(type(item) is not dict for item in found):
        refuse(f"`{name}` is not a list of objects")
    return list(found)


def goal_of(text: Any) -> Goal:
    """`type:id#relation`. Raises MalformedError or InvalidTuple."""
    if type(text) is not str or "#" not in text:
        refuse("a goal is not `type:id#relation`")
    object_, _, relation = text.rpartition("#")
    return Goal(parse_object(object_, "goal"), relation)


def verdict_of(value: Json) -> Verdict:
    """The verdict that something claims to have. Raises MalformedError."""
    text = member(value, "verdict", str)
    if text not in set(Verdict):
        refuse("a verdict is not one of the three")
    return Verdict(text)


def tuple_of(value: Json) -> RelationTuple:
    """A tuple in its object form. Raises MalformedError or InvalidTuple."""
    caveat = value.get("caveat") or {}
    expires_at = value.get("expires_at")
    if type(caveat) is not dict or type(expires_at) not in (str, type(None)):
        refuse("a tuple's caveat or expiry is of another type")
    context = caveat.get("context", {})
    if type(context) is not dict:
        refuse("a tuple's context is not an object")
    return make_tuple(
        parse_object(member(value, "object", str)),
        member(value, "relation", str),
        parse_subject(member(value, "subject", str)),
        caveat=member(caveat, "name", str) if caveat else "",
        context=canonical_json(context),
        expires_at=None if expires_at is None else parse_time(expires_at, "expires_at"),
    )
