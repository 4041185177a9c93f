"""Schemas of one caveat, written as the caveat stands in `.zed`."""

from __future__ import annotations

import re
from types import MappingProxyType

from engine.caveats import CaveatSet
from schema.model import Caveat, ParameterType, Schema
from schema.source import Span

_HEAD = re.compile(r"\s*caveat (\w+)\(([^)]*)\) \{")


def parameter_type(text: str) -> ParameterType:
    """`list<map<int>>` as a ParameterType."""
    name, bracket, rest = text.strip().partition("<")
    return ParameterType(name, parameter_type(rest[:-1]) if bracket else None)


def make_caveat(text: str) -> Caveat:
    """A caveat from `caveat name(parameter type, …) { CEL }`, its spans counted in `text`."""
    head = _HEAD.match(text)
    assert head is not None, text
    parameters = dict(each.strip().split(" ", 1) for each in head[2].split(",") if each.strip())
    start, end = head.end(), text.rindex("}")
    line = text.count("\n", 0, start) + 1
    column = start - (text.rfind("\n", 0, start) + 1) + 1
    return Caveat(
        name=head[1],
        parameters={name: parameter_type(type_) for name, type_ in parameters.items()},
        expression=text[start:end],
        span=Span(0, len("caveat"), 1, 1),
        expression_span=Span(start, end, line, column),
    )


def caveat_set(*texts: str) -> CaveatSet:
    """The compiled set of these caveats; the first may be given as `(parameters) { CEL }`."""
    caveats = [make_caveat(t if t.lstrip().startswith("caveat") else f"caveat c{t}") for t in texts]
    return CaveatSet(Schema(caveats=MappingProxyType({each.name: each for each in caveats})))
