"""Caveats: `caveat name(parameter type, …) { CEL }`. The CEL itself is checked by the engine."""

from __future__ import annotations

from schema.model import ParameterType
from schema.problems import quote
from schema.source import Span
from schema.zed.cursor import MAX_CAVEAT_NAME, Cursor
from schema.zed.syntax import CaveatNode

PARAMETER_TYPES = (
    "any",
    "bool",
    "bytes",
    "double",
    "duration",
    "int",
    "ipaddress",
    "string",
    "timestamp",
    "uint",
)
"""The types of a caveat's parameter that take no argument."""

GENERIC_TYPES = ("list", "map")
"""The types that take one argument: what the list or map (of string keys) holds."""

_MAX_TYPE_DEPTH = 10


def parse_caveat(cursor: Cursor) -> CaveatNode:
    """The caveat at the cursor. Raises Unexpected where it does not parse."""
    doc = cursor.doc()
    cursor.advance()
    name = cursor.declared_name("a caveat", MAX_CAVEAT_NAME, prefixes=True)
    cursor.expect("(")
    parameters: list[tuple[str, ParameterType, Span]] = []
    while not cursor.at(")"):
        parameter = cursor.parameter_name()
        parameters.append((parameter.text, _parameter_type(cursor), cursor.span(parameter)))
        if not cursor.accept(","):
            break
    cursor.expect(")", "`,` or `)`")
    opening = cursor.expect("{")
    body = cursor.expect("body")
    if not cursor.accept("}"):
        message = "this `{` is never closed: the `}` after the caveat's expression is missing"
        raise cursor.refuse("unclosed_brace", message, cursor.span(opening))
    expression = body.text.strip()
    start = body.start + len(body.text) - len(body.text.lstrip())
    span = cursor.lines.span(start, start + len(expression)) if expression else cursor.span(opening)
    if not expression:
        cursor.problem("empty_caveat", f"the caveat {quote(name.text)} has no expression", span)
    return CaveatNode(name.text, parameters, expression, span, doc, cursor.span(name))


def _parameter_type(cursor: Cursor, depth: int = 0) -> ParameterType:
    if not cursor.at("name"):
        raise cursor.unexpected("the type of the parameter")
    token = cursor.advance()
    span = cursor.span(token)
    if token.text in GENERIC_TYPES:
        if depth == _MAX_TYPE_DEPTH:
            message = f"a type is nested more than {_MAX_TYPE_DEPTH} levels deep"
            raise cursor.refuse("too_deep", message, span)
        cursor.expect("<", f"`<` and the type that the {token.text} holds")
        argument = _parameter_type(cursor, depth + 1)
        cursor.expect(">")
        return ParameterType(token.text, argument)
    if token.text not in PARAMETER_TYPES:
        known = (*PARAMETER_TYPES, *GENERIC_TYPES)
        message = f"there is no parameter type {quote(token.text)}: there are {', '.join(known)}"
        cursor.document.problems.add(
            "unknown_parameter_type", message, span, word=token.text, candidates=known
        )
    elif cursor.at("<"):
        message = f"the type {quote(token.text)} takes no argument"
        raise cursor.refuse("syntax", message, cursor.span(cursor.token))
    return ParameterType(token.text)
