"""Schema files: read with what they import, compiled, their problems told by file and line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from api.cli.failure import ExitCode, Failure
from api.cli.tuple_files import STANDARD
from api.errors import schema_problem
from engine.errors import SchemaRefused
from engine.schemas import compile_schema
from schema import flatten_imports
from schema.errors import Problem, SchemaError
from schema.fga.dsl.problems import DslError
from schema.fga.dsl.tokens import without_comments
from schema.fga.encode import encode_model
from schema.fga.language import is_json
from schema.fga.manifest import read_manifest
from schema.fga.modules import ModuleFile, combine
from schema.model import Schema
from schema.problems import MAX_PROBLEMS

FGA = "fga"
MANIFEST = ".mod"
MODEL_FILES = (".fga", ".json", MANIFEST)
"""How the names of files end that hold models of OpenFGA."""


class SchemaText(NamedTuple):
    """The text that a server would be sent, what to call it in messages, and its language."""

    text: str
    source: str
    language: str = "zed"


class SchemaProblemsError(Exception):
    """A schema file is wrong; `problems` is all that is, in the text `text`."""

    def __init__(self, source: str, problems: Sequence[Problem], text: str) -> None:
        super().__init__(source)
        self.source = source
        self.problems = tuple(problems)
        self.text = text

    def render(self) -> str:
        """Every problem with its place and a caret, as a person reads them."""
        return render(self.problems, self.text, self.source)

    def moved(self, source: str, line: int, column: int) -> SchemaProblemsError:
        """The problems of a literal block of a file, at their lines and columns of that file; the
        block begins at `line` and `column`."""
        down, right = line - 1, column - 1
        indented = "\n" * down + "".join(
            " " * right + line for line in self.text.splitlines(keepends=True)
        )
        problems = [
            problem
            if problem.span is None
            else replace(
                problem,
                span=replace(
                    problem.span, line=problem.span.line + down, column=problem.span.column + right
                ),
            )
            for problem in self.problems
        ]
        return SchemaProblemsError(source, problems, indented)

    def as_failure(self) -> Failure:
        """The same as the end of a command that needed the schema."""
        return Failure(
            self.render(),
            exit_code=ExitCode.USAGE,
            code="schema_invalid",
            details={"file": self.source, "problems": told(self.problems, self.text)},
        )


def read_text(path: str) -> str:
    """A UTF-8 text file, or standard input for `-`. Raises OSError and Failure."""
    data = sys.stdin.buffer.read() if path == STANDARD else Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Failure(f"{path}:{line}: not UTF-8") from None


def load(path: str, *, models: bool = False) -> SchemaText:
    """The schema of a file with its imports in their place.

    Only with `models` may it be one of OpenFGA's: a `.fga` or `.json` file, or an `fga.mod` with
    its modules. Raises SchemaProblemsError, Failure and OSError.
    """
    if path == STANDARD:
        text = read_text(path)
        language = FGA if models and _looks_like_model(text) else "zed"
        return SchemaText(text, "standard input", language)
    if Path(path).suffix in MODEL_FILES:
        if models:
            return load_model(path)
        raise Failure(
            f"{path} is a model of OpenFGA",
            hint="say it in the `.zed` language with `stonetown schema convert`",
        )
    folder, read = Path(path).parent, 0
    original = read_text(path)

    def read_beside(name: str) -> str:
        nonlocal read
        read += 1
        return original if read == 1 else read_text(str(folder / name))

    try:
        joined = flatten_imports(Path(path).name, read_beside)
    except SchemaError as error:
        own = Path(path).name
        problems = [
            replace(problem, source=path if problem.source == own else str(folder / problem.source))
            for problem in error.problems
        ]
        raise SchemaProblemsError(path, problems, error.text) from None
    # A text of one file is sent as it stands, so that places in it are places in the file.
    return SchemaText(original, path) if read == 1 else SchemaText(joined, f"{path} with imports")


def _looks_like_model(text: str) -> bool:
    """Whether a text without a file's name is in OpenFGA's DSL or JSON: no `.zed` begins so."""
    words = without_comments(text).split(maxsplit=1)
    return is_json(text) or (bool(words) and words[0] in {"model", "module"})


def load_model(path: str) -> SchemaText:
    """An OpenFGA model: as the file has it, or in JSON if it is put together from modules.

    Raises SchemaProblemsError, Failure and OSError.
    """
    text = read_text(path)
    if Path(path).suffix != MANIFEST:
        return SchemaText(text, path, FGA)
    folder = Path(path).parent
    try:
        manifest = read_manifest(text)
    except DslError as error:
        problems = [item.as_problem(text) for item in error.problems[:MAX_PROBLEMS]]
        raise SchemaProblemsError(path, problems, text) from None
    names = [item.value for item in manifest.contents]
    files = [ModuleFile(name, read_text(str(folder / name))) for name in names]
    try:
        model = combine(files, manifest.schema.value)
    except DslError as error:
        texts = {file.name: file.text for file in files}
        problems = [
            replace(
                item.as_problem(texts.get(item.file, "")),
                source=str(folder / item.file) if item.file else "",
            )
            for item in error.problems[:MAX_PROBLEMS]
        ]
        raise SchemaProblemsError(path, problems, "") from None
    return SchemaText(json.dumps(encode_model(model)), path, FGA)


def compiled(loaded: SchemaText) -> Schema:
    """The schema, caveats compiled too. Raises SchemaProblemsError."""
    try:
        return compile_schema(loaded.text, loaded.language).schema
    except SchemaRefused as error:
        problems = error.extra["problems"]
        raise SchemaProblemsError(loaded.source, problems, loaded.text) from None


def render(problems: Sequence[Problem], text: str, source: str, label: str = "") -> str:
    """Problems as a person reads them; `label` stands before each message."""
    shown = [
        replace(problem, source=problem.source or source, message=f"{label}{problem.message}")
        for problem in problems
    ]
    return "\n".join(problem.render(text) for problem in shown)


def told(problems: Sequence[Problem], text: str) -> list[dict[str, Any]]:
    """Problems as JSON."""
    return [
        {**({"file": problem.source} if problem.source else {}), **schema_problem(problem, text)}
        for problem in problems
    ]
