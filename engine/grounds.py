"""What a question stands on: a snapshot as it is, or with an overlay that the request brings."""

from __future__ import annotations

from datetime import datetime

from engine.asking import Ground, checked_overlay
from engine.cache.shared import Lru
from engine.digest import Part, digest, of_tuples
from engine.errors import InvalidRequest, SchemaRefused
from engine.limits import Limits
from engine.reader import ReverseReader
from engine.requests import Overlay
from engine.schemas import CompiledSchema, Schemas, compiled_apart
from engine.store.protocol import Snapshot, Storage
from engine.store.reverse_overlay import ReverseOverlayReader
from engine.write import check_count, check_size

_SCHEMAS_KEPT = 8
_LARGEST_KEPT = 64 * 1024
"""Characters of the largest schema text that is kept compiled: it takes some 2.5 MB then."""


class Grounds:
    """Makes the ground of every question that is evaluated.

    The schemas of overlays are kept compiled while they are used, by their text: they belong to
    no store and are in force nowhere.
    """

    def __init__(self, storage: Storage, schemas: Schemas, limits: Limits) -> None:
        self._storage = storage
        self._schemas = schemas
        self._limits = limits
        self._proposed: Lru[bytes, CompiledSchema] = Lru(_SCHEMAS_KEPT)

    async def at(
        self, snapshot: Snapshot, now: datetime, overlay: Overlay | None = None
    ) -> tuple[Ground, ReverseReader]:
        """The ground at a snapshot, and its reader from subjects to objects.

        Raises SchemaNotFound; and for the overlay SchemaRefused, UnknownSchema, LimitExceeded,
        InvalidRequest for a tuple that stands twice or for two schemas, and as a write of the added
        tuples under the schema that the request is answered by.
        """
        reader: ReverseReader = self._storage.reader(snapshot)
        if overlay is None:
            return Ground(await self._schemas.at(snapshot), reader, now, self._limits), reader
        compiled, in_force = await self._schema(snapshot, overlay)
        if in_force and not overlay.add and not overlay.remove:
            return Ground(compiled, reader, now, self._limits), reader
        overlay = _checked(Ground(compiled, reader, now, self._limits), overlay)
        if overlay.add or overlay.remove:
            reader = ReverseOverlayReader(reader, overlay.add, overlay.remove)
        return Ground(compiled, reader, now, self._limits, overlay), reader

    def at_hand(self, snapshot: Snapshot, now: datetime) -> Ground | None:
        """The ground at a snapshot whose schema is compiled; else None."""
        compiled = self._schemas.at_hand(snapshot)
        if compiled is None:
            return None
        return Ground(compiled, self._storage.reader(snapshot), now, self._limits)

    async def _schema(self, snapshot: Snapshot, overlay: Overlay) -> tuple[CompiledSchema, bool]:
        """The schema under an overlay, and whether it is in force at the snapshot anyway."""
        if overlay.named is None:
            if overlay.schema is None:
                return await self._schemas.at(snapshot), True
            return await self._compiled(overlay.schema), False
        if overlay.schema is not None:
            raise InvalidRequest("two schemas", field="overlay", expected="`schema` or a name")
        version, compiled = await self._schemas.named(snapshot.store_id, overlay.named)
        return compiled, version == snapshot.schema_version

    async def _compiled(self, text: str) -> CompiledSchema:
        check_size(text, self._limits.schema_bytes, "overlay.schema")
        key = digest(text)
        compiled = self._proposed.used(key)
        if compiled is None:
            try:
                compiled = await compiled_apart(text, "zed")
            except SchemaRefused as error:
                error.field = "overlay.schema"
                raise
            if len(text) <= _LARGEST_KEPT:
                self._proposed.put(key, compiled)
        return compiled


def arguments_of(overlay: Overlay | None) -> Part:
    """The overlay as a part of what a cursor is bound to."""
    if overlay is None:
        return None
    return (of_tuples(overlay.add), of_tuples(overlay.remove), overlay.schema, overlay.named)


def _checked(ground: Ground, overlay: Overlay) -> Overlay:
    """The overlay as it may be used. Of removed tuples the identity alone matters, so that those
    which the schema does not allow can be removed."""
    check_count(len(overlay.add) + len(overlay.remove), ground.limits.contextual_tuples, "overlay")
    seen = {item.identity for item in overlay.add}
    for index, item in enumerate(overlay.remove):
        if item.identity in seen:
            raise InvalidRequest(
                f"`{item}` stands twice",
                field=f"overlay.remove[{index}]",
                expected="each tuple once in an overlay",
            )
        seen.add(item.identity)
    added = checked_overlay(ground, overlay.add, "overlay.add")
    return Overlay(added, tuple(overlay.remove), overlay.schema, overlay.named)
