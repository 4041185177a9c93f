"""Runs the tests of an OpenFGA store file on memory stores of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from api.cli.models import checked
from api.cli.schema_files import FGA, MODEL_FILES, SchemaProblemsError, SchemaText, compiled, load
from api.cli.store_file import Question, StoredTuple, StoreFile, StoreTest, read_store_file
from api.cli.validation_file import FileProblem, ValidationFileError
from engine.decision import Decision, Verdict
from engine.engine import Engine
from engine.errors import CycleThroughExclusion, EngineError, InvalidContext
from engine.jsontext import canonical_json
from engine.pages import Way
from engine.requests import (
    FULLY_CONSISTENT,
    Check,
    Gap,
    LookupObjects,
    LookupSubjects,
    WriteRequest,
)
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple, make_tuple, parse_object, parse_subject

_STORE = "tests"


class Outcome:
    """What became of a store file: how many questions were asked, and what is wrong."""

    def __init__(self) -> None:
        self.asked = 0
        self.failed: list[FileProblem] = []
        self.problems: list[FileProblem] = []


async def run_store_file(path: Path) -> Outcome:
    """Ask everything that the tests of a file ask.

    Raises ValidationFileError, SchemaProblemsError, Failure and OSError for a file that is wrong.
    """
    outcome = Outcome()
    told = read_store_file(path)
    model = _model(told)
    for test in told.tests or [StoreTest("", (), ())]:
        engine = Engine(MemoryStorage())
        try:
            await engine.create_store(_STORE)
            await engine.write_schema(_STORE, model, FGA)
            if await _write(engine, [*told.tuples, *test.tuples], outcome):
                for question in test.questions:
                    await _ask(engine, test, question, outcome)
        finally:
            await engine.close()
    return outcome


def _model(told: StoreFile) -> str:
    """The model's text, compiled once."""
    if told.model is not None:
        block = told.model
        try:
            checked(SchemaText(block.text, f"{told.path}: model", FGA))
        except SchemaProblemsError as error:
            if not block.exact:
                raise
            raise error.moved(str(told.path), block.line, block.column) from None
        return block.text
    path = told.path.parent / told.model_file
    if path.suffix not in MODEL_FILES:
        problem = FileProblem(f"`{told.model_file}` is not a .fga, .json or .mod file", 1)
        raise ValidationFileError(told.path, (problem,))
    loaded = load(str(path), models=True)
    compiled(loaded)
    return loaded.text


async def _write(engine: Engine, tuples: Sequence[StoredTuple], outcome: Outcome) -> bool:
    """Write the tuples; those of a test replace those of the file. False if one is refused."""
    for item in tuples:
        try:
            await engine.write(_STORE, WriteRequest([Update(UpdateOp.TOUCH, _tuple(item))]))
        except EngineError as error:
            outcome.problems.append(FileProblem(_words(error), item.line))
    return not outcome.problems


def _tuple(item: StoredTuple) -> RelationTuple:
    object_, subject = parse_object(item.object), parse_subject(item.user)
    return make_tuple(
        object_,
        item.relation,
        subject,
        caveat=item.condition,
        context=canonical_json(dict(item.context)),
    )


async def _ask(engine: Engine, test: StoreTest, question: Question, outcome: Outcome) -> None:
    outcome.asked += 1
    try:
        if question.kind == "check":
            found: object = await _checked(engine, question)
        elif question.kind == "list_objects":
            found = await _objects(engine, question)
        else:
            found = await _users(engine, question)
    except EngineError as error:
        found = f"could not be decided: {_words(error)}"
    expected = question.expected
    if isinstance(expected, tuple):
        expected = tuple(sorted(expected))
    if found != expected:
        where = f"{test.name}: " if test.name else ""
        message = f"{where}{question} {_shown(found)}, expected {_shown(expected)[3:]}"
        outcome.failed.append(FileProblem(message, question.line))


def _shown(found: object) -> str:
    if isinstance(found, tuple):
        return f"is [{', '.join(found)}]"
    return f"is {str(found).lower()}" if isinstance(found, bool) else str(found)


async def _checked(engine: Engine, question: Question) -> bool | str:
    object_, subject = parse_object(question.object), parse_subject(question.user)
    check = Check(object_, question.relation, subject, question.context)
    try:
        decision = (await engine.check(_STORE, check, FULLY_CONSISTENT)).decision
    except CycleThroughExclusion:  # what depends on its own absence is denied in OpenFGA
        return False
    if decision.verdict is Verdict.CONDITIONAL:
        return f"is conditional, missing {', '.join(sorted(decision.missing))}"
    return decision.allowed


async def _objects(engine: Engine, question: Question) -> tuple[str, ...]:
    subject = parse_subject(question.user)
    asked = LookupObjects([question.object], question.relation, subject, question.context)
    found: list[str] = []
    async for page in engine.stream_objects(_STORE, asked, Way(consistency=FULLY_CONSISTENT)):
        _raise_gaps(page.gaps)
        found += [str(item.object) for item in page.objects if _is_in(item.decision)]
    return tuple(sorted(found))


async def _users(engine: Engine, question: Question) -> tuple[str, ...]:
    kind, _, relation = question.user.partition("#")
    object_ = parse_object(question.object)
    asked = LookupSubjects(object_, question.relation, kind, relation, question.context)
    found: list[str] = []
    async for page in engine.stream_subjects(_STORE, asked, Way(consistency=FULLY_CONSISTENT)):
        _raise_gaps(page.gaps)
        found += [str(item.subject) for item in page.subjects if _is_in(item.decision)]
    return tuple(sorted(found))


def _raise_gaps(gaps: Sequence[Gap]) -> None:
    """A list is whole or an error; what depends on its own absence is not in it."""
    for gap in gaps:
        if not isinstance(gap.error, CycleThroughExclusion):
            raise gap.error


def _is_in(decision: Decision) -> bool:
    """Whether what was found is in the list. Raises InvalidContext if nobody can tell."""
    if decision.verdict is Verdict.CONDITIONAL:
        missing = ", ".join(sorted(decision.missing))
        raise InvalidContext(f"the context misses {missing}", field="context")
    return decision.allowed


def _words(error: EngineError) -> str:
    return f"{error.message}; expected {error.expected}" if error.expected else error.message
