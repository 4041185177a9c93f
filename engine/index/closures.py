"""The closures that a worker keeps: made when they are worth it, dropped when they no longer hold,
and together no larger than they may be.

A closure is made as soon as an answer had to walk: most of it is in parts that others have made,
so that it costs no more than the walk. One that is large is made when walking has cost about as
much. When the index has moved on, the closures that read what has changed since hold no longer, and
the others do; a reader of another revision walks instead.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from engine.cache.shared import Lru
from engine.entrances import Entrances, Place
from engine.index.apply import REVERSE
from engine.index.closure import Closure, Ground, Walk
from engine.index.files import Held, Tables, revision_key
from engine.index.parts import Changes, Shared
from engine.index.reader import View
from engine.index.ways import Ways
from engine.sight import Asked

CLOSURE_BYTES = 1 << 25
"""What the closures of a process may take together, where nothing else is said."""
_FEW = 8
_COSTS_KEPT = 20_000
_OF_KIND = len(REVERSE) + 4
"""How far the keys of tuples of one kind are the same: two bytes for the form of the subject, two
for the relation."""
_TRIED, _MOST = 500, 4_000
"""Objects and reads of the largest closure that is made whatever walking has cost, and of the
largest of all. To meet 500 takes about a millisecond."""
_PER_GOAL = 10
"""Objects and reads that are worth one goal that had to be walked."""
_AGAIN = 3
"""How many times as much has to have been walked until a closure that was too large is tried
again."""
_CHANGES = 2_000
"""Changes that are looked at one by one; after more all closures are dropped."""


class Allowance:
    """The memory that all closures of a process may take together, about, in bytes; and the changes
    that concern them. What leads on to no more than `few` objects is no part."""

    def __init__(self, most: int = CLOSURE_BYTES, few: int = _FEW) -> None:
        self._most = most
        self._taken = 0
        self.few = few
        self.changes = Changes()
        self._sharing: list[Closures] = []

    def join(self, closures: Closures) -> None:
        """Have one more index take its closures' memory from here."""
        self._sharing.append(closures)

    def leave(self, closures: Closures) -> None:
        """Have it no longer; its closures are gone."""
        self._sharing.remove(closures)

    def take(self, size: int) -> None:
        """Take memory; if there is too little, whoever has most gives up what was unused for
        longest. A negative size gives back."""
        self._taken += size
        while size > 0 and self._taken > self._most and self._sharing:
            largest = self._sharing[0]
            for other in self._sharing:
                if other.taken > largest.taken:
                    largest = other
            if not largest.drop_oldest():
                return


class Closures:
    """The closures of one index, as of the newest revision that was seen. `taken` is about how many
    bytes they take."""

    def __init__(self, tables: Tables, allowance: Allowance) -> None:
        self._tables = tables
        self._allowance = allowance
        self._is_open = True
        self._changes = allowance.changes
        self._revision = -1
        self._moment = 0
        self._kinds: dict[bytes, int] = {}
        self._names = -1
        self._kept: Lru[Asked, Closure] = Lru(sys.maxsize)
        self._costs: Lru[int, tuple[int, int]] = Lru(_COSTS_KEPT)
        self._ways: Lru[tuple[Entrances, Place], Ways] = Lru(1_000)
        self._shared = Shared()
        self.taken = 0
        allowance.join(self)

    def of(self, asked: Asked, held: Held, transaction: Any) -> Closure | None:
        """The closure at `held`, if there is one; `transaction` shows what is held."""
        if held.head.revision != self._revision and not self._advance(held, transaction):
            return None
        made = self._kept.used(asked)
        if made is None or made.holds(self._changed(made.ways), self._changes):
            return made
        del self._kept[asked]
        self._gone(made)
        return None

    def walked(self, asked: Asked, goals: int, view: View) -> None:
        """Take note that an answer had to walk `goals` goals, and make a closure if it is time. If
        it is too large, it is tried again when it is worth more."""
        if view.held.head.revision != self._revision or asked in self._kept or not self._is_open:
            return
        # By its hash: two that have the same are taken for one, which costs a walk at worst.
        known = hash(asked)
        cost, worth = self._costs.used(known) or (0, 0)
        cost += goals
        if cost >= worth:
            most = min(_MOST, max(_TRIED, _PER_GOAL * cost))
            made = self.make(asked, view, most)
            if made is not None:
                self._costs.pop(known, None)
                self._keep(asked, made)
                return
            worth = _AGAIN * max(cost, most // _PER_GOAL)
        self._costs.put(known, (cost, worth))

    def make(self, asked: Asked, view: View, most: int) -> Closure | None:
        """Walk back from the subject; None if that meets more than `most` objects and reads."""
        key = (asked.entrances, asked.place)
        ways = self._ways.used(key)
        if ways is None:
            ways = self._ways.put(key, Ways(*key, asked.subject.type))
        self._changed(ways)
        ground = Ground(view, self._changes, self._shared, self._moment, self._allowance.few)
        return Walk(ways, ground, most).run(asked.subject)

    def drop_oldest(self) -> bool:
        """Drop the closure that was unused for longest; False if there is none."""
        if not self._kept:
            return False
        _, made = self._kept.popitem(last=False)
        self._gone(made)
        return True

    def close(self) -> None:
        """Give back all memory. Readers that are still there walk."""
        if self._is_open:
            self._is_open = False
            self._clear()
            self._allowance.leave(self)

    def _keep(self, asked: Asked, made: Closure) -> None:
        self._kept.put(asked, made)
        size = made.weight
        for part in made.parts:
            if not part.uses:
                size += part.weight
                made.ways.parts[part.goal] = part
            part.uses += 1
        self._take(size)

    def _gone(self, made: Closure) -> None:
        size = made.weight
        for part in made.parts:
            part.uses -= 1
            if not part.uses:
                size += part.weight
                if made.ways.parts.get(part.goal) is part:
                    del made.ways.parts[part.goal]
        self._take(-size)

    def _clear(self) -> None:
        self._kept.clear()
        self._ways.clear()
        self._shared.clear()
        self._take(-self.taken)

    def _take(self, size: int) -> None:
        self.taken += size
        self._allowance.take(size)

    def _changed(self, ways: Ways) -> int:
        """The moment of the last change of a tuple like those that closures of these ways are made
        from. Most that is written is of no concern to any: who owns a document."""
        if ways.looked != self._moment:
            ways.looked = self._moment
            last = 0
            for kind in ways.kinds:
                last = max(last, self._kinds.get(kind, 0))
            ways.changed = last
        return ways.changed

    def _advance(self, held: Held, transaction: Any) -> bool:
        """Note what has changed; False if the closures are of a later revision than `held`."""
        before, now = self._revision, held.head.revision
        if before > now:
            return False
        if before < held.oldest or self._names != held.names:
            # A form that is new may lie under keys that nobody could have looked at.
            self._clear()
        elif self._kept:
            self._changes.now += 1
            self._moment = self._changes.now
            left = _CHANGES
            for revision in range(before + 1, now + 1):
                raw = transaction.get(revision_key(revision), db=self._tables.sweep)
                notes = msgspec.msgpack.decode(raw)[0] if raw else ()
                left -= len(notes) + 1
                if left < 0:
                    self._clear()
                    break
                for key, _ in notes:
                    if key[:1] == REVERSE:
                        self._kinds[key[:_OF_KIND]] = self._moment
                        self._changes.note(key)
        self._revision, self._names = now, held.names
        return True
