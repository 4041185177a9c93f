"""A bound on what evaluating a caveat can cost, so that no context makes a check hang.

cel-cpp cannot be interrupted and holds Python's lock while it runs. It stops after 10,000 steps of
loops in one evaluation, but one step may compare long lists or compile a regular expression. So
the cost of an expression is estimated from above, in nanoseconds, as a function of the size of its
context: once when the schema is written, against a context of ordinary size, and again before an
evaluation whose context is larger than the expression is known to bear.

The constants are upper bounds of what was measured with cel-expr-python 0.1.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.caveats.checked import CheckedTree, kind_of
from engine.caveats.regex import regex_weight

BUDGET = 100_000_000.0
"""Nanoseconds that one evaluation may take by estimate."""
ORDINARY_CONTEXT = 100
"""Bytes of context that every caveat must bear."""
ORDINARY_PATTERN = 200
"""The weight (`engine.caveats.regex`) of the patterns from a context that go unquestioned."""
_LOOP_STEPS = 10_000
_NODE = 120.0
_SLOW_CALL = 10_000.0

# Calls that cost a constant, whatever their arguments.
_CONSTANT = {
    **dict.fromkeys(["_&&_", "_||_", "_?_:_", "!_", "-_", "_-_", "_*_", "_/_", "_%_"], _NODE),
    **dict.fromkeys(["@not_strictly_false", "not_strictly_false", "dyn", "type"], _NODE),
    **dict.fromkeys(["_[_]", "_?._", "_[?_]"], 2 * _NODE),
    **dict.fromkeys(["optional.of", "optional.none", "optional.ofNonZeroValue"], 2 * _NODE),
    **dict.fromkeys(["hasValue", "value", "or", "orValue"], 2 * _NODE),
    **dict.fromkeys(
        ["getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"],
        5 * _NODE,
    ),
    **dict.fromkeys(["getMilliseconds", "getMinutes", "getMonth", "getSeconds"], 5 * _NODE),
    "in_cidr": _SLOW_CALL,
    "ipaddress": _SLOW_CALL,
}
_CONVERSIONS = frozenset(
    {"bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint"}
)
_ORDERINGS = frozenset({"_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"})
_EQUALITIES = frozenset({"_==_", "_!=_"})
_SIZED = frozenset({"_+_", "contains", "matches", "size", "@in", "in", "isSubtreeOf"})
FUNCTIONS = frozenset(_CONSTANT) | _CONVERSIONS | _ORDERINGS | _EQUALITIES | _SIZED
"""Every function that an expression may call."""


class Size(NamedTuple):
    """A value's extent: its elements counted through all levels, and its bytes.

    For the variable of a loop these are means, as the elements together are no larger than the
    list; one element may be `peak` times as large.
    """

    items: float
    bytes: float
    peak: float = 1

    def plus(self, other: Size, times: float = 1) -> Size:
        """This value with `times` of the other added to it."""
        return Size(
            self.items + times * other.items,
            self.bytes + times * other.bytes,
            max(self.peak, other.peak),
        )

    def at_most(self) -> Size:
        """The largest that this value can be."""
        return Size(self.items * self.peak, self.bytes * self.peak)

    def share(self, steps: float) -> Size:
        """An element of this value, which a loop walks in so many steps."""
        return Size(self.items / steps, self.bytes / steps, self.peak * steps)


class ContextSize(NamedTuple):
    """The extent of all values an expression is given, and its heaviest possible pattern."""

    bytes: int
    items: int
    pattern: int = ORDINARY_PATTERN


_SCALAR = Size(1, 8)
_STRING_TYPES = frozenset({5, 6})  # cel.expr.Type.PrimitiveType: STRING, BYTES


def estimate(tree: CheckedTree, context: ContextSize) -> float:
    """Nanoseconds that an evaluation takes at most, by estimate."""
    walk = _Walk(tree, context)
    walk.visit(tree.root, 1, {})
    return walk.total + context.items * _NODE


def bearable_bytes(tree: CheckedTree, limit: int) -> int:
    """A size of context, up to `limit` bytes, that stays within BUDGET: `limit`, a half of it, a
    quarter, and so on; 0 if not even ORDINARY_CONTEXT does."""
    size = limit
    while size >= ORDINARY_CONTEXT:
        if estimate(tree, ContextSize(size, size // 2)) <= BUDGET:
            return size
        size //= 2
    return 0


class _Walk:
    """Visits every node with the number of times it is evaluated, and adds up."""

    def __init__(self, tree: CheckedTree, context: ContextSize) -> None:
        self.total = 0.0
        self._types = tree.types
        self._context = context
        self._given = Size(max(1, context.items), context.bytes)

    def visit(self, expr: Any, times: float, scope: Mapping[str, Size]) -> Size:
        """Add the cost of `times` evaluations of `expr`; returns the extent of its value."""
        kind = kind_of(expr)
        self.total += times * _NODE
        if kind == "const":
            size = len(expr.const.text.encode()) + len(expr.const.data)
            return Size(1, max(8, size))
        if kind == "ident":
            found = scope.get(expr.ident.name, self._given)
        elif kind == "select":
            found = self.visit(expr.select.operand, times, scope)
        elif kind == "loop":
            found = self._loop(expr.loop, times, scope)
        elif kind == "call":
            found = self._call(expr.call, times, scope)
        else:
            found = self._literal(expr, times, scope)
        return _SCALAR if self._is_scalar(expr) else found

    def _literal(self, expr: Any, times: float, scope: Mapping[str, Size]) -> Size:
        size = Size(1, 8)
        for element in expr.list.elements:
            size = size.plus(self.visit(element, times, scope).plus(_SCALAR))
        for entry in expr.struct.entries:
            for part in (entry.key, entry.value):
                size = size.plus(self.visit(part, times, scope).plus(_SCALAR))
        return size

    def _loop(self, loop: Any, times: float, scope: Mapping[str, Size]) -> Size:
        source = self.visit(loop.range, times, scope)
        start = self.visit(loop.start, times, scope)
        steps = max(1.0, min(source.items, _LOOP_STEPS))
        inner = min(times * steps, _LOOP_STEPS)
        if source.peak > 1:  # how often this loop runs varies with what an outer loop walks
            scope = {name: size.at_most() for name, size in scope.items()}
        element = source.share(steps)
        names = {**scope, loop.variable: element, loop.variable2: element}
        grown = self.visit(loop.step, 0, {**names, loop.accumulator: Size(0, 0)}).at_most()
        names[loop.accumulator] = start.plus(grown, min(steps * source.peak, _LOOP_STEPS))
        self.visit(loop.condition, inner, names)
        self.visit(loop.step, inner, names)
        return self.visit(loop.result, times, {**scope, loop.accumulator: names[loop.accumulator]})

    def _call(self, call: Any, times: float, scope: Mapping[str, Size]) -> Size:
        nodes = [call.target, *call.args] if call.HasField("target") else list(call.args)
        sizes = [self.visit(node, times, scope) for node in nodes]
        name = call.function
        self.total += times * self._own_cost(name, nodes, sizes)
        if name == "_+_":
            return sizes[0].plus(sizes[1])
        if name == "_?_:_":
            return _largest(sizes[1:])
        return _largest(sizes)

    def _own_cost(self, name: str, nodes: list[Any], sizes: list[Size]) -> float:
        if name in _CONSTANT:
            return _CONSTANT[name]
        data = sum(size.bytes for size in sizes)
        if name in _CONVERSIONS:
            return 300 + 15 * data
        least = min(size.bytes for size in sizes)
        if name in _ORDERINGS:
            return 0.2 * least
        if name in _EQUALITIES:
            deep = 0.0 if any(map(self._is_primitive, nodes)) else min(s.items for s in sizes)
            return 0.2 * least + 500 * deep
        return self._sized_cost(name, nodes, sizes, data)

    def _sized_cost(self, name: str, nodes: list[Any], sizes: list[Size], data: float) -> float:
        first, last = sizes[0], sizes[-1]
        if name == "_+_":
            return 50 * (first.items + last.items) + data
        if name == "contains":
            return 0.5 * data + 0.02 * first.at_most().bytes * last.bytes
        if name == "matches":
            weight = self._pattern_weight(nodes[-1])
            return _SLOW_CALL + 1000 * weight + 1.5 * weight * first.bytes
        if name in ("@in", "in"):
            return (12 if self._is_primitive(nodes[0]) else 560) * last.items + 0.2 * data
        if name == "isSubtreeOf":
            return _SLOW_CALL + 700 * (first.items + last.items) + 2 * data
        return 0.6 * data  # size: the characters of a string are counted

    def _pattern_weight(self, node: Any) -> int:
        if kind_of(node) == "const":
            return regex_weight(node.const.text)
        return self._context.pattern

    def _is_primitive(self, expr: Any) -> bool:
        found = self._types.get(expr.id)
        return found is not None and found.primitive != 0

    def _is_scalar(self, expr: Any) -> bool:
        return self._is_primitive(expr) and self._types[expr.id].primitive not in _STRING_TYPES


def _largest(sizes: list[Size]) -> Size:
    return Size(*(max(parts) for parts in zip(_SCALAR, *sizes, strict=True)))
