"""Expand: the tree of each rewrite, what it leaves out, and what it may cost."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from engine.budget import Budget
from engine.errors import BudgetExceeded
from engine.expand import expand
from engine.requests import ExpandNode
from engine.tuples import RelationTuple, parse_object
from tests.engine.ground import NOW, Setting, link, setting

SCHEMA = """
use self
use expiration
caveat inside(place string) { place == "office" }
definition user {}
definition team { relation member: user | team#member }
definition folder {
  relation parent: folder
  relation viewer: user
  permission view = viewer + parent->view
}
definition document {
  relation parent: folder | team
  relation viewer: user | user:* | team#member | user with inside | user with expiration
  relation banned: user
  permission alias = viewer
  permission view = (viewer + parent->view) - banned
  permission both = viewer & banned
  permission every = parent.all(view)
  permission own = self
  permission none = nil
  permission mine = alias + own
  permission first = viewer + second
  permission second = first
}
"""


async def tree(world: Setting, object_: str, relation: str, nodes: int = 10**4) -> ExpandNode:
    budget = Budget(10**6, nodes, perf_counter() + 60)
    schema = world.compiled.schema
    return await expand(schema, world.reader, parse_object(object_), relation, NOW, budget)


def drawn(node: ExpandNode) -> str:
    """A tree in one line: `kind object#relation (children)`, and `[subjects]` of leaves."""
    text = f"{node.kind} {node.object}#{node.relation}"
    if node.subjects:
        text += f" [{', '.join(str(item.subject) for item in node.subjects)}]"
    if node.children:
        text += f" ({'; '.join(map(drawn, node.children))})"
    return text


TUPLES = [
    "document:1#viewer@user:bob",
    "document:1#viewer@user:ann",
    "document:1#viewer@team:t#member",
    "document:1#viewer@user:*",
    "document:1#banned@user:cid",
    "document:1#parent@folder:f",
    "document:1#parent@team:t",
    "folder:f#viewer@user:dan",
    "team:t#member@user:eve",
]
VIEWERS = "leaf document:1#viewer [team:t#member, user:*, user:ann, user:bob]"
FOLDER = "union folder:f#view (leaf folder:f#viewer [user:dan]; union folder:f#view)"
PARENTS = f"({FOLDER}; leaf team:t#view)"


BASE = f"union document:1#view ({VIEWERS}; union document:1#view {PARENTS})"
ALIAS = f"union document:1#alias ({VIEWERS})"
TREES = {
    "viewer": VIEWERS,
    "alias": ALIAS,
    "both": f"intersection document:1#both ({VIEWERS}; leaf document:1#banned [user:cid])",
    "view": f"exclusion document:1#view ({BASE}; leaf document:1#banned [user:cid])",
    "every": f"all document:1#every {PARENTS}",
    "own": "leaf document:1#own [document:1]",
    "none": "leaf document:1#none",
    "mine": f"union document:1#mine ({ALIAS}; leaf document:1#own [document:1])",
    "second": (
        f"union document:1#second (union document:1#first ({VIEWERS}; recursion document:1#second))"
    ),
}


@pytest.mark.parametrize("relation", TREES)
async def test_each_rewrite_has_its_tree(relation: str) -> None:
    world = await setting(SCHEMA, TUPLES)
    assert drawn(await tree(world, "document:1", relation)) == TREES[relation]


async def test_a_tree_says_what_a_tuple_depends_on() -> None:
    until = "[expiration:2031-01-01T00:00:00Z]"
    world = await setting(
        SCHEMA,
        [
            'document:1#viewer@user:ann[inside:{"place":"home"}]',
            f"document:1#viewer@user:bob{until}",
        ],
    )
    ann, bob = (await tree(world, "document:1", "viewer")).subjects
    assert (ann.caveat, ann.context) == ("inside", '{"place":"home"}')
    assert bob.expires_at is not None
    assert bob.expires_at > NOW


async def test_a_walked_tuple_is_told_on_the_child() -> None:
    world = await setting(SCHEMA, TUPLES)
    folder, team = (await tree(world, "document:1", "every")).children
    assert folder.via is not None
    assert team.via is not None
    assert [str(folder.via.subject), str(team.via.subject)] == ["folder:f", "team:t"]


async def test_what_is_not_there_is_left_out() -> None:
    world = await setting(
        SCHEMA,
        [
            "document:1#viewer@user:late[expiration:2030-01-01T00:00:00Z]",
            "document:1#viewer@user:soon[expiration:2030-01-01T00:00:01Z]",
            "document:1#viewer@folder:f",
            "document:1#viewer@user:ann[gone]",
            "document:1#banned@user:*",
        ],
    )
    drawing = drawn(await tree(world, "document:1", "both"))
    assert drawing == (
        "intersection document:1#both (leaf document:1#viewer [user:soon]; leaf document:1#banned)"
    )


async def test_a_circle_of_folders_ends() -> None:
    circle = ["folder:a#parent@folder:b", "folder:b#parent@folder:a"]
    world = await setting(SCHEMA, circle)
    drawing = drawn(await tree(world, "folder:a", "view"))
    assert drawing.count("recursion folder:a#view") == 1
    assert "recursion folder:b#view" not in drawing


def chain(length: int) -> list[RelationTuple]:
    return [link("folder", n, "parent", "folder", n + 1) for n in range(length)]


async def test_a_long_chain_is_whole_and_read_level_by_level() -> None:
    world = await setting(SCHEMA, chain(1000))
    node, depth = await tree(world, "folder:0", "view"), 0
    while node.children:
        node, depth = node.children[-1], depth + 1
    assert (depth, node.object.id) == (2001, "1000")
    assert len(world.reader.rounds) == 1001


@pytest.mark.parametrize("budget", ["reads", "nodes", "milliseconds"])
async def test_a_tree_is_whole_or_an_error_that_names_the_budget(budget: str) -> None:
    world = await setting(SCHEMA, chain(100))
    given = Budget(
        50 if budget == "reads" else 10**6,
        50 if budget == "nodes" else 10**6,
        0.0 if budget == "milliseconds" else perf_counter() + 60,
    )
    with pytest.raises(BudgetExceeded) as stopped:
        await expand(
            world.compiled.schema, world.reader, parse_object("folder:0"), "view", NOW, given
        )
    assert stopped.value.extra["budget"] == budget


async def test_others_get_turns_during_a_large_expand() -> None:
    world = await setting(SCHEMA, chain(2000))
    task = asyncio.ensure_future(tree(world, "folder:0", "view"))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await task).kind == "union"
    assert turns > 5
