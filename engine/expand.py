"""Expand: the userset tree of an object's relation (Zanzibar paper §2.4.5).

Rewrites are followed, arrows too; usersets among the subjects of stored tuples are not: they are
leaves, to be expanded by asking again. The tree is whole or there is no tree: a budget that runs
out is an error. All nodes of one depth are read together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import NamedTuple, assert_never

from engine.budget import Budget
from engine.errors import BudgetExceeded
from engine.reader import Edge, Reader, Scan
from engine.requests import ExpandNode, ExpandSubject
from engine.tuples import WILDCARD, Object, Subject
from schema.model import Relation, Schema, SubjectType
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    This,
    Union,
)

# Far beyond what people write, and far below what the interpreter's stack bears.
_MAX_NESTED = 150

_SECONDS_PER_TURN = 0.001


class _Path(NamedTuple):
    """The named nodes above a node, the nearest first: linked, for a chain of folders is long."""

    object: Object
    relation: str
    above: _Path | None

    def holds(self, object_: Object, relation: str) -> bool:
        at: _Path | None = self
        while at is not None:
            if at.object == object_ and at.relation == relation:
                return True
            at = at.above
        return False


@dataclass(slots=True)
class _Draft:
    """A node under construction; `reads` is the relation whose tuples it waits for."""

    kind: str
    object: Object
    relation: str
    via: ExpandSubject | None = None
    children: list[_Draft] = field(default_factory=list)
    subjects: list[ExpandSubject] = field(default_factory=list)
    reads: Relation | None = None
    arrow: Arrow | None = None
    path: _Path | None = None


def _finished(root: _Draft) -> ExpandNode:
    """The whole tree, from the leaves up: as deep as the data, so not by recursion."""
    order = [root]
    for draft in order:
        order.extend(draft.children)
    nodes: dict[int, ExpandNode] = {}
    for draft in reversed(order):
        children = tuple(nodes.pop(id(child)) for child in draft.children)
        subjects = tuple(sorted(draft.subjects, key=lambda item: item.subject))
        nodes[id(draft)] = ExpandNode(
            draft.kind, draft.object, draft.relation, children, subjects, draft.via
        )
    return nodes[id(root)]


async def expand(
    schema: Schema,
    reader: Reader,
    object_: Object,
    relation: str,
    now: datetime,
    budget: Budget,
    *,
    once: bool = False,
) -> ExpandNode:
    """The tree of `object_#relation`, which the schema must have.

    A node of kind `recursion` stands for the node of the same object and relation above it, and
    adds nothing to it. With `once` no other relation is looked into: a node of kind `computed`
    stands for one, and one of kind `arrow`, named by the relation that it walks, for those of the
    objects that it leads to. Raises BudgetExceeded, and what the reader raises.
    """
    (tree,) = await expand_all(schema, reader, ((object_, relation),), now, budget, once=once)
    return tree


async def expand_all(
    schema: Schema,
    reader: Reader,
    goals: Sequence[tuple[Object, str]],
    now: datetime,
    budget: Budget,
    *,
    once: bool = False,
) -> list[ExpandNode]:
    """The tree of each goal, as `expand` gives it; they are read together."""
    growth = _Growth(schema, now, budget, once=once)
    roots = [growth.named(object_, relation, None, None) for object_, relation in goals]
    turn = budget.check_time()
    while growth.waiting:
        drafts, growth.waiting = growth.waiting, []
        scans = [_scan(draft) for draft in drafts]
        _, found = await reader.fetch((), scans, budget.reads)
        budget.spend_reads(len(scans) + sum(map(len, found)))
        for draft, edges in zip(drafts, found, strict=True):
            growth.grow(draft, edges)
            if budget.check_time() - turn > _SECONDS_PER_TURN:
                await asyncio.sleep(0)
                turn = perf_counter()
    return [_finished(root) for root in roots]


def _scan(draft: _Draft) -> Scan:
    assert draft.reads is not None  # only such drafts wait
    return Scan(*draft.object, draft.reads.name, only_usersets=False)


class _Growth:
    """Grows drafts; `waiting` are those that need their tuples."""

    def __init__(self, schema: Schema, now: datetime, budget: Budget, *, once: bool) -> None:
        self.waiting: list[_Draft] = []
        self._once = once
        self._schema = schema
        self._now = now
        self._budget = budget
        self._nested = 0

    def named(
        self,
        object_: Object,
        relation: str,
        via: ExpandSubject | None,
        path: _Path | None,
    ) -> _Draft:
        """The draft of a relation or permission by its name."""
        if path is not None and path.holds(object_, relation):
            return self._draft("recursion", object_, relation, via)
        rewrite = self._schema.object_types[object_.type].rewrite_of(relation)
        assert rewrite is not None  # the caller has looked
        draft = self._rewritten(rewrite, object_, relation, _Path(object_, relation, path))
        if isinstance(rewrite, Computed) and not self._once:
            # An alias has a node of its own: it is a member of itself, and has its own name.
            alias = self._draft("union", object_, relation)
            alias.children = [draft]
            draft = alias
        draft.via = via
        return draft

    def grow(self, draft: _Draft, edges: Sequence[Edge]) -> None:
        """Use the tuples that a draft waited for."""
        assert draft.reads is not None  # only such drafts wait
        for edge in sorted(edges, key=lambda edge: edge[:3]):
            if not self._exists(draft.reads, edge):
                continue
            subject = Subject(edge.subject_type, edge.subject_id, edge.subject_relation)
            shown = ExpandSubject(subject, edge.caveat, edge.context, edge.expires_at)
            if draft.arrow is None:
                draft.subjects.append(shown)
            elif subject.id != WILDCARD:
                draft.children.append(self._target(draft, draft.arrow, shown))
        draft.reads = None

    def _target(self, draft: _Draft, arrow: Arrow, via: ExpandSubject) -> _Draft:
        walked = Object(via.subject.type, via.subject.id)
        if self._once:
            return self._draft("computed", walked, arrow.target.relation, via)
        known = self._schema.object_types[walked.type]
        match arrow.target:
            case Computed(relation=name):
                if known.rewrite_of(name) is not None:
                    return self.named(walked, name, via, draft.path)
            case Arrow(relation=name):
                if name in known.relations:
                    child = self._rewritten(arrow.target, walked, name, draft.path)
                    child.via = via
                    return child
        return self._draft("leaf", walked, name, via)

    def _rewritten(
        self,
        rewrite: Rewrite,
        object_: Object,
        relation: str,
        path: _Path | None,
    ) -> _Draft:
        self._nested += 1
        if self._nested > _MAX_NESTED:
            raise BudgetExceeded(
                f"the rewrite of one object is nested deeper than {_MAX_NESTED}", budget="depth"
            )
        draft = self._rewritten_once(rewrite, object_, relation, path)
        self._nested -= 1
        return draft

    def _rewritten_once(
        self,
        rewrite: Rewrite,
        object_: Object,
        relation: str,
        path: _Path | None,
    ) -> _Draft:
        match rewrite:
            case This() | Arrow():
                return self._reading(rewrite, object_, relation, path)
            case Computed(relation=other) if self._once:
                return self._draft("computed", object_, other)
            case Computed(relation=other):
                return self.named(object_, other, None, path)
            case Union(children=children):
                kind, parts = "union", children
            case Intersection(children=children):
                kind, parts = "intersection", children
            case Exclusion(base=base, subtracted=subtracted):
                kind, parts = "exclusion", (base, subtracted)
            case Nil():
                return self._draft("leaf", object_, relation)
            case Self():
                draft = self._draft("leaf", object_, relation)
                draft.subjects.append(ExpandSubject(Subject(*object_)))
                return draft
            case _:
                assert_never(rewrite)
        draft = self._draft(kind, object_, relation)
        draft.children = [self._rewritten(part, object_, relation, path) for part in parts]
        return draft

    def _reading(
        self,
        rewrite: This | Arrow,
        object_: Object,
        relation: str,
        path: _Path | None,
    ) -> _Draft:
        relations = self._schema.object_types[object_.type].relations
        if isinstance(rewrite, This):
            draft = self._draft("leaf", object_, relation)
            draft.reads = relations[relation]
        else:
            kind = "union" if rewrite.mode is ArrowMode.ANY else "all"
            if self._once:
                kind, relation = "arrow", rewrite.relation
            draft = self._draft(kind, object_, relation)
            draft.reads, draft.arrow = relations[rewrite.relation], rewrite
        draft.path = path
        self.waiting.append(draft)
        return draft

    def _draft(
        self, kind: str, object_: Object, relation: str, via: ExpandSubject | None = None
    ) -> _Draft:
        self._budget.spend_nodes(1)
        return _Draft(kind, object_, relation, via)

    def _exists(self, relation: Relation, edge: Edge) -> bool:
        """Whether the schema allows the tuple and it is not expired."""
        form = SubjectType(
            edge.subject_type,
            edge.subject_relation,
            wildcard=edge.subject_id == WILDCARD,
            caveat=edge.caveat,
            expiration=edge.expires_at is not None,
        )
        expired = edge.expires_at is not None and edge.expires_at <= self._now
        return form in relation.subject_types and not expired
