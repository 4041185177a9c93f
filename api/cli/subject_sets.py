"""Sets of subjects as validation files tell them: each with the relations it is found by.

A set holds subjects by name and, for a type, everyone but some exceptions. Both stand side by side
in a union: who is named is told by name even where a wildcard covers them. *Conditional* means
that a caveat lies on the way, whatever its stored context says. The rules are SpiceDB's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.tuples import WILDCARD, Subject


@dataclass(frozen=True, slots=True)
class Member:
    """How a subject is found: under a caveat or not, and by which `object#relation`."""

    conditional: bool = False
    paths: frozenset[str] = frozenset()

    def either(self, other: Member) -> Member:
        """Found in one way or the other: a way without condition counts."""
        return Member(self.conditional and other.conditional, self.paths | other.paths)

    def both(self, other: Member) -> Member:
        """Found in both ways."""
        return Member(self.conditional or other.conditional, self.paths | other.paths)

    def doubted(self, *others: Member) -> Member:
        """Found only under a condition, which the others have a part in."""
        return Member(True, self.paths.union(*(other.paths for other in others)))


@dataclass(frozen=True, slots=True)
class Everyone:
    """A wildcard: how it is found, and who is excepted, by id."""

    found: Member
    exceptions: Mapping[str, Member] = field(default_factory=dict)

    def over(self, member: Member, id_: str) -> Member | None:
        """A subject that must be among everyone, too; None if it is not."""
        exception = self.exceptions.get(id_)
        if exception is not None:
            return member.doubted(self.found, exception) if exception.conditional else None
        return member.doubted(self.found) if self.found.conditional else member


@dataclass(frozen=True, slots=True)
class SubjectSet:
    """Subjects by name, and wildcards by type."""

    named: Mapping[Subject, Member] = field(default_factory=dict)
    everyone: Mapping[str, Everyone] = field(default_factory=dict)

    @classmethod
    def of(cls, subject: Subject, member: Member) -> SubjectSet:
        """One subject, or the wildcard of a type."""
        if subject.id == WILDCARD:
            return cls({}, {subject.type: Everyone(member)})
        return cls({subject: member}, {})

    def under_caveat(self) -> SubjectSet:
        """Everything in it under a condition."""
        return SubjectSet(
            {subject: member.doubted() for subject, member in self.named.items()},
            {
                kind: Everyone(all_.found.doubted(), all_.exceptions)
                for kind, all_ in self.everyone.items()
            },
        )

    def union(self, other: SubjectSet) -> SubjectSet:
        """Who is in either set."""
        named = dict(self.named)
        for subject, member in other.named.items():
            named[subject] = named[subject].either(member) if subject in named else member
        everyone = dict(self.everyone)
        for kind, second in other.everyone.items():
            first = everyone.get(kind)
            everyone[kind] = second if first is None else _either(first, second)
        return SubjectSet(
            named, {kind: _without_named(all_, kind, named) for kind, all_ in everyone.items()}
        )

    def intersection(self, other: SubjectSet) -> SubjectSet:
        """Who is in both sets."""
        named: dict[Subject, Member] = {}
        for one, two in ((self, other), (other, self)):
            for subject, member in one.named.items():
                found = [two.named[subject].both(member)] if subject in two.named else []
                if (kept := two.covered(subject, member)) is not None:
                    found.append(kept)
                for each in found:
                    named[subject] = named[subject].either(each) if subject in named else each
        everyone = {
            kind: _both(first, other.everyone[kind])
            for kind, first in self.everyone.items()
            if kind in other.everyone
        }
        return SubjectSet(named, everyone)

    def difference(self, other: SubjectSet) -> SubjectSet:
        """Who is in this set and not in the other."""
        named: dict[Subject, Member] = {}
        everyone: dict[str, Everyone] = {}
        for subject, member in self.named.items():
            kept = other.spared(subject, member)
            if kept is not None:
                named[subject] = kept
        for kind, all_ in self.everyone.items():
            excepting = _excepting(all_, kind, other.named)
            taken = other.everyone.get(kind)
            if taken is None:
                everyone[kind] = excepting
                continue
            for id_, member in _coming_back(excepting, taken):
                subject = Subject(kind, id_)
                named[subject] = named[subject].either(member) if subject in named else member
            if taken.found.conditional:
                doubted = all_.found.doubted(taken.found)
                everyone[kind] = Everyone(doubted, excepting.exceptions)
        return SubjectSet(named, everyone)

    def covered(self, subject: Subject, member: Member) -> Member | None:
        """A named subject of another set, if the wildcard of this one covers it."""
        all_ = None if subject.relation else self.everyone.get(subject.type)
        return None if all_ is None else all_.over(member, subject.id)

    def spared(self, subject: Subject, member: Member) -> Member | None:
        """A named subject of another set that this one is taken from."""
        taken = self.named.get(subject)
        if taken is not None:
            if not taken.conditional:
                return None
            member = member.doubted(taken)
        all_ = None if subject.relation else self.everyone.get(subject.type)
        if all_ is None:
            return member
        exception = all_.exceptions.get(subject.id)
        if exception is None:
            return member.doubted() if all_.found.conditional else None
        return member.doubted() if exception.conditional else member


def union_of(sets: Iterable[SubjectSet]) -> SubjectSet:
    """The union of any number of sets."""
    made = SubjectSet()
    for each in sets:
        made = made.union(each)
    return made


def _either(first: Everyone, second: Everyone) -> Everyone:
    shared = first.exceptions.keys() & second.exceptions.keys()
    exceptions = {id_: first.exceptions[id_].both(second.exceptions[id_]) for id_ in shared}
    return Everyone(first.found.either(second.found), exceptions)


def _both(first: Everyone, second: Everyone) -> Everyone:
    exceptions = dict(first.exceptions)
    for id_, member in second.exceptions.items():
        exceptions[id_] = exceptions[id_].either(member) if id_ in exceptions else member
    return Everyone(first.found.both(second.found), exceptions)


def _without_named(all_: Everyone, kind: str, named: Mapping[Subject, Member]) -> Everyone:
    """A wildcard beside named subjects: who is named is no exception, or only under a condition."""
    exceptions = {}
    for id_, exception in all_.exceptions.items():
        member = named.get(Subject(kind, id_))
        if member is None:
            exceptions[id_] = exception
        elif member.conditional:
            exceptions[id_] = exception.doubted(member)
    return Everyone(all_.found, exceptions)


def _excepting(all_: Everyone, kind: str, taken: Mapping[Subject, Member]) -> Everyone:
    exceptions = dict(all_.exceptions)
    for subject, member in taken.items():
        if (subject.type, subject.relation) == (kind, ""):
            known = exceptions.get(subject.id)
            exceptions[subject.id] = member if known is None else known.either(member)
    return Everyone(all_.found, exceptions)


def _coming_back(all_: Everyone, taken: Everyone) -> Iterable[tuple[str, Member]]:
    """Those whom a wildcard that is taken away excepts: they stay, by name."""
    for id_, exception in taken.exceptions.items():
        mine = all_.exceptions.get(id_)
        if mine is None or mine.conditional:
            doubts = (all_.found, taken.found, exception, *(() if mine is None else (mine,)))
            yield id_, Member(any(each.conditional for each in doubts), exception.paths)
