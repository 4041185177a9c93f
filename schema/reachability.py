"""Which subjects may ever be members of what, by the schema alone.

The answer prunes evaluation, so it may be "perhaps" too often but never "no" for a subject that
some tuples could make a member. For one form of subject, the relations and permissions that it may
reach are the least fixpoint of the rewrites read as conditions: a union needs one child, an
intersection all, an exclusion its base, an arrow any object that it can walk to.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import assert_never

import networkx as nx

from schema.model import Schema
from schema.rewrite import (
    Arrow,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    This,
    Union,
)
from schema.walk import ArrowWalk, Node

Leaf = This | Computed | Arrow | Nil | Self
_MAX_REMEMBERED = 1_000_000


class SubjectReach:
    """Reachability over one schema that passed `schema.typecheck`. Answers are remembered per
    subject form; only forms of the schema are, so that questions from outside cost no memory."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._walk = ArrowWalk(schema)
        self._reached: dict[Node, frozenset[Node]] = {}
        self._size = 0
        self._groups: dict[frozenset[Node], int] = {}

    def reaches(
        self, object_type: str, name: str, subject_type: str, subject_relation: str = ""
    ) -> bool:
        """Whether a subject of this form may ever be a member of `object_type#name`.

        An empty `subject_relation` stands for an object itself, which a wildcard also covers. A
        userset is a member of itself: `document#viewer` reaches `document#viewer` and all that is
        computed from it. Names that are not in the schema reach nothing.
        """
        form = (subject_type, subject_relation)
        reached = self._reached.get(form)
        if reached is None:
            target = self._schema.object_types.get(subject_type)
            if target is None:
                return False
            if subject_relation and target.rewrite_of(subject_relation) is None:
                return False
            reached = self._remember(form, self._reached_by(form))
        return (object_type, name) in reached

    def terminal_types(self, object_type: str, name: str) -> tuple[str, ...]:
        """The types whose objects themselves may be members of `object_type#name`, sorted."""
        return tuple(self.terminal_types_besides(object_type, name, ()))

    def terminal_types_besides(
        self, object_type: str, name: str, known: Collection[str]
    ) -> Iterator[str]:
        """The terminal types that are not `known`, each found only when asked for."""
        if (object_type, name) not in self._rewrites:
            return
        below = nx.descendants(self._needs, (object_type, name)) | {(object_type, name)}
        candidates: set[str] = set()
        for node in below:
            if isinstance(node, tuple):
                candidates |= self._plain_types(node)
        for kind in sorted(candidates.difference(known)):
            if self.reaches(object_type, name, kind):
                yield kind

    def graph(self) -> nx.DiGraph[Node]:
        """What needs what, for pictures: an edge from each relation or permission, a pair (type,
        name), to each that it is made of. `kind` of an edge is userset, computed or arrow."""
        graph: nx.DiGraph[Node] = nx.DiGraph()
        graph.add_nodes_from(self._rewrites)
        for node, rewrite in self._rewrites.items():
            for leaf in leaves(rewrite):
                ends, kind = self._ends(node, leaf)
                graph.add_edges_from(((node, end) for end in ends), kind=kind)
        return graph

    def cycles(self) -> tuple[tuple[Node, ...], ...]:
        """One cycle of each part of the graph that has any. Data may then be cyclic, too."""
        found = []
        for component in nx.strongly_connected_components(self._needs):
            nodes = [node for node in component if isinstance(node, tuple)]
            part = self._needs.subgraph(component)
            if nodes and (len(component) > 1 or part.has_edge(nodes[0], nodes[0])):
                steps = [edge[0] for edge in nx.find_cycle(part, min(nodes))]
                found.append(tuple(node for node in steps if isinstance(node, tuple)))
        return tuple(sorted(found))

    # -- the fixpoint ---------------------------------------------------------------------------

    def _remember(self, form: Node, reached: frozenset[Node]) -> frozenset[Node]:
        self._size += len(reached)
        if self._size > _MAX_REMEMBERED:
            self._reached.clear()
            self._size = len(reached)
        self._reached[form] = reached
        return reached

    def _reached_by(self, form: Node) -> frozenset[Node]:
        subject_type, subject_relation = form
        reached: set[Node | int] = set()
        pending: deque[Node | int] = deque()
        if subject_relation:
            reached.add(form)
            pending.extend(self._users.get(form, ()))
        else:
            pending.extend(self._direct.get(subject_type, ()))
        while pending:
            node = pending.popleft()
            if node in reached:
                continue
            if isinstance(node, int) or self._holds(self._rewrites[node], node, form, reached):
                reached.add(node)
                pending.extend(self._users.get(node, ()))
        return frozenset(node for node in reached if isinstance(node, tuple))

    def _holds(self, rewrite: Rewrite, node: Node, form: Node, reached: set[Node | int]) -> bool:
        """Whether the form may be a member of `rewrite` at `node`, as far as `reached` says."""
        match rewrite:
            case This():
                return (
                    not form[1] and form[0] in self._allowed[node][0]
                ) or not reached.isdisjoint(self._allowed[node][1])
            case Computed(relation):
                return (node[0], relation) in reached
            case Arrow():
                return self._groups.get(self._walk.ends(node[0], rewrite)) in reached
            case Union(children):
                return any(self._holds(child, node, form, reached) for child in children)
            case Intersection(children):
                return all(self._holds(child, node, form, reached) for child in children)
            case Exclusion(base, _):
                return self._holds(base, node, form, reached)
            case Nil():
                return False
            case Self():
                return form == (node[0], "")
        assert_never(rewrite)

    # -- what the schema says, once -------------------------------------------------------------

    @cached_property
    def _rewrites(self) -> dict[Node, Rewrite]:
        found: dict[Node, Rewrite] = {}
        for object_type in self._schema.object_types.values():
            for relation in object_type.relations.values():
                found[object_type.name, relation.name] = relation.rewrite
            for permission in object_type.permissions.values():
                found[object_type.name, permission.name] = permission.rewrite
        return found

    @cached_property
    def _allowed(self) -> defaultdict[Node, tuple[frozenset[str], frozenset[Node]]]:
        """Per relation: the types allowed as objects or wildcards, and the usersets allowed."""
        found: defaultdict[Node, tuple[frozenset[str], frozenset[Node]]] = defaultdict(
            lambda: (frozenset(), frozenset())
        )
        for object_type in self._schema.object_types.values():
            for relation in object_type.relations.values():
                plain = frozenset(s.type for s in relation.subject_types if not s.relation)
                usersets = frozenset(
                    (s.type, s.relation) for s in relation.subject_types if s.relation
                )
                found[object_type.name, relation.name] = (plain, usersets)
        return found

    @cached_property
    def _direct(self) -> dict[str, list[Node]]:
        """Per type: where its objects may stand as subjects at once."""
        found: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self._rewrites:
            for kind in self._plain_types(node):
                found[kind].append(node)
        return found

    def _plain_types(self, node: Node) -> set[str]:
        kinds: set[str] = set()
        for leaf in leaves(self._rewrites[node]):
            if isinstance(leaf, This):
                kinds |= self._allowed[node][0]
            elif isinstance(leaf, Self):
                kinds.add(node[0])
        return kinds

    @cached_property
    def _users(self) -> dict[Node | int, list[Node | int]]:
        return {node: list(self._needs.predecessors(node)) for node in self._needs}

    @cached_property
    def _needs(self) -> nx.DiGraph[Node | int]:
        """The graph with the ends of arrows in groups, which are numbers: many arrows over one
        broad relation share a group, and the graph stays about as large as the schema."""
        graph: nx.DiGraph[Node | int] = nx.DiGraph()
        graph.add_nodes_from(self._rewrites)
        for node, rewrite in self._rewrites.items():
            for leaf in leaves(rewrite):
                ends, _ = self._ends(node, leaf)
                if not isinstance(leaf, Arrow):
                    graph.add_edges_from((node, end) for end in ends)
                    continue
                group = self._groups.setdefault(ends, len(self._groups))
                if group not in graph:
                    graph.add_edges_from((group, end) for end in ends)
                graph.add_edge(node, group)
        return graph

    def _ends(self, node: Node, leaf: Leaf) -> tuple[frozenset[Node], str]:
        """The nodes that `leaf` of the rewrite of `node` needs, and the kind of edge to them."""
        match leaf:
            case This():
                return self._allowed[node][1], "userset"
            case Computed(relation):
                return frozenset(((node[0], relation),)), "computed"
            case Arrow():
                return self._walk.ends(node[0], leaf), "arrow"
            case Nil() | Self():
                return frozenset(), ""
        assert_never(leaf)


def leaves(rewrite: Rewrite) -> Iterator[Leaf]:
    """The leaves of `rewrite` that can make members, left to right: of an exclusion only those of
    its base."""
    stack = [rewrite]
    while stack:
        node = stack.pop()
        match node:
            case Union(children) | Intersection(children):
                stack.extend(reversed(children))
            case Exclusion(base, _):
                stack.append(base)
            case _:
                yield node
