"""Schemas made ready for the engine: parsed, type-checked, caveats and plans compiled, cached."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from engine.cache.shared import Lru
from engine.caveats import CaveatSet
from engine.entrances import Entrances
from engine.errors import SchemaNotFound, SchemaRefused, UnknownRelation, UnknownType
from engine.plan import Plan, Plans, SubjectForm
from engine.store.protocol import Snapshot, Storage
from schema import parse_schema
from schema.errors import SchemaError
from schema.model import ObjectType, Schema

_SCHEMAS_KEPT = 256
_WEIGHT_KEPT = 2 * 1024 * 1024
"""Characters of schema text whose compiled form is kept; a megabyte of text makes some 40 MB."""
_CAVEAT_WEIGHT = 4_000
"""What one caveat counts for beside its text, for it takes about 130 KB."""

_NAMES_KEPT = 4096

Key = tuple[str, int]
"""Store id and schema version."""


@dataclass(frozen=True)
class CompiledSchema:
    """A schema with its caveats compiled; its plans are compiled as they are first needed. `size`
    is the length of its text, `name` that of the version it is, "" for none."""

    schema: Schema
    caveats: CaveatSet
    size: int = 0
    name: str = ""

    @cached_property
    def plans(self) -> Plans:
        """The plans of this schema."""
        return Plans(self.schema)

    @cached_property
    def questions(self) -> dict[tuple[str, str, str, str], Plan | None]:
        """The plans of questions that were found valid before, by object type, name, subject type
        and subject relation; None for those that the schema alone denies."""
        return {}

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
        return CompiledSchema(schema, CaveatSet(schema), len(text))
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
        self._kept: Lru[Key, CompiledSchema] = Lru(_SCHEMAS_KEPT)
        self._weights: dict[Key, int] = {}
        self._making: dict[Key, asyncio.Task[CompiledSchema]] = {}
        self._named: Lru[tuple[str, str], int] = Lru(_NAMES_KEPT)

    async def at(self, snapshot: Snapshot) -> CompiledSchema:
        """The schema in force at a snapshot. Raises SchemaNotFound if there is none yet."""
        if not snapshot.schema_version:
            raise SchemaNotFound(
                "the store has no schema yet", expected="write one with PUT …/schema"
            )
        return await self._of((snapshot.store_id, snapshot.schema_version))

    def at_hand(self, snapshot: Snapshot) -> CompiledSchema | None:
        """The schema in force at a snapshot if it is compiled, else None."""
        return self._kept.used((snapshot.store_id, snapshot.schema_version))

    async def named(self, store_id: str, name: str) -> tuple[int, CompiledSchema]:
        """The version of a store's schema that has a name, and that schema. Raises UnknownSchema.

        A name stays with its version.
        """
        version = self._named.used((store_id, name))
        if version is None:
            record = await self._storage.named_schema(store_id, name)
            version = self._named.put((store_id, name), record.version)
        return version, await self._of((store_id, version))

    async def _of(self, key: Key) -> CompiledSchema:
        return self._kept.used(key) or await self._made(key)

    async def _made(self, key: Key) -> CompiledSchema:
        """Compile once for all who wait; one who is cancelled leaves it running for the others."""
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key))
            making.add_done_callback(lambda task: self._end(key, task))
        return await asyncio.shield(making)

    async def _make(self, key: Key) -> CompiledSchema:
        record = await self._storage.schema(*key)
        return replace(await compiled_apart(record.text, record.language), name=record.name)

    def _end(self, key: Key, making: asyncio.Task[CompiledSchema]) -> None:
        current = self._making.get(key) is making
        if current:
            del self._making[key]
        # An error that nobody waits for any more is asked for all the same.
        if making.cancelled() or making.exception() is not None or not current:
            return
        compiled = self._kept.put(key, making.result())
        self._weights[key] = _weight(compiled)
        self._drop_surplus()

    def _drop_surplus(self) -> None:
        """Keep what fits the memory of a worker, and always the one that was just compiled."""
        self._weights = {key: self._weights[key] for key in self._kept}
        while len(self._kept) > 1 and sum(self._weights.values()) > _WEIGHT_KEPT:
            key, _ = self._kept.popitem(last=False)
            del self._weights[key]

    def forget(self, store_id: str) -> None:
        """Drop every compiled schema of one store."""
        for known in (self._kept, self._making):
            for key in [key for key in known if key[0] == store_id]:
                del known[key]
        for named in [named for named in self._named if named[0] == store_id]:
            del self._named[named]


def _weight(compiled: CompiledSchema) -> int:
    return compiled.size + _CAVEAT_WEIGHT * len(compiled.schema.caveats)
