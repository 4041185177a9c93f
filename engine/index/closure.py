"""What subjects reach: the usersets, folders and so on that lead to what is checked (Zanzibar paper
§3.2.4, where it is called Leopard).

A closure is a walk back from one subject, by the schema's entrances, over tuples without caveat
and expiry. What it holds is certain; where nothing else could lead in, what it lacks is certain,
too. It is of one revision. When the index has moved on, the closures that read what has changed
since are dropped, and the others hold; a reader of another revision walks instead.

A closure is made when walking has cost about as much as making it, so that it is soon worth its
cost; what goes with a goal is about ten times what goes with an object or a read of a closure. It
is a shortcut of the evaluator's and says nothing by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from engine.cache.shared import Lru
from engine.entrances import Alias, Entrances, Itself, Place, Stored
from engine.formula import ALLOWED, DENIED
from engine.index.apply import REVERSE
from engine.index.encoding import packed
from engine.index.files import Held, Tables, revision_key
from engine.index.reader import View
from engine.plan import Plan
from engine.reach import Routes, onward_scan, own_scan
from engine.reader import ReverseScan
from engine.sight import Asked
from engine.tuples import Subject

_KEPT = 20_000
_KEYS_KEPT = 200_000
_WORTH, _AGAIN = 8, 3
"""Goals that walking has to have cost before a closure is made; times that until it is tried again
if it was too large."""
_PER_GOAL = 10
"""Objects and reads of a closure that are worth one goal."""
_MOST = 4_000
"""Objects and reads of the largest closure."""
_CHANGES = 2_000
"""Changes that are looked at one by one; after more all closures are dropped."""


class Closure:
    """What one subject reaches: the objects by plan. `closed` are the plans whose objects are
    all there; `keys` is what it was read from."""

    __slots__ = ("_closed", "_reached", "keys")

    def __init__(
        self, reached: dict[Plan, set[str]], closed: frozenset[Plan], keys: frozenset[bytes]
    ) -> None:
        self._reached = reached
        self._closed = closed
        self.keys = keys

    def value(self, plan: Plan, object_id: str) -> int | None:
        """Whether the subject is a member of the object under a plan; None if it is not known."""
        reached = self._reached.get(plan)
        if reached is None:
            return None
        if object_id in reached:
            return ALLOWED
        return DENIED if plan in self._closed else None

    def members(self, plan: Plan) -> set[str] | None:
        """All objects of which the subject is a member under a plan; None if they are not known."""
        return self._reached[plan] if plan in self._closed else None


class _Ways(NamedTuple):
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


class Closures:
    """The closures of one index, as of the newest revision that was seen."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._revision = -1
        self._names = -1
        self._kept: Lru[Asked, Closure] = Lru(_KEPT)
        self._costs: Lru[Asked, tuple[int, int]] = Lru(_KEPT)
        self._ways: Lru[tuple[Entrances, Place], _Ways] = Lru(1_000)
        self._users: defaultdict[bytes, set[Asked]] = defaultdict(set)

    def of(self, asked: Asked, held: Held, transaction: Any) -> Closure | None:
        """The closure at `held`, if there is one; `transaction` shows what is held."""
        if held.head.revision != self._revision and not self._advance(held, transaction):
            return None
        return self._kept.used(asked)

    def walked(self, asked: Asked, goals: int, view: View) -> None:
        """Take note that an answer had to walk `goals` goals, and make a closure if it is time."""
        if view.held.head.revision != self._revision or asked in self._kept:
            return
        cost, worth = self._costs.used(asked) or (0, _WORTH)
        cost += goals
        if cost >= worth:
            made = self.make(asked, view, min(_MOST, _PER_GOAL * cost))
            if made is not None:
                self._costs.pop(asked, None)
                self._keep(asked, made)
                return
            worth = _AGAIN * cost
        self._costs.put(asked, (cost, worth))

    def _keep(self, asked: Asked, made: Closure) -> None:
        for key in made.keys:
            self._users[key].add(asked)
        self._kept.put(asked, made)
        if len(self._users) > _KEYS_KEPT or len(self._kept) >= _KEPT:
            self._clear()

    def _clear(self) -> None:
        self._kept.clear()
        self._users.clear()

    def _advance(self, held: Held, transaction: Any) -> bool:
        """Drop what has changed; False if the closures are of a later revision than `held`."""
        before, now = self._revision, held.head.revision
        if before > now:
            return False
        if before < held.oldest or self._names != held.names:
            # A form that is new may lie under keys that nobody could have looked at.
            self._clear()
        elif self._kept:
            left = _CHANGES
            for revision in range(before + 1, now + 1):
                raw = transaction.get(revision_key(revision), db=self._tables.sweep)
                notes = msgspec.msgpack.decode(raw)[0] if raw else ()
                left -= len(notes) + 1
                if left < 0:
                    self._clear()
                    break
                self._drop(key for key, _ in notes if key[:1] == REVERSE)
        self._revision, self._names = now, held.names
        return True

    def _drop(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            for asked in self._users.pop(key, ()):
                made = self._kept.pop(asked, None)
                for other in () if made is None else made.keys:
                    if other in self._users:
                        self._users[other].discard(asked)

    def make(self, asked: Asked, view: View, most: int) -> Closure | None:
        """Walk back from the subject; None if that meets more than `most` objects and reads."""
        found = (asked.entrances, asked.place)
        ways = self._ways.used(found) or self._ways.put(found, _ways(*found))
        walk = _Walk(ways, view, most)
        return walk.run(asked.subject)


class _Walk:
    """One walk."""

    def __init__(self, ways: _Ways, view: View, most: int) -> None:
        self._ways = ways
        self._view = view
        self._left = most
        self._reached: dict[Place, set[str]] = {place: set() for place in ways.routes.walked}
        self._stack: list[tuple[Place, str]] = []
        self._keys: set[bytes] = set()
        self._unsure: set[Place] = set()

    def run(self, subject: Subject) -> Closure | None:
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
        return Closure(
            {plan(place): ids for place, ids in self._reached.items()},
            frozenset(map(plan, closed)),
            frozenset(self._keys),
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


def _ways(entrances: Entrances, place: Place) -> _Ways:
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
    ways = _Ways(routes, dict(aliases), dict(onward), frozenset())
    uncertain = {
        into
        for into in routes.walked
        if any(not entrance.certain for entrance in routes.into[into])
    }
    return ways._replace(open=ways.downstream(uncertain))
