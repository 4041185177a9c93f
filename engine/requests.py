"""What the engine is asked and what it answers: frozen values, wire-free, validated in parts.

Times are aware UTC datetimes; contexts are plain JSON objects as `engine.jsontext` parses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from engine.decision import Decision
from engine.errors import EngineError
from engine.store.protocol import Precondition, TupleFilter, Update
from engine.tuples import Object, RelationTuple, Subject


@dataclass(frozen=True, slots=True)
class MinimizeLatency:
    """The newest snapshot this node knows; at most the staleness bound old."""


@dataclass(frozen=True, slots=True)
class FullyConsistent:
    """The head, asked of the source of truth for this request."""


@dataclass(frozen=True, slots=True)
class AtLeastAsFresh:
    """Any snapshot at or after the zookie's."""

    zookie: str


@dataclass(frozen=True, slots=True)
class AtExactSnapshot:
    """The zookie's own snapshot, inside the history window."""

    zookie: str


@dataclass(frozen=True, slots=True)
class AtTime:
    """The newest snapshot committed at or before a moment inside the history window."""

    moment: datetime


Consistency = MinimizeLatency | FullyConsistent | AtLeastAsFresh | AtExactSnapshot | AtTime
MINIMIZE_LATENCY = MinimizeLatency()
FULLY_CONSISTENT = FullyConsistent()


@dataclass(frozen=True, slots=True)
class Overlay:
    """What counts for one request, as if it had been written: tuples added and removed, of which
    the identity alone matters, and another schema if one is given: its text, in `zed`, or the name
    of a version of the store's, which may be newer than the snapshot."""

    add: Sequence[RelationTuple] = ()
    remove: Sequence[RelationTuple] = ()
    schema: str | None = None
    named: str | None = None

    @property
    def brings_schema(self) -> bool:
        """Whether the request is answered by another schema than the snapshot's."""
        return self.schema is not None or self.named is not None


@dataclass(slots=True)
class Check:
    """Is `subject` a member of `object#relation` (a relation or a permission)? Never changed: it
    is not frozen only because that makes each of very many four times as dear.

    `contextual_tuples` count as stored for this check alone and replace stored tuples of the same
    identity; they are validated against the schema like a write. `explain` asks for the reasons.
    """

    object: Object
    relation: str
    subject: Subject
    context: Mapping[str, Any] = field(default_factory=dict)
    contextual_tuples: Sequence[RelationTuple] = ()
    explain: bool = False


@dataclass(slots=True)
class CheckAnswer:
    """A decision and the zookie of the snapshot it was computed at; `explanation` is in the proof
    format (`docs/explain.md`), if asked for. `schema_name` names the version that decided."""

    decision: Decision
    zookie: str
    explanation: Mapping[str, Any] | None = None
    schema_name: str = ""


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """One decision or error per check, in order, all at one snapshot.

    `explanations` has one for each check that asked for it and was decided, None for the others.
    """

    results: tuple[Decision | EngineError, ...]
    zookie: str
    explanations: tuple[Mapping[str, Any] | None, ...]
    schema_name: str = ""


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """One page of tuples in identity order; `cursor` is None at the end. `written` tells of each
    when it was written as it stands, if that was asked for."""

    tuples: tuple[RelationTuple, ...]
    cursor: str | None
    zookie: str
    written: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Updates and preconditions, all or nothing; `metadata` is kept with the revision.

    The updates are validated against the version of the schema named `schema_name`, or against
    the one in force if that is "".
    """

    updates: Sequence[Update]
    preconditions: Sequence[Precondition] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""
    idempotency_key: str = ""
    schema_name: str = ""


@dataclass(frozen=True, slots=True)
class WriteAnswer:
    """One of `created updated unchanged deleted absent` per update, and the name of the schema
    version that they were validated against, "" if it has none."""

    zookie: str
    results: tuple[str, ...]
    schema_name: str = ""


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Delete by filter, up to `limit` (None: the service's maximum)."""

    filter: TupleFilter
    preconditions: Sequence[Precondition] = ()
    limit: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class DeleteAnswer:
    """`complete` says that no tuple is left that matches."""

    deleted: int
    complete: bool
    zookie: str


@dataclass(frozen=True, slots=True)
class SchemaRequest:
    """A schema text to put in force; `metadata` is kept with the revision. With a `name` it can be
    asked for as long as the store lives."""

    text: str
    language: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""
    idempotency_key: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class SchemaAnswer:
    """The schema in force at a snapshot, or the version that was asked for by its name. The zookie
    is that of the snapshot, or of the newest one that this node knows."""

    text: str
    language: str
    version: int
    zookie: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class SchemaWritten:
    """A schema write: its version and zookie, the differences to the one before, and warnings.

    After a dry run `version` and `zookie` are those that are in force, and `blocked_by` names
    stored tuples that would keep the write from being done.
    """

    version: int
    zookie: str
    changes: tuple[Mapping[str, str], ...]
    warnings: tuple[Mapping[str, Any], ...]
    blocked_by: tuple[RelationTuple, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One revision for a watcher, or a heartbeat when it holds no change and `heartbeat` is set.

    Everything up to `zookie` has been delivered when the event arrives.
    """

    zookie: str
    changes: tuple[tuple[str, RelationTuple], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    schema_changed: bool = False
    heartbeat: bool = False


@dataclass(frozen=True, slots=True)
class ExpandNode:
    """A node of the userset tree (Zanzibar paper §2.4.5).

    `kind` is `union`, `intersection`, `exclusion` (two children: base, subtracted), `all` (every
    child must grant, and there is at least one), or `leaf`. A leaf lists the subjects of stored
    tuples as they stand: usersets are not followed. `caveat` and `context` ("" for none) and
    `expires_at` of a leaf's subjects stand beside each subject; on an inner node they are those
    of the tuple that was walked to reach it.
    """

    kind: str
    object: Object
    relation: str
    children: tuple[ExpandNode, ...] = ()
    subjects: tuple[ExpandSubject, ...] = ()
    via: ExpandSubject | None = None


@dataclass(frozen=True, slots=True)
class ExpandSubject:
    """A subject of a stored tuple with what the tuple depends on."""

    subject: Subject
    caveat: str = ""
    context: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExpandPage:
    """Trees of a goal and of the usersets beneath it; `cursor` is None at the end."""

    trees: tuple[ExpandNode, ...]
    cursor: str | None
    zookie: str


@dataclass(frozen=True, slots=True)
class ExpandAnswer:
    """The userset tree of `object#relation` at one snapshot."""

    tree: ExpandNode
    zookie: str
    schema_name: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a list is incomplete: the entry that is missing, or "" for all that would have come
    after a budget was used up, and the error."""

    about: str
    error: EngineError


@dataclass(frozen=True, slots=True)
class LookupSubjects:
    """Which subjects of one form are members of `object#relation`?

    `candidates` are ids, `*` among them, if only those are of interest; the rest is as in `Check`.
    """

    object: Object
    relation: str
    subject_type: str
    subject_relation: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    contextual_tuples: Sequence[RelationTuple] = ()
    candidates: Sequence[str] | None = None


class FoundSubject(NamedTuple):
    """A subject, or the wildcard, and what a check of it says."""

    subject: Subject
    decision: Decision


@dataclass(frozen=True, slots=True)
class SubjectsAnswer:
    """One page, sorted by id, the wildcard first. Denied subjects are listed only beside a
    wildcard that does not cover them. `cursor` is None when there is nothing to go on with."""

    subjects: tuple[FoundSubject, ...]
    cursor: str | None
    gaps: tuple[Gap, ...]
    zookie: str
    schema_name: str = ""


@dataclass(frozen=True, slots=True)
class SubjectCount:
    """How many subjects of each verdict a list has beside the wildcard, and the wildcard's own
    decision, None if it is not a member."""

    allowed: int
    conditional: int
    denied: int
    wildcard: Decision | None
    gaps: tuple[Gap, ...]
    zookie: str


@dataclass(frozen=True, slots=True)
class LookupPermissions:
    """What may `subject` do on `object`? Relations are left out unless asked for."""

    object: Object
    subject: Subject
    context: Mapping[str, Any] = field(default_factory=dict)
    contextual_tuples: Sequence[RelationTuple] = ()
    relations: bool = False


@dataclass(frozen=True, slots=True)
class PermissionsAnswer:
    """The permissions that are allowed or conditional, by name."""

    permissions: tuple[tuple[str, Decision], ...]
    gaps: tuple[Gap, ...]
    zookie: str


@dataclass(frozen=True, slots=True)
class LookupObjects:
    """Of which objects of these types is `subject` a member by `relation`?

    `candidates` are ids if only those are of interest; the rest is as in `Check`.
    """

    types: Sequence[str]
    relation: str
    subject: Subject
    context: Mapping[str, Any] = field(default_factory=dict)
    contextual_tuples: Sequence[RelationTuple] = ()
    candidates: Sequence[str] | None = None


class FoundObject(NamedTuple):
    """An object, and what a check of it says: allowed or conditional."""

    object: Object
    decision: Decision


@dataclass(frozen=True, slots=True)
class ObjectsAnswer:
    """One page, sorted by type and id. `cursor` is None when there is nothing to go on with."""

    objects: tuple[FoundObject, ...]
    cursor: str | None
    gaps: tuple[Gap, ...]
    zookie: str
    schema_name: str = ""


@dataclass(frozen=True, slots=True)
class ObjectCount:
    """How many objects of each verdict a list has."""

    allowed: int
    conditional: int
    gaps: tuple[Gap, ...]
    zookie: str
