"""A Drive of many organisations, as large as one likes, and who asks what of it.

Each organisation is made by itself from the seed and its number, so that ten million tuples take no
memory, and the answer to any question is known without a store: `Tenant.sees` walks the tenant's
own lists, and shares nothing with the engine.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from engine.requests import Check
from engine.tuples import Object, Subject
from loadtests.filling import Row

SCHEMA = """\
caveat until_day(day int, last int) {
    day <= last
}

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
    relation viewer: user | group#member | user with until_day
    relation blocked: user
    permission edit = owner + editor
    permission view = edit + viewer + parent->view
    permission read = view - blocked
}
"""

USERS, GROUPS, FOLDERS, DOCUMENTS = 200, 40, 200, 2_000
TUPLES_EACH = 9_020
"""About how many tuples an organisation has."""
LAST_DAY, DAYS = 5, 7
DIRECT, TYPICAL, DENIED = "direct", "folder and group", "denied, nested"
CONDITIONAL = "by a caveat"


class Query(NamedTuple):
    """A check with its answer, and what it has to walk."""

    kind: str
    check: Check
    allowed: bool


@dataclass(slots=True)
class Document:
    """One document, by the numbers of what it is related to."""

    folder: int
    owner: int
    users: list[int]
    groups: list[int]
    blocked: list[int] = field(default_factory=list)
    caveated: int | None = None


class Tenant:
    """One organisation: the same for its seed and number on every machine."""

    def __init__(self, seed: int, number: int) -> None:
        draw = random.Random(f"{seed}-{number}")
        below = draw.random
        self.name = f"t{number:04}"
        self.members = [{int(below() * USERS) for _ in range(10)} for _ in range(GROUPS)]
        self.nested: list[list[int]] = [[] for _ in range(GROUPS)]
        for group in range(1, GROUPS):
            if below() < 0.6:
                self.nested[(group - 1) // 2].append(group)
        self.folders = [
            (
                int(below() * USERS),
                [int(below() * GROUPS)] if below() < 0.25 else [],
                [int(below() * USERS)] if below() < 0.1 else [],
            )
            for _ in range(FOLDERS)
        ]
        self.documents = [_document(below) for _ in range(DOCUMENTS)]

    def rows(self) -> Iterator[Row]:
        """Every tuple of the organisation, each once."""
        name = self.name
        for number, members in enumerate(self.members):
            group = f"{name}-g{number}"
            for user in sorted(members):
                yield "group", group, "member", "user", f"{name}-u{user}", "", "", ""
            for inner in self.nested[number]:
                yield "group", group, "member", "group", f"{name}-g{inner}", "member", "", ""
        for number, (owner, groups, users) in enumerate(self.folders):
            folder = f"{name}-f{number}"
            yield "folder", folder, "owner", "user", f"{name}-u{owner}", "", "", ""
            if number:
                above = f"{name}-f{parent_of(number)}"
                yield "folder", folder, "parent", "folder", above, "", "", ""
            for one in groups:
                yield "folder", folder, "viewer", "group", f"{name}-g{one}", "member", "", ""
            for one in users:
                yield "folder", folder, "viewer", "user", f"{name}-u{one}", "", "", ""
        for number, document in enumerate(self.documents):
            yield from self._document_rows(f"{name}-d{number}", document)

    def sees(self, user: int, number: int, relation: str = "view", day: int = DAYS) -> bool:
        """Whether a user may `view` or `read` a document."""
        document = self.documents[number]
        if relation == "read" and user in document.blocked:
            return False
        if user == document.owner or user in document.users:
            return True
        if user == document.caveated and day <= LAST_DAY:
            return True
        groups = self.groups_of(user)
        if not groups.isdisjoint(document.groups):
            return True
        return any(
            user == owner or user in users or not groups.isdisjoint(shared)
            for owner, shared, users in (self.folders[folder] for folder in above(document.folder))
        )

    def may_see(self, user: int, number: int) -> bool:
        """Whether a user may `view` a document on any day."""
        return self.sees(user, number, day=1)

    def groups_of(self, user: int) -> set[int]:
        """Every group that a user is in, by others as well."""
        return self._reached[user]

    def ways_in(self, number: int) -> Iterator[int]:
        """Who comes to a document by a group or a folder: some of them more than once."""
        document = self.documents[number]
        shared = list(document.groups)
        for folder in above(document.folder):
            owner, groups, users = self.folders[folder]
            shared += groups
            yield owner
            yield from users
        for user, groups_of in self._reached.items():
            if not groups_of.isdisjoint(shared):
                yield user

    @cached_property
    def _reached(self) -> dict[int, set[int]]:
        around: defaultdict[int, list[int]] = defaultdict(list)
        for outer, inner in enumerate(self.nested):
            for one in inner:
                around[one].append(outer)
        reached: dict[int, set[int]] = {user: set() for user in range(USERS)}
        for group, members in enumerate(self.members):
            found, waiting = {group}, [group]
            while waiting:
                for one in around[waiting.pop()]:
                    if one not in found:
                        found.add(one)
                        waiting.append(one)
            for user in members:
                reached[user] |= found
        return reached

    def _document_rows(self, name: str, document: Document) -> Iterator[Row]:
        users = f"{self.name}-u"
        parent = f"{self.name}-f{document.folder}"
        yield "document", name, "parent", "folder", parent, "", "", ""
        yield "document", name, "owner", "user", f"{users}{document.owner}", "", "", ""
        for one in document.users:
            yield "document", name, "viewer", "user", f"{users}{one}", "", "", ""
        for one in document.groups:
            group = f"{self.name}-g{one}"
            yield "document", name, "viewer", "group", group, "member", "", ""
        for one in document.blocked:
            yield "document", name, "blocked", "user", f"{users}{one}", "", "", ""
        if document.caveated is not None:
            subject, context = f"{users}{document.caveated}", f'{{"last":{LAST_DAY}}}'
            yield "document", name, "viewer", "user", subject, "", "until_day", context


class Tenants:
    """As many organisations as it takes for `tuples`, and questions about them."""

    def __init__(self, tuples: int, seed: int = 1) -> None:
        self.count = max(1, round(tuples / TUPLES_EACH))
        self._seed = seed
        self._made = lru_cache(256)(lambda number: Tenant(seed, number))

    def rows(self) -> Iterator[Row]:
        """Every tuple, each once."""
        for number in range(self.count):
            yield from Tenant(self._seed, number).rows()

    def mixed(self, count: int, seed: int = 1) -> list[Query]:
        """What people ask: organisations and documents by Zipf, 5 % denied, a tenth of the others
        by `read`, and one in fifty by a caveat."""
        draw = random.Random(f"{self._seed}-{seed}-queries")
        tenant, document = zipf(self.count, draw), zipf(DOCUMENTS, draw)
        found: list[Query] = []
        while len(found) < count:
            place = draw.random()
            kind = DENIED if place < 0.05 else CONDITIONAL if place < 0.07 else ""
            kind = kind or (DIRECT if place < 0.5 else TYPICAL)
            relation = "read" if draw.random() < 0.1 else "view"
            query = self._query(self._made(tenant()), kind, document(), relation, draw)
            if query is not None:
                found.append(query)
        return found

    def alike(self, kind: str, count: int, seed: int = 1) -> list[Query]:
        """Questions of one kind about documents all over the store, each as likely as any other."""
        draw = random.Random(f"{self._seed}-{seed}-{kind}")
        some = [draw.randrange(self.count) for _ in range(64)]
        found: list[Query] = []
        while len(found) < count:
            tenant = self._made(draw.choice(some))
            query = self._query(tenant, kind, draw.randrange(DOCUMENTS), "view", draw)
            if query is not None:
                found.append(query)
        return found

    def batch(self, count: int, seed: int = 1) -> list[Query]:
        """Whether one user may view each of so many documents of the organisation."""
        draw = random.Random(f"{self._seed}-{seed}-batch")
        tenant, user = self._made(draw.randrange(self.count)), draw.randrange(USERS)
        numbers = draw.sample(range(DOCUMENTS), count)
        return [_asked("", tenant, user, number, "view") for number in numbers]

    @staticmethod
    def _query(
        tenant: Tenant, kind: str, number: int, relation: str, draw: random.Random
    ) -> Query | None:
        """A question of a kind about a document; None if there is nobody to ask it of."""
        document = tenant.documents[number]
        direct = {document.owner, *document.users}
        if kind == CONDITIONAL:
            while (document := tenant.documents[number]).caveated is None:
                number = (number + 1) % DOCUMENTS
            day = draw.randrange(1, DAYS + 1)
            return _asked(kind, tenant, document.caveated, number, relation, day)
        if kind == DIRECT:
            return _asked(kind, tenant, draw.choice(sorted(direct)), number, relation)
        if kind == TYPICAL:
            others = [user for user in tenant.ways_in(number) if user not in direct]
            return _asked(kind, tenant, draw.choice(others), number, relation) if others else None
        for _ in range(20):
            user = draw.randrange(USERS)
            if len(tenant.groups_of(user)) > 1 and not tenant.may_see(user, number):
                return _asked(kind, tenant, user, number, relation)
        return None


def parent_of(folder: int) -> int:
    """The folder that a folder lies in; the first is the root."""
    return (folder - 1) // 4


def above(folder: int) -> Iterator[int]:
    """A folder and all that it lies in."""
    yield folder
    while folder:
        folder = parent_of(folder)
        yield folder


def zipf(count: int, draw: random.Random) -> Callable[[], int]:
    """Draws below `count`, the one of rank n with weight 1/n, the ranks in random order."""
    order = list(range(count))
    draw.shuffle(order)
    weights = list(accumulate(1 / rank for rank in range(1, count + 1)))
    return lambda: draw.choices(order, cum_weights=weights)[0]


def _document(below: Callable[[], float]) -> Document:
    viewers = [below() for _ in range(2)]
    made = Document(
        int(below() * FOLDERS),
        int(below() * USERS),
        sorted({int(below() * USERS) for one in viewers if one < 0.7}),
        sorted({int(below() * GROUPS) for one in viewers if one >= 0.7}),
    )
    if below() < 0.02:
        made.blocked.append(int(below() * USERS))
    if below() < 0.05:
        user = int(below() * USERS)
        made.caveated = None if user in made.users else user
    return made


def _asked(
    kind: str, tenant: Tenant, user: int, number: int, relation: str, day: int | None = None
) -> Query:
    context: dict[str, Any] = {} if day is None else {"day": day}
    check = Check(
        Object("document", f"{tenant.name}-d{number}"),
        relation,
        Subject("user", f"{tenant.name}-u{user}"),
        context=context,
    )
    return Query(kind, check, tenant.sees(user, number, relation, day or DAYS))
