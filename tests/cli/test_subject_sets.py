"""The algebra of subject sets: the rules of SpiceDB's wildcards, a row each.

`a` is a subject by name, `a?` one under a condition, `*-a,b?` everyone but `a` and perhaps `b`.
"""

from __future__ import annotations

import pytest

from api.cli.subject_sets import Everyone, Member, SubjectSet
from engine.tuples import Subject


def member(text: str) -> tuple[str, Member]:
    return text.removesuffix("?"), Member(text.endswith("?"))


def made(text: str) -> SubjectSet:
    named: dict[Subject, Member] = {}
    everyone: dict[str, Everyone] = {}
    for word in text.split():
        who, _, but = word.partition("-")
        id_, found = member(who)
        if id_ == "*":
            everyone["user"] = Everyone(found, dict(map(member, but.split(",") if but else ())))
        else:
            named[Subject("user", id_)] = found
    return SubjectSet(named, everyone)


def shown(subjects: SubjectSet) -> str:
    def word(id_: str, found: Member) -> str:
        return f"{id_}{'?' if found.conditional else ''}"

    words = [word(subject.id, found) for subject, found in sorted(subjects.named.items())]
    for everyone in subjects.everyone.values():
        but = ",".join(word(*each) for each in sorted(everyone.exceptions.items()))
        words.append(word("*", everyone.found) + (f"-{but}" if but else ""))
    return " ".join(words)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("a", "b", "a b"),
        ("a?", "a", "a"),
        ("a?", "a?", "a?"),
        ("*-a", "*", "*"),
        ("*-a", "*-b", "*"),
        ("*-a,b", "*-b", "*-b"),
        ("*?", "*", "*"),
        ("*-a?", "*-a", "*-a?"),
        ("*-a", "a", "a *"),
        ("*-a", "a?", "a? *-a?"),
    ],
)
def test_union(left: str, right: str, result: str) -> None:
    assert shown(made(left).union(made(right))) == result
    assert shown(made(right).union(made(left))) == result


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("a b", "b c", "b"),
        ("a?", "a", "a?"),
        ("a", "*", "a"),
        ("a", "*?", "a?"),
        ("a b", "*-a", "b"),
        ("a", "*-a?", "a?"),
        ("*-a", "*-b", "*-a,b"),
        ("*-a?", "*-a", "*-a"),
        ("*?", "*", "*?"),
        ("a *", "b *-a", "b *-a"),
        ("a *", "a? *", "a *"),
    ],
)
def test_intersection(left: str, right: str, result: str) -> None:
    assert shown(made(left).intersection(made(right))) == result
    assert shown(made(right).intersection(made(left))) == result


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("a b", "b", "a"),
        ("a", "a?", "a?"),
        ("*", "a", "*-a"),
        ("*", "a?", "*-a?"),
        ("*-a?", "a", "*-a"),
        ("*-a?", "a?", "*-a?"),
        ("a b", "*", ""),
        ("a b", "*-b", "b"),
        ("a b", "*?-b", "a? b"),
        ("a b", "*-b?", "b?"),
        ("*", "*", ""),
        ("*", "*?", "*?"),
        ("*-a", "*-a,b,c", "b c"),
        ("*?-a?", "*?-b?", "b? *?-a?"),
        ("*-a?", "*-a", "a?"),
    ],
)
def test_difference(left: str, right: str, result: str) -> None:
    assert shown(made(left).difference(made(right))) == result


def test_usersets_are_no_part_of_a_wildcard() -> None:
    userset = SubjectSet.of(Subject("user", "a", "friend"), Member())
    assert userset.difference(made("*")) == userset
    assert userset.intersection(made("*")) == SubjectSet()
    assert made("*").difference(userset) == made("*")


def test_paths_are_those_of_both_sides_of_an_intersection_and_of_the_base() -> None:
    one = SubjectSet.of(Subject("user", "a"), Member(paths=frozenset({"doc:a#viewer"})))
    two = SubjectSet.of(Subject("user", "a"), Member(paths=frozenset({"doc:a#editor"})))
    (both,) = one.intersection(two).named.values()
    assert both.paths == {"doc:a#viewer", "doc:a#editor"}
    other = SubjectSet.of(Subject("user", "b"), Member(paths=frozenset({"doc:a#banned"})))
    assert one.difference(other) == one
