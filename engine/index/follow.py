"""Keep the index of one store: build it, carry each revision in, and build it again when wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
from datetime import timedelta
from pathlib import Path

import lmdb

from engine.cache.shared import elapsed
from engine.errors import EngineError, SnapshotExpired, ZookieUnknown
from engine.index.apply import OutOfOrderError, Writer
from engine.index.build import Progress, Source, build
from engine.index.encoding import TooManyNamesError
from engine.index.files import IndexDamagedError, Tables
from engine.index.status import Status
from engine.store.protocol import Head, Storage

_log = logging.getLogger(__name__)

KEPT = timedelta(seconds=120)
"""How far back snapshots are shown."""
_CHANGES_AT_ONCE = 5_000
_SEAL = "seal"
_DIGESTED_AT_ONCE = 1 << 22


class Follower:
    """The index of one store in the directory `place`, of at most `size` bytes.

    One process at a time may have it. `step` does what there is to do; whoever calls it decides
    when to call it again.
    """

    def __init__(
        self,
        storage: Storage,
        source: Source,
        store_id: str,
        place: Path,
        *,
        size: int,
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        self._storage = storage
        self._source = source
        self._store_id = store_id
        self._place = place
        self._size = size
        self._progress = progress
        self._generation = 0
        self._tables: Tables | None = None
        self._writer: Writer | None = None
        self.status = Status(place / "status", write=True)
        self._resumable = self.status.resume()

    @property
    def revision(self) -> int:
        """The revision of the index, -1 while there is none."""
        return -1 if self._writer is None else self._writer.held.head.revision

    @property
    def tables(self) -> Tables | None:
        """The open index, None while there is none."""
        return self._tables

    async def step(self) -> bool:
        """Build or resume if there is no index, else carry in what is new. True if there may be
        more to do at once.

        Raises EngineError, lmdb.Error, OSError and TooManyNamesError; then what is there stays as
        it is, gets older, and is not used beyond the bound.
        """
        if self._writer is not None and self._is_refused():
            self._drop()
        if self._writer is None:
            await self._start()
        began = elapsed()
        head = await self._storage.head(self._store_id)
        if not await self._continues(head):
            _log.warning("the store %s has another history: building again", self._store_id)
            self._drop()
            return True
        return await self._carry(head, began)

    def stop(self) -> None:
        """Let go of the index, sealed, so that damage until the next start is noticed."""
        writer, tables = self._writer, self._tables
        self.status.offer(0)
        self._writer = self._tables = None
        if tables is not None:
            place = tables.path
            tables.env.sync(True)
            tables.close()
            if writer is not None:
                _seal(place)
        self.status.close()

    def _is_refused(self) -> bool:
        return (self._place / f"refused-{self._generation}").exists()

    async def _start(self) -> None:
        for path in sorted(self._place.iterdir()):
            resumed = self._writer is None and path.name.isdigit() and self._resume(path)
            if not resumed and path.name != "status":
                _remove(path)
        if self._writer is None:
            await self._build()
        self.status.offer(self._generation)

    def _resume(self, path: Path) -> bool:
        """Go on with an index that an earlier indexer left, if it is whole."""
        if (self._place / f"refused-{path.name}").exists():
            return False
        sealed = _unsealed(path)
        if sealed is False or (sealed is None and not self._resumable):
            return False
        try:
            tables = Tables(path, size=self._size, write=True)
        except lmdb.Error:
            return False
        try:
            self._writer = Writer(tables, self._store_id)
        except (OutOfOrderError, IndexDamagedError, lmdb.Error):
            tables.close()
            return False
        self._tables, self._generation = tables, int(path.name)
        return True

    async def _build(self) -> None:
        # Never a number that was there before: workers may still have that one open.
        self._generation = self.status.next_generation()
        path = self._place / str(self._generation)
        tables = Tables(path, size=self._size, write=True)
        try:
            head = await self._storage.head(self._store_id)
            await build(tables, self._source, head.snapshot, self._progress)
            self._writer = Writer(tables, self._store_id)
        except BaseException:
            tables.close()
            _remove(path)
            raise
        self._tables = tables

    async def _continues(self, head: Head) -> bool:
        """Whether `head` continues the history that is in the index."""
        assert self._writer is not None  # it has been started
        mine = self._writer.held.head
        if head.snapshot.revision < mine.revision:
            return False
        if head.snapshot.revision == mine.revision:
            return head.snapshot.stamp == mine.stamp
        try:
            there = await self._storage.snapshot(self._store_id, mine.revision)
        except (SnapshotExpired, ZookieUnknown):
            return False
        return there.stamp == mine.stamp

    async def _carry(self, head: Head, began: float) -> bool:
        assert self._writer is not None  # it has been started
        assert self._tables is not None
        held, revisions = self._writer.held, []
        if head.snapshot.revision > held.head.revision:
            after = held.head.revision
            revisions = await self._storage.changes(self._store_id, after, _CHANGES_AT_ONCE)
        if revisions or head.oldest_revision > held.oldest:
            newest = revisions[-1].snapshot if revisions else held.head
            since = newest.committed_at - KEPT
            self._writer.apply(revisions, keep_since=since, oldest=head.oldest_revision)
        mine = self._writer.held.head.revision
        level = mine >= head.snapshot.revision
        info = self._tables.env.info()
        size = (info["last_pgno"] + 1) * self._tables.env.stat()["psize"]
        self.status.advance(mine, head.snapshot.revision, size, began if level else None)
        return not level

    def _drop(self) -> None:
        """Have no index, and leave nothing of it that could be used again."""
        self.status.offer(0)
        self._writer = None
        if self._tables is not None:
            path = self._tables.path
            self._tables.close()
            self._tables = None
            _remove(path)
        _remove(self._place / f"refused-{self._generation}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _seal(path: Path) -> None:
    """Note the digest of a closed index."""
    (path / _SEAL).write_text(json.dumps({"digest": _digest(path)}), "ascii")


def _unsealed(path: Path) -> bool | None:
    """Whether the index is as it was sealed, None if it never was. The seal is broken by that."""
    seal = path / _SEAL
    try:
        sealed = json.loads(seal.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return False
    seal.unlink()
    return isinstance(sealed, dict) and sealed.get("digest") == _digest(path)


def _digest(path: Path) -> str:
    found = hashlib.blake2b()
    with (path / "data.mdb").open("rb") as file:
        while block := file.read(_DIGESTED_AT_ONCE):
            found.update(block)
    return found.hexdigest()


async def keep(follower: Follower, storage: Storage, store_id: str, within: float) -> None:
    """Step for ever, waiting for changes at most `within` seconds, and a while after errors."""
    while True:
        try:
            more = await follower.step()
        except (EngineError, lmdb.Error, OSError, TooManyNamesError) as error:
            _log.warning("an index waits: %s: %s", type(error).__name__, error)
            await asyncio.sleep(within)
            continue
        if not more:
            await storage.wait_for_change(store_id, follower.revision, within)
