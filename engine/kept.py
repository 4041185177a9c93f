"""What was computed for one page of a list and serves the next one."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Generic, TypeVar

from engine.pages import Page

_Item = TypeVar("_Item")
Key = tuple[str, int, int, datetime, bytes]


def key_of(page: Page) -> Key:
    """Everything that a list depends on: the snapshot, `now`, and the whole of the question."""
    snapshot = page.snapshot
    place = (snapshot.store_id, snapshot.revision, snapshot.stamp)
    return (*place, page.ground.now, page.call.arguments)


class Kept(Generic[_Item]):
    """Items of lists that are being paged through, of up to `room` altogether."""

    def __init__(self, room: int) -> None:
        self._room = self._left = room
        self._items: OrderedDict[Key, tuple[_Item, int]] = OrderedDict()

    def keep(self, key: Key, item: _Item, size: int) -> None:
        """Keep an item instead of the one before, unless it is larger than all the room; others
        go, the longest unused first."""
        _, before = self._items.pop(key, (None, 0))
        self._left += before
        if size > self._room:
            return
        self._items[key] = (item, size)
        self._left -= size
        while self._left < 0:
            _, (_, dropped) = self._items.popitem(last=False)
            self._left += dropped

    def use(self, key: Key) -> _Item | None:
        """The item that was kept under a key, if it still is."""
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key][0]
