"""One caveat from text to something that can be evaluated, or every reason why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional
from google.protobuf.message import DecodeError

from engine.caveats.checked import CheckedTree, references
from engine.caveats.cost import (
    BUDGET,
    ORDINARY_CONTEXT,
    ORDINARY_PATTERN,
    ContextSize,
    bearable_bytes,
    estimate,
)
from engine.caveats.network import ADDRESS_TYPE, POOL, address_message, in_cidr
from engine.caveats.rules import Rules
from schema.errors import Problem
from schema.model import Caveat, ParameterType
from schema.source import Span

MAX_EXPRESSION = 100_000
MAX_CONTEXT = 64_000
"""Bytes of context up to which an expression's cost is estimated in advance."""
MAX_ESTIMATED_NODES = 5000
"""The size of expression up to which its cost is estimated again for a larger context."""

_TYPES = {
    "any": cel.Type.DYN,
    "bool": cel.Type.BOOL,
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "uint": cel.Type.INT,  # as SpiceDB has it: `count > 5` compiles, and the value is not negative
    "double": cel.Type.DOUBLE,
    "bytes": cel.Type.BYTES,
    "duration": cel.Type.DURATION,
    "timestamp": cel.Type.TIMESTAMP,
    "ipaddress": cel.Type(ADDRESS_TYPE),
}
_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_STATUS = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")


def _is_subtree(small: Any, large: Any) -> bool:
    """Whether every key of `small` is in `large` with an equal value, maps in it likewise."""
    if isinstance(small, dict) and isinstance(large, dict):
        return all(key in large and _is_subtree(item, large[key]) for key, item in small.items())
    if isinstance(small, list) and isinstance(large, list):
        return len(small) == len(large) and all(map(_equal, small, large))
    return _equal(small, large)


def _equal(left: Any, right: Any) -> bool:
    """CEL's equality: a boolean equals no number."""
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return type(left) is type(right) and len(left) == len(right) and _is_subtree(left, right)
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


_TEXT_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_FUNCTIONS = [
    cel.FunctionDecl(
        "in_cidr",
        [
            cel.Overload(
                "ipaddress_in_cidr_string",
                return_type=cel.Type.BOOL,
                parameters=[cel.Type(ADDRESS_TYPE), cel.Type.STRING],
                is_member=True,
                impl=in_cidr,
            )
        ],
    ),
    cel.FunctionDecl(
        "ipaddress",
        [
            cel.Overload(
                "string_to_ipaddress",
                return_type=cel.Type(ADDRESS_TYPE),
                parameters=[cel.Type.STRING],
                impl=address_message,
            )
        ],
    ),
    cel.FunctionDecl(
        "isSubtreeOf",
        [
            cel.Overload(
                "map_is_subtree_of_map",
                return_type=cel.Type.BOOL,
                parameters=[_TEXT_MAP, _TEXT_MAP],
                is_member=True,
                impl=_is_subtree,
            )
        ],
    ),
]


def _cel_type(type_: ParameterType, *, strict: bool) -> Any:
    if type_.name == "list" and type_.argument is not None:
        return cel.Type.List(_cel_type(type_.argument, strict=strict))
    if type_.name == "map" and type_.argument is not None:
        return cel.Type.Map(cel.Type.STRING, _cel_type(type_.argument, strict=strict))
    if strict and type_.name == "uint":
        return cel.Type.UINT
    return _TYPES[type_.name]


class CompiledCaveat:
    """A caveat that can be evaluated. `references` are the parameters that its expression uses."""

    def __init__(self, caveat: Caveat, expression: Any, tree: CheckedTree, rules: Rules) -> None:
        self.name = caveat.name
        self.parameters = dict(caveat.parameters)
        self.strict = caveat.strict
        self.expression = expression
        self.references = frozenset(name for name, _ in references(tree.root)) & frozenset(
            caveat.parameters
        )
        self.pattern_parameters = rules.pattern_parameters & self.references
        self._tree = tree
        self._bearable = bearable_bytes(tree, MAX_CONTEXT)
        self._may_estimate = len(tree.types) <= MAX_ESTIMATED_NODES

    def bears(self, context: ContextSize) -> bool:
        """Whether evaluation stays within its budget of time with a context of this size."""
        if context.bytes <= self._bearable and context.pattern <= ORDINARY_PATTERN:
            return True
        return self._may_estimate and estimate(self._tree, context) <= BUDGET


def compile_caveat(caveat: Caveat) -> CompiledCaveat | list[Problem]:
    """The compiled caveat, or every problem of it, placed in the schema's text."""
    if len(caveat.expression.strip()) > MAX_EXPRESSION:
        return [_problem(caveat, "caveat_too_long", f"is longer than {MAX_EXPRESSION} characters")]
    try:
        env = cel.NewEnv(
            POOL,
            variables={
                name: _cel_type(type_, strict=caveat.strict)
                for name, type_ in caveat.parameters.items()
            },
            functions=_FUNCTIONS,
            extensions=[ext_optional.ExtOptional()],
        )
        expression = env.compile(caveat.expression)
        tree = CheckedTree(expression.serialize())
    except RuntimeError as error:  # what the binding raises for every CEL status
        return list(_cel_problems(caveat, str(error)))
    except DecodeError:
        return [_problem(caveat, "caveat_invalid", "is nested too deeply")]
    problems = list(_rule_problems(caveat, expression, tree))
    if problems:
        return problems
    if estimate(tree, ContextSize(ORDINARY_CONTEXT, ORDINARY_CONTEXT // 2)) > BUDGET:
        why = f"can take too long, even with a context of {ORDINARY_CONTEXT} bytes"
        return [_problem(caveat, "caveat_too_costly", why)]
    return CompiledCaveat(caveat, expression, tree, Rules(tree))


def _rule_problems(caveat: Caveat, expression: Any, tree: CheckedTree) -> Iterator[Problem]:
    found = expression.return_type()
    if found != cel.Type.BOOL:
        why = f"must give true or false, and gives {found.name().lower()}"
        yield replace(_problem(caveat, "caveat_not_boolean", why), detail=found.name().lower())
    used = {name for name, _ in references(tree.root)}
    for name in caveat.parameters:
        if name not in used and not caveat.strict:
            yield Problem(
                "caveat_unused_parameter",
                f"parameter `{name}` of caveat `{caveat.name}` is not used in its expression",
                caveat.span,
                about=caveat.name,
            )
    for node, why in Rules(tree).violations:
        yield _problem(caveat, "caveat_invalid", why, tree.positions.get(node))


def _problem(caveat: Caveat, code: str, why: str, position: int | None = None) -> Problem:
    span = caveat.expression_span or caveat.span
    if position is not None:
        before = caveat.expression[:position]
        span = _place(caveat, before.count("\n") + 1, position - before.rfind("\n"))
    message = f"the expression of caveat `{caveat.name}` {why}"
    return Problem(code, message, span, about=caveat.name)


def _cel_problems(caveat: Caveat, text: str) -> Iterator[Problem]:
    found = _ERROR.findall(text)
    if not found:
        why = _STATUS.sub("", _STATUS.sub("", text.splitlines()[0]))
        yield _problem(caveat, "caveat_invalid", f"does not compile: {why}")
    for line, column, message in dict.fromkeys(found):
        said = _STATUS.sub("", message)
        yield Problem(
            "caveat_invalid",
            f"caveat `{caveat.name}`: {said[0].lower()}{said[1:]}",
            _place(caveat, int(line), int(column)),
            about=caveat.name,
            detail=_STATUS.sub("", text).replace("<input>", caveat.name),
        )


def _place(caveat: Caveat, line: int, column: int) -> Span | None:
    """The place in the schema of a place in the expression; both count characters from 1."""
    whole = caveat.expression_span
    if whole is None or line < 1:
        return whole or caveat.span
    lines = caveat.expression.split("\n")
    before = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
    start = min(whole.start + before, whole.end)
    return Span(
        start=start,
        end=start + 1,
        line=whole.line + line - 1,
        column=column + (whole.column - 1 if line == 1 else 0),
    )
