"""What is reached from a group is remembered once for all who are in it, and a change there is seen
by all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

import pytest

from engine.caveats import CaveatSet
from engine.formula import ALLOWED, DENIED
from engine.index.closure import Closure
from engine.index.closures import Allowance, Closures
from engine.index.parts import Shared, as_collection, count_of, is_among
from engine.index.reader import View
from engine.schemas import CompiledSchema
from engine.sight import Asked
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot, Update, UpdateOp, WriteCommand
from engine.tuples import Subject, parse_tuple
from schema import parse_schema
from tests.engine.agreement import plant
from tests.index.indexed import IndexedStorage
from tests.worlds import NOW

SCHEMA = """\
use expiration

definition user {}

definition group {
    relation member: user | group#member
}

definition folder {
    relation viewer: user | group#member | group#member with expiration
    permission view = viewer
}

definition doc {
    relation parent: folder
    permission view = parent->view
}
"""
FOLDERS = 40
GOALS = 1_000
"""Goals after which a closure is worth making, however large."""


class Remembered:
    """An index, and the closures that were made of it."""

    def __init__(self, storage: IndexedStorage) -> None:
        schema = parse_schema(SCHEMA)
        compiled = CompiledSchema(schema, CaveatSet(schema))
        plans = compiled.plans.for_subject("user", "")
        plan, folders = plans.plan("doc", "view"), plans.plan("folder", "view")
        assert plan is not None
        assert folders is not None
        self.folders = folders
        self._entrances = compiled.entrances(plan.form)
        self._storage = storage
        self._snapshot: Snapshot | None = None

    async def begin(self, texts: Sequence[str]) -> None:
        """Fill the store, which is empty."""
        self._snapshot = await plant(self._storage, [parse_tuple(text) for text in texts])
        tables = (await self._storage.level(self._snapshot.store_id)).tables
        assert tables is not None
        self.closures = Closures(tables, Allowance(few=1))

    async def change(self, *, added: str = "", removed: str = "") -> None:
        """Write one change, and bring the index level."""
        assert self._snapshot is not None
        store_id = self._snapshot.store_id
        op = UpdateOp.TOUCH if added else UpdateOp.DELETE
        command = WriteCommand([Update(op, parse_tuple(added or removed))], (), 0, NOW)
        outcome = await self._storage.write(store_id, command)
        self._snapshot = outcome.snapshot
        await self._storage.level(store_id)

    def ask(self, user: str) -> int:
        """Have the closure of a user made; by how much that took more memory."""
        before = self.closures.taken
        self.kept(user)
        self.closures.walked(self._asked(user), GOALS, self._view())
        assert self.kept(user)
        return self.closures.taken - before

    def kept(self, user: str) -> bool:
        """Whether there is a closure of the user that holds."""
        view = self._view()
        return self.closures.of(self._asked(user), view.held, view.transaction) is not None

    def closure(self, user: str) -> Closure:
        """What is known of a user, of whom there is a closure."""
        view = self._view()
        closure = self.closures.of(self._asked(user), view.held, view.transaction)
        assert closure is not None
        return closure

    def seen(self, user: str, folders: Collection[str]) -> list[str]:
        """Those of the folders that the user views, by the closure."""
        closure = self.closure(user)
        values = {name: closure.value(self.folders, name) for name in folders}
        assert set(values.values()) <= {ALLOWED, DENIED}
        found = [name for name, value in values.items() if value == ALLOWED]
        members = closure.members(self.folders, len(found) + 10)
        assert members is None or set(members) & set(folders) == set(found)
        return found

    def _asked(self, user: str) -> Asked:
        return Asked(Subject("user", user), self._entrances, ("doc", "view"))

    def _view(self) -> View:
        assert self._snapshot is not None
        otherwise = MemoryStorage.reader(self._storage, self._snapshot)
        reader = self._storage.local.reader(self._snapshot, otherwise).local()
        assert reader is not None
        return reader.view


@pytest.fixture
async def remembered() -> AsyncIterator[Remembered]:
    """Nothing yet."""
    storage = IndexedStorage(follows=False)
    yield Remembered(storage)
    await storage.close()


def shared(group: str, folders: Collection[str]) -> list[str]:
    """The tuples by which a group views folders."""
    return [f"folder:{folder}#viewer@group:{group}#member" for folder in folders]


NAMES = [f"f{number}" for number in range(FOLDERS)]
TEAM = [
    *("group:eng#member@user:ann", "group:eng#member@user:bob", "group:eng#member@user:cy"),
    *("folder:own#viewer@user:bob", *shared("eng", NAMES)),
]


@pytest.mark.parametrize(
    "ids",
    [
        set[str](),
        {"a"},
        {"a", "ab", "b c", "c"},
        {"é", "a", "日本"},
        {f"{number}" for number in range(1000)},
    ],
)
def test_ids_are_told_from_one_another(ids: set[str]) -> None:
    (kept,) = Shared().reached([ids])
    assert sorted(as_collection(kept)) == sorted(ids)
    assert count_of(kept) == len(ids)
    for asked in ("a", "b", "ab", "c", "é", "日", "7", "99", "1000"):
        assert is_among(asked, f" {asked} ", kept) == (asked in ids)


async def test_an_id_that_cannot_be_is_not_known(remembered: Remembered) -> None:
    await remembered.begin(TEAM)
    remembered.ask("ann")
    closure = remembered.closure("ann")
    both = " ".join(name for name in closure.members(remembered.folders, 100) or ())
    assert both.count(" ") == FOLDERS - 1
    assert closure.value(remembered.folders, both) is None
    assert closure.value(remembered.folders, "") == DENIED


async def test_what_a_group_reaches_is_remembered_once(remembered: Remembered) -> None:
    await remembered.begin(TEAM)
    first, second, third = (remembered.ask(user) for user in ("ann", "bob", "cy"))
    assert second < first - FOLDERS
    assert third < second
    for user in ("ann", "bob", "cy"):
        assert remembered.seen(user, ["f0", f"f{FOLDERS}", "f7"]) == ["f0", "f7"]
    assert remembered.seen("bob", ["own"]) == ["own"]
    assert remembered.seen("cy", ["own"]) == []


async def test_a_change_of_what_a_group_reaches_is_seen_by_all_in_it(
    remembered: Remembered,
) -> None:
    await remembered.begin([*TEAM, "group:ops#member@user:dee"])
    for user in ("ann", "bob", "dee"):
        remembered.ask(user)
    await remembered.change(removed=shared("eng", ["f7"])[0])
    assert remembered.kept("dee")
    assert not remembered.kept("ann")
    for user in ("ann", "bob"):
        remembered.ask(user)
        assert remembered.seen(user, ["f0", "f7"]) == ["f0"]
    await remembered.change(removed="group:ops#member@user:dee")
    await remembered.change(removed=shared("eng", ["f8"])[0])
    for user in ("cy", "ann"):
        remembered.ask(user)
        assert remembered.seen(user, ["f0", "f7", "f8"]) == ["f0"]


async def test_who_asks_first_after_a_change_sees_it(remembered: Remembered) -> None:
    await remembered.begin(TEAM)
    remembered.ask("ann")
    await remembered.change(removed=shared("eng", ["f7"])[0])
    remembered.ask("cy")
    assert remembered.seen("cy", ["f0", "f7"]) == ["f0"]


async def test_a_group_that_led_nowhere_may_lead_on(remembered: Remembered) -> None:
    await remembered.begin([*TEAM, "group:new#member@user:dee"])
    remembered.ask("dee")
    assert remembered.seen("dee", ["f0"]) == []
    await remembered.change(added=shared("new", ["f0"])[0])
    assert not remembered.kept("dee")
    remembered.ask("dee")
    assert remembered.seen("dee", ["f0"]) == ["f0"]


async def test_a_change_of_one_member_is_of_no_concern_to_others(remembered: Remembered) -> None:
    await remembered.begin(TEAM)
    for user in ("ann", "bob"):
        remembered.ask(user)
    await remembered.change(removed="group:eng#member@user:ann")
    assert remembered.kept("bob")
    assert not remembered.kept("ann")
    remembered.ask("ann")
    assert remembered.seen("ann", ["f0"]) == []
    assert remembered.seen("bob", ["f0"]) == ["f0"]


async def test_where_something_may_expire_nobody_is_known_to_be_no_member(
    remembered: Remembered,
) -> None:
    expiring = "folder:late#viewer@group:eng#member[expiration:2100-01-01T00:00:00Z]"
    await remembered.begin([*TEAM, expiring, "group:ops#member@user:dee"])
    for user in ("ann", "bob", "dee"):
        remembered.ask(user)
    for user, expected in (("ann", None), ("bob", None), ("dee", DENIED)):
        closure = remembered.closure(user)
        assert closure.value(remembered.folders, "late") == expected
        assert (closure.members(remembered.folders, 100) is None) == (expected is None)
    assert remembered.closure("bob").value(remembered.folders, "f7") == ALLOWED


async def test_a_group_is_forgotten_with_the_last_who_is_in_it(remembered: Remembered) -> None:
    await remembered.begin(TEAM)
    first = remembered.ask("ann")
    remembered.ask("bob")
    await remembered.change(removed=shared("eng", ["f7"])[0])
    remembered.ask("cy")
    while remembered.closures.drop_oldest():
        pass
    assert remembered.closures.taken == 0
    await remembered.change(removed=shared("eng", ["f8"])[0])
    for user in ("bob", "cy"):
        remembered.ask(user)
    assert remembered.closures.drop_oldest()
    assert remembered.seen("cy", ["f0", "f7", "f8"]) == ["f0"]
    assert remembered.closures.drop_oldest()
    assert remembered.closures.taken == 0
    assert 0 < remembered.ask("ann") < first


async def test_who_is_in_many_groups_reaches_what_each_of_them_does(
    remembered: Remembered,
) -> None:
    many = range(30)
    await remembered.begin(
        [f"group:g{number}#member@user:{user}" for number in many for user in ("ann", "bob")]
        + [text for number in many for text in shared(f"g{number}", [f"f{number}", "all"])]
    )
    names = [f"f{number}" for number in many]
    for user in ("ann", "bob"):
        remembered.ask(user)
        assert remembered.seen(user, [*names, "all", "other"]) == [*names, "all"]
    await remembered.change(removed=shared("g11", ["f11"])[0])
    assert not remembered.kept("ann")
    remembered.ask("ann")
    assert remembered.seen("ann", ["f10", "f11", "all"]) == ["f10", "all"]


async def test_what_many_groups_have_in_common_is_not_counted_for_each(
    remembered: Remembered,
) -> None:
    names = [f"f{number}" for number in range(400)]
    await remembered.begin(
        [f"group:g{number}#member@user:ann" for number in range(100)]
        + [f"group:everyone#member@group:g{number}#member" for number in range(100)]
        + shared("everyone", names)
    )
    remembered.ask("ann")
    assert remembered.seen("ann", ["f0", "f399", "f400"]) == ["f0", "f399"]
    await remembered.change(added=shared("everyone", ["f400"])[0])
    assert not remembered.kept("ann")
    remembered.ask("ann")
    assert remembered.seen("ann", ["f0", "f399", "f400"]) == ["f0", "f399", "f400"]
