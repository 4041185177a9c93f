"""What nodes tell each other about writes, beside the source of truth (docs/consistency.md).

An announcer is believed in one direction only: it can make a node ask storage for a newer head, and
it can wake a watcher early. It never supplies an answer, so its worst lie costs freshness within
the staleness bound and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from engine.store.protocol import Snapshot
from engine.tuples import Object


class News(Protocol):
    """One listener's view of the announcements for one store."""

    def clear(self) -> None:
        """Forget what was announced until now."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return at the first announcement since `clear`, at the latest after `seconds`."""
        ...


class Written(Protocol):
    """Writes to one store after a revision, as far as they are on record."""

    def newest(self, objects: Collection[Object]) -> int:
        """The newest revision that touched one of `objects`, or one after that; 0 if none did."""
        ...


class Announcer(Protocol):
    """Publishes writes and recalls the recent ones. No method raises for a fault of its own."""

    async def publish(self, snapshot: Snapshot, objects: Collection[Object] | None) -> bool:
        """Say that `snapshot` is the last write of `objects`, None meaning every object of the
        store. True if it was recorded; False leaves that open."""
        ...

    async def written_since(
        self, store_id: str, revision: int, known_as_of: float
    ) -> Written | None:
        """What was written to a store after a revision; the same to all who ask at once.

        None if the record may lack a write that was published after `known_as_of` (on the clock
        that the announcer shares with its node): then only storage knows.
        """
        ...

    def ask_written(
        self,
        store_id: str,
        revision: int,
        known_as_of: float,
        told: Callable[[Written | None], None],
    ) -> None:
        """As `written_since`, but `told` is called with it, at once or later."""
        ...

    async def forget(self, store_id: str) -> None:
        """Drop what is on record for a store; every node will ask storage instead."""
        ...

    def listen(self, store_id: str) -> AbstractAsyncContextManager[News]:
        """Listen to the announcements for one store."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...
