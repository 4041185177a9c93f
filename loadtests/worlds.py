"""A generated Drive: folders in a tree, documents in folders, people in groups in groups.

The same seed and size give the same tuples on every machine. Beside the tree stand probes, whose
answers and depths are known: `Drive.probes` asks for them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from engine.requests import Check
from engine.tuples import Object, RelationTuple, Subject

SCHEMA = """\
definition user {}

definition group {
    relation member: user | group#member
}

definition folder {
    relation parent: folder
    relation owner: user
    relation viewer: user | group#member
    permission view = owner + viewer + parent->view
}

definition document {
    relation parent: folder
    relation owner: user
    relation editor: user | group#member
    relation viewer: user | group#member
    permission edit = owner + editor
    permission view = edit + viewer + parent->view
}
"""

PROBES = 50
CHAIN = 10
GROUPS_DEEP = 3


class Size(NamedTuple):
    """How many of each there are; `loadtests/README.md` says how many tuples that makes."""

    users: int
    groups: int
    folders: int
    documents: int


SIZES = {
    "small": Size(users=200, groups=50, folders=400, documents=2_000),
    "medium": Size(users=2_000, groups=400, folders=4_000, documents=20_000),
    "large": Size(users=20_000, groups=4_000, folders=40_000, documents=200_000),
}


class Kind(StrEnum):
    """What a probe has to walk to its answer."""

    DIRECT = "direct"
    GROUP = f"group {GROUPS_DEEP} deep"
    CHAIN = f"folders {CHAIN} deep"
    DENIED = "denied"


class Probe(NamedTuple):
    """A check with its answer."""

    check: Check
    allowed: bool


class Drive:
    """The world of one size and seed."""

    def __init__(self, size: Size, seed: int = 1) -> None:
        self.size = size
        self._seed = seed

    def tuples(self) -> Iterator[RelationTuple]:
        """Every tuple of the world, each once."""
        draw = random.Random(self._seed)
        yield from dict.fromkeys(self._groups(draw))
        yield from dict.fromkeys(self._folders(draw))
        yield from dict.fromkeys(self._documents(draw))
        for number in range(PROBES):
            yield from self._probe_tuples(number)

    def probes(self, kind: Kind) -> list[Probe]:
        """Fifty probes of a kind, on different objects."""
        if kind is Kind.DENIED:
            draw = random.Random(self._seed + 1)
            documents = [draw.randrange(self.size.documents) for _ in range(PROBES)]
            return [_probe(f"{number}", "stranger", allowed=False) for number in documents]
        name = kind.name.lower()
        return [_probe(f"{name}-{n}", f"{name}-{n}", allowed=True) for n in range(PROBES)]

    def random_check(self, draw: random.Random) -> Check:
        """Whether somebody may view some document; the answer is whatever it is."""
        document = draw.randrange(self.size.documents)
        user = draw.randrange(self.size.users)
        return _probe(f"{document}", f"{user}", allowed=False).check

    def random_tuple(self, draw: random.Random) -> RelationTuple:
        """Somebody as an editor of some document, to write and delete."""
        document = Object("document", f"{draw.randrange(self.size.documents)}")
        return RelationTuple(document, "editor", self._user(draw))

    def _groups(self, draw: random.Random) -> Iterator[RelationTuple]:
        """A forest of groups, each with six people and up to two groups below it."""
        for number in range(self.size.groups):
            group = Object("group", f"{number}")
            for _ in range(6):
                yield RelationTuple(group, "member", self._user(draw))
            for child in (2 * number + 1, 2 * number + 2):
                # Most groups are shallow: only one in eight hangs below another.
                if child < self.size.groups and child % 8 == 1:
                    yield RelationTuple(group, "member", Subject("group", f"{child}", "member"))

    def _folders(self, draw: random.Random) -> Iterator[RelationTuple]:
        """A tree of folders, four below each, one in five shared with a group or a person."""
        for number in range(self.size.folders):
            folder = Object("folder", f"{number}")
            yield RelationTuple(folder, "owner", self._user(draw))
            if number:
                parent = Subject("folder", f"{(number - 1) // 4}")
                yield RelationTuple(folder, "parent", parent)
            if draw.random() < 0.2:
                yield RelationTuple(folder, "viewer", self._user_or_group(draw))

    def _documents(self, draw: random.Random) -> Iterator[RelationTuple]:
        for number in range(self.size.documents):
            document = Object("document", f"{number}")
            yield RelationTuple(document, "parent", self._folder(draw))
            yield RelationTuple(document, "owner", self._user(draw))
            for _ in range(3):
                yield RelationTuple(document, "viewer", self._user_or_group(draw))

    def _probe_tuples(self, number: int) -> Iterator[RelationTuple]:
        """The probes of one number: each document looks like any other, with one way in more."""
        draw = random.Random(self._seed + 2 + number)
        for kind in (Kind.DIRECT, Kind.GROUP, Kind.CHAIN):
            name = f"{kind.name.lower()}-{number}"
            document = Object("document", name)
            yield RelationTuple(document, "owner", self._user(draw))
            yield RelationTuple(document, "viewer", Subject("group", "0", "member"))
            if kind is not Kind.CHAIN:
                yield RelationTuple(document, "parent", self._folder(draw))
            yield from _way_in(kind, document, Subject("user", name))

    def _user(self, draw: random.Random) -> Subject:
        return Subject("user", f"{draw.randrange(self.size.users)}")

    def _folder(self, draw: random.Random) -> Subject:
        return Subject("folder", f"{draw.randrange(self.size.folders)}")

    def _user_or_group(self, draw: random.Random) -> Subject:
        if draw.random() < 0.7:
            return self._user(draw)
        return Subject("group", f"{draw.randrange(self.size.groups)}", "member")


def _way_in(kind: Kind, document: Object, user: Subject) -> Iterator[RelationTuple]:
    name = document.id
    if kind is Kind.DIRECT:
        yield RelationTuple(document, "viewer", user)
    elif kind is Kind.GROUP:
        groups = [f"{name}-{depth}" for depth in range(GROUPS_DEEP)]
        yield RelationTuple(document, "viewer", Subject("group", groups[0], "member"))
        for outer, inner in pairwise(groups):
            yield RelationTuple(Object("group", outer), "member", Subject("group", inner, "member"))
        yield RelationTuple(Object("group", groups[-1]), "member", user)
    else:
        folders = [f"{name}-{depth}" for depth in range(CHAIN)]
        yield RelationTuple(document, "parent", Subject("folder", folders[0]))
        for below, above in pairwise(folders):
            yield RelationTuple(Object("folder", below), "parent", Subject("folder", above))
        yield RelationTuple(Object("folder", folders[-1]), "viewer", user)


def _probe(document: str, user: str, *, allowed: bool) -> Probe:
    check = Check(Object("document", document), "view", Subject("user", user))
    return Probe(check, allowed)
