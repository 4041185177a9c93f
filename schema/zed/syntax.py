"""What a `.zed` text says, before its names mean anything: the parser's output."""

from __future__ import annotations

from dataclasses import dataclass, field

from schema.model import ParameterType, SubjectType
from schema.problems import ProblemList
from schema.rewrite import Rewrite
from schema.source import Lines, Span
from schema.zed.tokens import Comment

FLAG_KEYWORDS: dict[str, frozenset[str]] = {
    "expiration": frozenset({"expiration", "and"}),
    "typechecking": frozenset({"typechecking"}),
    "self": frozenset({"self"}),
    "partial": frozenset({"partial"}),
    "import": frozenset({"import"}),
}
"""Each `use` flag and the words that it turns from names into keywords."""

KEYWORDS = frozenset({"definition", "caveat", "relation", "permission", "nil", "with"})
"""The words that are never names."""


@dataclass(slots=True)
class Mixed:
    """Different operators side by side without parentheses, and the two ways to read them."""

    span: Span
    ours: Rewrite
    conventional: Rewrite


@dataclass(slots=True)
class RelationNode:
    """`relation name: type | type`. `span` is the statement, `name_span` its name."""

    name: str
    subject_types: list[SubjectType]
    doc: str
    span: Span
    name_span: Span


@dataclass(slots=True)
class PermissionNode:
    """`permission name: type = expression`."""

    name: str
    rewrite: Rewrite
    annotation: tuple[str, ...]
    mixed: list[Mixed]
    doc: str
    span: Span
    name_span: Span


@dataclass(slots=True)
class SpliceNode:
    """`...name`: the members of a partial."""

    name: str
    span: Span
    name_span: Span


Member = RelationNode | PermissionNode | SpliceNode


@dataclass(slots=True)
class DefinitionNode:
    """`definition name { … }`, or `partial name { … }` when `partial` is set."""

    name: str
    members: list[Member]
    doc: str
    name_span: Span
    partial: bool = False


@dataclass(slots=True)
class CaveatNode:
    """`caveat name(parameter type, …) { CEL }`."""

    name: str
    parameters: list[tuple[str, ParameterType, Span]]
    expression: str
    expression_span: Span
    doc: str
    name_span: Span


@dataclass(slots=True)
class ImportNode:
    """`import "path"`."""

    path: str
    span: Span


@dataclass(slots=True)
class UseNode:
    """`use flag`."""

    flag: str
    span: Span


Statement = DefinitionNode | CaveatNode | ImportNode | UseNode


@dataclass(slots=True)
class Document:
    """A whole text. `broken` are statements that did not parse; `lost_names` says that one of
    them may have declared a name that nobody could read."""

    text: str
    lines: Lines
    statements: list[Statement] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    comments: list[Comment] = field(default_factory=list)
    problems: ProblemList = field(default_factory=ProblemList)
    broken: list[Span] = field(default_factory=list)
    lost_names: bool = False
