"""`fga.mod`: the YAML file that names the modules of a model.

Source: `pkg/js/transformer/modules/mod-to-json.ts` of openfga/language, whose messages these are.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

import yaml

from schema.fga.dsl.problems import DslError, DslProblem, Place

VERSION = "1.2"
"""The only version of a model that may be made of modules."""
MAX_MANIFEST = 65_536
"""Characters of a manifest."""
_NOWHERE = Place(0, 0, 0, 0)
_STRING = "tag:yaml.org,2002:str"


class Located(NamedTuple):
    """A value of the manifest and where it stands."""

    value: str
    place: Place


class Manifest(NamedTuple):
    """The version and the files, as they are written, that a model is made of."""

    schema: Located
    contents: tuple[Located, ...]
    place: Place
    """Where the list of files stands."""


def read_manifest(text: str) -> Manifest:
    """The manifest that `text` holds. Raises DslError with every problem of it."""
    fields, problems = _fields(text)
    schema = _schema(fields.get("schema"), problems)
    contents = _contents(fields.get("contents"), problems)
    if problems or schema is None:
        raise DslError(problems)
    return Manifest(schema, contents, _place(fields["contents"]))


def _fields(text: str) -> tuple[dict[str, yaml.Node], list[DslProblem]]:
    problems: list[DslProblem] = []
    root: yaml.Node | None = None
    if len(text) > MAX_MANIFEST:
        return {}, [DslProblem(f"longer than {MAX_MANIFEST} characters", _NOWHERE)]
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _NOWHERE if mark is None else Place(mark.line, mark.line, mark.column, mark.column)
        problems.append(DslProblem(error.problem or "not YAML", place))
    except (yaml.YAMLError, RecursionError):
        problems.append(DslProblem("not YAML", _NOWHERE))
    fields: dict[str, yaml.Node] = {}
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value in fields:
            problems.append(DslProblem("Map keys must be unique", _place(key)))
        fields[key.value] = value
    return fields, problems


def _place(node: yaml.Node) -> Place:
    start, end = node.start_mark, node.end_mark
    return Place(start.line, end.line, start.column, end.column)


def _schema(node: yaml.Node | None, problems: list[DslProblem]) -> Located | None:
    if node is None:
        problems.append(DslProblem("missing schema field", _NOWHERE))
        return None
    if node.tag != _STRING:
        message = f"unexpected schema type, expected string got value {_value(node)}"
        problems.append(DslProblem(message, _place(node)))
        return None
    if node.value != VERSION:
        message = f"unsupported schema version, fga.mod only supported in version `{VERSION}`"
        problems.append(DslProblem(message, _place(node)))
        return None
    return Located(str(node.value), _place(node))


def _contents(node: yaml.Node | None, problems: list[DslProblem]) -> tuple[Located, ...]:
    if node is None:
        problems.append(DslProblem("missing contents field", _NOWHERE))
        return ()
    if not isinstance(node, yaml.SequenceNode):
        message = f"unexpected contents type, expected list of strings got value {_value(node)}"
        problems.append(DslProblem(message, _place(node)))
        return ()
    files = []
    for item in node.value:
        why = _file_problem(item)
        if why:
            problems.append(DslProblem(why, _place(item)))
        else:
            files.append(Located(str(item.value), _place(item)))
    return tuple(files)


def _file_problem(item: yaml.Node) -> str:
    if item.tag != _STRING:
        return f"unexpected contents item type, expected string got value {_value(item)}"
    path = unquote(item.value).replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/"):
        return f"invalid contents item {item.value}"
    if not path.endswith(".fga"):
        return f"contents items should use fga file extension, got {item.value}"
    return ""


def _value(node: yaml.Node) -> str:
    """A value that is no text, as it may be shown."""
    if isinstance(node, yaml.ScalarNode):
        return "null" if node.tag.endswith(":null") else str(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a map"
