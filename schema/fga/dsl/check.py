"""What is wrong with a model in the eyes of OpenFGA's own tools, with places.

The server has rules of its own (`schema.fga.validate`) and takes, for one, conditions that nobody
uses. Source: `pkg/js/validator/validate-dsl.ts` of openfga/language; all problems of one kind are
told, and later kinds only where the earlier ones found none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cached_property

from schema.fga.dsl.problems import DslProblem, Place
from schema.fga.entrypoints import Entrypoints
from schema.fga.model import (
    NOWHERE,
    VERSIONS,
    AuthorizationModel,
    Origin,
    RelationDefinition,
    Restriction,
    TypeDefinition,
)
from schema.fga.validate import RESERVED
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Rewrite, This, Union
from schema.source import Span

TYPE_RULE = r"^[^:#@\*\s]{1,254}$"
RETIRED = ("1.0",)
"""Versions that there once were."""
RELATION_RULE = r"^[^:#@\*\s]{1,50}$"


class Kind(StrEnum):
    """OpenFGA's error types. Some are of languages before 1.1 and never told any more."""

    SCHEMA_VERSION_REQUIRED = "schema-version-required"
    SCHEMA_VERSION_UNSUPPORTED = "schema-version-unsupported"
    RESERVED_TYPE = "reserved-type-keywords"
    RESERVED_RELATION = "reserved-relation-keywords"
    SELF_ERROR = "self-error"
    INVALID_NAME = "invalid-name"
    MISSING_DEFINITION = "missing-definition"
    INVALID_RELATION_TYPE = "invalid-relation-type"
    INVALID_RELATION_ON_TUPLESET = "invalid-relation-on-tupleset"
    INVALID_TYPE = "invalid-type"
    NO_ENTRYPOINT = "relation-no-entry-point"
    TUPLESET_NOT_DIRECT = "tupleuserset-not-direct"
    DUPLICATED = "duplicated-error"
    SCHEMA_10_RESTRICTION = "allowed-type-schema-10"
    MUST_HAVE_TYPE = "assignable-relation-must-have-type"
    SCHEMA_10_TYPE = "allowed-type-not-valid-on-schema-1_0"
    INVALID_SCHEMA = "invalid-schema"
    INVALID_SYNTAX = "invalid-syntax"
    WILDCARD_RELATION = "type-wildcard-relation"
    CONDITION_NOT_DEFINED = "condition-not-defined"
    CONDITION_NOT_USED = "condition-not-used"
    DIFFERENT_NAME = "different-nested-condition-name"
    MULTIPLE_MODULES = "multiple-modules-in-file"


def check_model(model: AuthorizationModel) -> list[DslProblem]:
    """Every problem of `model`; one made from DSL has places."""
    return _Check(model).run()


class _Check:
    def __init__(self, model: AuthorizationModel) -> None:
        self._model = model
        self._problems: list[DslProblem] = []
        self._types = {kind.name: kind for kind in model.types}
        self._modules: dict[str, dict[str, None]] = {}

    @cached_property
    def _entry(self) -> Entrypoints:
        return Entrypoints(self._model)

    def run(self) -> list[DslProblem]:
        for kind in self._model.types:
            self._names(kind)
        version = self._model.schema_version
        if not version:
            place = Place(0, 0, 0, 0)
            kind_ = Kind.SCHEMA_VERSION_REQUIRED
            self._problems.append(DslProblem("schema version required", place, kind_))
        elif version in RETIRED:
            message, span = "schema version no longer supported", self._model.version_span
            self._tell(Kind.SCHEMA_VERSION_UNSUPPORTED, message, version, span)
        elif version not in VERSIONS:
            span = self._model.version_span
            self._tell(Kind.INVALID_SCHEMA, f"invalid schema {version}", version, span)
        elif not self._problems:
            self._meaning()
        for file, modules in self._modules.items():
            if len(modules) > 1:
                message = (
                    f"file {file} would contain multiple module definitions ({', '.join(modules)}) "
                    f"when transforming to DSL. Only one module can be defined per file."
                )
                self._tell(Kind.MULTIPLE_MODULES, message, file, None)
        return self._problems

    def _tell(
        self, kind: Kind, message: str, symbol: str, span: Span | None, origin: Origin = NOWHERE
    ) -> None:
        place = None
        if span is not None:
            line, column = span.line - 1, span.column - 1
            place = Place(line, line, column, column + len(symbol))
        self._problems.append(DslProblem(message, place, kind, symbol, origin.file))

    def _note_module(self, origin: Origin) -> None:
        if origin.file and origin.module:
            self._modules.setdefault(origin.file, {})[origin.module] = None

    # -- names ----------------------------------------------------------------------------------

    def _names(self, kind: TypeDefinition) -> None:
        self._note_module(kind.origin)
        if kind.name in RESERVED:
            message = "a type cannot be named 'self' or 'this'."
            self._tell(Kind.RESERVED_TYPE, message, kind.name, kind.span, kind.origin)
        if not _matches(TYPE_RULE, kind.name):
            message = f"type '{kind.name}' does not match naming rule: '{TYPE_RULE}'."
            self._tell(Kind.INVALID_NAME, message, kind.name, kind.span, kind.origin)
        for name, relation in kind.relations.items():
            origin = _origin(kind, relation)
            if name in RESERVED:
                message = "a relation cannot be named 'self' or 'this'."
                self._tell(Kind.RESERVED_RELATION, message, name, relation.span, origin)
            if not _matches(RELATION_RULE, name):
                message = (
                    f"relation '{name}' of type '{kind.name}' does not match naming rule: "
                    f"'{RELATION_RULE}'."
                )
                self._tell(Kind.INVALID_NAME, message, name, relation.span, origin)

    # -- meaning --------------------------------------------------------------------------------

    def _meaning(self) -> None:
        steps: tuple[Callable[[TypeDefinition], None], ...] = (
            self._relations,
            self._duplicates,
            self._entrypoints,
        )
        for step in steps:
            if not self._problems:
                self._seen: set[str] = set()
                for kind in self._model.types:
                    step(kind)
        self._conditions()

    def _relations(self, kind: TypeDefinition) -> None:
        for relation in kind.relations.values():
            for leaf in _broadly(relation.rewrite):
                self._leaf(kind, relation, leaf)

    def _leaf(self, kind: TypeDefinition, relation: RelationDefinition, leaf: Rewrite) -> None:
        origin = _origin(kind, relation)
        match leaf:
            case This():
                if not relation.restrictions:
                    message = "assignable relation '' must have types"
                    self._tell(Kind.MUST_HAVE_TYPE, message, "", leaf.span, origin)
                for item in relation.restrictions:
                    self._restriction(item, origin)
            case Computed(name) if name not in kind.relations:
                message = f"the relation `{name}` does not exist."
                self._tell(Kind.MISSING_DEFINITION, message, name, leaf.span, origin)
            case Arrow():
                self._arrow(kind, leaf, origin)
            case _:
                pass

    def _restriction(self, item: Restriction, origin: Origin) -> None:
        known = self._types.get(item.type)
        if known is None:
            message = f"`{item.type}` is not a valid type."
            self._tell(Kind.INVALID_TYPE, message, item.type, item.span, origin)
        if item.condition and item.condition not in self._model.conditions:
            message = f"`{item.condition}` is not a defined condition in the model."
            span = _condition_span(item)
            self._tell(Kind.CONDITION_NOT_DEFINED, message, item.condition, span, origin)
        if item.relation and (known is None or item.relation not in known.relations):
            message = f"`{item.relation}` is not a valid relation for `{item.type}`."
            symbol = f"{item.type}#{item.relation}"
            self._tell(Kind.INVALID_RELATION_TYPE, message, symbol, item.span, origin)

    def _arrow(self, kind: TypeDefinition, arrow: Arrow, origin: Origin) -> None:
        target, walked = arrow.target.relation, kind.relations.get(arrow.relation)
        symbol = f"{target} from {arrow.relation}"
        if walked is None:
            message = f"`{arrow.relation}` is not a valid relation for `{kind.name}`."
            self._tell(Kind.INVALID_RELATION_TYPE, message, symbol, arrow.span, origin)
            return
        if not isinstance(walked.rewrite, This):
            self._not_direct(arrow, origin)
            return
        lacking = []
        for item in walked.restrictions:
            if item.wildcard or item.relation:
                self._not_direct(arrow, origin)
            elif item.type not in self._types or target not in self._types[item.type].relations:
                lacking.append(item.type)
        if len(lacking) != len(walked.restrictions):
            return
        for name in lacking:
            message = (
                f"the `{target}` relation definition on type `{kind.name}` is not valid: "
                f"`{target}` does not exist on `{arrow.relation}`, which is of type `{name}`."
            )
            self._tell(Kind.INVALID_RELATION_ON_TUPLESET, message, symbol, arrow.span, origin)

    def _not_direct(self, arrow: Arrow, origin: Origin) -> None:
        message = f"`{arrow.relation}` relation used inside from allows only direct relation."
        span = arrow.span
        if span is not None:
            moved = span.end - len(arrow.relation)
            column = span.column + moved - span.start
            span = Span(moved, span.end, span.line, column)
        self._tell(Kind.TUPLESET_NOT_DIRECT, message, arrow.relation, span, origin)

    def _duplicates(self, kind: TypeDefinition) -> None:
        if kind.name in self._seen:
            first = next(item for item in self._model.types if item.name == kind.name)
            message = f"the type `{kind.name}` is a duplicate."
            self._tell(Kind.DUPLICATED, message, kind.name, first.span, kind.origin)
        self._seen.add(kind.name)
        for relation in kind.relations.values():
            origin, firsts = _origin(kind, relation), dict[str, Span | None]()
            for item in relation.restrictions:
                shown = str(item)
                if shown in firsts:
                    message = (
                        f"the type restriction `{shown}` is a duplicate in the relation "
                        f"`{relation.name}`."
                    )
                    self._tell(Kind.DUPLICATED, message, shown, firsts[shown], origin)
                firsts.setdefault(shown, item.span)
            self._partials(relation, kind.origin)

    def _partials(self, relation: RelationDefinition, origin: Origin) -> None:
        firsts: dict[str, Span | None] = {}
        for child in _operands(relation.rewrite):
            if isinstance(child, Arrow):
                shown = f"{child.target.relation} from {child.relation}"
            elif isinstance(child, Computed):
                shown = child.relation
            else:
                continue
            if shown in firsts:
                message = (
                    f"the partial relation definition `{shown}` is a duplicate in the relation "
                    f"`{relation.name}`."
                )
                self._tell(Kind.DUPLICATED, message, shown, firsts[shown], origin)
            firsts.setdefault(shown, child.span)

    def _entrypoints(self, kind: TypeDefinition) -> None:
        entry = self._entry
        for name, relation in kind.relations.items():
            origin = _origin(kind, relation)
            self._note_module(origin)
            if entry.has(kind.name, name):
                continue
            why = "potential loop" if entry.loops(kind.name, name) else "no entrypoint"
            message = f"`{name}` is an impossible relation for `{kind.name}` ({why})."
            self._tell(Kind.NO_ENTRYPOINT, message, name, relation.span, origin)

    def _conditions(self) -> None:
        used = {
            item.condition
            for kind in self._model.types
            for relation in kind.relations.values()
            for item in relation.restrictions
        }
        for key, condition in self._model.conditions.items():
            self._note_module(condition.origin)
            if key != condition.name:
                message = f"condition key is `{key}` but nested name property is {condition.name}"
                self._tell(Kind.DIFFERENT_NAME, message, condition.name, None)
            if key not in used:
                message = f"`{key}` condition is not used in the model."
                span, origin = condition.span, condition.origin
                self._tell(Kind.CONDITION_NOT_USED, message, key, span, origin)


def _matches(rule: str, name: str) -> bool:
    """The rules are told as they stand; in them `$` is the very end."""
    return re.fullmatch(rule.strip("^$"), name) is not None


def _origin(kind: TypeDefinition, relation: RelationDefinition) -> Origin:
    return relation.origin if relation.origin.file or relation.origin.module else kind.origin


def _condition_span(item: Restriction) -> Span | None:
    """The place of the condition's name: it ends the restriction, after single spaces."""
    span = item.span
    if span is None:
        return None
    before = len(str(item)) - len(item.condition)
    return Span(span.start + before, span.end + before, span.line, span.column + before)


def _operands(rewrite: Rewrite) -> tuple[Rewrite, ...]:
    match rewrite:
        case Union(children) | Intersection(children):
            return children
        case Exclusion(base, subtracted):
            return (base, subtracted)
        case _:
            return ()


def _broadly(rewrite: Rewrite) -> Iterator[Rewrite]:
    """The leaves, those that are nested least first."""
    pending = [rewrite]
    while pending:
        following: list[Rewrite] = []
        for node in pending:
            inner = _operands(node)
            following.extend(inner)
            if not inner:
                yield node
        pending = following
