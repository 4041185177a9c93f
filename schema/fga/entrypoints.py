"""Which relations of an OpenFGA model can ever have a user, and which only lead to each other.

OpenFGA looks for entrypoints relation by relation, and shares what it has visited between branches,
so that it may refuse a model because of where it looked first. Here a relation has an entrypoint
exactly if some tuples could give it a user: whatever OpenFGA takes is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import assert_never

import networkx as nx

from schema.fga.model import AuthorizationModel, RelationDefinition, leaves
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Nil, Rewrite, Self, This, Union

Node = tuple[str, str]


class _Gates:
    """Conditions as gates, each of which opens once so many of what leads to it are open: one for
    an or, all for an and. The work is linear in the gates (Dowling and Gallier, 1984)."""

    def __init__(self) -> None:
        self._left: list[int] = []
        self._to: list[int | Node] = []
        self._waiting: dict[Node, list[int]] = {}
        self._ready: list[int] = []

    def add(self, needed: int, to: int | Node) -> int:
        """A gate that leads to another gate, or to a relation."""
        self._left.append(needed)
        self._to.append(to)
        return len(self._left) - 1

    def wait(self, gate: int, node: Node | None) -> None:
        """Let a relation lead to a gate, or with None what is open in any case."""
        if node is None:
            self._ready.append(gate)
        else:
            self._waiting.setdefault(node, []).append(gate)

    def found(self) -> set[Node]:
        """The relations that open."""
        found: set[Node] = set()
        pending = self._ready
        while pending:
            gate = pending.pop()
            self._left[gate] -= 1
            to = self._to[gate]
            if self._left[gate] != 0 or to in found:
                continue
            if isinstance(to, int):
                pending.append(to)
            else:
                found.add(to)
                pending.extend(self._waiting.get(to, ()))
        return found


class Entrypoints:
    """Answers for one model whose names all resolve."""

    def __init__(self, model: AuthorizationModel) -> None:
        self._relations: dict[Node, RelationDefinition] = {
            (kind.name, name): relation
            for kind in model.types
            for name, relation in kind.relations.items()
        }
        self._open = self._least()

    def has(self, type_name: str, relation: str) -> bool:
        """Whether some tuples could give the relation a user."""
        return (type_name, relation) in self._open

    def loops(self, type_name: str, relation: str) -> bool:
        """Whether a relation without an entrypoint leads back to itself by computed relations."""
        return (type_name, relation) in self._looping

    def has_cycle(self, type_name: str, relation: str) -> bool:
        """Whether computed relations alone lead from this relation into a circle."""
        return (type_name, relation) in self._cyclic

    def _least(self) -> set[Node]:
        """The least set that the rewrites, read as conditions, make of themselves."""
        gates = _Gates()
        for node, relation in self._relations.items():
            self._lay(gates, node, relation.rewrite, node)
        return gates.found()

    def _lay(self, gates: _Gates, node: Node, rewrite: Rewrite, to: int | Node) -> None:
        """Lay the gates of a rewrite, which ends in the gate or the relation `to`."""
        match rewrite:
            case This():
                gate = gates.add(1, to)
                for item in self._relations[node].restrictions:
                    gates.wait(gate, (item.type, item.relation) if item.relation else None)
            case Computed(relation):
                gates.wait(gates.add(1, to), (node[0], relation))
            case Arrow():
                gate = gates.add(1, to)
                for end in self._ends(node, rewrite):
                    gates.wait(gate, end)
            case Union(children):
                gate = gates.add(1, to)
                for child in children:
                    self._lay(gates, node, child, gate)
            case Intersection() | Exclusion():
                sides = _sides(rewrite)
                gate = gates.add(len(sides), to)
                for side in sides:
                    self._lay(gates, node, side, gate)
            case Nil() | Self():
                pass
            case _:
                assert_never(rewrite)

    def _ends(self, node: Node, arrow: Arrow) -> list[Node]:
        walked = self._relations.get((node[0], arrow.relation))
        target = arrow.target.relation
        return [] if walked is None else [(item.type, target) for item in walked.restrictions]

    def _opens(self, node: Node, rewrite: Rewrite, found: set[Node]) -> bool:
        match rewrite:
            case This():
                return any(
                    not item.relation or (item.type, item.relation) in found
                    for item in self._relations[node].restrictions
                )
            case Computed(relation):
                return (node[0], relation) in found
            case Arrow():
                return any(end in found for end in self._ends(node, rewrite))
            case Union(children):
                return any(self._opens(node, child, found) for child in children)
            case Intersection(children):
                return all(self._opens(node, child, found) for child in children)
            case Exclusion(base, subtracted):
                return all(self._opens(node, side, found) for side in (base, subtracted))
            case Nil() | Self():
                return False
        assert_never(rewrite)

    def _shut_steps(self, node: Node) -> list[Node]:
        """What a relation without an entrypoint is computed from in vain. Of an intersection only
        the first side without an entrypoint is looked at."""
        found: list[Node] = []
        pending = [self._relations[node].rewrite]
        while pending:
            part = pending.pop()
            match part:
                case Computed(relation):
                    found.append((node[0], relation))
                case Union(children):
                    pending.extend(children)
                case Intersection() | Exclusion():
                    shut = (s for s in _sides(part) if not self._opens(node, s, self._open))
                    pending.extend(islice(shut, 1))
                case _:
                    pass
        return found

    @cached_property
    def _cyclic(self) -> set[Node]:
        return _coming_round({node: self._computed(node) for node in self._relations})

    @cached_property
    def _looping(self) -> set[Node]:
        shut = self._relations.keys() - self._open
        return _coming_round({node: self._shut_steps(node) for node in shut})

    def _computed(self, node: Node) -> list[Node]:
        relation: Mapping[Node, RelationDefinition] = self._relations
        return [
            (node[0], leaf.relation)
            for leaf in leaves(relation[node].rewrite)
            if isinstance(leaf, Computed) and (node[0], leaf.relation) in relation
        ]


def _coming_round(steps: Mapping[Node, list[Node]]) -> set[Node]:
    """The nodes from which steps lead into a circle."""
    graph: nx.DiGraph[Node] = nx.DiGraph()
    graph.add_nodes_from(steps)
    graph.add_edges_from((node, item) for node, items in steps.items() for item in items)
    found: set[Node] = set()
    for component in nx.strongly_connected_components(graph):
        if len(component) > 1 or graph.has_edge(*list(component) * 2):
            found |= component
    pending = list(found)
    while pending:
        for before in graph.predecessors(pending.pop()):
            if before not in found:
                found.add(before)
                pending.append(before)
    return found


def _sides(rewrite: Intersection | Exclusion) -> tuple[Rewrite, ...]:
    if isinstance(rewrite, Exclusion):
        return rewrite.base, rewrite.subtracted
    return rewrite.children
