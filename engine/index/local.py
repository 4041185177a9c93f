"""The indexes of a node, as its workers use them: which snapshot each shows, and views of it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import lmdb

from engine.cache.shared import Lru
from engine.index.closure import Closure
from engine.index.closures import Allowance, Closures
from engine.index.encoding import Names
from engine.index.files import (
    Held,
    IndexDamagedError,
    Tables,
    read_held,
    read_names,
    revision_key,
    unpack_snapshot,
)
from engine.index.reader import IndexReader, View
from engine.index.status import Status, refused
from engine.reader import Edge, Probe, ReverseEdge, ReverseReader, ReverseScan, Scan
from engine.sight import Asked, NearReader, Sights
from engine.store.protocol import Snapshot

_log = logging.getLogger(__name__)

_STORES = 1_000
_WANTED_EVERY = 1.0
_LONGEST_VIEW = 0.5
"""Seconds that one state is held: pages that a view looks at cannot be used again meanwhile."""
_FAULTS = (lmdb.Error, IndexDamagedError, KeyError, UnicodeDecodeError)
"""What reading a damaged index may raise."""


class Shown(NamedTuple):
    """The newest snapshot of an index, and the moment since which nothing is missing in it.

    `generation` changes when the index was made anew, as it is when the store turns out to have
    another history.
    """

    snapshot: Snapshot
    as_of: float
    generation: int


class LocalIndexes:
    """The indexes under the directory `root`, each of at most `size` bytes. Never written here."""

    def __init__(
        self,
        root: Path,
        *,
        size: int,
        stores: int = _STORES,
        allowance: Allowance | None = None,
        opened: Callable[[Path], Tables] | None = None,
    ) -> None:
        """At most `stores` are open: who comes beyond has the one closed that was unused for
        longest. `allowance` is what may be remembered of subjects; `opened` opens one generation,
        which a process may have open only once."""
        self._root = root
        self._opened = opened or (lambda path: Tables(path, size=size, write=False))
        self._allowance = allowance or Allowance()
        self._most = stores
        self._stores: Lru[str, _Store] = Lru(stores)

    def shown(self, store_id: str, revision: int = 0) -> Shown | None:
        """What the index of a store shows now, None if there is none to be used. It is looked at
        anew if what was seen last is before `revision`."""
        state = self._store(store_id).state(revision)
        return None if state is None else state.shown

    def snapshot(self, store_id: str, revision: int) -> Snapshot | None:
        """The snapshot of a revision, if the index can show it."""
        return self._store(store_id).snapshot(revision)

    def reader(self, snapshot: Snapshot, otherwise: ReverseReader) -> NodeReader:
        """A reader of the index where that shows the snapshot, else of `otherwise`."""
        return NodeReader(self._store(snapshot.store_id), snapshot, otherwise)

    def close(self) -> None:
        """Let go of every file."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()

    def _store(self, store_id: str) -> _Store:
        store = self._stores.used(store_id)
        if store is not None:
            return store
        if len(self._stores) >= self._most:
            _, unused = self._stores.popitem(last=False)
            unused.close()
        made = _Store(self._root / store_id, self._opened, self._allowance)
        return self._stores.put(store_id, made)


class _State(NamedTuple):
    """An index as one transaction shows it, for all who ask while nothing new is told of it."""

    shown: Shown
    held: Held
    reader: IndexReader
    told: int
    born: float


class _Store:
    """One store's index as it is now, whichever generation that is."""

    def __init__(self, place: Path, opened: Callable[[Path], Tables], allowance: Allowance) -> None:
        self._allowance = allowance
        self._place = place
        self._opened = opened
        self._status: Status | None = None
        self._wanted = float("-inf")
        self._generation = 0
        self._refused = 0
        self._tables: Tables | None = None
        self._names: Names | None = None
        self._at = -1
        self._held: Held | None = None
        self.closures: Closures | None = None
        self._state: _State | None = None
        self._timer: asyncio.TimerHandle | None = None

    def state(self, revision: int = 0) -> _State | None:
        """The newest state; one that was seen before while the indexer has told nothing since,
        unless that is before `revision`."""
        status = self._current()
        if status is None:
            return None
        # Read before the state: what the state shows is at least as new.
        told = status.told
        state = self._state
        if state is not None and state.told == told and state.held.head.revision >= revision:
            return state
        begun = self._begin()
        if begun is None:
            return None
        transaction, held = begun
        assert self._tables is not None  # it has a transaction
        assert self._names is not None
        shown = Shown(held.head, told / 1e9, self._generation)
        view = View(self._tables, transaction, self._names, held, None)
        state = _State(shown, held, IndexReader(view), told, monotonic())
        self._keep(state)
        return state

    def _keep(self, state: _State) -> None:
        """Hold a state for others, but not for long: what it shows cannot be overwritten."""
        if self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._timer = loop.call_later(_LONGEST_VIEW, self._expire)
        self._state = state

    def _expire(self) -> None:
        self._timer = None
        if self._state is None:
            return
        left = self._state.born + _LONGEST_VIEW - monotonic()
        if left <= 0:
            self._state = None
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self._expire)

    def snapshot(self, revision: int) -> Snapshot | None:
        state = self._begin() if self._current() else None
        if state is None or not state[1].oldest <= revision <= state[1].head.revision:
            return None
        transaction, held = state
        if revision == held.head.revision:
            return held.head
        assert self._tables is not None  # it has a state
        raw = transaction.get(revision_key(revision), db=self._tables.revisions)
        return raw and unpack_snapshot(held.head.store_id, revision, raw)

    def view(self, snapshot: Snapshot) -> View | None:
        """A view of exactly this snapshot; None if the index does not show it."""
        state = self._begin() if self._current() else None
        if state is None:
            return None
        transaction, held = state
        assert self._tables is not None  # it has a state
        assert self._names is not None
        if snapshot == held.head:
            return View(self._tables, transaction, self._names, held, None)
        if not held.oldest <= snapshot.revision < held.head.revision:
            return None
        raw = transaction.get(revision_key(snapshot.revision), db=self._tables.revisions)
        if raw is None or unpack_snapshot(snapshot.store_id, snapshot.revision, raw) != snapshot:
            return None
        return View(self._tables, transaction, self._names, held, snapshot.revision)

    def distrust(self, error: Exception) -> None:
        """Use this generation no more, and have it built again."""
        _log.warning("an index is not used any more: %s: %s", type(error).__name__, error)
        self._refused = self._generation
        refused(self._place, self._generation).touch()
        self._let_go()

    def close(self) -> None:
        """Let go of every file and all memory, for good: who still reads it reads Postgres."""
        self._wanted = float("inf")
        self._let_go()
        if self._status is not None:
            self._status.close()
            self._status = None

    def _current(self) -> Status | None:
        """The status, if there is an index to be used; it is open then."""
        now = monotonic()
        if now - self._wanted >= _WANTED_EVERY:
            self._wanted = now
            self._want()
        status = self._status
        if status is None:
            return None
        generation = status.generation
        if generation != self._generation:
            self._let_go()
            if generation and generation != self._refused:
                self._open(generation)
        return status if self._tables is not None else None

    def _want(self) -> None:
        """Say that this store is in use here, and look whether there is a status by now."""
        wanted = self._place.parent / "wanted" / self._place.name
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            wanted.touch()
            os.utime(wanted)
            if self._status is None:
                self._status = Status(self._place / "status")
        except OSError:
            return

    def _open(self, generation: int) -> None:
        if refused(self._place, generation).exists():
            return
        try:
            tables = self._opened(self._place / str(generation))
        except (lmdb.Error, OSError) as error:
            _log.warning("an index cannot be opened: %s", error)
            self._refused = generation
            return
        self._tables, self._generation = tables, generation
        self.closures = Closures(tables, self._allowance)

    def _begin(self) -> tuple[Any, Held] | None:
        """A transaction, and what it shows."""
        assert self._tables is not None  # only asked when there is an index
        try:
            transaction = self._tables.env.begin()
            at = transaction.id()
            if at != self._at or self._held is None:
                held = read_held(transaction, self._place.name)
                if held is None:
                    return None
                if self._names is None or held.names != self._names.version:
                    self._names = read_names(transaction)
                self._held, self._at = held, at
        except _FAULTS as error:
            self.distrust(error)
            return None
        return transaction, self._held

    def _let_go(self) -> None:
        """Forget the open generation. Views that are still held keep it open until they end."""
        if self.closures is not None:
            self.closures.close()
        self._tables = self._names = self._held = self.closures = self._state = None
        self._generation, self._at = 0, -1


class NodeReader(NearReader):
    """Reads one snapshot from the index, and from `otherwise` whatever that does not show.

    See `engine.reader.ReverseReader`.
    """

    __slots__ = ("_born", "_closures", "_otherwise", "_reader", "_snapshot", "_store")

    def __init__(self, store: _Store, snapshot: Snapshot, otherwise: ReverseReader) -> None:
        self._store = store
        self._snapshot = snapshot
        self._otherwise = otherwise
        self._reader: IndexReader | None = None
        self._closures: Closures | None = None
        self._born = float("-inf")

    def local(self) -> IndexReader | None:
        """A reader of the index, good for now; None if the index does not show the snapshot."""
        now = monotonic()
        if now - self._born > _LONGEST_VIEW:
            self._reader = self._find()
            if self._reader is not None:
                self._born = now
                newest = self._reader.view.is_newest
                self._closures = self._store.closures if newest else None
        return self._reader

    def _find(self) -> IndexReader | None:
        state = self._store.state()
        if state is not None and state.held.head == self._snapshot:
            return state.reader
        view = self._store.view(self._snapshot)
        return None if view is None else IndexReader(view)

    def distrust(self, error: Exception) -> None:
        """Reading the index failed."""
        self._reader, self._born = None, float("-inf")
        self._store.distrust(error)

    def sights(self, limit: int) -> Sights | None:
        """See `engine.sight.NearReader`."""
        local = self.local()
        return None if local is None else local.sights(limit)

    def closure(self, asked: Asked) -> Closure | None:
        """See `engine.sight.NearReader`."""
        local, closures = self.local(), self._closures
        if local is None or closures is None:
            return None
        try:
            return closures.of(asked, local.view.held, local.view.transaction)
        except _FAULTS as error:
            self.distrust(error)
            return None

    def walked(self, asked: Asked, goals: int) -> None:
        """See `engine.sight.NearReader`."""
        local, closures = self.local(), self._closures
        if local is None or closures is None:
            return
        try:
            closures.walked(asked, goals, local.view)
        except _FAULTS as error:
            self.distrust(error)

    def lost(self, error: Exception) -> bool:
        """See `engine.sight.NearReader`."""
        if not isinstance(error, _FAULTS):
            return False
        if self._reader is not None:  # else it is known: sights from before raise again
            self.distrust(error)
        return True

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """See `Reader.fetch`."""
        local = self.local()
        if local is not None:
            try:
                return await local.fetch(probes, scans, limit)
            except _FAULTS as error:
                self.distrust(error)
        return await self._otherwise.fetch(probes, scans, limit)

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        """See `ReverseReader.objects_of`."""
        local = self.local()
        if local is not None:
            try:
                return await local.objects_of(scans, each, limit)
            except _FAULTS as error:
                self.distrust(error)
        return await self._otherwise.objects_of(scans, each, limit)
