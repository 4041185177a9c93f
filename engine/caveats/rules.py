"""What a caveat's expression may not do, though CEL would let it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.caveats.checked import CheckedTree, children, kind_of
from engine.caveats.cost import FUNCTIONS
from engine.caveats.network import ADDRESS_TYPE

MAX_LOOP_DEPTH = 4


class Rules:
    """Walks an expression once; `violations` then holds (node id, what it does wrong).

    `pattern_parameters` are the parameters whose values `matches` takes as patterns.
    """

    def __init__(self, tree: CheckedTree) -> None:
        self.violations: list[tuple[int, str]] = []
        self._patterns: set[str] = set()
        self._types = tree.types
        self._visit(tree.root, 0, {})
        self.pattern_parameters = frozenset(self._patterns)

    def _visit(self, expr: Any, depth: int, roots: Mapping[str, str]) -> None:
        """`roots` names, for each loop variable, the parameter that it walks, or ""."""
        kind = kind_of(expr)
        if kind == "loop":
            self._visit_loop(expr, depth, roots)
            return
        if kind == "struct" and expr.struct.message:
            self.violations.append((expr.id, f"makes a message `{expr.struct.message}`"))
        if kind == "select":
            operand = self._types.get(expr.select.operand.id)
            if operand is not None and operand.message == ADDRESS_TYPE:
                self.violations.append((expr.id, "selects a field of an ipaddress"))
        if kind == "call":
            self._check_call(expr, roots)
        for child in children(expr):
            self._visit(child, depth, roots)

    def _visit_loop(self, expr: Any, depth: int, roots: Mapping[str, str]) -> None:
        loop = expr.loop
        if depth == MAX_LOOP_DEPTH:
            self.violations.append((expr.id, f"nests more than {MAX_LOOP_DEPTH} loops"))
            return
        for child in (loop.range, loop.start):
            self._visit(child, depth, roots)
        root = self._root(loop.range, roots)
        inner = {**roots, loop.variable: root, loop.variable2: root, loop.accumulator: ""}
        for child in (loop.condition, loop.step, loop.result):
            self._visit(child, depth + 1, inner)

    def _check_call(self, expr: Any, roots: Mapping[str, str]) -> None:
        call = expr.call
        if call.function not in FUNCTIONS:
            self.violations.append((expr.id, f"calls `{call.function}`, which caveats may not"))
        if call.function != "matches" or kind_of(call.args[-1]) == "const":
            return
        root = self._root(call.args[-1], roots)
        if root:
            self._patterns.add(root)
        else:
            why = "computes the pattern of `matches`, which must be a literal or a given value"
            self.violations.append((expr.id, why))

    def _root(self, expr: Any, roots: Mapping[str, str]) -> str:
        """The parameter that an expression is, or is a part of; "" if it is computed."""
        kind = kind_of(expr)
        if kind == "ident":
            return roots.get(expr.ident.name, expr.ident.name)
        if kind == "select":
            return self._root(expr.select.operand, roots)
        if kind == "call" and expr.call.function == "_[_]":
            return self._root(expr.call.args[0], roots)
        return ""
