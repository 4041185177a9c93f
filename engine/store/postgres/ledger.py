"""What the writes of one transaction come to, each seeing those before it. Nothing is read here.

Everything was read at the head, under the lock, before the first write was decided. A ledger keeps
what the writes decided so far change, so that the next is decided as if they had been committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from engine.store import refusals
from engine.store.postgres.transaction import Recalled
from engine.store.protocol import (
    PreconditionOp,
    SchemaMoved,
    Snapshot,
    TupleFilter,
    Update,
    UpdateOp,
    UpdateResult,
    WriteCommand,
    WriteOutcome,
)
from engine.store.results import result_of
from engine.tuples import Object, RelationTuple, Subject


class Living(NamedTuple):
    """The living row of a tuple's identity: what the tuple depends on."""

    caveat: str
    context: str
    expires_at: datetime | None


class Stored(NamedTuple):
    """What was read at the head for one write: the living rows by the position of the update
    that names them, whether a tuple matches each precondition's filter, and what is kept under
    its idempotency key."""

    living: dict[int, Living]
    matched: Sequence[bool]
    recalled: Recalled | None


class Made:
    """A row to insert. Revisions are counted from the head; `ended` is 0 while it is alive."""

    __slots__ = ("began", "ended", "tuple")

    def __init__(self, made: RelationTuple, began: int) -> None:
        self.tuple = made
        self.began = began
        self.ended = 0


class Closed(NamedTuple):
    """A row that was read and is to be closed by a revision, counted from the head."""

    tuple: RelationTuple
    ended: int


class Decided(NamedTuple):
    """A result per update, and the revision that holds the write, counted from the head: 0 is the
    head itself."""

    results: tuple[UpdateResult, ...]
    revision: int
    replayed: bool = False


class UndecidedError(Exception):
    """Whether a precondition holds after the writes before it was not read: it must be asked
    again when they are committed. The ledger is as it was."""


class Ledger:
    """The rows and revisions that a sequence of writes makes after `head`."""

    def __init__(self, head: Snapshot) -> None:
        self._head = head
        self._changed: dict[Object, dict[tuple[str, Subject], Made | None]] = {}
        self._unsorted: list[Made] = []
        self._kept: dict[str, tuple[bytes, Decided]] = {}
        self.revisions: list[WriteCommand] = []
        self.closed: list[Closed] = []
        self.inserted: list[Made] = []

    def decide(self, command: WriteCommand, stored: Stored) -> Decided | WriteOutcome:
        """What one more write comes to; a WriteOutcome is one from before this ledger.

        Raises IdempotencyConflict, SchemaMoved, PreconditionFailed, TupleExists, TupleAbsent and
        UndecidedError, and then holds nothing of the write.
        """
        before = self._replay(command, stored)
        if before is not None:
            return before
        self._sort()
        if command.schema_version not in (None, self._head.schema_version):
            raise SchemaMoved(self._head.schema_version)
        for index, (op, wanted) in enumerate(command.preconditions):
            matched = self._matches(wanted, command.now, stored.matched[index])
            if matched != (op is PreconditionOp.MUST_MATCH):
                raise refusals.precondition_failed(op, index)
        if not stored.living and not self._changed and _creates(command):
            return self._created(command)
        rows = [
            self._row(update.tuple, stored.living.get(position))
            for position, update in enumerate(command.updates)
        ]
        results = tuple(
            _result(update, position, row, command.now)
            for position, (update, row) in enumerate(zip(command.updates, rows, strict=True))
        )
        if not _UNCHANGING.issuperset(results):
            self.revisions.append(command)
            for update, row, result in zip(command.updates, rows, results, strict=True):
                if result not in _UNCHANGING:
                    self._change(update.tuple, row, deleted=result is UpdateResult.DELETED)
        return self._decided(command, results)

    def _created(self, command: WriteCommand) -> Decided:
        """A write of tuples none of which is stored, the first of the ledger: there may be very
        many, as in an import."""
        self.revisions.append(command)
        revision = len(self.revisions)
        self._unsorted = [Made(update.tuple, revision) for update in command.updates]
        self.inserted += self._unsorted
        return self._decided(command, (UpdateResult.CREATED,) * len(command.updates))

    def _sort(self) -> None:
        """Let the next write depend on what was created at once."""
        for made in self._unsorted:
            self._changed.setdefault(made.tuple.object, {})[made.tuple[1:3]] = made
        self._unsorted = []

    def _decided(self, command: WriteCommand, results: tuple[UpdateResult, ...]) -> Decided:
        decided = Decided(results, len(self.revisions))
        if command.idempotency is not None:
            self._kept[command.idempotency.key] = (command.idempotency.digest, decided)
        return decided

    def _replay(self, command: WriteCommand, stored: Stored) -> Decided | WriteOutcome | None:
        used = command.idempotency
        if used is None:
            return None
        if stored.recalled is not None:
            outcome = stored.recalled.require(used, "write")
            results = tuple(map(UpdateResult, outcome["results"]))
            return WriteOutcome(stored.recalled.snapshot, results, replayed=True)
        digest, decided = self._kept.get(used.key, (used.digest, None))
        if digest != used.digest:
            raise refusals.key_used()
        return decided and decided._replace(replayed=True)

    def _matches(self, wanted: TupleFilter, now: datetime, matched: bool) -> bool:
        """Whether a tuple matches now that it `matched` at the head. Raises UndecidedError.

        What this ledger has made is known. What it has closed may or may not have been all that
        matched, unless the filter names one identity.
        """
        closed = False
        for (relation, subject), made in self._changes(wanted):
            parts = (relation, *subject)
            if all(want in (None, part) for want, part in zip(wanted[2:], parts, strict=True)):
                if made is not None and not _expired(made.tuple.expires_at, now):
                    return True
                closed = True
        if not closed or not matched:
            return matched
        if None in wanted:
            raise UndecidedError
        return False

    def _changes(self, wanted: TupleFilter) -> Iterable[tuple[tuple[str, Subject], Made | None]]:
        """What was changed of the filter's object. Raises UndecidedError if it names none."""
        if not self._changed:
            return ()
        if wanted.object_type is None or wanted.object_id is None:
            raise UndecidedError
        return self._changed.get(Object(wanted.object_type, wanted.object_id), {}).items()

    def _row(self, wanted: RelationTuple, living: Living | None) -> Made | Living | None:
        """The row that is alive for an identity, of which `living` was read."""
        changed = self._changed.get(wanted.object)
        return living if changed is None else changed.get(wanted[1:3], living)

    def _change(self, wanted: RelationTuple, row: Made | Living | None, *, deleted: bool) -> None:
        revision = len(self.revisions)
        if isinstance(row, Made):
            row.ended = revision
        elif row is not None:
            self.closed.append(Closed(wanted, revision))
        made = None if deleted else Made(wanted, revision)
        if made is not None:
            self.inserted.append(made)
        self._changed.setdefault(wanted.object, {})[wanted[1:3]] = made


def _creates(command: WriteCommand) -> bool:
    updates = command.updates
    return bool(updates) and all(op not in _DELETING for op, _ in updates)


_DELETING = frozenset({UpdateOp.DELETE, UpdateOp.REMOVE})
_UNCHANGING = frozenset({UpdateResult.UNCHANGED, UpdateResult.ABSENT})


def _result(
    update: Update, position: int, row: Made | Living | None, now: datetime
) -> UpdateResult:
    """What an update does to the row that is alive, if any: one that is expired counts as absent,
    but must be closed before its identity is inserted again. Raises TupleExists, TupleAbsent."""
    found = row.tuple[3:] if isinstance(row, Made) else row
    return result_of(update, position, None if found is None or _expired(found[2], now) else found)


def _expired(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now
