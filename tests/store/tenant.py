"""One store under test, written to and read in the string form of tuples."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from engine.reader import Edge, Probe, Scan
from engine.store.protocol import (
    Change,
    DeleteCommand,
    DeleteOutcome,
    Head,
    Idempotency,
    Precondition,
    PreconditionOp,
    RevisionChanges,
    SchemaCommand,
    Shape,
    Snapshot,
    Storage,
    TupleFilter,
    Update,
    UpdateOp,
    WriteCommand,
    WriteOutcome,
)
from engine.tuples import RelationTuple, parse_tuple

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ANY = TupleFilter()
NO_LIMIT = 1_000_000


def touch(*texts: str) -> list[Update]:
    """Updates that touch tuples."""
    return [Update(UpdateOp.TOUCH, parse_tuple(text)) for text in texts]


def create(*texts: str) -> list[Update]:
    """Updates that create tuples."""
    return [Update(UpdateOp.CREATE, parse_tuple(text)) for text in texts]


def delete(*texts: str) -> list[Update]:
    """Updates that delete tuples."""
    return [Update(UpdateOp.DELETE, parse_tuple(text)) for text in texts]


def must_match(**fields: str) -> Precondition:
    """A precondition that wants a tuple with these fields."""
    return Precondition(PreconditionOp.MUST_MATCH, TupleFilter(**fields))


def must_not_match(**fields: str) -> Precondition:
    """A precondition that wants no tuple with these fields."""
    return Precondition(PreconditionOp.MUST_NOT_MATCH, TupleFilter(**fields))


def key(name: str, body: str = "body") -> Idempotency:
    """An idempotency key with the digest of a request."""
    return Idempotency(name, body.encode().ljust(32, b"."))


def probe(text: str) -> Probe:
    """A probe for a tuple given in string form."""
    tuple_ = parse_tuple(text)
    return Probe(*tuple_.object, tuple_.relation, *tuple_.subject)


def edge(text: str) -> Edge:
    """The edge that a stored tuple is read as."""
    tuple_ = parse_tuple(text)
    return Edge(*tuple_.subject, tuple_.caveat, tuple_.context, tuple_.expires_at)


def scan(text: str, *, only_usersets: bool = False) -> Scan:
    """A scan of `type:id#relation`."""
    object_, _, relation = text.rpartition("#")
    kind, _, id_ = object_.partition(":")
    return Scan(kind, id_, relation, only_usersets)


def in_order(tuples: Sequence[RelationTuple]) -> list[RelationTuple]:
    """Sorted by the bytes of the identity, part by part."""

    def parts(tuple_: RelationTuple) -> list[bytes]:
        object_, relation, subject = tuple_.identity
        return [part.encode() for part in (*object_, relation, *subject)]

    return sorted(tuples, key=parts)


def described(entries: Sequence[RevisionChanges]) -> list[list[str]]:
    """The changes of revisions as `touch tuple` and `delete identity`."""

    def show(change: Change) -> str:
        tuple_ = change.tuple
        shown = RelationTuple(*tuple_.identity) if change.op is UpdateOp.DELETE else tuple_
        return f"{change.op} {shown}"

    return [[show(change) for change in entry.changes] for entry in entries]


class Tenant:
    """A fresh store of its own in a storage that tests may share."""

    def __init__(self, storage: Storage, id_: str, name: str) -> None:
        self.storage = storage
        self.id = id_
        self.name = name

    @classmethod
    async def make(cls, storage: Storage) -> Tenant:
        """A tenant on a new store."""
        record = await storage.create_store(f"t{uuid4().hex}")
        return cls(storage, record.id, record.name)

    async def head(self) -> Head:
        """The store's head."""
        return await self.storage.head(self.id)

    async def snapshot(self) -> Snapshot:
        """The head's snapshot."""
        return (await self.head()).snapshot

    async def write(
        self,
        updates: Sequence[Update],
        *preconditions: Precondition,
        now: datetime = NOW,
        schema_version: int | None = None,
        metadata: str = "",
        actor: str = "",
        idempotency: Idempotency | None = None,
    ) -> WriteOutcome:
        """Write against the schema version in force unless another one is given."""
        if schema_version is None:
            schema_version = (await self.snapshot()).schema_version
        command = WriteCommand(
            updates, preconditions, schema_version, now, metadata, actor, idempotency
        )
        return await self.storage.write(self.id, command)

    async def delete(
        self,
        filter_: TupleFilter,
        *preconditions: Precondition,
        limit: int = NO_LIMIT,
        now: datetime = NOW,
        idempotency: Idempotency | None = None,
    ) -> DeleteOutcome:
        """Delete by filter."""
        command = DeleteCommand(
            filter_, preconditions, limit, now, idempotency=idempotency, actor="remover"
        )
        return await self.storage.delete(self.id, command)

    async def put_schema(
        self,
        text: str,
        *removed: Shape,
        expected_version: int | None = None,
        language: str = "zed",
        now: datetime = NOW,
        idempotency: Idempotency | None = None,
        name: str = "",
    ) -> Snapshot:
        """Write a schema in place of the one in force, or, with a name, whichever is in force."""
        if expected_version is None and not name:
            expected_version = (await self.snapshot()).schema_version
        command = SchemaCommand(
            text, language, expected_version, removed, now, idempotency=idempotency, name=name
        )
        return await self.storage.put_schema(self.id, command)

    async def tuples(
        self,
        at: Snapshot | None = None,
        filter_: TupleFilter = ANY,
        now: datetime = NOW,
        page: int = NO_LIMIT,
    ) -> list[RelationTuple]:
        """All matching tuples, read in pages of `page`."""
        found: list[RelationTuple] = []
        at = at or await self.snapshot()
        while True:
            after = found[-1] if found else None
            got = await self.storage.read(at, filter_, after=after, limit=page, now=now)
            assert len(got) <= page
            found += got
            if len(got) < page:
                return found

    async def texts(self, at: Snapshot | None = None, now: datetime = NOW) -> list[str]:
        """Every tuple in string form."""
        return [str(tuple_) for tuple_ in await self.tuples(at, now=now)]

    async def changes(self, after: int = 0, limit: int = NO_LIMIT) -> list[RevisionChanges]:
        """What was done after a revision."""
        return await self.storage.changes(self.id, after, limit)
