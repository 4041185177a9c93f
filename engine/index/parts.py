"""What closures are made from: what is reached from one object, ids, and the reads that tell when
something has changed."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from sys import getsizeof
from typing import TypeAlias

Goal = tuple[int, str]
"""The number of a place in `engine.index.ways.Ways`, and an object's id."""
Ids = str | frozenset[str]
"""Ids of objects. A few are in one text, each between spaces, which no id has (one that has, by
whatever mistake, goes into a set): that is looked through nearly as soon as hashed, and takes a
tenth of the memory."""
Reached = tuple[Ids, ...]
"""What is reached, by the numbers of its places."""
Reads: TypeAlias = "array[int]"
"""Reads that something was made from, as `Changes` tells them apart."""

_TOLD_APART = 1 << 17
_LONGEST_TEXT = 1_024
_IDS_KEPT = 20_000
_FIXED, _ID = 450, 48
"""About how many bytes a part takes by itself, and an id in a set, which others may have too."""


class Changes:
    """When what lies under a key was last changed. Keys are told apart by their hashes alone, so
    that this takes the same memory for any store: now and then something seems to have changed that
    has not, and is made anew."""

    __slots__ = ("_last", "now")

    def __init__(self) -> None:
        self.now = 0
        self._last = array("Q", [0]) * _TOLD_APART

    def reads(self, keys: Collection[bytes]) -> Reads:
        """The reads of keys."""
        return array("I", [hash(key) % _TOLD_APART for key in keys])

    def note(self, key: bytes) -> None:
        """What lies under the key has changed now."""
        self._last[hash(key) % _TOLD_APART] = self.now

    def since(self, moment: int, reads: Reads) -> bool:
        """Whether any of them has changed after a moment."""
        return any(last > moment for last in map(self._last.__getitem__, reads))


class Part:
    """What is reached from one object, itself too, for all who come by it. `unsure` are the places
    where it met what is not certain; `uses` is how many closures point here, and `weight` about how
    many bytes it takes."""

    __slots__ = ("goal", "reached", "reads", "seen", "unsure", "uses", "weight")

    def __init__(
        self, goal: Goal, reached: Reached, unsure: Collection[int], reads: Reads, seen: int
    ) -> None:
        self.goal = goal
        self.reached = reached
        self.unsure = unsure
        self.reads = reads
        self.seen = seen
        self.uses = 0
        self.weight = _FIXED + size_of(reached, reads)

    def holds(self, moment: int, changes: Changes) -> bool:
        """As `Closure.holds`."""
        if self.seen < moment:
            if changes.since(self.seen, self.reads):
                return False
            self.seen = moment
        return True


class Shared:
    """Makes ids of objects into `Ids`: those in sets are in memory once, as long as there are not
    too many."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def reached(self, each: Sequence[Collection[str]]) -> Reached:
        """The ids at each place."""
        return tuple([self._ids(ids) for ids in each])

    def _ids(self, ids: Collection[str]) -> Ids:
        if not ids:
            return ""
        text = " ".join(ids)
        if len(text) < _LONGEST_TEXT and text.count(" ") == len(ids) - 1:
            return f" {text} "
        if len(self._known) > _IDS_KEPT:
            self._known.clear()
        known = self._known
        # Of a set, which has as much room as it needs; what is filled one by one has twice that.
        return frozenset({known.setdefault(id_, id_) for id_ in ids})

    def clear(self) -> None:
        """There are no closures any more."""
        self._known.clear()


class Members:
    """The ids of several `Ids`, so many of them; one that is in two of them is there twice."""

    __slots__ = ("_count", "_each")

    def __init__(self, each: Sequence[Ids], count: int) -> None:
        self._each = each
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return iter([id_ for ids in self._each for id_ in as_collection(ids)])

    def __contains__(self, id_: object) -> bool:
        return any(id_ in as_collection(ids) for ids in self._each)


def as_collection(ids: Ids) -> Collection[str]:
    """The ids one by one."""
    if isinstance(ids, str):
        return ids[1:-1].split(" ") if ids else ()
    return ids


def is_among(id_: str, spaced: str, ids: Ids) -> bool:
    """Whether an id is there, given as it is and between spaces."""
    return spaced in ids if isinstance(ids, str) else id_ in ids


def count_of(ids: Ids) -> int:
    """How many there are."""
    if isinstance(ids, str):
        return ids.count(" ") - 1 if ids else 0
    return len(ids)


def size_of(reached: Reached, reads: Reads) -> int:
    """About how many bytes they take."""
    size = getsizeof(reads)
    for ids in reached:
        if ids:
            size += getsizeof(ids)
            if not isinstance(ids, str):
                size += _ID * len(ids)
    return size
