"""One index on disk: its tables, and the record that says what it holds."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from engine.index.encoding import Names, micros_of, moment_of
from engine.store.protocol import Snapshot

READERS = 2_048
_HEAD = b"head"
_NAMES = b"names"
_RECORD = struct.Struct(">QQIqIQ")
_SNAPSHOT = struct.Struct(">QIq")
_REVISION = struct.Struct(">Q")


class IndexDamagedError(Exception):
    """What was read is not what this program writes."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an index holds: every tuple at `head`, and what changed after the revision `oldest`.

    `names` is the version of the names that it is written with.
    """

    head: Snapshot
    oldest: int
    names: int


class Tables:
    """An open index. The tables, each a sorted map from keys to values:

    - `forward`: relation, object → form and subject, many a key;
    - `reverse`: form, relation, subject → object, many a key;
    - `conditions`: digest of a tuple's identity → caveat, context and expiry;
    - `texts`: digest of a long id → its text;
    - `undo`: a key of `forward` or `reverse` → revision, the tuple, and how it stood before;
    - `undone`: revision, digest → the condition that a tuple had before;
    - `revisions`: revision → its snapshot; `sweep`: revision → what to remove with it.
    """

    def __init__(self, path: Path, *, size: int, write: bool) -> None:
        """Open or, to `write`, make the index in the directory `path`, of at most `size` bytes.

        Raises lmdb.Error.
        """
        if write:
            path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.env = self._open(path, size, write)
        # Any, for the stubs take tables of bytes and of views alike.
        open_db: Any = self.env.open_db
        self.forward = open_db(b"forward", dupsort=True, create=write)
        self.reverse = open_db(b"reverse", dupsort=True, create=write)
        self.conditions = open_db(b"conditions", create=write)
        self.texts = open_db(b"texts", create=write)
        self.undo = open_db(b"undo", dupsort=True, create=write)
        self.undone = open_db(b"undone", create=write)
        self.revisions = open_db(b"revisions", create=write)
        self.sweep = open_db(b"sweep", create=write)

    @staticmethod
    def _open(path: Path, size: int, write: bool) -> Any:
        return lmdb.open(
            str(path),
            map_size=size,
            max_dbs=8,
            max_readers=READERS,
            readonly=not write,
            create=write,
            # It is rebuilt after an unclean boot: what the system has not written is not missed.
            sync=False,
            metasync=False,
            readahead=False,
            max_spare_txns=16,
        )

    def close(self) -> None:
        """Let go of the files."""
        self.env.close()


def revision_key(revision: int) -> bytes:
    """A revision as a key."""
    return _REVISION.pack(revision)


def revision_of(key: bytes) -> int:
    """The revision of `revision_key`."""
    (revision,) = _REVISION.unpack(key)
    return int(revision)


def pack_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as the value of its revision."""
    moment = micros_of(snapshot.committed_at)
    return _SNAPSHOT.pack(snapshot.stamp, snapshot.schema_version, moment)


def unpack_snapshot(store_id: str, revision: int, raw: bytes) -> Snapshot:
    """The snapshot of `pack_snapshot`."""
    stamp, version, moment = _SNAPSHOT.unpack(raw)
    return Snapshot(store_id, revision, stamp, version, moment_of(moment))


def write_held(transaction: Any, held: Held) -> None:
    """Say what the index holds when the transaction is committed."""
    head = held.head
    transaction.put(
        _HEAD,
        _RECORD.pack(
            head.revision,
            head.stamp,
            head.schema_version,
            micros_of(head.committed_at),
            held.names,
            held.oldest,
        ),
    )


def read_held(transaction: Any, store_id: str) -> Held | None:
    """What the index holds; None while it is being built. Raises IndexDamagedError."""
    raw = transaction.get(_HEAD)
    if raw is None:
        return None
    if len(raw) != _RECORD.size:
        raise IndexDamagedError(f"a head of {len(raw)} bytes")
    revision, stamp, version, moment, names, oldest = _RECORD.unpack(raw)
    return Held(Snapshot(store_id, revision, stamp, version, moment_of(moment)), oldest, names)


def write_names(transaction: Any, names: Names) -> None:
    """Keep the names."""
    transaction.put(_NAMES, names.dump())


def read_names(transaction: Any) -> Names:
    """The names. Raises IndexDamagedError."""
    raw = transaction.get(_NAMES)
    if raw is None:
        raise IndexDamagedError("it has no names")
    return Names.load(raw)
