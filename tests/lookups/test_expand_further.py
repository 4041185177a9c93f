"""Expand down to subjects: every userset once, in pages that add up, in agreement with lookups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.engine import Engine
from engine.errors import InvalidCursor, UnknownRelation
from engine.pages import Way
from engine.requests import ExpandNode, LookupSubjects, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, parse_tuple
from tests.conformance.data import cases
from tests.conformance.systems import EngineTenant, System, touches
from tests.conformance.validation_files import ValidationFile, every_file

FILES = cases(
    lambda: [file for file in every_file() if "&" not in file.schema and " - " not in file.schema],
    lambda file: file.name,
)
SCHEMA = """definition user {}

definition group {
  relation member: user | group#member
}

definition folder {
  relation viewer: group#member
  permission view = viewer
}

definition document {
  relation parent: folder
  relation viewer: user | group#member
  permission view = viewer + parent->view
}
"""


async def engine_with(*tuples: str) -> Engine:
    engine = Engine(MemoryStorage())
    await engine.create_store("default")
    await engine.write_schema("default", SCHEMA)
    updates = [Update(UpdateOp.TOUCH, parse_tuple(item)) for item in tuples]
    await engine.write("default", WriteRequest(updates))
    return engine


async def trees_of(
    engine: Engine, store: str, object_: Object, relation: str, size: int
) -> list[ExpandNode]:
    found: list[ExpandNode] = []
    way = Way(size)
    while True:
        page = await engine.expand_further(store, object_, relation, way)
        assert len(page.trees) <= size
        found += page.trees
        if page.cursor is None:
            return found
        way = replace(way, cursor=page.cursor)


def names(trees: list[ExpandNode]) -> list[str]:
    return [f"{tree.object}#{tree.relation}" for tree in trees]


async def test_every_userset_beneath_has_one_tree_level_by_level() -> None:
    engine = await engine_with(
        "document:a#viewer@group:eng#member",
        "document:a#parent@folder:f",
        "folder:f#viewer@group:all#member",
        "folder:f#viewer@group:eng#member",
        "group:eng#member@group:interns#member",
        "group:all#member@group:interns#member",
        "group:all#member@user:ann",
        "group:interns#member@group:all#member",
    )
    expected = [
        "document:a#view",
        "group:all#member",
        "group:eng#member",
        "group:interns#member",
    ]
    for size in (1, 2, 3, 100):
        trees = await trees_of(engine, "default", Object("document", "a"), "view", size)
        assert names(trees) == expected
        assert trees[0] == (await engine.expand("default", Object("document", "a"), "view")).tree


async def test_pages_are_of_one_snapshot_and_one_question() -> None:
    engine = await engine_with("document:a#viewer@group:eng#member")
    at = (Object("document", "a"), "view")
    first = await engine.expand_further("default", *at, Way(1))
    more = Update(UpdateOp.TOUCH, parse_tuple("document:a#viewer@group:aaa#member"))
    await engine.write("default", WriteRequest([more]))
    rest = await engine.expand_further("default", *at, Way(5, first.cursor))
    assert names(list(rest.trees)) == ["group:eng#member"]
    assert rest.zookie == first.zookie
    with pytest.raises(InvalidCursor):
        await engine.expand_further("default", at[0], "viewer", Way(5, first.cursor))
    with pytest.raises(UnknownRelation):
        await engine.expand_further("default", at[0], "veiw")


def users_in(trees: list[ExpandNode]) -> set[str]:
    """The plain users and wildcards that the leaves of trees name."""
    found: set[str] = set()
    waiting = list(trees)
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children)
        found |= {str(item.subject) for item in node.subjects if not item.subject.relation}
    return found


@pytest.mark.parametrize("file", FILES)
async def test_the_subjects_of_the_trees_are_those_that_are_listed(file: ValidationFile) -> None:
    """Where nothing is subtracted or intersected, whoever a leaf names is a member, at least on
    conditions: expand does not evaluate caveats, so that some of them may be denied by theirs."""
    engine = Engine(MemoryStorage())
    tenant = await System(engine).tenant()
    assert isinstance(tenant, EngineTenant)
    await tenant.put_schema(file.schema)
    if not file.tuples:
        return
    await tenant.write(touches(file.tuples))
    unsure = any(item.caveat for item in file.tuples) or ".all(" in file.schema
    schema = (await engine.read_schema(tenant.name)).text
    assert schema
    goals = {(item.object, item.relation) for item in file.tuples}
    goals |= {(a.check.object, a.check.relation) for a in file.assertions}
    for object_, relation in sorted(goals):
        trees = await trees_of(engine, tenant.name, object_, relation, 3)
        named = users_in(trees)
        for kind in {text.partition(":")[0] for text in named}:
            asked = LookupSubjects(object_, relation, kind)
            answer = await engine.lookup_subjects(tenant.name, asked, Way(1000))
            told = {str(item.subject) for item in answer.subjects}
            assert told <= named
            if not unsure:
                assert told == {text for text in named if text.startswith(f"{kind}:")}
