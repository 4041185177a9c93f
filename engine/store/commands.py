"""What writes are given: filters of tuples, updates, preconditions, commands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from engine.tuples import RelationTuple


class TupleFilter(NamedTuple):
    """Tuples whose parts equal the parts given. None means any; `subject_relation=""` means
    subjects without a relation. The wildcard subject has `subject_id="*"`."""

    object_type: str | None = None
    object_id: str | None = None
    relation: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    subject_relation: str | None = None

    def matches(self, item: RelationTuple) -> bool:
        """Whether a tuple is one of these."""
        parts = (*item.object, item.relation, *item.subject)
        return all(want in {None, part} for want, part in zip(self, parts, strict=True))


class Shape(NamedTuple):
    """The form of stored tuples that a schema write would no longer allow; None means any."""

    object_type: str
    relation: str
    subject_type: str | None = None
    subject_relation: str | None = None
    wildcard: bool | None = None
    caveat: str | None = None
    expiration: bool | None = None


class UpdateOp(StrEnum):
    """What a write does with one tuple.

    Touch stores it as given, whatever is there, and delete takes it away if it is there. Create
    is refused when it is there, ensure only when it stands otherwise, and remove when it is not.
    The last two are for dialects that know them.
    """

    TOUCH = "touch"
    CREATE = "create"
    DELETE = "delete"
    ENSURE = "ensure"
    REMOVE = "remove"


class UpdateResult(StrEnum):
    """What became of one update: a delete or remove gives the last two, all others the first
    three."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    ABSENT = "absent"


class Update(NamedTuple):
    """One update. A delete or remove looks at the tuple's identity alone."""

    op: UpdateOp
    tuple: RelationTuple


class PreconditionOp(StrEnum):
    """Whether a precondition wants a living tuple that its filter matches, or none."""

    MUST_MATCH = "must_match"
    MUST_NOT_MATCH = "must_not_match"


class Precondition(NamedTuple):
    """Held true under the write's lock, before any of its updates, at the write's `now`."""

    op: PreconditionOp
    filter: TupleFilter


class Idempotency(NamedTuple):
    """A client's key and the digest of the whole request it was sent with."""

    key: str
    digest: bytes


class WriteCommand(NamedTuple):
    """All or nothing. `schema_version` is the one the updates were validated against and that must
    be in force, None if it need not be.

    `metadata` is canonical JSON text, "" for none; `actor` names the key that asked. Tuples that
    are expired at `now` count as absent for preconditions, `create` and results.
    """

    updates: Sequence[Update]
    preconditions: Sequence[Precondition]
    schema_version: int | None
    now: datetime
    metadata: str = ""
    actor: str = ""
    idempotency: Idempotency | None = None


class DeleteCommand(NamedTuple):
    """Delete up to `limit` tuples that match, in tuple order, as one revision."""

    filter: TupleFilter
    preconditions: Sequence[Precondition]
    limit: int
    now: datetime
    metadata: str = ""
    actor: str = ""
    idempotency: Idempotency | None = None


class SchemaCommand(NamedTuple):
    """Replace the schema if the current version is still `expected_version` (None: whichever it
    is) and no living tuple has one of the `removed` shapes. A version with a `name`, which no
    other one of the store may have, is kept for ever; without one, text equal to the current one
    changes nothing."""

    text: str
    language: str
    expected_version: int | None
    removed: Sequence[Shape]
    now: datetime
    metadata: str = ""
    actor: str = ""
    idempotency: Idempotency | None = None
    name: str = ""
