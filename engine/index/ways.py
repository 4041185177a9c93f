"""The ways by which closures are walked: a schema's entrances, as far as whoever gets in by them is
certainly a member, with their places by number."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from engine.entrances import Alias, Entrances, Itself, Place, Stored
from engine.index.parts import Goal, Part
from engine.plan import Plan
from engine.reach import Routes
from engine.tuples import WILDCARD


class Step(NamedTuple):
    """A read of stored tuples, and the place that it leads into. `plain` says whether tuples
    without caveat and expiry are allowed; `id`, where it is not "", whose tuples are read instead
    of those of whoever goes this step."""

    into: int
    object_type: str
    relation: str
    subject_type: str
    subject_relation: str
    plain: bool
    id: str = ""


class Ways:
    """All ways to one place. `numbers` are those of the places that are walked, by their plans;
    `itself` are those that the subject's own object is at, and `begin` are the reads of its own
    tuples; from a place lead `aliases` and `onward`. `parts` are what is known of objects, `kinds`
    what the keys of all tuples begin with that were read for it."""

    __slots__ = (
        *("_open", "_sure", "aliases", "begin", "itself", "kinds", "numbers", "onward", "parts"),
        *("changed", "looked"),
    )

    def __init__(self, entrances: Entrances, place: Place, kind: str) -> None:
        routes = Routes(entrances, [place])
        places = {walked: number for number, walked in enumerate(sorted(routes.walked, key=repr))}
        self.numbers: dict[Plan, int] = {
            routes.plan(walked): number for walked, number in places.items()
        }
        self.itself: list[int] = []
        self.begin: list[Step] = []
        self.aliases: list[list[int]] = [[] for _ in places]
        self.onward: list[list[Step]] = [[] for _ in places]
        self.parts: dict[Goal, Part] = {}
        self.kinds: set[bytes] = set()
        self.changed = self.looked = 0
        """The moment at which a tuple of these kinds changed last, as was looked up at `looked`."""
        uncertain: set[int] = set()
        for walked, number in places.items():
            for entrance in routes.into[walked]:
                if not entrance.certain:
                    uncertain.add(number)
                elif isinstance(entrance, Itself):
                    self.itself.append(number)
                elif isinstance(entrance, Alias):
                    self.aliases[places[entrance.source]].append(number)
                else:
                    self._add(walked, number, entrance, places, kind)
        self._open = self._downstream(uncertain)
        self._sure: dict[frozenset[int], tuple[bool, ...]] = {}

    def sure(self, unsure: Collection[int]) -> tuple[bool, ...]:
        """Of each place, whether all objects are found that the subject reaches, if at `unsure`
        there may be more than is known."""
        key = frozenset(unsure)
        found = self._sure.get(key)
        if found is None:
            lacking = self._open | self._downstream(key)
            found = tuple([number not in lacking for number in range(len(self.onward))])
            self._sure[key] = found
        return found

    def _add(
        self, walked: Place, number: int, entrance: Stored, places: dict[Place, int], kind: str
    ) -> None:
        source = entrance.source
        step = Step(
            number,
            walked[0],
            entrance.relation,
            kind if source is None else source[0],
            entrance.subject_relation,
            ("", False) in entrance.forms,
            WILDCARD if entrance.wildcard else "",
        )
        if source is None:
            self.begin.append(step)
        else:
            self.onward[places[source]].append(step)

    def _downstream(self, numbers: Iterable[int]) -> frozenset[int]:
        """The places, and all that they lead to."""
        found = set(numbers)
        waiting = list(found)
        while waiting:
            source = waiting.pop()
            for into in (*self.aliases[source], *(step.into for step in self.onward[source])):
                if into not in found:
                    found.add(into)
                    waiting.append(into)
        return frozenset(found)
