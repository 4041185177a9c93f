"""SpiceDB's validation files: YAML read into plain values, each with the line it stands on.

    schema: …            or   schemaFile: path beside this file
    relationships: |
      document:readme#viewer@user:ann        one a line; blank lines and // comments are skipped
    assertions:
      assertTrue:     [ "document:readme#view@user:ann" ]
      assertCaveated: [ … ]
      assertFalse:    [ 'document:readme#view@user:bo with {"day": "monday"}' ]
    validation: { "document:readme#view": [ "[user:ann] is <document:readme#viewer>" ] }

Nothing here knows the engine: what the texts mean is for the reader of these values. A key that
stands twice, an unknown key and a value of another kind are problems, all reported at once,
because each of them would make a file pass that tests less than its author thinks.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

TRUE, CAVEATED, FALSE = "assertTrue", "assertCaveated", "assertFalse"
_KINDS = (TRUE, CAVEATED, FALSE)
_KEYS = ("schema", "schemaFile", "relationships", "assertions", "validation")
_TEXT_TAGS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:null"})


@dataclass(frozen=True, slots=True)
class Located:
    """A text and where it begins in the file; lines and columns count from 1.

    For a block in literal style (`|`) the lines of the text are lines of the file, `line` being
    the first; `exact` says so. Other styles join lines, and then only `line` is known.
    """

    text: str
    line: int
    column: int
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Assertion:
    """One assertion: `kind` is TRUE, CAVEATED or FALSE; `context` is JSON text, "" for none."""

    kind: str
    check: str
    context: str
    line: int

    def __str__(self) -> str:
        return f"{self.check} with {self.context}" if self.context else self.check


@dataclass(frozen=True, slots=True)
class ExpectedRelation:
    """One key of the `validation:` block, an `object#relation`, and the texts under it."""

    key: Located
    entries: tuple[Located, ...]


@dataclass(frozen=True, slots=True)
class ValidationFile:
    """What a file holds. Exactly one of `schema` and `schema_file` is there.

    `expected` is the `validation:` block.
    """

    path: Path
    schema: Located | None
    schema_file: Located | None
    relationships: tuple[Located, ...]
    assertions: tuple[Assertion, ...]
    expected: tuple[ExpectedRelation, ...]


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing that is wrong with a file, and where."""

    message: str
    line: int
    column: int = 1


class ValidationFileError(Exception):
    """A file is no validation file; `problems` says everything that is wrong, in file order."""

    def __init__(self, path: Path, problems: tuple[FileProblem, ...]) -> None:
        self.path = path
        self.problems = problems
        super().__init__(
            "\n".join(f"{path}:{item.line}:{item.column}: {item.message}" for item in problems)
        )


def read_validation_file(path: Path) -> ValidationFile:
    """Read and parse the file at `path`. Raises ValidationFileError, and OSError if unreadable."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValidationFileError(path, (FileProblem("not UTF-8", line),)) from None
    return parse_validation_file(text, path)


def parse_validation_file(text: str, path: Path) -> ValidationFile:
    """Parse the text of a validation file; `path` is for messages and `schemaFile`.

    Raises ValidationFileError.
    """
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = FileProblem(f"not YAML: {error.problem or error.context}", *place)
        raise ValidationFileError(path, (problem,)) from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = FileProblem(f"not YAML: {' '.join(str(error).split())}", 1)
        raise ValidationFileError(path, (problem,)) from None
    if len(documents) != 1:
        problem = FileProblem(f"expected one YAML document, found {len(documents)}", 1)
        raise ValidationFileError(path, (problem,))
    return _Reading(path, text.splitlines()).file(documents[0])


class _Reading:
    """One pass over the nodes of a file, gathering its problems."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._lines = lines
        self._problems: list[FileProblem] = []

    def file(self, root: Node) -> ValidationFile:
        parts = self._mapping(root, "the file", _KEYS)
        schema, schema_file = parts.get("schema"), parts.get("schemaFile")
        if (schema is None) == (schema_file is None):
            self._problem(root, "expected either `schema` or `schemaFile`, and not both")
        made = ValidationFile(
            path=self._path,
            schema=None if schema is None else self._text(schema, "schema"),
            schema_file=None if schema_file is None else self._text(schema_file, "schemaFile"),
            relationships=self._relationships(parts.get("relationships")),
            assertions=self._assertions(parts.get("assertions")),
            expected=self._expected(parts.get("validation")),
        )
        if self._problems:
            ordered = sorted(self._problems, key=lambda item: (item.line, item.column))
            raise ValidationFileError(self._path, tuple(ordered))
        return made

    def _relationships(self, node: Node | None) -> tuple[Located, ...]:
        if node is None:
            return ()
        block = self._text(node, "relationships")
        wanted = [line.strip() for line in block.text.splitlines()]
        wanted = [line for line in wanted if line and not line.startswith("//")]
        made = tuple(self._locate(node, wanted))
        first: dict[str, int] = {}
        for item in made:
            if item.text in first:
                message = f"the relationship stands twice, first on line {first[item.text]}"
                self._problems.append(FileProblem(message, item.line, item.column))
            first.setdefault(item.text, item.line)
        return made

    def _locate(self, node: Node, wanted: list[str]) -> Iterator[Located]:
        """Find each text in the source, in order: YAML's folding does not keep line numbers."""
        cursor, end = node.start_mark.line, node.end_mark.line
        for text in wanted:
            for number in range(cursor, min(end + 1, len(self._lines))):
                source = self._lines[number].strip()
                if (
                    source
                    and not source.startswith("//")
                    and (text in source or text.startswith(source))
                ):
                    cursor = number + 1
                    break
            else:
                number = node.start_mark.line
            line = self._lines[number]
            yield Located(text, number + 1, len(line) - len(line.lstrip()) + 1)

    def _assertions(self, node: Node | None) -> tuple[Assertion, ...]:
        parts = self._mapping(node, "assertions", _KINDS)
        made: list[Assertion] = []
        for kind, items in parts.items():
            for item in self._sequence(items, kind):
                text = self._text(item, kind)
                check, context = _split_context(text.text)
                if text.text.strip():
                    made.append(Assertion(kind, check, context, text.line))
                else:
                    self._problem(item, f"an entry of `{kind}` is empty")
        return tuple(made)

    def _expected(self, node: Node | None) -> tuple[ExpectedRelation, ...]:
        self._mapping(node, "validation", None)
        made = []
        for key, value in node.value if isinstance(node, MappingNode) else ():
            entries = tuple(
                self._text(item, "validation") for item in self._sequence(value, key.value)
            )
            made.append(ExpectedRelation(self._text(key, "validation"), entries))
        return tuple(made)

    def _mapping(
        self, node: Node | None, what: str, allowed: tuple[str, ...] | None
    ) -> dict[str, Node]:
        """The entries of a mapping; an absent or null one is empty. `allowed` None: any key."""
        if node is None or _is_null(node):
            return {}
        if not isinstance(node, MappingNode):
            self._problem(node, f"expected `{what}` to be a mapping, found {_kind(node)}")
            return {}
        made: dict[str, Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else ""
            if name in made:
                self._problem(key, f"key `{name}` stands twice")
            elif allowed is not None and name not in allowed:
                self._problem(key, f"unknown key `{name}` in {what}{_suggest(name, allowed)}")
            else:
                made[name] = value
        return made

    def _sequence(self, node: Node, what: str) -> list[Node]:
        if _is_null(node):
            return []
        if isinstance(node, SequenceNode):
            return list(node.value)
        self._problem(node, f"expected `{what}` to be a list, found {_kind(node)}")
        return []

    def _text(self, node: Node, what: str) -> Located:
        start = node.start_mark
        if not isinstance(node, ScalarNode) or node.tag not in _TEXT_TAGS:
            self._problem(node, f"expected text in `{what}`, found {_kind(node)}")
            return Located("", start.line + 1, start.column + 1)
        if node.style == "|":
            first = start.line + 1
            line = self._lines[first] if first < len(self._lines) else ""
            return Located(node.value, first + 1, len(line) - len(line.lstrip()) + 1, exact=True)
        text = "" if _is_null(node) else node.value
        return Located(text, start.line + 1, start.column + 1)

    def _problem(self, node: Node, message: str) -> None:
        mark = node.start_mark
        self._problems.append(FileProblem(message, mark.line + 1, mark.column + 1))


def _split_context(text: str) -> tuple[str, str]:
    """`check with {json}` apart; ids hold no whitespace, so the first ` with ` is the one."""
    words = text.strip().split(maxsplit=2)
    if len(words) == 3 and words[1] == "with":
        return words[0], words[2]
    return text.strip(), ""


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return f"`{node.value[:40]}`"


def _suggest(name: str, allowed: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; expected one of {', '.join(allowed)}"
