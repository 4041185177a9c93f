"""Modules put together to one model (schema 1.2).

Source: `pkg/js/transformer/modules/modules-to-model.ts` of openfga/language, whose messages and
order of problems these are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from schema.fga.dsl.build import Document, read_document
from schema.fga.dsl.check import check_model
from schema.fga.dsl.problems import DslError, DslProblem, Place
from schema.fga.manifest import VERSION
from schema.fga.model import (
    AuthorizationModel,
    Condition,
    Origin,
    RelationDefinition,
    TypeDefinition,
)
from schema.source import Span


class ModuleFile(NamedTuple):
    """A file of a modular model: its name as the manifest has it, and its text."""

    name: str
    text: str


def combine(files: Iterable[ModuleFile], version: str = VERSION) -> AuthorizationModel:
    """The model that the modules make together, each part with its module and file.

    Raises DslError with every problem of the files, and of the model that they make.
    """
    made = _Combined()
    for file in files:
        made.add(file)
    made.extend()
    model = AuthorizationModel(
        version, tuple(made.types.values()), MappingProxyType(made.conditions)
    )
    problems = [*made.problems, *check_model(model)]
    if problems:
        raise DslError(problems)
    return model


class _Combined:
    def __init__(self) -> None:
        self.types: dict[str, TypeDefinition] = {}
        self.conditions: dict[str, Condition] = {}
        self.problems: list[DslProblem] = []
        self._extensions: list[tuple[str, TypeDefinition]] = []

    def add(self, file: ModuleFile) -> None:
        document = read_document(file.text)
        if document.problems:
            self.problems += [item._replace(file=file.name) for item in document.problems]
            return
        if not document.module:
            place = Place(0, 0, 0, 0)
            self.problems.append(DslProblem("file is not a module", place, file=file.name))
            return
        self._add_types(file, document)
        for name, condition in document.model.conditions.items():
            if name in self.conditions:
                self._tell(f"duplicate condition {name}", name, condition.span, file.name)
            else:
                origin = Origin(document.module, file.name)
                self.conditions[name] = replace(condition, origin=origin)

    def _add_types(self, file: ModuleFile, document: Document) -> None:
        for kind in document.model.types:
            if kind.name in document.extended:
                self._extensions.append((file.name, kind))
            elif kind.name in self.types:
                message = f"duplicate type definition {kind.name}"
                self._tell(message, kind.name, kind.span, file.name)
            else:
                origin = Origin(document.module, file.name)
                self.types[kind.name] = replace(kind, origin=origin)

    def extend(self) -> None:
        """Give the extended types what they are extended by."""
        for file, extension in self._extensions:
            original = self.types.get(extension.name)
            if original is None:
                message = f"extended type {extension.name} does not exist"
                self._tell(message, extension.name, extension.span, file)
                continue
            relations: dict[str, RelationDefinition] = dict(original.relations)
            for name, relation in extension.relations.items():
                if name in relations:
                    message = f"relation {name} already exists on type {extension.name}"
                    self._tell(message, name, relation.span, file)
                else:
                    origin = Origin(relation.origin.module, file)
                    relations[name] = replace(relation, origin=origin)
            self.types[extension.name] = replace(original, relations=MappingProxyType(relations))

    def _tell(self, message: str, symbol: str, span: Span | None, file: str) -> None:
        place = None
        if span is not None:
            line, column = span.line - 1, span.column - 1
            place = Place(line, line, column, column + len(symbol))
        self.problems.append(DslProblem(message, place, symbol=symbol, file=file))
