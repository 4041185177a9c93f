"""Published models in the notation of the reference pages, as schemas of our own language.

A relation is `["this"]` or computed: `["cu", relation]`, `["ttu", relation, relation of its
objects]`, `["or", …]`, `["and", …]`. What a relation allows is taken from the tuples. A condition
speaks of properties as `resource_status`, which may be absent, and asks so with `has`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any, NamedTuple

import pytest

from tests.conformance.data import ROOT

_PROPERTY = re.compile(r"\b(subject|resource|action)_(\w+)")


class Model(NamedTuple):
    """A schema, and tuples that fit it."""

    schema: str
    tuples: list[str]


def published(name: str) -> Model:
    """The model in a file beside the AuthZEN cases."""
    if not ROOT.is_dir():
        pytest.skip(f"the conformance data is not there: {ROOT}")
    data = json.loads((ROOT / "authzen" / name).read_text())
    conditions = data.get("conditions", {})
    allowed: dict[tuple[str, str], set[str]] = defaultdict(set)
    tuples = []
    for object_, relation, subject, condition in data["tuples"]:
        form = _form(subject) + (f" with {condition}" if condition else "")
        allowed[object_.partition(":")[0], relation].add(form)
        tuples.append(f"{object_}#{relation}@{subject}" + (f"[{condition}]" if condition else ""))
    parts = [_caveat(name, text) for name, text in conditions.items()]
    types = {"user": {}} | data["model"]
    for kind, relations in types.items():
        lines = [
            _line(name, rewrite, sorted(allowed[kind, name])) for name, rewrite in relations.items()
        ]
        parts.append("\n".join([f"definition {kind} {{", *lines, "}"]))
    return Model("\n\n".join(parts) + "\n", tuples)


def _line(name: str, rewrite: Any, forms: list[str]) -> str:
    if rewrite == ["this"]:
        return f"  relation {name}: {' | '.join(forms)}"
    return f"  permission {name} = {_expression(rewrite)}"


def _expression(rewrite: Any) -> str:
    match rewrite:
        case ["cu", name]:
            return str(name)
        case ["ttu", via, name]:
            return f"{via}->{name}"
        case ["or" | "and" as kind, *operands]:
            joint = " + " if kind == "or" else " & "
            return f"({joint.join(_expression(each) for each in operands)})"
    raise AssertionError(rewrite)


def _form(subject: str) -> str:
    kind, _, rest = subject.partition(":")
    _, hash_, relation = rest.partition("#")
    return f"{kind}:*" if rest == "*" else f"{kind}{hash_}{relation}"


def _caveat(name: str, text: str) -> str:
    sides = sorted({match[1] for match in _PROPERTY.finditer(text)})
    parameters = ", ".join(f"{side}_properties map<any>" for side in sides)
    expression = _PROPERTY.sub(r"\1_properties.\2", text)
    return f"caveat {name}({parameters}) {{\n  {expression}\n}}"
