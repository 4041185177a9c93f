"""SpiceDB's validation files: a schema, relationships, and assertions about checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.jsontext import parse_json_object
from engine.requests import Check
from engine.tuples import WILDCARD, Object, RelationTuple, Subject, parse_tuple
from tests.conformance.data import ROOT

VERDICTS = {"assertTrue": "allowed", "assertCaveated": "conditional", "assertFalse": "denied"}


@dataclass(frozen=True)
class Assertion:
    """A check and the verdict it must have."""

    check: Check
    verdict: str
    text: str


@dataclass(frozen=True)
class ValidationFile:
    """One file; `tuples` are its relationships, each once."""

    name: str
    schema: str
    tuples: tuple[RelationTuple, ...]
    assertions: tuple[Assertion, ...]


def parse_assertion(text: str, verdict: str) -> Assertion:
    """`type:id#name@type:id[#relation]`, with ` with {context}` after it if there is one."""
    relationship, _, context = text.partition(" with ")
    item = parse_tuple(relationship.strip())
    return Assertion(
        Check(
            item.object,
            item.relation,
            item.subject,
            parse_json_object(context) if context else {},
        ),
        verdict,
        text,
    )


def read_file(path: Path) -> ValidationFile:
    """Read one validation file with the schema it names."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    schema = document.get("schema")
    if schema is None:
        schema = (path.parent / document["schemaFile"]).read_text(encoding="utf-8")
    lines = (line.strip() for line in (document.get("relationships") or "").splitlines())
    tuples = [parse_tuple(line) for line in lines if line and not line.startswith("//")]
    asserted = document.get("assertions") or {}
    assert asserted.keys() <= VERDICTS.keys(), asserted.keys()
    return ValidationFile(
        name=str(path.relative_to(ROOT / "spicedb")),
        schema=schema,
        tuples=tuple(dict.fromkeys(tuples)),
        assertions=tuple(
            parse_assertion(text, verdict)
            for key, verdict in VERDICTS.items()
            for text in asserted.get(key) or ()
        ),
    )


def _paths() -> Iterator[Path]:
    yield from (ROOT / "spicedb" / "testconfigs").glob("*.yaml")
    yield from (ROOT / "spicedb" / "testconfigs").glob("*.yaml.skip")
    yield from (ROOT / "spicedb" / "example-schemas").rglob("*.yaml")


def every_file() -> list[ValidationFile]:
    """All of SpiceDB's files that are at hand, by name."""
    return sorted(map(read_file, _paths()), key=lambda file: file.name)


def goals(file: ValidationFile) -> tuple[set[Object], set[Subject]]:
    """Every object that a file names, and every subject but wildcards."""
    subjects = {item.subject for item in file.tuples} | {a.check.subject for a in file.assertions}
    subjects = {subject for subject in subjects if subject.id != WILDCARD}
    objects = {item.object for item in file.tuples} | {a.check.object for a in file.assertions}
    objects |= {Object(subject.type, subject.id) for subject in subjects}
    return objects, subjects | {Subject(subject.type, subject.id) for subject in subjects}
