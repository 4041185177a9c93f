"""What changed between two snapshots, and which of it the differences in access rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from engine.asking import Ground, answer
from engine.budget import Budget
from engine.errors import BudgetExceeded
from engine.jsontext import parse_json_object
from engine.reader import Edge, Probe, Reader, Scan
from engine.requests import Check, Overlay
from engine.store.protocol import RevisionChanges, Snapshot, Storage
from engine.tuples import WILDCARD, Object, RelationTuple, Subject
from engine.zookie import encode

_STRANGER = ""
"""The id of a subject that no tuple names: what the wildcard says, it is."""
_AT_ONCE = 1_000
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Cause:
    """A revision with the tuples that it touched and that a difference rests on, or the moment at
    which tuples expired: then `zookie` is None, and `op` of its updates is `expire`."""

    zookie: str | None
    at: datetime
    actor: str
    metadata: Mapping[str, Any]
    schema_changed: bool
    updates: tuple[tuple[str, RelationTuple], ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """The revisions after one snapshot and up to another; `whole` says whether these are all."""

    revisions: tuple[RevisionChanges, ...]
    whole: bool

    @classmethod
    async def between(cls, storage: Storage, before: Snapshot, after: Snapshot) -> Changes:
        """Read them, up to 10,000 changes. Raises SnapshotExpired."""
        found: list[RevisionChanges] = []
        reached, count = before.revision, 0
        while reached < after.revision:
            if count >= _MOST:
                return cls(tuple(found), whole=False)
            part = await storage.changes(before.store_id, reached, _AT_ONCE)
            taken = [one for one in part if one.snapshot.revision <= after.revision]
            found += taken
            count += sum(max(1, len(one.changes)) for one in taken)
            reached = part[-1].snapshot.revision if part else after.revision
        return cls(tuple(found), whole=True)

    def under(self, overlay: Overlay | None) -> Changes:
        """Those that can be seen where an overlay lies over them: it hides what happened to its
        own tuples, and to the schema if it brings one."""
        if overlay is None:
            return self
        hidden = {item.identity for item in (*overlay.add, *overlay.remove)}
        seen = (
            one._replace(
                changes=tuple(each for each in one.changes if each.tuple.identity not in hidden),
                schema_changed=one.schema_changed and not overlay.brings_schema,
            )
            for one in self.revisions
        )
        return Changes(tuple(seen), self.whole)


class Standing(Protocol):
    """One side of a comparison; without a ground nobody is a member of anything there."""

    @property
    def ground(self) -> Ground | None:
        """What its answers stand on."""

    @property
    def now(self) -> datetime:
        """The time of its answers."""


class _Recording:
    """A reader that remembers what was asked of it, and the tuples that may expire."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.probes: set[Probe] = set()
        self.scans: set[Scan] = set()
        self.expiring: set[RelationTuple] = set()

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """See `Reader.fetch`."""
        edges, lists = await self._reader.fetch(probes, scans, limit)
        self.probes.update(probes)
        self.scans.update(scans)
        for probe, edge in zip(probes, edges, strict=True):
            self._note(probe[:3], edge)
        for scan, found in zip(scans, lists, strict=True):
            for each in found:
                self._note(scan[:3], each)
        return edges, lists

    def read(self, item: RelationTuple) -> bool:
        """Whether a tuple was looked for."""
        place = (*item.object, item.relation)
        return (
            Probe(*place, *item.subject) in self.probes
            or Scan(*place, only_usersets=False) in self.scans
            or (bool(item.subject.relation) and Scan(*place, only_usersets=True) in self.scans)
        )

    def _note(self, place: tuple[str, str, str], edge: Edge | None) -> None:
        if edge is not None and edge.expires_at is not None:
            kind, id_, relation = place
            subject = Subject(*edge[:3])
            self.expiring.add(RelationTuple(Object(kind, id_), relation, subject, *edge[3:]))


async def causes_of(
    pairs: Sequence[tuple[Object, Subject]],
    relation: str,
    sides: Sequence[Standing],
    changes: Changes,
    budget: Budget,
    context: Mapping[str, Any],
) -> tuple[tuple[Cause, ...], bool]:
    """What the difference of these pairs rests on, given a caveat context, in order, and whether
    that is all of it.

    A revision that touched what deciding them reads is told, though alone it may have changed
    nothing; so is every schema change. Raises what the readers raise.
    """
    whole = changes.whole
    recordings: list[_Recording] = []
    for side in sides:
        ground = side.ground
        if ground is None or not pairs:
            continue
        recording = _Recording(ground.reader)
        recordings.append(recording)
        heard = Ground(ground.compiled, recording, ground.now, ground.limits)
        asked = [Check(object_, relation, _asked(subject), context) for object_, subject in pairs]
        results = await answer(heard, asked, budget)
        whole = whole and not any(isinstance(one, BudgetExceeded) for one in results)
    causes = [_revision(one, recordings) for one in changes.revisions] if pairs else []
    found = [one for one in causes if one.updates or one.schema_changed]
    found += _expiries(recordings, sides[0].now, sides[1].now)
    return tuple(sorted(found, key=lambda one: one.at)), whole


def _asked(subject: Subject) -> Subject:
    return subject._replace(id=_STRANGER) if subject.id == WILDCARD else subject


def _revision(one: RevisionChanges, recordings: Sequence[_Recording]) -> Cause:
    updates = tuple(
        (str(change.op), change.tuple)
        for change in one.changes
        if any(recording.read(change.tuple) for recording in recordings)
    )
    metadata = parse_json_object(one.metadata, "metadata") if one.metadata else {}
    at = one.snapshot.committed_at
    return Cause(encode(one.snapshot), at, one.actor, metadata, one.schema_changed, updates)


def _expiries(recordings: Sequence[_Recording], before: datetime, after: datetime) -> list[Cause]:
    moments: dict[datetime, set[RelationTuple]] = {}
    for recording in recordings:
        for item in recording.expiring:
            if item.expires_at is not None and before < item.expires_at <= after:
                moments.setdefault(item.expires_at, set()).add(item)
    return [
        Cause(None, at, "", {}, False, tuple(("expire", item) for item in sorted(items, key=str)))
        for at, items in moments.items()
    ]
