"""A worker has no more indexes open than it may, and opens one again that it comes back to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.caveats import CaveatSet
from engine.index.files import Tables
from engine.index.local import LocalIndexes
from engine.reader import Probe
from engine.schemas import CompiledSchema
from engine.sight import Asked
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot
from engine.tuples import Subject, parse_tuple
from schema import parse_schema
from tests.engine.agreement import plant
from tests.index.indexed import SIZE, IndexedStorage

SCHEMA = """\
definition user {}

definition group {
    relation member: user
}

definition doc {
    relation viewer: group#member
    permission view = viewer
}
"""


async def test_the_index_that_was_unused_for_longest_gives_way() -> None:
    storage = IndexedStorage(follows=False)
    text = "group:eng#member@user:ann"
    snapshots = [await plant(storage, [parse_tuple(text)]) for _ in range(3)]
    for snapshot in snapshots:
        await storage.level(snapshot.store_id)
    asked = _asked()
    opened: list[str] = []

    def open_one(path: Path) -> Tables:
        opened.append(path.parent.name)
        tables = storage.followers[path.parent.name].tables
        assert tables is not None
        return tables

    local = LocalIndexes(storage.root, size=SIZE, stores=2, opened=open_one)
    first, second, third = snapshots
    reader = local.reader(second, MemoryStorage.reader(storage, second))
    assert reader.closure(asked) is None
    reader.walked(asked, 1)
    assert reader.closure(asked) is not None
    for snapshot in (first, second, first, third):
        assert await _there(local, storage, snapshot)
    assert opened == _ids(second, first, third)
    # Its memory went with it. Whoever still reads it is answered, and it opens for the next.
    assert reader.closure(asked) is None
    assert await _there(local, storage, second)
    assert opened == _ids(second, first, third, second)
    local.close()
    await storage.close()


async def _there(local: LocalIndexes, storage: IndexedStorage, snapshot: Snapshot) -> bool:
    reader = local.reader(snapshot, MemoryStorage.reader(storage, snapshot))
    assert reader.local() is not None
    edges, _ = await reader.fetch([Probe("group", "eng", "member", "user", "ann", "")], [], 10)
    return edges[0] is not None


def _ids(*snapshots: Snapshot) -> Sequence[str]:
    return [snapshot.store_id for snapshot in snapshots]


def _asked() -> Asked:
    schema = parse_schema(SCHEMA)
    compiled = CompiledSchema(schema, CaveatSet(schema))
    plan = compiled.plans.for_subject("user", "").plan("doc", "view")
    assert plan is not None
    return Asked(Subject("user", "ann"), compiled.entrances(plan.form), ("doc", "view"))
