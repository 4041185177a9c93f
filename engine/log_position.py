"""Positions in a changelog, as text that whoever follows it keeps for as long as they like.

A zookie is the position after its revision. A position inside a revision, or inside what is told
compacted, adds what was told last. It is not sealed: it leads nowhere where its holder may not go.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any, NamedTuple

from engine.consistency import Freshness
from engine.errors import EngineError, InvalidCursor, InvalidZookie
from engine.jsontext import parse_json
from engine.store.protocol import Snapshot, StoreRecord
from engine.tuples import Object, RelationTuple, Subject, format_time, parse_time
from engine.zookie import MAX_REVISION, encode

_SEPARATOR = "."
_FIELD = "after"


class LogPosition(NamedTuple):
    """After all changes up to `snapshot`; or, of its revision or of what is told `compacted` of
    the revisions up to it, after a revision's tuple of an identity, None for the beginning.
    `since` leaves out what is older."""

    snapshot: Snapshot
    after: tuple[int, RelationTuple] | None = None
    compacted: bool = False
    since: datetime | None = None

    def __str__(self) -> str:
        zookie = encode(self.snapshot)
        if self.after is None and not self.compacted:
            return zookie
        parts: list[Any] = [
            int(self.compacted),
            "" if self.since is None else format_time(self.since),
        ]
        if self.after is not None:
            revision, item = self.after
            parts += [revision, *item.object, item.relation, *item.subject]
        told = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
        return f"{zookie}{_SEPARATOR}{urlsafe_b64encode(told).rstrip(b'=').decode('ascii')}"


async def read_position(freshness: Freshness, record: StoreRecord, text: str) -> LogPosition:
    """The position in the store's changelog that `text` says. Raises InvalidCursor, and
    ZookieUnknown and SnapshotExpired as for its zookie."""
    zookie, _, told = text.partition(_SEPARATOR)
    try:
        snapshot = await freshness.resume(record, zookie, _FIELD)
    except InvalidZookie:
        raise _invalid() from None
    if not told:
        return LogPosition(snapshot)
    try:
        return _read(snapshot, parse_json(urlsafe_b64decode(told + "=" * (-len(told) % 4)), _FIELD))
    except (ValueError, EngineError):
        raise _invalid() from None


def _read(snapshot: Snapshot, parts: Any) -> LogPosition:
    """Raises ValueError and EngineError for what `LogPosition` does not write."""
    match parts:
        case [0 | 1 as compacted, str(since)]:
            after = None
        case [0 | 1 as compacted, str(since), int(revision), *identity]:
            after = (_revision(revision), _tuple(identity))
        case _:
            raise ValueError("not the parts of a position")
    within = after is not None and after[0] == snapshot.revision
    if not (compacted or within):
        raise ValueError("not in its revision")
    moment = parse_time(since, _FIELD) if since else None
    return LogPosition(snapshot, after, compacted=bool(compacted), since=moment)


def _revision(revision: int) -> int:
    if isinstance(revision, bool) or not 0 < revision <= MAX_REVISION:
        raise ValueError("not a revision")
    return revision


def _tuple(parts: list[Any]) -> RelationTuple:
    kind, id_, relation, subject_type, subject_id, subject_relation = parts
    if not all(isinstance(part, str) and part.isprintable() for part in parts):
        raise ValueError("not an identity")
    subject = Subject(subject_type, subject_id, subject_relation)
    return RelationTuple(Object(kind, id_), relation, subject)


def _invalid() -> InvalidCursor:
    return InvalidCursor(
        "not a position in this changelog",
        field=_FIELD,
        expected="the position that an earlier page ended with, unchanged",
    )
