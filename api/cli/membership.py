"""Who is found by an object's relation, and by which relations: worked out of userset trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.cli.subject_sets import Member, SubjectSet, union_of
from engine.engine import Engine
from engine.errors import BudgetExceeded
from engine.pages import Way
from engine.requests import FULLY_CONSISTENT, ExpandNode
from engine.tuples import Object

_MOST_ROUNDS = 50
_Goal = tuple[Object, str]
_Sets = dict[_Goal, SubjectSet]


async def members_of(engine: Engine, store: str, object_: Object, relation: str) -> SubjectSet:
    """The subjects that `object_#relation` leads to, usersets among them.

    Raises what `Engine.expand_further` raises, and BudgetExceeded where sets that are made of each
    other come to no rest, because one is taken away from the other.
    """
    trees: list[ExpandNode] = []
    way = Way(limit=engine.limits.page_maximum, consistency=FULLY_CONSISTENT)
    while True:
        page = await engine.expand_further(store, object_, relation, way)
        trees += page.trees
        if page.cursor is None:
            return settled(trees)[object_, relation]
        way = Way(limit=engine.limits.page_maximum, cursor=page.cursor)


def settled(trees: Sequence[ExpandNode]) -> _Sets:
    """The set of each tree; data may be cyclic, so they are worked out until nothing changes.

    Raises BudgetExceeded where they come to no rest.
    """
    sets: _Sets = {(tree.object, tree.relation): SubjectSet() for tree in trees}
    # A tree that comes later lies beneath: one round is enough where no userset comes twice.
    for _ in range(_MOST_ROUNDS):
        before = dict(sets)
        for tree in reversed(trees):
            sets[tree.object, tree.relation] = _of_tree(tree, sets)
        if sets == before:
            return sets
    raise BudgetExceeded(
        f"usersets that are made of each other come to no rest in {_MOST_ROUNDS} rounds",
        budget="rounds",
    )


def _of_tree(root: ExpandNode, sets: Mapping[_Goal, SubjectSet]) -> SubjectSet:
    """Bottom up and not by recursion: a tree is as deep as the data."""
    order = [root]
    for node in order:
        order.extend(node.children)
    made: dict[int, SubjectSet] = {}
    for node in reversed(order):
        found = _of_node(node, [made.pop(id(child)) for child in node.children], sets)
        caveated = node.via is not None and node.via.caveat
        made[id(node)] = found.under_caveat() if caveated else found
    return made[id(root)]


def _of_node(
    node: ExpandNode, children: Sequence[SubjectSet], sets: Mapping[_Goal, SubjectSet]
) -> SubjectSet:
    if node.kind == "leaf":
        return _of_leaf(node, sets)
    if node.kind == "exclusion":
        base, subtracted = children
        return base.difference(subtracted)
    if node.kind in ("intersection", "all") and children:
        made = children[0]
        for child in children[1:]:
            made = made.intersection(child)
        return made
    return union_of(children)


def _of_leaf(node: ExpandNode, sets: Mapping[_Goal, SubjectSet]) -> SubjectSet:
    """The subjects of stored tuples, and who is found by the usersets among them."""
    path = frozenset({f"{node.object}#{node.relation}"})
    made: list[SubjectSet] = []
    for item in node.subjects:
        kind, id_, relation = item.subject
        made.append(SubjectSet.of(item.subject, Member(bool(item.caveat), path)))
        if relation:
            beneath = sets.get((Object(kind, id_), relation), SubjectSet())
            made.append(beneath.under_caveat() if item.caveat else beneath)
    return union_of(made)
