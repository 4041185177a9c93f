"""What one subject reaches: the usersets, folders and so on that lead to what is checked (Zanzibar
paper §3.2.4, where it is called Leopard).

A closure is a walk back from one subject, by the schema's entrances, over tuples without caveat
and expiry. What it holds is certain; where nothing else could lead in, what it lacks is certain,
too. It is of one revision, and a shortcut of the evaluator's that says nothing by itself.
`engine.index.closures` keeps those that are worth it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from engine.entrances import Alias, Entrances, Itself, Place, Stored
from engine.formula import ALLOWED, DENIED
from engine.index.apply import REVERSE
from engine.index.encoding import packed
from engine.index.reader import View
from engine.plan import Plan
from engine.reach import Routes, onward_scan, own_scan
from engine.reader import ReverseScan
from engine.tuples import Subject

_FEW = 4
"""Ids that are looked through as soon as hashed, and take a quarter of the memory."""
_IDS_KEPT = 20_000
_FIXED, _OBJECT, _READ = 800, 64, 64
"""About how many bytes a closure takes by itself, and more for each of its objects and reads."""


class Read:
    """One read that closures were made from. `stale` when what it found has changed."""

    __slots__ = ("key", "stale", "uses")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.stale = False
        self.uses = 0


class Closure:
    """What one subject reaches: the objects by plan. `closed` are the plans whose objects are
    all there; `reads` is what it was read from, and `weight` about how many bytes it takes."""

    __slots__ = ("_closed", "_reached", "reads", "seen", "weight")

    def __init__(
        self,
        reached: dict[Plan, Collection[str]],
        closed: frozenset[Plan],
        reads: tuple[Read, ...],
        weight: int,
    ) -> None:
        self._reached = reached
        self._closed = closed
        self.reads = reads
        self.weight = weight
        self.seen = -1
        """The revision at which it was last seen to hold."""

    def value(self, plan: Plan, object_id: str) -> int | None:
        """Whether the subject is a member of the object under a plan; None if it is not known."""
        reached = self._reached.get(plan)
        if reached is None:
            return None
        if object_id in reached:
            return ALLOWED
        return DENIED if plan in self._closed else None

    def members(self, plan: Plan) -> Collection[str] | None:
        """All objects of which the subject is a member under a plan; None if they are not known."""
        return self._reached[plan] if plan in self._closed else None

    def holds(self) -> bool:
        """Whether nothing has changed that it was read from."""
        return not any(read.stale for read in self.reads)


class Shared:
    """Parts that the closures of an index have in common, so that each is in memory once."""

    def __init__(self) -> None:
        self.reads: dict[bytes, Read] = {}
        self._ids: dict[str, str] = {}

    def read(self, key: bytes) -> Read:
        """The read of a key, there for one more closure."""
        found = self.reads.get(key)
        if found is None:
            found = self.reads[key] = Read(key)
        found.uses += 1
        return found

    def let_go(self, reads: Iterable[Read]) -> None:
        """One closure that was made from them is gone."""
        for read in reads:
            read.uses -= 1
            if not read.uses and not read.stale:
                del self.reads[read.key]

    def changed(self, key: bytes) -> None:
        """What a read of the key would find is no longer what it was."""
        found = self.reads.pop(key, None)
        if found is not None:
            found.stale = True

    def collection(self, ids: Collection[str]) -> Collection[str]:
        """The ids, to be asked which are among them."""
        if len(self._ids) > _IDS_KEPT:
            self._ids.clear()
        known = self._ids
        found = [known.setdefault(id_, id_) for id_ in ids]
        return tuple(found) if len(found) <= _FEW else frozenset(found)

    def clear(self) -> None:
        """There are no closures any more."""
        self.reads.clear()
        self._ids.clear()


class Ways(NamedTuple):
    """The routes to a place, and where they lead on: by alias, and by stored tuples. `open` are the
    places that may have objects which no certain way leads to."""

    routes: Routes
    aliases: dict[Place, list[Place]]
    onward: dict[Place, list[tuple[Place, Stored]]]
    open: frozenset[Place]

    def downstream(self, places: Iterable[Place]) -> frozenset[Place]:
        """The places, and all that they lead to."""
        found = set(places)
        waiting = list(found)
        while waiting:
            source = waiting.pop()
            led = [
                *self.aliases.get(source, ()),
                *(into for into, _ in self.onward.get(source, ())),
            ]
            for into in led:
                if into not in found:
                    found.add(into)
                    waiting.append(into)
        return frozenset(found)


class Walk:
    """One walk; None is found if it meets more than `most` objects and reads."""

    def __init__(self, ways: Ways, view: View, most: int, shared: Shared) -> None:
        self._ways = ways
        self._view = view
        self._shared = shared
        self._left = most
        self._reached: dict[Place, set[str]] = {place: set() for place in ways.routes.walked}
        self._stack: list[tuple[Place, str]] = []
        self._keys: set[bytes] = set()
        self._unsure: set[Place] = set()

    def run(self, subject: Subject) -> Closure | None:
        """What the subject reaches. Raises what reading a damaged index raises."""
        ways, routes = self._ways, self._ways.routes
        for place in routes.walked:
            for entrance in routes.into[place]:
                if isinstance(entrance, Itself) and entrance.certain:
                    self._stack.append((place, subject.id))
                elif isinstance(entrance, Stored) and entrance.certain and entrance.source is None:
                    self._read(place, own_scan(subject, entrance, place), entrance)
        while self._stack:
            if self._left <= 0:
                return None
            place, id_ = self._stack.pop()
            if id_ in self._reached[place]:
                continue
            self._reached[place].add(id_)
            self._left -= 1
            self._stack.extend((into, id_) for into in ways.aliases.get(place, ()))
            for into, entrance in ways.onward.get(place, ()):
                self._read(into, onward_scan(id_, entrance, into), entrance)
        if self._left <= 0:
            # The last read may have found nothing for want of room.
            return None
        plan = routes.plan
        closed = routes.walked - ways.open - ways.downstream(self._unsure)
        shared = self._shared
        weight = _FIXED + _OBJECT * sum(map(len, self._reached.values())) + _READ * len(self._keys)
        return Closure(
            {plan(place): shared.collection(ids) for place, ids in self._reached.items()},
            frozenset(map(plan, closed)),
            tuple([shared.read(key) for key in self._keys]),
            weight,
        )

    def _read(self, into: Place, scan: ReverseScan, entrance: Stored) -> None:
        names = self._view.names
        access = names.access(
            scan.object_type, scan.relation, scan.subject_type, scan.subject_relation
        )
        self._left -= 1
        if access is None or self._left <= 0:
            return
        subject_id = packed(scan.subject_id)
        plain, others = self._view.reached_from(access, subject_id, self._left)
        self._keys.add(REVERSE + access.form + access.relation + subject_id)
        if others:
            self._unsure.add(into)
        if ("", False) in entrance.forms:
            self._left -= len(plain)
            self._stack.extend((into, id_) for id_ in plain)


def ways_to(entrances: Entrances, place: Place) -> Ways:
    """The ways of all subjects to a place."""
    routes = Routes(entrances, [place])
    aliases: defaultdict[Place, list[Place]] = defaultdict(list)
    onward: defaultdict[Place, list[tuple[Place, Stored]]] = defaultdict(list)
    for into in routes.walked:
        for entrance in routes.into[into]:
            if not entrance.certain:
                continue
            if isinstance(entrance, Alias):
                aliases[entrance.source].append(into)
            elif isinstance(entrance, Stored) and entrance.source is not None:
                onward[entrance.source].append((into, entrance))
    ways = Ways(routes, dict(aliases), dict(onward), frozenset())
    uncertain = {
        into
        for into in routes.walked
        if any(not entrance.certain for entrance in routes.into[into])
    }
    return ways._replace(open=ways.downstream(uncertain))
