"""A three-valued formula that grows while it is being decided.

Check turns goals into nodes of one shared graph. A node's value is decided as soon as its parts
allow it (Kleene's logic: a yes decides a union, a no an intersection), so the search can stop
early and never has to look where no answer depends on it. `UNKNOWN` stands for a condition whose
context is missing and for an error alike; which of them it was is asked once, at the end, and only
if the answer is still unknown: errors and missing names then come from every unknown part, so the
answer does not depend on the order of the search.

Data may be cyclic. When nothing is left to read, `settle` gives the nodes on cycles
their well-founded value (Van Gelder, Ross and Schlipf 1991): what only supports itself is denied;
what depends on its own absence stays unknown and is an error that names the cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

import networkx as nx

from engine.decision import ALLOWED as ALLOWED_DECISION
from engine.decision import DENIED as DENIED_DECISION
from engine.decision import Decision, conditional
from engine.errors import CycleThroughExclusion, EngineError
from engine.plan import Plan

DENIED = 0
ALLOWED = 1
UNKNOWN = 2


class Op(Enum):
    """What a node does with its children. A goal becomes one of the others when it is expanded."""

    GOAL = "goal"
    ANY = "any"
    ALL = "all"
    MINUS = "minus"
    LEAF = "leaf"


class Node:
    """One node. `value` is None until decided; `open` counts undecided children and `doubt` says
    that one was unknown; `live` counts live parents: what nothing live asks for need not be read.
    `label` names a goal; `reason` is why a leaf is unknown."""

    __slots__ = (
        "children",
        "doubt",
        "label",
        "live",
        "op",
        "open",
        "parents",
        "queued",
        "reason",
        "value",
    )

    def __init__(self, op: Op, children: Sequence[Node] = (), value: int | None = None) -> None:
        self.op = op
        self.value = value
        self.children = children
        self.parents: list[Node] = []
        self.open = 0
        self.doubt = False
        self.live = 0
        self.queued = False
        self.label: tuple[Plan, str] | None = None
        self.reason: frozenset[str] | EngineError | None = None


Value = int | Node
"""A part of a formula while it is built: DENIED, ALLOWED, or a node."""

_ALLOWED_NODE = Node(Op.LEAF, value=ALLOWED)


def unknown(reason: frozenset[str] | EngineError) -> Node:
    """A leaf that is unknown: for the names that are missing, or because of an error."""
    leaf = Node(Op.LEAF, value=UNKNOWN)
    leaf.reason = reason
    return leaf


def any_of(parts: Iterable[Value]) -> Value:
    """The union of the parts, as little of a node as it takes."""
    nodes: list[Node] = []
    for part in parts:
        value = part if isinstance(part, int) else part.value
        if value == ALLOWED:
            return ALLOWED
        if isinstance(part, Node) and value != DENIED:
            nodes.append(part)
    return _joined(Op.ANY, nodes, DENIED)


def all_of(parts: Iterable[Value]) -> Value:
    """The intersection of the parts; allowed if there are none."""
    nodes: list[Node] = []
    for part in parts:
        value = part if isinstance(part, int) else part.value
        if value == DENIED:
            return DENIED
        if isinstance(part, Node) and value != ALLOWED:
            nodes.append(part)
    return _joined(Op.ALL, nodes, ALLOWED)


def minus(base: Value, subtracted: Value) -> Value:
    """`base` without `subtracted`."""
    base_value = base if isinstance(base, int) else base.value
    subtracted_value = subtracted if isinstance(subtracted, int) else subtracted.value
    if base_value == DENIED or subtracted_value == ALLOWED:
        return DENIED
    if isinstance(subtracted, int) or subtracted_value == DENIED:
        return base
    left = _ALLOWED_NODE if isinstance(base, int) else base
    return _attached(Node(Op.MINUS, (left, subtracted)))


def _joined(op: Op, nodes: list[Node], empty: int) -> Value:
    if not nodes:
        return empty
    return nodes[0] if len(nodes) == 1 else _attached(Node(op, nodes))


def _attached(node: Node) -> Node:
    """Register with the children. The callers have folded every case but unknown ones, so a node
    whose children are all decided is unknown."""
    for child in node.children:
        if child.value is None:
            child.parents.append(node)
            node.open += 1
        elif child.value == UNKNOWN:
            node.doubt = True
    if not node.open:
        node.value = UNKNOWN
    return node


class Formula:
    """The graph of one evaluation. `wanted` holds the goals that are wanted and unread."""

    __slots__ = ("wanted",)

    def __init__(self) -> None:
        self.wanted: list[Node] = []

    def want(self, root: Node) -> None:
        """Keep a root wanted until it is decided."""
        self._enliven((root,))

    def expand(self, goal: Node, value: Value) -> None:
        """Give an unread goal its formula."""
        goal.op = Op.ANY
        if isinstance(value, int):
            self._decide(goal, value)
        elif value.value is not None:
            goal.children = (value,)
            self._decide(goal, value.value)
        else:
            goal.children = (value,)
            goal.open = 1
            value.parents.append(goal)
            if goal.live:
                self._enliven(goal.children)

    def settle(self, roots: Sequence[Node]) -> None:
        """Decide what is undecided under the roots, when there is nothing left to read.

        Every undecided node that no unknown could make a member (the greatest unfounded set) is
        denied; that may decide exclusions, so again until nothing changes. What is left then
        keeps no value: it is unknown.
        """
        while True:
            undecided = _undecided(roots)
            possible = _possible(undecided)
            unfounded = [node for node in undecided if node not in possible]
            if not unfounded:
                return
            for node in unfounded:
                self._decide(node, DENIED)

    @staticmethod
    def end(goals: Iterable[Node]) -> None:
        """Take these goals apart, when nothing is to be decided or asked of them any more: what
        knows its parts and is known by them is a cycle, which has to be found to be freed."""
        for goal in goals:
            goal.parents.clear()
            stack, goal.children = list(goal.children), ()
            while stack:
                node = stack.pop()
                if node.label is None:
                    node.parents.clear()
                    stack.extend(node.children)

    def _enliven(self, nodes: Sequence[Node]) -> None:
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if node.value is not None:
                continue
            node.live += 1
            if node.live == 1:
                stack.extend(node.children)
                if node.op is Op.GOAL and not node.queued:
                    node.queued = True
                    self.wanted.append(node)

    def _decide(self, node: Node, value: int) -> None:
        """Give a node its value and carry it upwards. A value is set as soon as it is found: were
        it only noted for later, another child could decide the parent otherwise meanwhile."""
        if node.value is not None:
            return
        node.value = value
        stack = [node]
        while stack:
            node = stack.pop()
            if node.open and node.live:
                _release(node.children)
            for parent in node.parents:
                if parent.value is None:
                    parent.value = _after(parent, node)
                    if parent.value is not None:
                        stack.append(parent)


def _release(nodes: Sequence[Node]) -> None:
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node.value is None and node.live:
            node.live -= 1
            if not node.live:
                stack.extend(node.children)


def _after(node: Node, child: Node) -> int | None:
    """The node's value, if it is decided now that one more child is (Kleene), else None."""
    node.open -= 1
    if node.op is Op.MINUS:
        base, subtracted = node.children[0].value, node.children[1].value
        if base == DENIED or subtracted == ALLOWED:
            return DENIED
        if node.open:
            return None
        return ALLOWED if base == ALLOWED and subtracted == DENIED else UNKNOWN
    decisive, other = (ALLOWED, DENIED) if node.op is Op.ANY else (DENIED, ALLOWED)
    if child.value == decisive:
        return decisive
    node.doubt = node.doubt or child.value == UNKNOWN
    if node.open:
        return None
    return UNKNOWN if node.doubt else other


def _undecided(roots: Sequence[Node]) -> set[Node]:
    found: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node.value is None and node not in found:
            found.add(node)
            stack.extend(node.children)
    return found


def _possible(undecided: set[Node]) -> set[Node]:
    """The undecided nodes that unknown parts could make members, were each exclusion to hold."""
    lacking: dict[Node, int] = {}
    ready: list[Node] = []
    for node in undecided:
        if node.op is Op.ANY:
            lacking[node] = 0 if node.doubt else 1
        elif node.op is Op.ALL:
            lacking[node] = node.open
        else:
            lacking[node] = 1 if node.children[0].value is None else 0
        if not lacking[node]:
            ready.append(node)
    possible: set[Node] = set()
    while ready:
        node = ready.pop()
        if node in possible:
            continue
        possible.add(node)
        for parent in node.parents:
            if parent in undecided and (parent.op is not Op.MINUS or parent.children[0] is node):
                lacking[parent] -= 1
                if lacking[parent] <= 0:
                    ready.append(parent)
    return possible


def decision_of(root: Node) -> Decision:
    """The decision that a settled root stands for. Raises the error that an unknown part met,
    or CycleThroughExclusion."""
    if root.value == ALLOWED:
        return ALLOWED_DECISION
    if root.value == DENIED:
        return DENIED_DECISION
    part = _unknown_part(root)
    cycle = _cycle_through_exclusion(part)
    if cycle:
        raise CycleThroughExclusion(
            "a membership depends on its own absence: " + " → ".join(cycle), cycle=cycle
        )
    reasons = [node.reason for node in part if node.reason is not None]
    errors = [reason for reason in reasons if isinstance(reason, EngineError)]
    if errors:
        raise min(errors, key=lambda error: (error.code, error.message))
    missing = [reason for reason in reasons if isinstance(reason, frozenset)]
    return conditional(frozenset().union(*missing))


def decided(root: Node) -> Decision | EngineError:
    """A finished root's decision, or the error that stands for it."""
    try:
        return decision_of(root)
    except EngineError as error:
        return error


def _unknown_part(root: Node) -> set[Node]:
    """The unknown nodes that the root's value rests on."""
    found = {root}
    stack = [root]
    while stack:
        for child in stack.pop().children:
            if (child.value is None or child.value == UNKNOWN) and child not in found:
                found.add(child)
                stack.append(child)
    return found


def _cycle_through_exclusion(part: set[Node]) -> list[str]:
    """A cycle among the nodes that passes the subtracted side of an exclusion, or nothing."""
    if not any(node.op is Op.MINUS and node.value is None for node in part):
        return []
    graph: nx.DiGraph[Node] = nx.DiGraph(
        (node, child) for node in part for child in node.children if child in part
    )
    for component in nx.strongly_connected_components(graph):
        for node in component:
            if node.op is Op.MINUS and node.children[1] in component:
                path = nx.shortest_path(graph.subgraph(component), node.children[1], node)
                names = [_name(step) for step in path if step.label is not None]
                return [*names, names[0]]
    return []


def _name(node: Node) -> str:
    assert node.label is not None  # only goals are named
    plan, object_id = node.label
    return f"{plan.object_type}:{object_id}#{plan.name}"
