"""Keep the index of one store: build it, carry each revision in, and build it again when wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import lmdb

from engine.cache.shared import elapsed
from engine.errors import SnapshotExpired, ZookieUnknown
from engine.index.apply import OutOfOrderError, Writer
from engine.index.build import Progress, Source, build
from engine.index.files import Held, IndexDamagedError, Tables
from engine.index.status import Status, refused
from engine.store.protocol import Head, RevisionChanges, Storage

T = TypeVar("T")

_log = logging.getLogger(__name__)

KEPT = timedelta(seconds=120)
"""How far back snapshots are shown."""
_CHANGES_AT_ONCE = 5_000
_IN_THIS_THREAD = 100
"""More changes than this are carried in beside the loop, which other stores need too."""
_WORTH_BUILDING = 50_000
_CHANGES_PER_ROW = 5
"""A change carried in costs as much as this many tuples in a build."""
_BETWEEN_BUILDS = 60.0
_SEAL = "seal"
_DIGESTED_AT_ONCE = 1 << 22


class Follower:
    """The index of one store in the directory `place`, of at most `size` bytes.

    One process at a time may have it. `step` does what there is to do; whoever calls it decides
    when to call it again. Builds wait for their turn in `building`, and `built` is told the reason
    of each, which is `first` or what `drop` was told.
    """

    def __init__(
        self,
        storage: Storage,
        source: Source,
        store_id: str,
        place: Path,
        *,
        size: int,
        building: asyncio.Semaphore | None = None,
        progress: Progress = lambda _done, _total: None,
        built: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """Raises OSError."""
        self.store_id = store_id
        self._storage = storage
        self._source = source
        self._place = place
        self._size = size
        self._building = building or asyncio.Semaphore()
        self._progress = progress
        self._built = built
        self._reason = "first"
        self._may_build_again = 0.0
        self._generation = 0
        self._tables: Tables | None = None
        self._writer: Writer | None = None
        self.status = Status(place / "status", write=True)
        self._resumable = self.status.resume()

    @property
    def tables(self) -> Tables | None:
        """The open index, None while there is none."""
        return self._tables

    @property
    def writer(self) -> Writer | None:
        """Who writes the open index, None while there is none."""
        return self._writer

    async def step(self, known: tuple[Head, float] | None = None) -> bool:
        """Build or resume if there is no index, else carry in what is new. True if there may be
        more to do at once. `known` is a head and when the read that found it began.

        Raises EngineError, lmdb.Error, OSError, IndexDamagedError and TooManyNamesError; then what
        is there stays as it is, gets older, and is not used beyond the bound.
        """
        if self._writer is not None and self._is_refused():
            _log.warning("the index of the store %s was refused: building again", self.store_id)
            self.drop("refused")
        if self._writer is None:
            known = None
            await self._start()
        began = elapsed()
        head, began = known or (await self._storage.head(self.store_id), began)
        if not await self._continues(head, asked=known is None):
            _log.warning("the store %s has another history: building again", self.store_id)
            self.drop("history")
            return True
        return await self._carry(head, began)

    def distrust(self) -> None:
        """Have the next step build again: the index was found to be wrong."""
        refused(self._place, self._generation).touch()

    def drop(self, reason: str) -> None:
        """Have no index, and leave nothing of it that could be used again."""
        self.status.offer(0)
        self._reason = reason
        self._resumable = False
        self._writer = None
        if self._tables is not None:
            path = self._tables.path
            self._tables.close()
            self._tables = None
            _remove(path)
            if path.exists():
                return
        _remove(refused(self._place, self._generation))

    def discard(self, *, wholly: bool) -> None:
        """Let go of the index and remove its files. The status stays unless the store is gone
        `wholly`: workers that have it open look there when the store is wanted again."""
        self.drop("unused")
        self.status.close()
        for path in self._place.iterdir():
            if wholly or path.name != "status":
                _remove(path)
        if wholly:
            self._place.rmdir()

    async def stop(self) -> None:
        """Let go of the index, sealed, so that damage until the next start is noticed."""
        writer, tables = self._writer, self._tables
        self.status.offer(0)
        self._writer = self._tables = None
        if tables is not None:
            place = tables.path
            await asyncio.to_thread(tables.env.sync, True)
            tables.close()
            if writer is not None:
                await asyncio.to_thread(_seal, place)
        self.status.close()

    def _is_refused(self) -> bool:
        return refused(self._place, self._generation).exists()

    async def _start(self) -> None:
        for path in sorted(self._place.iterdir()):
            resumed = self._writer is None and path.name.isdigit() and await self._resume(path)
            if not resumed and path.name != "status":
                _remove(path)
        if self._writer is None:
            async with self._building:
                await self._build()
        self.status.offer(self._generation)

    async def _resume(self, path: Path) -> bool:
        """Go on with an index that an earlier indexer left, if it is whole."""
        if refused(self._place, int(path.name)).exists():
            return self._unfit("refused")
        sealed = await asyncio.to_thread(_unsealed, path)
        if sealed is False or (sealed is None and not self._resumable):
            return self._unfit("damaged" if sealed is False else "unsealed")
        try:
            tables = Tables(path, size=self._size, write=True)
        except lmdb.Error:
            return self._unfit("damaged")
        try:
            self._writer = Writer(tables, self.store_id)
        except (OutOfOrderError, IndexDamagedError, lmdb.Error) as error:
            tables.close()
            return self._unfit("unfinished" if isinstance(error, OutOfOrderError) else "damaged")
        self._tables, self._generation = tables, int(path.name)
        return True

    def _unfit(self, reason: str) -> bool:
        """That what an earlier indexer left is not to be used."""
        _log.warning("the index of the store %s is built again: %s", self.store_id, reason)
        self._reason = reason
        return False

    async def _build(self) -> None:
        # Never a number that was there before: workers may still have that one open.
        self._generation = self.status.next_generation()
        path = self._place / str(self._generation)
        began = elapsed()
        tables = Tables(path, size=self._size, write=True)
        try:
            head = await self._storage.head(self.store_id)
            await build(tables, self._source, head.snapshot, self._progress)
            self._writer = Writer(tables, self.store_id)
        except BaseException:
            tables.close()
            _remove(path)
            raise
        self._tables = tables
        self._built(self._reason)
        took = elapsed() - began
        self._may_build_again = elapsed() + max(_BETWEEN_BUILDS, 10 * took)
        _log.info(
            "the index of the store %s was built in %.1f s at revision %d",
            self.store_id,
            took,
            head.snapshot.revision,
        )

    async def _continues(self, head: Head, *, asked: bool) -> bool:
        """Whether `head` continues the history that is in the index. One that was not `asked` for
        now may be older than what came in meanwhile."""
        assert self._writer is not None  # it has been started
        mine = self._writer.held.head
        if head.snapshot.revision < mine.revision:
            return not asked and await self._continues(
                await self._storage.head(self.store_id), asked=True
            )
        if head.snapshot.revision == mine.revision:
            return head.snapshot.stamp == mine.stamp
        try:
            there = await self._storage.snapshot(self.store_id, mine.revision)
        except (SnapshotExpired, ZookieUnknown):
            return False
        return there.stamp == mine.stamp

    async def _carry(self, head: Head, began: float) -> bool:
        assert self._writer is not None  # it has been started
        held, revisions = self._writer.held, list[RevisionChanges]()
        if head.snapshot.revision > held.head.revision:
            after = held.head.revision
            revisions = await self._storage.changes(self.store_id, after, _CHANGES_AT_ONCE)
            if self._is_far(head, revisions):
                _log.info("the index of the store %s is built again: far behind", self.store_id)
                self.drop("behind")
                return True
        if revisions or head.oldest_revision > held.oldest:
            held = await self._apply(revisions, head.oldest_revision)
        level = held.head.revision >= head.snapshot.revision
        self._tell(held, head, began if level else None)
        return not level

    async def _apply(self, revisions: Sequence[RevisionChanges], oldest: int) -> Held:
        assert self._writer is not None  # it has been started
        newest = revisions[-1].snapshot if revisions else self._writer.held.head
        since = newest.committed_at - KEPT
        if sum(len(item.changes) for item in revisions) <= _IN_THIS_THREAD:
            return self._writer.apply(revisions, keep_since=since, oldest=oldest)
        # Shielded, for nobody may close the index under it.
        return await _beside(
            partial(self._writer.apply, revisions, keep_since=since, oldest=oldest)
        )

    def _tell(self, held: Held, head: Head, as_of: float | None) -> None:
        assert self._tables is not None  # it has been started
        info = self._tables.env.info()
        size = (info["last_pgno"] + 1) * self._tables.env.stat()["psize"]
        self.status.advance(held.head.revision, head.snapshot.revision, size, as_of)

    def _is_far(self, head: Head, revisions: Sequence[RevisionChanges]) -> bool:
        """Whether building again is quicker than carrying in what is missing, as far as the next
        `revisions` tell; not soon after a build, or a long import would be one build after the
        other."""
        assert self._tables is not None  # it has been started
        if not revisions or elapsed() < self._may_build_again:
            return False
        behind = head.snapshot.revision - revisions[0].snapshot.revision + 1
        missing = behind * sum(len(item.changes) for item in revisions) / len(revisions)
        with self._tables.env.begin() as transaction:
            there = transaction.stat(self._tables.forward)["entries"]
        return missing > _WORTH_BUILDING and missing * _CHANGES_PER_ROW > there + missing


async def _beside(work: Callable[[], T]) -> T:
    """Do it in a thread, and do not go on before it has ended."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise


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
