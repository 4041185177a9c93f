"""SpiceDB's validation files: a schema, relationships, and assertions about checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from api.cli import validation_file
from engine.jsontext import parse_json_object
from engine.requests import Check
from engine.tuples import WILDCARD, Object, RelationTuple, Subject, parse_tuple
from tests.conformance.data import ROOT

VERDICTS = {
    validation_file.TRUE: "allowed",
    validation_file.CAVEATED: "conditional",
    validation_file.FALSE: "denied",
}


@dataclass(frozen=True)
class Assertion:
    """A check and the verdict it must have."""

    check: Check
    verdict: str
    text: str


@dataclass(frozen=True)
class ValidationFile:
    """One file; `tuples` are its relationships."""

    name: str
    schema: str
    tuples: tuple[RelationTuple, ...]
    assertions: tuple[Assertion, ...]


def _assertion(told: validation_file.Assertion) -> Assertion:
    item = parse_tuple(told.check)
    context = parse_json_object(told.context) if told.context else {}
    check = Check(item.object, item.relation, item.subject, context)
    return Assertion(check, VERDICTS[told.kind], str(told))


def read_file(path: Path) -> ValidationFile:
    """Read one validation file with the schema it names."""
    told = validation_file.read_validation_file(path)
    if told.schema is not None:
        schema = told.schema.text
    else:
        assert told.schema_file is not None
        schema = (path.parent / told.schema_file.text).read_text(encoding="utf-8")
    return ValidationFile(
        name=str(path.relative_to(ROOT / "spicedb")),
        schema=schema,
        tuples=tuple(parse_tuple(line.text) for line in told.relationships),
        assertions=tuple(map(_assertion, told.assertions)),
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
