"""Schema writes: what changes between two schemas, and which stored tuples would be orphaned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from engine.errors import Unavailable
from engine.limits import Limits
from engine.requests import SchemaWritten
from engine.schemas import CompiledSchema, Schemas, compiled_apart
from engine.store.protocol import (
    Idempotency,
    SchemaCommand,
    SchemaMoved,
    Shape,
    Snapshot,
    Storage,
    StoreRecord,
)
from engine.tuples import RelationTuple
from engine.write import check_size
from engine.zookie import encode
from schema import diff_schemas, lint_schema
from schema.errors import Problem
from schema.model import Schema

_BLOCKING_SHOWN = 10
_RETRIES = 5


def removed_shapes(old: Schema, new: Schema) -> list[Shape]:
    """The tuple forms that `old` allows and `new` does not, or whose caveat now means another
    thing: a parameter was removed or has another type, so that stored contexts may not fit."""
    return [*_no_longer_allowed(old, new), *_with_changed_caveat(old, new)]


def _no_longer_allowed(old: Schema, new: Schema) -> Iterator[Shape]:
    for type_name, object_type in old.object_types.items():
        kept = new.object_types.get(type_name)
        for name, relation in object_type.relations.items():
            still = None if kept is None else kept.relations.get(name)
            if still is None:
                yield Shape(type_name, name)
                continue
            for allowed in relation.subject_types:
                if allowed not in still.subject_types:
                    yield Shape(
                        type_name,
                        name,
                        allowed.type,
                        allowed.relation,
                        allowed.wildcard,
                        allowed.caveat,
                        allowed.expiration,
                    )


def _with_changed_caveat(old: Schema, new: Schema) -> Iterator[Shape]:
    changed = {
        name
        for name, caveat in old.caveats.items()
        if name in new.caveats
        and any(
            new.caveats[name].parameters.get(parameter) != type_
            for parameter, type_ in caveat.parameters.items()
        )
    }
    for type_name, object_type in new.object_types.items():
        for name, relation in object_type.relations.items():
            for caveat_name in {allowed.caveat for allowed in relation.subject_types} & changed:
                yield Shape(type_name, name, caveat=caveat_name)


class Wanted(NamedTuple):
    """A schema that somebody wants in force. `metadata` is canonical JSON text."""

    text: str
    language: str
    now: datetime
    metadata: str
    actor: str
    idempotency: Idempotency | None
    name: str = ""

    @property
    def stands_beside(self) -> bool:
        """Whether it stands beside the versions before it, whose tuples stay: what the one in
        force does not allow is not followed. Else it takes their place."""
        return self.language == "fga"


class Change:
    """One change of a store's schema, to be looked at or made."""

    def __init__(self, storage: Storage, schemas: Schemas, limits: Limits) -> None:
        self._storage = storage
        self._schemas = schemas
        self._limits = limits

    async def preview(self, record: StoreRecord, wanted: Wanted) -> SchemaWritten:
        """What the write would change and which tuples would block it. Raises SchemaRefused."""
        compiled = await self._compile(wanted)
        snapshot = (await self._storage.head(record.id)).snapshot
        made = await self._compared(snapshot, compiled.schema, wanted)
        blocking = await self._storage.tuples_of_shapes(
            record.id, made.removed, wanted.now, _BLOCKING_SHOWN
        )
        return made.told(snapshot, tuple(blocking))

    async def write(self, record: StoreRecord, wanted: Wanted) -> tuple[SchemaWritten, Snapshot]:
        """Make the change. Raises SchemaRefused, SchemaInUse, SchemaExists and
        IdempotencyConflict."""
        compiled = await self._compile(wanted)
        for _ in range(_RETRIES):
            before = (await self._storage.head(record.id)).snapshot
            made = await self._compared(before, compiled.schema, wanted)
            command = SchemaCommand(
                wanted.text,
                wanted.language,
                None if wanted.stands_beside else before.schema_version,
                made.removed,
                wanted.now,
                wanted.metadata,
                wanted.actor,
                wanted.idempotency,
                wanted.name,
            )
            try:
                snapshot = await self._storage.put_schema(record.id, command)
            except SchemaMoved:
                continue
            return made.told(snapshot, ()), snapshot
        raise schema_keeps_moving()

    async def _compile(self, wanted: Wanted) -> CompiledSchema:
        check_size(wanted.text, self._limits.schema_bytes, "schema")
        return await compiled_apart(wanted.text, wanted.language)

    async def _compared(self, before: Snapshot, new: Schema, wanted: Wanted) -> Comparison:
        """The new schema beside the one in force, before anything is written and in a thread: for
        a large schema it takes seconds."""
        if wanted.stands_beside:
            return Comparison([], (), ())
        old = (await self._schemas.at(before)).schema if before.schema_version else Schema()
        return await asyncio.to_thread(_compare, old, new, wanted.text)


class Comparison(NamedTuple):
    """What a schema would change: the tuple forms that go, and what its author is told."""

    removed: list[Shape]
    changes: tuple[dict[str, str], ...]
    warnings: tuple[dict[str, Any], ...]

    def told(self, snapshot: Snapshot, blocking: tuple[RelationTuple, ...]) -> SchemaWritten:
        """The answer to the author; `snapshot` is the one with the schema in force."""
        return SchemaWritten(
            snapshot.schema_version, encode(snapshot), self.changes, self.warnings, blocking
        )


def _compare(old: Schema, new: Schema, text: str) -> Comparison:
    changes = tuple(
        {"kind": str(change.kind), "text": str(change)} for change in diff_schemas(old, new)
    )
    warnings = tuple(_warning(problem) for problem in lint_schema(text))
    return Comparison(removed_shapes(old, new), changes, warnings)


def _warning(problem: Problem) -> dict[str, Any]:
    shown: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.span is not None:
        shown |= {"line": problem.span.line, "column": problem.span.column}
    return shown


def schema_keeps_moving() -> Unavailable:
    """The error for a write that met a new schema at every try."""
    return Unavailable("the schema keeps changing under this write", expected="try again")
