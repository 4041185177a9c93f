"""The shapes that SpiceDB measures itself with (its `pkg/benchmarks`), and a direct check beside
them, in one store: wide relations, deep and wide groups, wide and doubly wide arrows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.requests import Check
from engine.tuples import Object, Subject
from loadtests.filling import Row

SCHEMA = """\
definition user {}

definition group {
    relation member: user | group#member
}

definition resource {
    relation viewer: user | group#member
    permission view = viewer
}

definition page {
    relation parent: page
    relation viewer: user
    permission view = viewer + parent->view
}

definition team {
    relation member: user
}

definition org {
    relation team: team
    permission member = team->member
}

definition file {
    relation team: team
    relation org: org
    relation viewer: user
    permission view = viewer + team->member
    permission wide = viewer + org->member
}
"""
ASKED = 50
DIRECT = "direct"
_WIDE, _DEEP, _PARENTS = 9_001, 32, 1_000
_TEAMS, _TEAM_USERS, _USERS = 299, 20, 499
_ORGS, _ORG_TEAMS = 97, 10
_FILE_TEAMS, _FILE_ORGS = 30, 20


class Shape(NamedTuple):
    """Checks that walk alike, each by another subject, and their answer."""

    name: str
    checks: list[Check]
    allowed: bool


def shapes() -> list[Shape]:
    """The checks of each shape; the direct one comes first."""
    found = [
        _shape(DIRECT, "resource", "direct", "view", _users("r", range(ASKED))),
        _shape(
            "9,001 direct members", "resource", "wide", "view", _users("w", range(7, 9_000, 180))
        ),
        _shape("groups nested 32 deep", "resource", "deep", "view", _users("n", range(ASKED))),
        _shape("81 groups in a group", "resource", "broad", "view", _users("b", range(ASKED))),
        _shape("31 arrows in a row", "page", "p0", "view", _users("c", range(ASKED))),
        _shape("1,000 parents", "page", "many", "view", _users("m", range(ASKED))),
        _shape("1,000 parents, denied", "page", "many", "view", _users("z", range(ASKED)), False),
    ]
    teams = set(_teams_of_file())
    doubly = {team for org in _orgs_of_file() for team in _teams_of_org(org)}
    for name, permission, through in (
        ("wide arrow", "view", teams),
        ("double-wide arrow", "wide", doubly),
    ):
        members = {user for team in through for user in _users_of_team(team)}
        some = _users("u", sorted(members)[:ASKED])
        found.append(_shape(name, "file", "f0", permission, some))
        strangers = _users("z", range(ASKED))
        found.append(_shape(f"{name}, denied", "file", "f0", permission, strangers, False))
    return found


def rows() -> Iterator[Row]:
    """Every tuple, each once."""
    yield from _direct()
    yield from _groups()
    yield from _pages()
    for team in _teams_of_file():
        yield _row("file", "f0", "team", "team", f"t{team}")
    for org in _orgs_of_file():
        yield _row("file", "f0", "org", "org", f"o{org}")
    for org in range(_ORGS):
        for team in _teams_of_org(org):
            yield _row("org", f"o{org}", "team", "team", f"t{team}")
    for team in range(_TEAMS):
        for user in _users_of_team(team):
            yield _row("team", f"t{team}", "member", "user", f"u{user}")
    for user in range(ASKED):
        # Known to the store by something else, so that a denial has to look.
        yield _row("team", "elsewhere", "member", "user", f"z{user}")


def _direct() -> Iterator[Row]:
    for user in range(ASKED):
        yield _row("resource", "direct", "viewer", "user", f"r{user}")
    for user in range(_WIDE):
        yield _row("resource", "wide", "viewer", "user", f"w{user}")


def _groups() -> Iterator[Row]:
    yield _row("resource", "deep", "viewer", "group", "n0", "member")
    for depth in range(1, _DEEP):
        yield _row("group", f"n{depth - 1}", "member", "group", f"n{depth}", "member")
    yield _row("resource", "broad", "viewer", "group", "b", "member")
    for number in range(81):
        yield _row("group", "b", "member", "group", f"b{number}", "member")
        yield _row("group", f"b{number}", "member", "group", f"b{number}-1", "member")
    for user in range(ASKED):
        yield _row("group", f"n{_DEEP - 1}", "member", "user", f"n{user}")
        yield _row("group", "b80-1", "member", "user", f"b{user}")


def _pages() -> Iterator[Row]:
    for number in range(31):
        yield _row("page", f"p{number}", "parent", "page", f"p{number + 1}")
    for number in range(_PARENTS):
        yield _row("page", "many", "parent", "page", f"m{number}")
    for user in range(ASKED):
        yield _row("page", "p31", "viewer", "user", f"c{user}")
        yield _row("page", "m999", "viewer", "user", f"m{user}")


def _row(object_type: str, object_id: str, relation: str, *subject: str) -> Row:
    subject_type, subject_id = subject[:2]
    name = subject[2] if len(subject) > 2 else ""
    return object_type, object_id, relation, subject_type, subject_id, name, "", ""


def _shape(
    name: str,
    object_type: str,
    object_id: str,
    permission: str,
    users: Iterable[str],
    allowed: bool = True,
) -> Shape:
    target = Object(object_type, object_id)
    checks = [Check(target, permission, Subject("user", user)) for user in users]
    return Shape(name, checks, allowed)


def _users(prefix: str, numbers: Iterable[int]) -> list[str]:
    return [f"{prefix}{number}" for number in numbers]


def _teams_of_file() -> Iterator[int]:
    return (number * 7 % _TEAMS for number in range(_FILE_TEAMS))


def _orgs_of_file() -> Iterator[int]:
    return (number * 11 % _ORGS for number in range(_FILE_ORGS))


def _teams_of_org(org: int) -> Iterator[int]:
    return ((org * 13 + number * 29) % _TEAMS for number in range(_ORG_TEAMS))


def _users_of_team(team: int) -> Iterator[int]:
    return ((team * 17 + number * 31) % _USERS for number in range(_TEAM_USERS))
