"""The ground that checks of one moment share, where a node's index has all that they need.

Checks that arrive together ask Redis together (`engine.cache`), and those that get the same answer
about the same state of the index have the same snapshot. So they have the same ground, and what
choosing and making it takes is spent once. Where there is any doubt, there is no moment, and
`engine.consistency` chooses.
"""

from __future__ import annotations

from collections.abc import Callable
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

    def serves(self, asked: Object, overlay: Overlay | None) -> bool:
        """Whether a check of `asked` may be answered by it: nothing of that was written later, and
        the overlay is none, or but the name of the version that is in force."""
        if self.written.newest((asked,)) > self.shown.snapshot.revision:
            return False
        if overlay is None:
            return True
        if overlay.schema is not None or overlay.add or overlay.remove:
            return False
        return overlay.named == self.ground.compiled.name


class Moments:
    """The newest moment of each store."""

    def __init__(self, freshness: Freshness, grounds: Grounds) -> None:
        self._freshness = freshness
        self._grounds = grounds
        self._newest: Lru[str, Moment] = Lru(_STORES)

    async def of(self, store: str, asked: Object, overlay: Overlay | None) -> Moment | None:
        """A moment for a check of `asked` by `minimize_latency`; None if choosing takes more.

        Raises what `Grounds.at` raises, but for SchemaNotFound.
        """
        moment = await self.now(store)
        return moment if moment is not None and moment.serves(asked, overlay) else None

    async def now(self, store: str) -> Moment | None:
        """The moment of all that was asked before this; None if there is none.

        Raises what `Grounds.at` raises, but for SchemaNotFound.
        """
        at_hand = self._freshness.at_hand(store)
        if at_hand is None:
            return None
        _, shown = at_hand
        written = await self._freshness.written_since(shown)
        if written is None:
            return None
        moment = self._known(shown, written)
        if moment is None:
            try:
                ground, _ = await self._grounds.at(shown.snapshot, self._freshness.now())
            except SchemaNotFound:
                return None  # there may be one that is newer than the index
            moment = self._made(shown, written, ground)
        return moment

    def ask(self, store: str, told: Callable[[Moment | None], None]) -> None:
        """As `now`, but `told` is called with it, at once or later, and with None where there is
        more to do than to ask what was written."""
        at_hand = self._freshness.at_hand(store)
        if at_hand is None:
            told(None)
            return
        _, shown = at_hand

        def known(written: Written | None) -> None:
            try:
                moment = self._at_hand(shown, written)
            except Exception:  # noqa: BLE001 - whatever it is, it is found again by `now`
                moment = None
            told(moment)

        self._freshness.ask_written(shown, known)

    def _at_hand(self, shown: Shown, written: Written | None) -> Moment | None:
        if written is None:
            return None
        moment = self._known(shown, written)
        if moment is None:
            ground = self._grounds.at_hand(shown.snapshot, self._freshness.now())
            moment = None if ground is None else self._made(shown, written, ground)
        return moment

    def _known(self, shown: Shown, written: Written) -> Moment | None:
        moment = self._newest.get(shown.snapshot.store_id)
        if moment is None or moment.written is not written or moment.shown is not shown:
            return None
        return moment

    def _made(self, shown: Shown, written: Written, ground: Ground) -> Moment:
        snapshot = shown.snapshot
        moment = Moment(shown, written, ground, encode(snapshot))
        return self._newest.put(snapshot.store_id, moment)
