"""Expand of very deep data and very deep rewrites: a tree, or an error that names the budget."""

from __future__ import annotations

import pytest

from engine.engine import Engine
from engine.errors import BudgetExceeded
from engine.limits import Limits
from engine.requests import ExpandNode, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, parse_tuple

FOLDERS = """
definition user {}
definition folder {
  relation parent: folder
  relation viewer: user
  permission view = viewer + parent->view
}
"""


async def _engine(schema: str, tuples: list[str]) -> Engine:
    engine = Engine(MemoryStorage(), limits=Limits(expand_nodes=100_000))
    await engine.create_store("default")
    await engine.write_schema("default", schema)
    if tuples:
        updates = [Update(UpdateOp.CREATE, parse_tuple(text)) for text in tuples]
        await engine.import_batch("default", WriteRequest(updates))
    return engine


def _depth(node: ExpandNode) -> int:
    depth, level = 0, [node]
    while level:
        depth, level = depth + 1, [child for parent in level for child in parent.children]
    return depth


async def test_a_chain_of_folders_deeper_than_the_stack_is_expanded_whole() -> None:
    count = 1500
    chain = [f"folder:{n}#parent@folder:{n + 1}" for n in range(count)]
    engine = await _engine(FOLDERS, chain)
    answer = await engine.expand("default", Object("folder", "0"), "view")
    assert _depth(answer.tree) > count


async def test_a_chain_of_permissions_deeper_than_the_stack_names_the_budget() -> None:
    count = 2000
    links = "\n".join(f"  permission p{n} = p{n + 1} + viewer" for n in range(count))
    schema = f"definition user {{}}\ndefinition doc {{\n  relation viewer: user\n{links}\n"
    engine = await _engine(f"{schema}  permission p{count} = viewer\n}}\n", [])
    with pytest.raises(BudgetExceeded) as caught:
        await engine.expand("default", Object("doc", "1"), "p0")
    assert caught.value.extra["budget"] == "depth"
