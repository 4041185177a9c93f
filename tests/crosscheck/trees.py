"""Trees of expand against the truth: the plain one, and those of everything beneath it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from engine.errors import BudgetExceeded
from engine.requests import ExpandNode, ExpandSubject
from engine.tuples import Object, Subject
from tests.crosscheck.layout import Laid
from tests.crosscheck.lists import SIZES
from tests.crosscheck.truth import Answer, Goal, Truth
from tests.reference import World


def any_of(answers: Iterable[Answer]) -> Answer:
    """A union: unknown parts matter only where none is allowed."""
    found = set(answers)
    return "allowed" if "allowed" in found else _unknown(found) or "denied"


def all_of(answers: Iterable[Answer]) -> Answer:
    """An intersection."""
    found = set(answers)
    return "denied" if "denied" in found else _unknown(found) or "allowed"


def _unknown(found: set[Answer]) -> Answer:
    if "error" in found:
        return "error"
    return frozenset[str]().union(*(each for each in found if not isinstance(each, str)))


def _not(answer: Answer) -> Answer:
    if isinstance(answer, str):
        return {"allowed": "denied", "denied": "allowed"}.get(answer, answer)
    return answer


class Members:
    """What one subject is by the trees of a world; usersets at their leaves are as is true."""

    def __init__(self, world: World, subject: Subject, truth: Truth) -> None:
        self._world, self._subject, self._truth = world, subject, truth

    def answer(self, tree: ExpandNode) -> Answer:
        """What a whole tree says."""
        return self._node(tree, {}, 0)

    def _node(self, node: ExpandNode, above: Mapping[Goal, int], negations: int) -> Answer:
        """`above` has the goals on the path, each with the exclusions around it."""
        goal = (node.object, node.relation)
        inner = self._inner(node, {goal: negations, **above}, negations)
        return inner if node.via is None else all_of([self._says(node.via), inner])

    def _inner(self, node: ExpandNode, above: Mapping[Goal, int], negations: int) -> Answer:
        if self._is_subject(node):
            return "allowed"
        if node.kind == "recursion":
            circular = above[node.object, node.relation] < negations
            return "error" if circular else "denied"
        if node.kind == "leaf":
            return any_of(map(self._member, node.subjects))
        if node.kind == "exclusion":
            base, subtracted = node.children
            without = _not(self._node(subtracted, above, negations + 1))
            return all_of([self._node(base, above, negations), without])
        parts = [self._node(child, above, negations) for child in node.children]
        if node.kind == "union":
            return any_of(parts)
        assert node.kind in {"intersection", "all"}
        return all_of(parts) if parts else "denied"

    def _is_subject(self, node: ExpandNode) -> bool:
        """Whether the subject is the userset that a node stands for. The inner part of a nested
        arrow has the name of the relation that it walks, and stands for no userset."""
        known = self._world.schema.object_types[node.object.type]
        walking = node.kind != "leaf" and node.relation in known.relations
        return not walking and (*node.object, node.relation) == self._subject

    def _member(self, stored: ExpandSubject) -> Answer:
        kind, id_, relation = stored.subject
        if relation:
            granted = self._truth[self._subject, (Object(kind, id_), relation)]
        else:
            everyone = Subject(self._subject.type, "*", self._subject.relation)
            granted = "allowed" if stored.subject in (self._subject, everyone) else "denied"
        return all_of([self._says(stored), granted])

    def _says(self, stored: ExpandSubject) -> Answer:
        if not stored.caveat:
            return "allowed"
        said = self._world.caveats(stored.caveat, stored.context, self._world.context)
        if isinstance(said, frozenset):
            return said
        return "error" if said is None else "allowed" if said else "denied"


class Forest:
    """The plain tree of each goal of a layout, read when it is wanted."""

    def __init__(self, laid: Laid, tally: Counter[str]) -> None:
        self._laid, self._tally = laid, tally
        self._trees: dict[Goal, ExpandNode | None] = {}

    async def tree(self, goal: Goal) -> ExpandNode | None:
        """The tree of a goal; None if it is larger than the limit."""
        if goal not in self._trees:
            self._trees[goal] = await self._read(goal)
            self._tally["trees" if self._trees[goal] else "trees too large"] += 1
        return self._trees[goal]

    async def _read(self, goal: Goal) -> ExpandNode | None:
        engine, overlay = self._laid.engine, self._laid.overlay
        try:
            return (await engine.expand(self._laid.store, *goal, overlay=overlay)).tree
        except BudgetExceeded:
            return None

    async def beneath(self, root: Goal) -> list[ExpandNode] | None:
        """The trees of a goal and of all usersets beneath it, level by level; None if one is
        larger than the limit."""
        seen, level, found = {root}, [root], list[ExpandNode]()
        while level:
            trees = [await self.tree(goal) for goal in level]
            known = [tree for tree in trees if tree is not None]
            if len(known) < len(trees):
                return None
            found += known
            level = sorted({goal for tree in known for goal in _usersets(tree)} - seen)
            seen.update(level)
        return found


def _is_circular(node: ExpandNode) -> bool:
    return node.kind == "recursion" or any(map(_is_circular, node.children))


def _says_less(says: Answer, is_: Answer) -> bool:
    """Whether both are unknown, and the tree only names fewer doubts. In a = b + (a & c) the
    recursion adds nothing, so the tree is unknown by b alone; a check tells the doubts of c, too.
    """
    if is_ == "error":
        return not isinstance(says, str)
    return not isinstance(says, str) and not isinstance(is_, str) and says <= is_


def _usersets(node: ExpandNode) -> Iterator[Goal]:
    for child in node.children:
        yield from _usersets(child)
    for item in node.subjects:
        if item.subject.relation:
            yield Object(*item.subject[:2]), item.subject.relation


async def compare_tree(
    laid: Laid, truth: Truth, forest: Forest, goal: Goal, subjects: Sequence[Subject]
) -> list[str]:
    """The subjects that a tree lets in and that are no members, or the other way round."""
    tree = await forest.tree(goal)
    if tree is None:
        return []
    wrong = []
    for subject in subjects:
        says, is_ = Members(laid.case.world, subject, truth).answer(tree), truth[subject, goal]
        if says != is_ and not (_is_circular(tree) and _says_less(says, is_)):
            wrong.append(f"{goal[0]}#{goal[1]}@{subject} is {is_}, the tree says {says}")
    return wrong


async def compare_pages(laid: Laid, forest: Forest, goal: Goal, tally: Counter[str]) -> list[str]:
    """Where the trees beneath a goal, at any size of page, are not those of all its usersets."""
    beneath = await forest.beneath(goal)
    if beneath is None:
        return []
    wrong = []
    for size in SIZES:
        found: list[ExpandNode] = []
        way = replace(laid.way, limit=size)
        while True:
            page = await laid.engine.expand_further(laid.store, *goal, way)
            found += page.trees
            if page.cursor is None:
                break
            way = replace(way, cursor=page.cursor)
        if found != beneath:
            wrong.append(f"the trees beneath {goal[0]}#{goal[1]} by {size} are {found}")
    tally["pages of trees"] += 1
    tally["usersets beneath"] += len(beneath) - 1
    return wrong
