"""The ground that checks of one moment share, where a node's index has all that they need.

Checks that arrive together ask Redis together (`engine.cache`), and those that get the same answer
about the same state of the index have the same snapshot. So they have the same ground, and what
choosing and making it takes is spent once. Where there is any doubt, there is no moment, and
`engine.consistency` chooses.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.asking import Ground
from engine.cache.announcer import Written
from engine.cache.shared import Lru
from engine.consistency import Freshness, Shown
from engine.errors import SchemaNotFound
from engine.grounds import Grounds
from engine.requests import Overlay
from engine.tuples import Object
from engine.zookie import encode

_STORES = 1_000


class Moment(NamedTuple):
    """What the index shows, what was on record of later writes, the ground and its zookie."""

    shown: Shown
    written: Written
    ground: Ground
    zookie: str


class Moments:
    """The newest moment of each store."""

    def __init__(self, freshness: Freshness, grounds: Grounds) -> None:
        self._freshness = freshness
        self._grounds = grounds
        self._newest: Lru[str, Moment] = Lru(_STORES)

    async def under(self, store: str, asked: Object, overlay: Overlay | None) -> Moment | None:
        """As `of`, under an overlay: None if that is anything but the name of the version that is
        in force."""
        if overlay is None:
            return await self.of(store, asked)
        if overlay.named is None or overlay.schema is not None or overlay.add or overlay.remove:
            return None
        try:
            moment = await self.of(store, asked)
        except SchemaNotFound:
            return None  # the name may be of a version that is newer than the index
        if moment is None or moment.ground.compiled.name != overlay.named:
            return None
        return moment

    async def of(self, store: str, asked: Object) -> Moment | None:
        """A moment for a check of `asked` by `minimize_latency`; None if choosing takes more.

        Raises what `Grounds.at` raises.
        """
        at_hand = self._freshness.at_hand(store)
        if at_hand is None:
            return None
        record, shown = at_hand
        written = await self._freshness.written_since(shown)
        if written is None or written.newest((asked,)) > shown.snapshot.revision:
            return None
        moment = self._newest.get(record.id)
        if moment is None or moment.written is not written or moment.shown is not shown:
            ground, _ = await self._grounds.at(shown.snapshot, self._freshness.now())
            moment = Moment(shown, written, ground, encode(shown.snapshot))
            self._newest.put(record.id, moment)
        return moment
