"""The scenarios of `scenarios/known-bypasses.json`, translated from their notation to `.zed`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.jsontext import canonical_json
from engine.requests import Check
from engine.tuples import RelationTuple, parse_object, parse_subject, parse_tuple
from tests.conformance.data import ROOT

VERDICTS = {"YES": "allowed", "NO": "denied", "COND": "conditional", "ERR": "error"}

# Where Stonetown's answer is another one on purpose: docs/decisions/known-bypasses.md says why.
OTHER_READINGS = {("A30", 0): "allowed", ("C08", 1): "denied"}

_CAVEAT = re.compile(r"caveat (\w+)\(([^)]*)\) = (.+)")
_QUOTED = re.compile(r"('[^']*')")
_CONTEXT = re.compile(r"\[(\w+):(\{.*\})\]$")


@dataclass(frozen=True)
class Stage:
    """A schema, the tuples written under it, and checks with their verdicts."""

    schema: str
    tuples: tuple[RelationTuple, ...]
    checks: tuple[Check, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """One scenario; most have one stage."""

    id: str
    stages: tuple[Stage, ...]


def to_zed(notation: str) -> str:
    """A schema in `.zed`."""
    made: list[str] = []
    is_open = False
    for line in notation.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word in {"type", "caveat"} and is_open:
            made.append("}")
            is_open = False
        if word == "type":
            made.append(f"definition {rest} {{")
            is_open = True
        elif word == "rel":
            made.append(f"  relation {rest}")
        elif word == "perm":
            made.append(f"  permission {_unambiguous(rest)}")
        elif word == "caveat":
            made.append(_caveat(line))
    return "\n".join([*made, "}"]) + "\n"


def _unambiguous(text: str) -> str:
    """The notation reads operators from left to right and `.zed` does not: mixed ones must stand
    in parentheses."""
    inner = text
    while (flat := re.sub(r"\([^()]*\)", "x", inner)) != inner:
        inner = flat
    assert len({char for char in inner.replace("->", ".") if char in "+&-"}) <= 1, text
    return text


def _caveat(line: str) -> str:
    match = _CAVEAT.fullmatch(line.strip())
    assert match is not None, line
    parameters = ", ".join(f"{name.strip()} any" for name in match[2].split(","))
    parts = _QUOTED.split(match[3])
    parts[::2] = [part.replace(" and ", " && ").replace(" or ", " || ") for part in parts[::2]]
    return f"caveat {match[1]}({parameters}) {{ {''.join(parts)} }}"


def to_tuple(text: str) -> RelationTuple:
    """A tuple whose context stands in single quotes."""
    match = _CONTEXT.search(text)
    if match is None:
        return parse_tuple(text)
    context = canonical_json(ast.literal_eval(match[2]))
    return parse_tuple(f"{text[: match.start()]}[{match[1]}:{context}]")


def _stage(id_: str, schema: str, tuples: list[str] | None, checks: list[Any]) -> Stage:
    return Stage(
        to_zed(schema),
        tuple(map(to_tuple, tuples or ())),
        tuple(
            Check(parse_object(on), name, parse_subject(who), context or {})
            for on, name, who, context, _ in checks
        ),
        tuple(
            OTHER_READINGS.get((id_, index), VERDICTS[expected])
            for index, (*_, expected) in enumerate(checks)
        ),
    )


def _scenarios() -> Iterator[Scenario]:
    path = ROOT / "scenarios" / "known-bypasses.json"
    for told in json.loads(path.read_text(encoding="utf-8")):
        if told["stages"]:
            yield Scenario(told["id"], tuple(_stage(told["id"], *each) for each in told["stages"]))
        elif told["checks"]:
            stage = _stage(told["id"], told["schema"], told["tuples"], told["checks"])
            yield Scenario(told["id"], (stage,))


def every_scenario() -> list[Scenario]:
    """All scenarios that hold checks."""
    return list(_scenarios())


def every_id() -> list[str]:
    """The ids of all scenarios, also of those told in prose."""
    path = ROOT / "scenarios" / "known-bypasses.json"
    return [str(told["id"]) for told in json.loads(path.read_text(encoding="utf-8"))]
