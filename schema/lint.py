"""Warnings: what is allowed in a schema and seldom meant.

Each has a name. A line comment above a relation or permission, or on its lines, silences it there:
`// ignore-warning: <name>`, also as SpiceDB's `// spicedb-ignore-warning: <name>`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import itemgetter

from schema.errors import Problem
from schema.model import ObjectType, Schema
from schema.problems import quote
from schema.rewrite import Arrow, Computed
from schema.source import Span
from schema.typecheck import left_span, references
from schema.walk import ArrowWalk
from schema.zed.language import checked
from schema.zed.lower import expanded_members
from schema.zed.parse import parse_document
from schema.zed.print import print_rewrite
from schema.zed.syntax import Document, Mixed, PermissionNode, RelationNode

WARNINGS = (
    "mixed-operators",
    "relation-name-references-parent",
    "permission-references-itself",
    "arrow-references-unreachable-relation",
    "arrow-walks-subject-relation",
    "arrow-references-relation",
)
"""The names of the warnings; `code` of a warning is one of them."""

_IGNORE = re.compile(r"//\s*(?:spicedb-)?ignore-warning:\s*([a-z, -]+)")
_MAX_WARNINGS = 1000
_MAX_READING = 400


def lint_schema(text: str) -> tuple[Problem, ...]:
    """The warnings of a `.zed` text, in its order, at most the first 1,000.

    Raises SchemaSyntaxError or SchemaTypeError, as `parse_schema` does, for a text with errors.
    """
    document = parse_document(text)
    schema = checked(document)
    silenced = _Silenced(document)
    walk = ArrowWalk(schema)
    found: dict[tuple[str, str, int], Problem] = {}
    for type_name, members in expanded_members(document):
        object_type = schema.object_types[type_name]
        lint = _Lint(schema, object_type, walk)
        for member in members.values():
            for code, message, span in lint.member(member):
                if len(found) < _MAX_WARNINGS and not silenced.covers(code, member):
                    found.setdefault((code, message, span.start), Problem(code, message, span))
    return tuple(sorted(found.values(), key=lambda p: p.span.start if p.span else -1))


Warned = Iterator[tuple[str, str, Span]]


class _Lint:
    """The warnings of one object type."""

    def __init__(self, schema: Schema, object_type: ObjectType, walk: ArrowWalk) -> None:
        self._schema = schema
        self._type = object_type
        self._walk = walk

    def member(self, member: RelationNode | PermissionNode) -> Warned:
        """The warnings of one relation or permission: code, message, place."""
        yield from self._name(member)
        if isinstance(member, RelationNode):
            return
        for mixed in member.mixed:
            yield "mixed-operators", _readings(mixed), mixed.span
        for node in references(member.rewrite):
            if isinstance(node, Arrow):
                yield from self._arrow(node)
            elif node.relation == member.name:
                message = f"{quote(member.name)} refers to itself, which adds nothing to it"
                yield "permission-references-itself", message, node.span or member.name_span

    def _name(self, member: RelationNode | PermissionNode) -> Warned:
        parent = self._type.name.rpartition("/")[2]
        if len(parent) >= 3 and member.name.endswith(parent):
            kind = "relation" if isinstance(member, RelationNode) else "permission"
            message = (
                f"the name of the {kind} {quote(member.name)} repeats its type "
                f"{quote(self._type.name)}, which everyone who uses it names anyway"
            )
            yield "relation-name-references-parent", message, member.name_span

    def _arrow(self, arrow: Arrow) -> Warned:
        """The warnings of each step of an arrow."""
        types = frozenset((self._type.name,))
        step: Arrow | Computed = arrow
        while isinstance(step, Arrow):
            span = left_span(step)
            if span is not None:
                yield from self._subject_relation(step, types, span)
            types = self._walk.step(step.relation, types)
            if isinstance(step.target, Computed):
                yield from self._target(step, step.target.relation, types)
            step = step.target

    def _subject_relation(self, step: Arrow, types: frozenset[str], span: Span) -> Warned:
        sources = self._walk.meet(types, self._walk.with_usersets(step.relation))
        if sources:
            source = self._walk.in_order(sources)[0]
            relation = self._schema.object_types[source].relations[step.relation]
            allowed = next(s for s in relation.subject_types if s.relation)
            form = f"{allowed.type}#{allowed.relation}"
            message = (
                f"{quote(f'{source}#{step.relation}')} allows {quote(form)}, but an arrow "
                f"walks to the {quote(allowed.type)} and ignores the subject relation"
            )
            yield "arrow-walks-subject-relation", message, span

    def _target(self, step: Arrow, name: str, types: frozenset[str]) -> Warned:
        span = step.target.span or step.span
        if span is None:
            return
        if not self._walk.having(name, types):
            message = (
                f"no type that {quote(step.relation)} leads to has a relation or permission "
                f"{quote(name)}, so this arrow never grants anything"
            )
            yield "arrow-references-unreachable-relation", message, span
        stored = self._walk.sources(name, types)
        if stored:
            kind = self._walk.in_order(stored)[0]
            message = (
                f"{quote(f'{kind}#{name}')} is a relation: an arrow to a permission lets "
                f"{quote(kind)} change how it is computed"
            )
            yield "arrow-references-relation", message, span


def _readings(mixed: Mixed) -> str:
    ours, other = print_rewrite(mixed.ours), print_rewrite(mixed.conventional)
    if mixed.ours == mixed.conventional:
        return f"operators are mixed: write {_short(ours)} with its parentheses"
    return (
        f"operators are mixed: this reads as {_short(ours)}, since `+` binds tightest, then `&`, "
        f"then `-`; where `&` binds tightest it would read as {_short(other)}"
    )


def _short(text: str) -> str:
    return f"`{text}`" if len(text) <= _MAX_READING else f"`{text[: _MAX_READING - 1]}…`"


class _Silenced:
    """Which comments silence which warnings."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._all = document.comments
        self._starts = [comment.start for comment in self._all]
        self._silencing: list[tuple[int, frozenset[str]]] = []
        for comment in self._all:
            match = _IGNORE.match(comment.text) if comment.kind == "comment" else None
            if match is not None:
                names = frozenset(name.strip() for name in match.group(1).split(","))
                self._silencing.append((comment.start, names))

    def covers(self, code: str, member: RelationNode | PermissionNode) -> bool:
        """Whether a comment above `member` or on its lines silences the warning `code`."""
        if not self._silencing:
            return False
        start = self._comments_above(member.span.start)
        end = self._text.find("\n", member.span.end)
        end = len(self._text) if end < 0 else end
        first = bisect_left(self._silencing, start, key=itemgetter(0))
        last = bisect_right(self._silencing, end, key=itemgetter(0))
        return any(code in names for _, names in self._silencing[first:last])

    def _comments_above(self, start: int) -> int:
        """Where the comments begin that stand on lines of their own right above `start`."""
        index = bisect_left(self._starts, start) - 1
        while index >= 0:
            comment = self._all[index]
            line_start = self._text.rfind("\n", 0, comment.start) + 1
            alone = not self._text[line_start : comment.start].strip()
            if not alone or self._text[comment.end : start].strip():
                break
            start = comment.start
            index -= 1
        return start
