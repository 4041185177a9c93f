"""Carry revisions into an index, in their order, each of them whole or not at all.

What a revision changes is noted as it was before, under the keys that readers look at, so that a
reader at an older revision can undo it. The notes are swept away with the revision's age.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from engine.index.encoding import (
    CONDITIONAL,
    USERSET,
    Condition,
    Names,
    code_of,
    digest_of,
    is_cut,
    pack_condition,
    packed,
)
from engine.index.files import (
    Held,
    Tables,
    pack_snapshot,
    read_held,
    read_names,
    revision_key,
    revision_of,
    unpack_snapshot,
    write_held,
    write_names,
)
from engine.store.protocol import Change, RevisionChanges, UpdateOp

ABSENT, PLAIN, CONDITIONED = b"a", b"p", b"c"
FORWARD, REVERSE = b"F", b"R"
_NOTED_AT_ONCE = 20_000
"""Revisions that change more than this together are not noted: what was before them is not kept."""
_SWEPT_AT_ONCE = 2_000


class OutOfOrderError(Exception):
    """The revision does not follow on what the index holds."""


class Writer:
    """The one writer of an index. `names` are as the last commit left them, or ahead of it."""

    def __init__(self, tables: Tables, store_id: str) -> None:
        self._tables = tables
        self._store_id = store_id
        with tables.env.begin() as transaction:
            held = read_held(transaction, store_id)
            self.names = read_names(transaction)
        if held is None:
            raise OutOfOrderError("the index was never finished")
        self.held = held

    def apply(
        self, revisions: Sequence[RevisionChanges], *, keep_since: datetime, oldest: int
    ) -> Held:
        """Carry in revisions that follow each other and the head; forget how it was before
        `keep_since`, and before the revision `oldest`. All or nothing.

        Raises OutOfOrderError, TooManyNamesError and lmdb.Error, which leave what was there.
        """
        held = self.held
        count = sum(len(item.changes) for item in revisions)
        noted = count <= _NOTED_AT_ONCE
        with self._tables.env.begin(write=True) as transaction:
            carrier = _Carrier(self._tables, transaction, self.names)
            head = held.head
            for item in revisions:
                if item.snapshot.revision != head.revision + 1:
                    raise OutOfOrderError(f"{item.snapshot.revision} after {head.revision}")
                carrier.carry(item, noted=noted)
                head = item.snapshot
            oldest = max(oldest, held.oldest) if noted else head.revision
            oldest = self._sweep(transaction, oldest, head.revision, keep_since)
            if self.names.version != held.names:
                write_names(transaction, self.names)
            held = Held(head, oldest, self.names.version)
            write_held(transaction, held)
        self.held = held
        return held

    def _sweep(self, transaction: Any, oldest: int, head: int, keep_since: datetime) -> int:
        """Remove the notes of old revisions, some at a time; the oldest revision to be read."""
        tables, left = self._tables, _SWEPT_AT_ONCE
        revisions = transaction.cursor(tables.revisions)
        found = revisions.first()
        while found and left > 0:
            key, raw = revisions.item()
            revision = revision_of(key)
            old = revision < oldest
            if revision >= head or not (
                old or unpack_snapshot("", revision, raw).committed_at < keep_since
            ):
                break
            oldest = max(oldest, revision)
            left -= _forget(tables, transaction, key)
            found = revisions.delete()
        return oldest


def _forget(tables: Tables, transaction: Any, key: bytes) -> int:
    """Remove the notes of the revision `key`; how many there were, and one."""
    raw = transaction.pop(key, db=tables.sweep)
    if raw is None:
        return 1
    notes, conditions = msgspec.msgpack.decode(raw)
    for note, value in notes:
        transaction.delete(note, value, db=tables.undo)
    for condition in conditions:
        transaction.delete(condition, db=tables.undone)
    return len(notes) + 1


class _Carrier:
    """One transaction's work."""

    def __init__(self, tables: Tables, transaction: Any, names: Names) -> None:
        self._tables = tables
        self._transaction = transaction
        self._names = names
        self._forward = transaction.cursor(tables.forward)
        self._notes: list[tuple[bytes, bytes]] = []
        self._conditions: list[bytes] = []

    def carry(self, item: RevisionChanges, *, noted: bool) -> None:
        key = revision_key(item.snapshot.revision)
        self._notes, self._conditions = [], []
        for change in item.changes:
            self._change(change, key if noted else None)
        self._transaction.put(key, pack_snapshot(item.snapshot), db=self._tables.revisions)
        if self._notes:
            swept = msgspec.msgpack.encode((self._notes, self._conditions))
            self._transaction.put(key, swept, db=self._tables.sweep)

    def _change(self, change: Change, revision: bytes | None) -> None:
        item = change.tuple
        relation, plain = self._names.number(item)
        forms = {PLAIN: code_of(plain), CONDITIONED: code_of(plain | CONDITIONAL)}
        object_id, subject_id = self._id(item.object.id), self._id(item.subject.id)
        key = relation + object_id
        before = self._before(key, forms, subject_id)
        after = ABSENT
        if change.op is not UpdateOp.DELETE:
            conditional = bool(item.caveat) or item.expires_at is not None
            after = CONDITIONED if conditional else PLAIN
        identity = b""
        if CONDITIONED in {before, after}:
            identity = identity_of(key, forms[PLAIN], subject_id)
        if revision is not None:
            ends = (relation, object_id, forms[PLAIN], subject_id)
            self._note(revision, ends, before, identity)
        if before != after:
            self._move(relation, object_id, subject_id, forms.get(before), forms.get(after))
        if after is CONDITIONED:
            condition = pack_condition(Condition(*item[3:]))
            self._transaction.put(identity, condition, db=self._tables.conditions)
        elif before is CONDITIONED:
            self._transaction.delete(identity, db=self._tables.conditions)

    def _id(self, text: str) -> bytes:
        short = packed(text)
        if is_cut(short):
            raw = text.encode()
            self._transaction.put(digest_of(raw), raw, db=self._tables.texts)
        return short

    def _before(self, key: bytes, forms: dict[bytes, bytes], subject_id: bytes) -> bytes:
        for state, code in forms.items():
            if self._forward.set_key_dup(key, code + subject_id):
                return state
        return ABSENT

    def _note(
        self,
        revision: bytes,
        ends: tuple[bytes, bytes, bytes, bytes],
        before: bytes,
        identity: bytes,
    ) -> None:
        relation, object_id, form, subject_id = ends
        put, tables = self._transaction.put, self._tables
        start = revision + before
        notes = [
            (FORWARD + relation + object_id, start + form + subject_id),
            (REVERSE + form + relation + subject_id, start + object_id),
        ]
        for key, value in notes:
            put(key, value, db=tables.undo)
        self._notes += notes
        if before is CONDITIONED:
            aside = revision + identity
            put(aside, self._transaction.get(identity, db=tables.conditions), db=tables.undone)
            self._conditions.append(aside)

    def _move(
        self,
        relation: bytes,
        object_id: bytes,
        subject_id: bytes,
        old: bytes | None,
        new: bytes | None,
    ) -> None:
        transaction, tables = self._transaction, self._tables
        if old is not None:
            transaction.delete(relation + object_id, old + subject_id, db=tables.forward)
            transaction.delete(old + relation + subject_id, object_id, db=tables.reverse)
        if new is not None:
            transaction.put(relation + object_id, new + subject_id, db=tables.forward)
            transaction.put(new + relation + subject_id, object_id, db=tables.reverse)


def identity_of(key: bytes, form: bytes, subject_id: bytes) -> bytes:
    """The key of a tuple's condition, from its forward key, its plain form, and its subject."""
    return digest_of(len(key).to_bytes(2, "big") + key + form + subject_id)


def is_userset(code: bytes) -> bool:
    """Whether subjects of this form have a relation."""
    return bool(code[0] & (USERSET >> 8))
