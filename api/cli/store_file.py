"""OpenFGA's store files (`*.fga.yaml`): a model, tuples and tests, read into plain values.

    name: …
    model: | …                    or   model_file: path beside this file
    tuples: [{user, relation, object, condition: {name, context}}]   and tuple_file, tuple_files
    tests:
      - name: …
        tuples, tuple_file, tuple_files: as above, for this test alone
        check:        [{user or users, object or objects, context, assertions: {viewer: true}}]
        list_objects: [{user, type, context, assertions: {viewer: [document:1]}}]
        list_users:   [{object, user_filter: [{type, relation}], context,
                        assertions: {viewer: {users: [user:anne]}}}]

Source: `internal/storetest` of openfga/cli. A key that stands twice or is unknown is a problem, for
it would make a file pass that tests less than its author thinks.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from api.cli.validation_file import FileProblem, Located, ValidationFileError

SUFFIXES = (".fga.yaml", ".fga.yml")
_FILE = ("name", "model", "model_file", "tuples", "tuple_file", "tuple_files", "tests")
_TEST = ("name", "description", "tuples", "tuple_file", "tuple_files")
_QUESTIONS = ("check", "list_objects", "list_users")
_CHECK = ("user", "users", "object", "objects", "context", "assertions")
_OBJECTS = ("user", "type", "context", "assertions")
_USERS = ("object", "user_filter", "context", "assertions")
_TUPLE = ("user", "relation", "object", "condition")


class _Loader(yaml.SafeLoader):
    """Reads times as the text that they are."""


_Loader.yaml_implicit_resolvers = {
    first: [item for item in items if not item[0].endswith(":timestamp")]
    for first, items in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class StoredTuple:
    """A tuple as a file has it; `context` is None for none."""

    user: str
    relation: str
    object: str
    condition: str
    context: Mapping[str, Any]
    line: int


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a test and what it expects: `kind` is check, list_objects or list_users.

    `user` is the user asked for, and of list_users the filter as `type` or `type#relation`;
    `object` is the object, and of list_objects the type.
    """

    kind: str
    user: str
    relation: str
    object: str
    context: Mapping[str, Any]
    expected: bool | tuple[str, ...]
    line: int

    def __str__(self) -> str:
        if self.kind == "list_objects":
            return f"list of {self.object} by {self.relation} of {self.user}"
        if self.kind == "list_users":
            return f"list of {self.user} by {self.object}#{self.relation}"
        return f"{self.object}#{self.relation}@{self.user}"


@dataclass(frozen=True, slots=True)
class StoreTest:
    """One test: its own tuples, and its questions."""

    name: str
    tuples: tuple[StoredTuple, ...]
    questions: tuple[Question, ...]


@dataclass(slots=True)
class StoreFile:
    """What a file holds. `model_file` is beside it, "" if the model is in the file."""

    path: Path
    model: Located | None = None
    model_file: str = ""
    tuples: tuple[StoredTuple, ...] = ()
    tests: list[StoreTest] = field(default_factory=list)


def is_store_file(path: Path) -> bool:
    """Whether a file is one by its name."""
    return path.name.endswith(SUFFIXES)


def read_store_file(path: Path) -> StoreFile:
    """Read the file at `path` and its tuple files.

    Raises ValidationFileError with every problem, and OSError if it is unreadable.
    """
    reading = _Reading(path)
    made = reading.file(_compose(path, reading.problems))
    if reading.problems:
        raise ValidationFileError(path, tuple(reading.problems))
    return made


def _compose(path: Path, problems: list[FileProblem]) -> Node | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError:
        problems.append(FileProblem(f"{path.name} is not UTF-8", 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problems.append(FileProblem(f"{path.name} is not YAML: {error.problem}", line))
    except (yaml.YAMLError, RecursionError):
        problems.append(FileProblem(f"{path.name} is not YAML", 1))
    return None


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


class _Reading:
    def __init__(self, path: Path) -> None:
        self.problems: list[FileProblem] = []
        self._path = path

    def file(self, root: Node | None) -> StoreFile:
        made = StoreFile(self._path)
        if root is None:
            if not self.problems:
                self.problems.append(FileProblem("the file is empty", 1))
            return made
        parts = self._mapping(root, "the file", _FILE)
        if ("model" in parts) == ("model_file" in parts):
            self._problem(root, "expected either `model` or `model_file`, and not both")
        if "model" in parts:
            made.model = self._block(parts["model"])
        made.model_file = self._text(parts.get("model_file"), "model_file")
        made.tuples = self._all_tuples(parts)
        for node in self._sequence(parts.get("tests"), "tests"):
            made.tests.append(self._test(node))
        return made

    def _test(self, node: Node) -> StoreTest:
        parts = self._mapping(node, "a test", (*_TEST, *_QUESTIONS))
        questions: list[Question] = []
        for item in self._sequence(parts.get("check"), "check"):
            questions += self._checks(item)
        for item in self._sequence(parts.get("list_objects"), "list_objects"):
            questions += self._objects(item)
        for item in self._sequence(parts.get("list_users"), "list_users"):
            questions += self._users(item)
        name = self._text(parts.get("name"), "name")
        return StoreTest(name, self._all_tuples(parts), tuple(questions))

    # -- questions ------------------------------------------------------------------------------

    def _checks(self, node: Node) -> Iterator[Question]:
        parts = self._mapping(node, "a check", _CHECK)
        users = self._one_or_more(parts, "user", node)
        objects = self._one_or_more(parts, "object", node)
        context = self._context(parts.get("context"))
        for relation, value in self._assertions(parts, node):
            expected = self._value(value)
            if not isinstance(expected, bool):
                self._problem(value, f"expected true or false for `{relation}`")
                continue
            for user in users:
                for object_ in objects:
                    yield Question(
                        "check", user, relation, object_, context, expected, _line(value)
                    )

    def _objects(self, node: Node) -> Iterator[Question]:
        parts = self._mapping(node, "a list of objects", _OBJECTS)
        user, kind = self._text(parts.get("user"), "user"), self._text(parts.get("type"), "type")
        context = self._context(parts.get("context"))
        for relation, value in self._assertions(parts, node):
            expected = self._texts(value, relation)
            yield Question("list_objects", user, relation, kind, context, expected, _line(value))

    def _users(self, node: Node) -> Iterator[Question]:
        parts = self._mapping(node, "a list of users", _USERS)
        object_ = self._text(parts.get("object"), "object")
        context = self._context(parts.get("context"))
        filters = []
        for item in self._sequence(parts.get("user_filter"), "user_filter"):
            wanted = self._mapping(item, "a user filter", ("type", "relation"))
            kind = self._text(wanted.get("type"), "type")
            relation = self._text(wanted.get("relation"), "relation")
            filters.append(f"{kind}#{relation}" if relation else kind)
        if len(filters) != 1:
            self._problem(node, "expected one `user_filter`")
            return
        for relation, value in self._assertions(parts, node):
            users = self._mapping(value, relation, ("users",)).get("users")
            expected = () if users is None else self._texts(users, "users")
            line = _line(value)
            yield Question("list_users", filters[0], relation, object_, context, expected, line)

    def _assertions(self, parts: dict[str, Node], node: Node) -> list[tuple[str, Node]]:
        if "assertions" not in parts:
            self._problem(node, "expected `assertions`")
        return list(self._mapping(parts.get("assertions"), "assertions", None).items())

    def _one_or_more(self, parts: dict[str, Node], name: str, node: Node) -> tuple[str, ...]:
        one, more = parts.get(name), parts.get(f"{name}s")
        if (one is None) == (more is None):
            self._problem(node, f"expected either `{name}` or `{name}s`, and not both")
        if one is not None:
            return (self._text(one, name),)
        return () if more is None else self._texts(more, f"{name}s")

    # -- tuples ---------------------------------------------------------------------------------

    def _all_tuples(self, parts: dict[str, Node]) -> tuple[StoredTuple, ...]:
        made = [self._tuple(item) for item in self._sequence(parts.get("tuples"), "tuples")]
        files = [parts["tuple_file"]] if "tuple_file" in parts else []
        files += self._sequence(parts.get("tuple_files"), "tuple_files")
        for item in files:
            made += self._tuple_file(item)
        return tuple(made)

    def _tuple(self, node: Node, line: int = 0) -> StoredTuple:
        parts = self._mapping(node, "a tuple", _TUPLE)
        condition = self._mapping(parts.get("condition"), "condition", ("name", "context"))
        return StoredTuple(
            user=self._text(parts.get("user"), "user"),
            relation=self._text(parts.get("relation"), "relation"),
            object=self._text(parts.get("object"), "object"),
            condition=self._text(condition.get("name"), "name"),
            context=self._context(condition.get("context")),
            line=line or _line(node),
        )

    def _tuple_file(self, node: Node) -> Iterator[StoredTuple]:
        """The tuples of another file, all on the line that names it. Raises OSError."""
        line = _line(node)
        path = self._path.parent / self._text(node, "tuple_file")
        if path.suffix in {".csv", ".jsonl"}:
            text = path.read_text(encoding="utf-8-sig")
            try:
                found = _csv_tuples(text) if path.suffix == ".csv" else _json_lines(text)
                nodes = [yaml.compose(json.dumps(item), Loader=_Loader) for item in found]
            except ValueError as error:
                self._problem(node, f"{path.name}: {error}")
                return
        else:
            root = _compose(path, self.problems)
            nodes = [] if root is None else [*self._sequence(root, path.name)]
        for item in nodes:
            if item is not None:
                yield self._tuple(item, line)

    # -- values ---------------------------------------------------------------------------------

    def _value(self, node: Node) -> Any:
        return _Loader("").construct_object(node, deep=True)

    def _context(self, node: Node | None) -> dict[str, Any]:
        value = {} if node is None else self._value(node)
        if value is None or isinstance(value, dict):
            return dict(value or {})
        if node is not None:
            self._problem(node, "expected `context` to be a mapping")
        return {}

    def _text(self, node: Node | None, what: str) -> str:
        if node is None:
            return ""
        value = self._value(node)
        if isinstance(value, str):
            return value
        self._problem(node, f"expected text in `{what}`")
        return ""

    def _block(self, node: Node) -> Located:
        """A text in literal style is exactly in its lines of the file."""
        text = self._text(node, "model")
        mark = node.start_mark
        if getattr(node, "style", None) != "|":
            return Located(text, mark.line + 1, mark.column + 1)
        lines = self._path.read_text(encoding="utf-8-sig").split("\n")
        first = lines[mark.line + 1] if mark.line + 1 < len(lines) else ""
        indent = len(first) - len(first.lstrip())
        return Located(text, mark.line + 2, indent + 1, exact=True)

    def _texts(self, node: Node, what: str) -> tuple[str, ...]:
        return tuple(self._text(item, what) for item in self._sequence(node, what))

    def _sequence(self, node: Node | None, what: str) -> list[Node]:
        if node is None or node.tag.endswith(":null"):
            return []
        if isinstance(node, SequenceNode):
            return list(node.value)
        self._problem(node, f"expected `{what}` to be a list")
        return []

    def _mapping(
        self, node: Node | None, what: str, allowed: tuple[str, ...] | None
    ) -> dict[str, Node]:
        if node is None or node.tag.endswith(":null"):
            return {}
        if not isinstance(node, MappingNode):
            self._problem(node, f"expected `{what}` to be a mapping")
            return {}
        made: dict[str, Node] = {}
        for key, value in node.value:
            if key.value in made:
                self._problem(key, f"key `{key.value}` stands twice")
            elif allowed is not None and key.value not in allowed:
                self._problem(key, f"unknown key `{key.value}` in {what}")
            else:
                made[key.value] = value
        return made

    def _problem(self, node: Node, message: str) -> None:
        mark = node.start_mark
        self.problems.append(FileProblem(message, mark.line + 1, mark.column + 1))


def _json_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _csv_tuples(text: str) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file with the columns that OpenFGA's command line writes."""
    for row in csv.DictReader(io.StringIO(text)):
        told = {key: value or "" for key, value in row.items() if key}
        user = f"{told.get('user_type', '')}:{told.get('user_id', '')}"
        relation, condition = told.get("user_relation", ""), told.get("condition_name", "")
        made: dict[str, Any] = {
            "user": f"{user}#{relation}" if relation else user,
            "relation": told.get("relation", ""),
            "object": f"{told.get('object_type', '')}:{told.get('object_id', '')}",
        }
        if condition:
            context = told.get("condition_context", "")
            made["condition"] = {
                "name": condition,
                "context": json.loads(context) if context else {},
            }
        yield made
