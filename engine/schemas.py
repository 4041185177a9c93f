"""Schemas made ready for the engine: parsed, type-checked, caveats and plans compiled, cached."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from engine.cache.shared import Lru
from engine.caveats import CaveatSet
from engine.entrances import Entrances
from engine.errors import SchemaNotFound, SchemaRefused, UnknownRelation, UnknownType
from engine.plan import Plans, SubjectForm
from engine.store.protocol import Snapshot, Storage
from schema import parse_schema
from schema.errors import SchemaError
from schema.model import ObjectType, Schema

_SCHEMAS_KEPT = 256


@dataclass(frozen=True)
class CompiledSchema:
    """A schema with its caveats compiled; its plans are compiled as they are first needed."""

    schema: Schema
    caveats: CaveatSet

    @cached_property
    def plans(self) -> Plans:
        """The plans of this schema."""
        return Plans(self.schema)

    @cached_property
    def _entrances(self) -> dict[SubjectForm, Entrances]:
        return {}

    def entrances(self, form: SubjectForm) -> Entrances:
        """The ways in for a form of subject, which must be in the schema."""
        found = self._entrances.get(form)
        if found is None:
            found = self._entrances[form] = Entrances(self.plans.for_subject(*form))
        return found

    def object_type(self, name: str, field: str) -> ObjectType:
        """The object type of this name. Raises UnknownType naming `field`."""
        found = self.schema.object_types.get(name)
        if found is None:
            raise UnknownType(
                f"the schema has no object type `{name}`",
                field=field,
                expected=one_of(name, self.schema.object_types, "object types"),
            )
        return found

    def require(self, object_type: str, name: str, type_field: str, field: str) -> None:
        """Make sure that `object_type#name` exists. Raises UnknownType or UnknownRelation."""
        known = self.object_type(object_type, type_field)
        if known.rewrite_of(name) is None:
            raise UnknownRelation(
                f"`{object_type}` has no relation or permission `{name}`",
                field=field,
                expected=one_of(name, known.names, "relations and permissions"),
            )


def one_of(name: str, known: Iterable[str], what: str) -> str:
    """Words for "expected": the close matches if there are some, else what there is."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3)
    listed = ", ".join(f"`{item}`" for item in close or names[:20])
    if close:
        return f"did you mean {listed}?"
    return f"one of the {what} {listed}" if listed else f"the schema has no {what}"


def compile_schema(text: str, language: str = "zed") -> CompiledSchema:
    """Parse, check and compile a schema text.

    Raises SchemaRefused with every problem of the text, the caveats' included.
    """
    try:
        schema = parse_schema(text, language)
        return CompiledSchema(schema, CaveatSet(schema))
    except SchemaError as error:
        count = len(error.problems)
        raise SchemaRefused(
            f"the schema has {count} problem{'s' if count != 1 else ''}: "
            f"{error.problems[0].message}",
            field="schema",
            problems=error.problems,
            text=text,
        ) from error


async def compiled_apart(text: str, language: str) -> CompiledSchema:
    """As `compile_schema`, in a thread: a large schema takes seconds, and others need not wait."""
    return await asyncio.to_thread(compile_schema, text, language)


class Schemas:
    """The compiled schemas of the stores, loaded once per version and kept while they are used.

    `forget` is for a store whose lineage changed, where a version may now mean another text.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._kept: Lru[tuple[str, int], CompiledSchema] = Lru(_SCHEMAS_KEPT)

    async def at(self, snapshot: Snapshot) -> CompiledSchema:
        """The schema in force at a snapshot. Raises SchemaNotFound if there is none yet."""
        if not snapshot.schema_version:
            raise SchemaNotFound(
                "the store has no schema yet", expected="write one with PUT …/schema"
            )
        key = (snapshot.store_id, snapshot.schema_version)
        compiled = self._kept.used(key)
        if compiled is None:
            record = await self._storage.schema(snapshot.store_id, snapshot.schema_version)
            compiled = self._kept.put(key, await compiled_apart(record.text, record.language))
        return compiled

    def forget(self, store_id: str) -> None:
        """Drop every compiled schema of one store."""
        for key in [key for key in self._kept if key[0] == store_id]:
            del self._kept[key]
