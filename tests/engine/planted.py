"""Bugs to plant in a copy of the evaluator, to see that the comparison with the oracle bites."""

from __future__ import annotations

import importlib
import sys
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import engine

MODULES = ("plan", "formula", "sight", "check", "schemas", "write", "asking")
_copies = count(1)


class Planted(NamedTuple):
    """A bug: in this module of the evaluator, `old` (which stands there once) becomes `new`."""

    name: str
    module: str
    old: str
    new: str


PLANTED = (
    Planted(
        "a union forgets what is unknown",
        "formula",
        "if isinstance(part, Node) and value != DENIED:",
        "if isinstance(part, Node) and value is None:",
    ),
    Planted(
        "what is subtracted for certain only casts doubt",
        "formula",
        "        if base == DENIED or subtracted == ALLOWED:",
        "        if base == DENIED:",
    ),
    Planted(
        "a cycle is denied whatever could break it",
        "formula",
        "            possible = _possible(undecided)",
        "            possible: set[Node] = set()",
    ),
    Planted(
        "an error alone is only a condition",
        "formula",
        "    if errors:\n",
        "    if errors and len(reasons) > 1:\n",
    ),
    Planted(
        "what only supports itself is left unknown",
        "formula",
        "            if not unfounded:",
        "            if unfounded:",
    ),
    Planted(
        "a tuple is alive in the moment it expires",
        "check",
        "edge.expires_at <= self._now",
        "edge.expires_at < self._now",
    ),
    Planted(
        "tuples that the schema does not allow are followed",
        "check",
        "if (edge.caveat, edge.expires_at is not None) not in forms:",
        "if not forms:",
    ),
    Planted(
        "all of nothing is allowed",
        "check",
        "return all_of(parts) if parts else DENIED",
        "return all_of(parts)",
    ),
    Planted(
        "a caveat that fails is a no",
        "check",
        "            return unknown(error)",
        "            return DENIED",
    ),
    Planted(
        "a userset is followed as another relation of its type",
        "check",
        "target = step.usersets.get((edge.subject_type, edge.subject_relation))",
        "target = {kind: to for (kind, _), to in step.usersets.items()}.get(edge.subject_type)",
    ),
    Planted(
        "an arrow grants on a tuple whose caveat says no",
        "check",
        "        return goal if holds == ALLOWED else all_of((holds, goal))",
        "        return goal",
    ),
    Planted(
        "a userset is no member of itself",
        "plan",
        "if self._planner.form == (self._type.name, name):",
        "if not self._type.name:",
    ),
    Planted(
        "a wildcard is forgotten beside the subject itself",
        "check",
        "for probed in (step.exact, step.wildcard):",
        "for probed in (step.exact or step.wildcard,):",
    ),
    Planted(
        "an exclusion is dropped with an unreachable part of it",
        "plan",
        "    if isinstance(base, Never) or isinstance(subtracted, Never):\n        return base",
        "    if not isinstance(subtracted, Minus):\n        return base",
    ),
)


def copy_of_the_evaluator(directory: Path, planted: Planted | None) -> Any:
    """The `asking` module of a copy of the evaluator, with a bug planted if one is given."""
    name = f"copied_evaluator_{next(_copies)}"
    package = directory / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    source = Path(next(iter(engine.__path__)))
    for module in MODULES:
        text = (source / f"{module}.py").read_text()
        if planted is not None and planted.module == module:
            assert text.count(planted.old) == 1, f"{planted.name}: its place is not there"
            text = text.replace(planted.old, planted.new)
        for other in MODULES:
            text = text.replace(f"from engine.{other} import", f"from {name}.{other} import")
        (package / f"{module}.py").write_text(text)
    sys.path.insert(0, str(directory))
    try:
        return importlib.import_module(f"{name}.asking")
    finally:
        sys.path.remove(str(directory))
