"""Permission expressions: `(owner + parent->view) & member - banned`.

    expression = operand { ("+" | "&" | "-") operand }
    operand    = "(" expression ")" | "nil" | "self" | chain
    chain      = name { "->" name } [ "." ("any" | "all") "(" chain ")" ]

`+` binds tightest, then `&`, then `-`; all from left to right. That is SpiceDB's order, so that
its schemas mean the same here. It is not what most people expect: where operators mix without
parentheses, both readings are kept, and `schema.lint` warns.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from schema.problems import quote
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    Union,
)
from schema.source import Span
from schema.zed.cursor import Cursor
from schema.zed.syntax import Mixed
from schema.zed.tokens import Token

MAX_DEPTH = 100
"""How deep a rewrite may nest. Every question asked of a rewrite recurses into it."""

_OURS = (("+",), ("&",), ("-",))
_CONVENTIONAL = (("&",), ("+", "-"))
_OPERATORS = frozenset("+&-")


@dataclass(slots=True)
class _Part:
    """A piece of an expression, with its place and how deep it nests."""

    node: Rewrite
    depth: int
    start: int
    end: int


class ExpressionParser:
    """Reads one expression at the cursor; `mixed` then holds its ambiguous places."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._nesting = 0
        self.mixed: list[Mixed] = []

    def parse(self) -> Rewrite:
        """The rewrite that the expression at the cursor says. Raises Unexpected."""
        return self._expression().node

    def _expression(self) -> _Part:
        parts, operators = [self._operand()], []
        while self._cursor.token.kind in _OPERATORS:
            operators.append(self._cursor.advance().kind)
            parts.append(self._operand())
        whole = self._fold(parts, operators, _OURS)
        if whole.depth > MAX_DEPTH:
            raise self._too_deep(self._cursor.lines.span(whole.start, whole.end))
        if len(set(operators)) > 1:
            span = self._cursor.lines.span(whole.start, whole.end)
            conventional = self._fold(parts, operators, _CONVENTIONAL)
            self.mixed.append(Mixed(span, whole.node, conventional.node))
        return whole

    def _fold(
        self, parts: list[_Part], operators: list[str], levels: tuple[tuple[str, ...], ...]
    ) -> _Part:
        """Join the parts level by level, the tightest operators first."""
        for level in levels:
            if not operators:
                break
            joined, left_over, run, run_operators = [], [], [parts[0]], []
            for operator, part in zip(operators, parts[1:], strict=True):
                if operator in level:
                    run.append(part)
                    run_operators.append(operator)
                    continue
                joined.append(self._join(run, run_operators))
                left_over.append(operator)
                run, run_operators = [part], []
            joined.append(self._join(run, run_operators))
            parts, operators = joined, left_over
        return parts[0]

    def _join(self, run: list[_Part], operators: list[str]) -> _Part:
        """Join a run of operators of one level from left to right."""
        whole, position = run[0], 1
        for operator, group in groupby(operators):
            count = sum(1 for _ in group)
            operands = run[position : position + count]
            position += count
            if operator == "-":
                for operand in operands:
                    whole = self._exclude(whole, operand)
            else:
                whole = self._combine(operator, [whole, *operands])
        return whole

    def _exclude(self, base: _Part, subtracted: _Part) -> _Part:
        span = self._cursor.lines.span(base.start, subtracted.end)
        node = Exclusion(base.node, subtracted.node, span)
        return _Part(node, 1 + max(base.depth, subtracted.depth), base.start, subtracted.end)

    def _combine(self, operator: str, parts: list[_Part]) -> _Part:
        start, end = parts[0].start, parts[-1].end
        children = tuple(part.node for part in parts)
        span = self._cursor.lines.span(start, end)
        node = Union(children, span) if operator == "+" else Intersection(children, span)
        return _Part(node, 1 + max(part.depth for part in parts), start, end)

    def _operand(self) -> _Part:
        cursor = self._cursor
        token = cursor.token
        if token.kind == "(":
            return self._parenthesised()
        if token.kind != "name" or (token.text in cursor.reserved - {"nil", "self"}):
            raise cursor.unexpected("a relation or permission")
        if token.text == "nil" or (token.text == "self" and "self" in cursor.flags):
            cursor.advance()
            self._no_arrow_after(f"`{token.text}`")
            node = Nil if token.text == "nil" else Self
            return _Part(node(cursor.span(token)), 1, token.start, token.end)
        chain, depth = self._chain()
        return _Part(chain, depth, token.start, cursor.previous.end)

    def _parenthesised(self) -> _Part:
        opening = self._cursor.advance()
        self._nest(opening)
        inner = self._expression()
        self._cursor.expect(")", "`)` or an operator")
        self._nesting -= 1
        self._no_arrow_after("an expression in parentheses")
        return _Part(inner.node, inner.depth, opening.start, self._cursor.previous.end)

    def _no_arrow_after(self, what: str) -> None:
        if self._cursor.at("->") or self._cursor.at("."):
            message = f"the left side of an arrow is the name of a relation, not {what}"
            raise self._cursor.refuse(
                "arrow_left_side", message, self._cursor.span(self._cursor.token)
            )

    def _chain(self) -> tuple[Computed | Arrow, int]:
        """A name, or arrows from name to name. Also how deep it nests."""
        cursor = self._cursor
        steps = [self._step()]
        while cursor.accept("->"):
            steps.append(self._step())
        target: Computed | Arrow
        if cursor.at("."):
            target, depth = self._call(steps[-1])
        else:
            target, depth = Computed(steps[-1].text, cursor.span(steps[-1])), 1
        depth += len(steps) - 1
        if depth > MAX_DEPTH:
            raise self._too_deep(cursor.span(steps[0]))
        for step in reversed(steps[:-1]):
            target = Arrow(step.text, ArrowMode.ANY, target, cursor.span_from(step.start))
        return target, depth

    def _step(self) -> Token:
        cursor = self._cursor
        if not cursor.at("name") or cursor.token.text in cursor.reserved:
            raise cursor.unexpected("a relation or permission")
        return cursor.advance()

    def _call(self, relation: Token) -> tuple[Arrow, int]:
        """`.any(chain)` or `.all(chain)` after the name `relation`."""
        cursor = self._cursor
        cursor.expect(".")
        if not cursor.at_word("any", "all"):
            raise cursor.unexpected("`any` or `all`", ("any", "all"))
        mode = ArrowMode(cursor.advance().text)
        opening = cursor.expect("(")
        self._nest(opening)
        target, depth = self._chain()
        cursor.expect(")", "`)`")
        self._nesting -= 1
        arrow = Arrow(relation.text, mode, target, cursor.span_from(relation.start))
        if cursor.at("->") or cursor.at("."):
            inner = cursor.document.text[opening.end : cursor.previous.start].strip()
            message = (
                f"no arrow may follow `.{mode}(…)`: "
                f"walk on inside of it, as in {quote(f'{relation.text}.{mode}({inner}->…)')}"
            )
            raise cursor.refuse("arrow_after_call", message, cursor.span(cursor.token))
        return arrow, depth + 1

    def _nest(self, opening: Token) -> None:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise self._too_deep(self._cursor.span(opening))

    def _too_deep(self, span: Span) -> Exception:
        message = f"the expression is nested more than {MAX_DEPTH} levels deep"
        return self._cursor.refuse("too_deep", message, span)
