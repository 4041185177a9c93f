"""Expand down to subjects: the tree of a goal, and those of all usersets beneath it, in pages.

A userset that many tuples name has one tree. So what is told is as large as the data below the
goal and not as the number of paths through them, and data that lead to themselves have an end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from engine.budget import Budget
from engine.expand import expand_all
from engine.pages import Page, Pages, Way
from engine.requests import ExpandNode, ExpandPage
from engine.tuples import Object

_AT_ONCE = 100
_Goal = tuple[Object, str]


async def expand_further(
    pages: Pages, store: str, object_: Object, relation: str, way: Way
) -> ExpandPage:
    """One page of the trees, that of `object_#relation` first, then those of the usersets that it
    names, then those that these name, each level sorted. `way.limit` counts trees.

    Raises UnknownType, UnknownRelation, LimitExceeded, BudgetExceeded, what `Pages.open` raises
    and what the reader raises.
    """
    size = pages.size(way)
    page = await pages.open(store, "expand", (*object_, relation), way, (object_,))
    page.ground.compiled.require(object_.type, relation, "object", "relation")
    found: list[ExpandNode] = []
    skipping = page.position is not None
    async for tree in _trees(page, (object_, relation), page.budget):
        place = (*tree.object, tree.relation)
        if not skipping:
            found.append(tree)
            if len(found) > size:
                break
        skipping = skipping and place != page.position
    cursor = None
    if len(found) > size:
        last = found[size - 1]
        cursor = await pages.seal(page, (*last.object, last.relation))
    return ExpandPage(tuple(found[:size]), cursor, page.zookie)


async def _trees(page: Page, root: _Goal, budget: Budget) -> AsyncIterator[ExpandNode]:
    """Every tree once, level by level."""
    ground = page.ground
    seen = {root}
    level: Sequence[_Goal] = (root,)
    while level:
        beneath: set[_Goal] = set()
        for start in range(0, len(level), _AT_ONCE):
            part = level[start : start + _AT_ONCE]
            schema = ground.compiled.schema
            for tree in await expand_all(schema, ground.reader, part, ground.now, budget):
                beneath.update(_usersets(tree))
                yield tree
        level = sorted(beneath - seen)
        seen.update(level)


def _usersets(root: ExpandNode) -> Iterator[_Goal]:
    """The usersets that the leaves of a tree name."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children)
        for item in node.subjects:
            if item.subject.relation:
                yield Object(item.subject.type, item.subject.id), item.subject.relation
