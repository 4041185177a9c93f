"""Expand by one step: what a relation is made of, without looking into what it is made of.

This is how OpenFGA's Expand answers; `engine.expand` does the work.
"""

from __future__ import annotations

from engine.expand import expand
from engine.pages import Pages, Way
from engine.requests import ExpandAnswer
from engine.tuples import Object

_NAME = "expand_once"


async def expand_once(
    pages: Pages, store: str, object_: Object, relation: str, way: Way
) -> ExpandAnswer:
    """The node of `object_#relation`, in which other relations are nodes without children.

    Raises UnknownType, UnknownRelation, BudgetExceeded, what `Pages.open` raises and what the
    reader raises.
    """
    page = await pages.open(store, _NAME, (), way, (object_,))
    compiled = page.ground.compiled
    compiled.require(object_.type, relation, "object", "relation")
    page.budget.nodes = pages.limits.expand_nodes
    tree = await expand(
        compiled.schema, page.reader, object_, relation, page.ground.now, page.budget, once=True
    )
    return ExpandAnswer(tree, page.zookie, compiled.name)
