"""Runs one validation file on a memory store of its own: no server, no traces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.cli.expected_relations import Difference, Expectation, compare, parse
from api.cli.membership import members_of
from api.cli.schema_files import (
    MODEL_FILES,
    SchemaProblemsError,
    SchemaText,
    compiled,
    load,
)
from api.cli.store_file import is_store_file
from api.cli.store_tests import run_store_file
from api.cli.validation_file import (
    CAVEATED,
    FALSE,
    TRUE,
    Assertion,
    FileProblem,
    Located,
    ValidationFile,
    ValidationFileError,
    read_validation_file,
)
from engine.decision import Decision, Verdict
from engine.engine import Engine
from engine.errors import EngineError, InvalidTuple
from engine.jsontext import parse_json_object
from engine.requests import FULLY_CONSISTENT, Check, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple, parse_tuple

VERDICTS = {TRUE: Verdict.ALLOWED, CAVEATED: Verdict.CONDITIONAL, FALSE: Verdict.DENIED}
_STORE = "validation"
_UPDATE = re.compile(r"updates\[(\d+)\].*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Missed:
    """An assertion that does not hold: what came instead is a decision or an error."""

    assertion: Assertion
    found: Decision | EngineError


@dataclass(slots=True)
class Report:
    """What became of one file. It holds if there are no problems, no missed assertions, and no
    differences to the `relations` that it expects.

    `schema_problems` are told apart because they have carets; `unexpected` are the questions of
    a store file that came out otherwise.
    """

    path: Path
    assertions: int = 0
    problems: list[FileProblem] = field(default_factory=list)
    schema_problems: SchemaProblemsError | None = None
    missed: list[Missed] = field(default_factory=list)
    unexpected: list[FileProblem] = field(default_factory=list)
    relations: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything that was run came out as the file says."""
        wrong = self.problems or self.missed or self.unexpected or self.differences
        return not wrong and self.schema_problems is None


async def run_file(path: Path) -> Report:
    """Read a validation file, a store file of OpenFGA, or check a schema by its name's end.

    Raises OSError for a file that cannot be read.
    """
    report = Report(path)
    try:
        if path.suffix in {".zed", *MODEL_FILES}:
            compiled(load(str(path), models=True))
            return report
        if is_store_file(path):
            outcome = await run_store_file(path)
            report.assertions, report.unexpected = outcome.asked, outcome.failed
            report.problems.extend(outcome.problems)
            return report
        told = read_validation_file(path)
        report.relations = len(told.expected)
        report.assertions = len(told.assertions)
        await _run(told, report)
    except ValidationFileError as error:
        report.problems.extend(error.problems)
    except SchemaProblemsError as error:
        report.schema_problems = error
    return report


async def _run(told: ValidationFile, report: Report) -> None:
    text = _schema(told)
    tuples = _parsed(told.relationships, report)
    checks = [_check(item, report) for item in told.assertions]
    expectations = parse(told.expected, report.problems)
    if report.problems:
        return
    engine = Engine(MemoryStorage())
    try:
        await engine.create_store(_STORE)
        await engine.write_schema(_STORE, text)
        if await _write(engine, told, tuples, report):
            await _assert(engine, told.assertions, [item for item in checks if item], report)
            await _expect(engine, expectations, report)
    finally:
        await engine.close()


def _schema(told: ValidationFile) -> str:
    """The schema's text, compiled once. Raises SchemaProblemsError with places in the file."""
    if told.schema_file is not None:
        path = told.path.parent / told.schema_file.text
        try:
            loaded = load(str(path))
        except OSError as error:
            message = f"`{told.schema_file.text}` cannot be read: {error.strerror}"
            problem = FileProblem(message, told.schema_file.line, told.schema_file.column)
            raise ValidationFileError(told.path, (problem,)) from None
        compiled(loaded)
        return loaded.text
    assert told.schema is not None
    block = told.schema
    try:
        compiled(SchemaText(block.text, f"{told.path}: schema"))
    except SchemaProblemsError as error:
        if not block.exact:
            raise
        raise error.moved(str(told.path), block.line, block.column) from None
    return block.text


def _parsed(lines: Sequence[Located], report: Report) -> list[RelationTuple]:
    made: list[RelationTuple] = []
    for item in lines:
        try:
            made.append(parse_tuple(item.text))
        except EngineError as error:
            report.problems.append(FileProblem(_words(error), item.line, item.column))
    return made


def _check(item: Assertion, report: Report) -> Check | None:
    try:
        asked = parse_tuple(item.check, "assertion")
        if asked.caveat or asked.expires_at is not None:
            raise InvalidTuple("an assertion has no suffix in brackets", expected="with {json}")
        context = parse_json_object(item.context, "context") if item.context else {}
    except EngineError as error:
        report.problems.append(FileProblem(_words(error), item.line))
        return None
    return Check(asked.object, asked.relation, asked.subject, context)


async def _write(
    engine: Engine, told: ValidationFile, tuples: Sequence[RelationTuple], report: Report
) -> bool:
    step = engine.limits.import_batch
    for start in range(0, len(tuples), step):
        part = tuples[start : start + step]
        try:
            request = WriteRequest([Update(UpdateOp.TOUCH, item) for item in part])
            await engine.import_batch(_STORE, request)
        except EngineError as error:
            for one in error.extra.get("errors") or (error,):
                match = _UPDATE.fullmatch(one.field)
                index = start + (int(match[1]) if match else 0)
                place = told.relationships[index]
                report.problems.append(FileProblem(_words(one), place.line, place.column))
            return False
    return True


async def _assert(
    engine: Engine, assertions: Sequence[Assertion], checks: Sequence[Check], report: Report
) -> None:
    step = engine.limits.checks
    for start in range(0, len(checks), step):
        part = checks[start : start + step]
        answer = await engine.check_batch(_STORE, part, FULLY_CONSISTENT)
        for assertion, found in zip(assertions[start:], answer.results, strict=False):
            if isinstance(found, EngineError) or found.verdict is not VERDICTS[assertion.kind]:
                report.missed.append(Missed(assertion, found))


async def _expect(engine: Engine, expectations: Sequence[Expectation], report: Report) -> None:
    for each in expectations:
        try:
            members = await members_of(engine, _STORE, each.object, each.relation)
        except EngineError as error:
            report.differences.append(Difference(each.key, error=error))
        else:
            report.differences.extend(compare(each, members))


def _words(error: EngineError) -> str:
    return f"{error.message}; expected {error.expected}" if error.expected else error.message


def as_json(report: Report) -> dict[str, Any]:
    """A report for machines."""
    problems = [
        {"line": item.line, "column": item.column, "message": item.message}
        for item in report.problems
    ]
    if report.schema_problems is not None:
        problems += [
            {
                "line": item.span.line if item.span else 1,
                "column": item.span.column if item.span else 1,
                "message": item.message,
                "code": item.code,
                "file": item.source or report.schema_problems.source,
            }
            for item in report.schema_problems.problems
        ]
    return {
        "file": str(report.path),
        "ok": report.holds,
        "assertions": report.assertions,
        "problems": problems,
        "failures": [_missed(item) for item in report.missed]
        + [{"line": item.line, "message": item.message} for item in report.unexpected],
        "relations": report.relations,
        "differences": [_difference(item) for item in report.differences],
    }


def _difference(item: Difference) -> dict[str, Any]:
    told: dict[str, Any] = {"line": item.line, "relation": item.key.text}
    if item.error is not None:
        return {**told, "error": {"code": item.error.code, "message": _words(item.error)}}
    expected = None if item.expected is None else str(item.expected.found)
    return {**told, "expected": expected, "found": None if item.found is None else str(item.found)}


def difference_lines(item: Difference) -> list[tuple[str, str]]:
    """A difference as in a diff: `-` for what was expected, `+` for what was found, each with the
    colour it has."""
    if item.error is not None:
        return [(f"! {_words(item.error)}", "red")]
    lines = [] if item.expected is None else [(f"- {item.expected.found}", "red")]
    return lines if item.found is None else [*lines, (f"+ {item.found}", "green")]


def _missed(item: Missed) -> dict[str, Any]:
    told = {
        "line": item.assertion.line,
        "kind": item.assertion.kind,
        "assertion": str(item.assertion),
    }
    if isinstance(item.found, EngineError):
        return {**told, "error": {"code": item.found.code, "message": _words(item.found)}}
    missing = sorted(item.found.missing)
    return {**told, "decision": item.found.verdict.value, "missing_context": missing}


def sentence(item: Missed) -> str:
    """A missed assertion in words."""
    if isinstance(item.found, EngineError):
        outcome = f"could not be decided: {_words(item.found)}"
    else:
        outcome = f"is {item.found.verdict.value}"
        if item.found.missing:
            outcome += f", missing {', '.join(sorted(item.found.missing))}"
    return f"{item.assertion.kind}: {item.assertion} {outcome}"
