"""What one subject reaches: the usersets, folders and so on that lead to what is checked (Zanzibar
paper §3.2.4, where it is called Leopard).

A closure is a walk back from one subject, by the schema's entrances, over tuples without caveat
and expiry. What it holds is certain; where nothing else could lead in, what it lacks is certain,
too. It is of one revision, and a shortcut of the evaluator's that says nothing by itself.
`engine.index.closures` keeps those that are worth it.

Whoever comes to a group or a folder goes on from there in the same way. So a closure holds what
its subject reaches by itself, and parts: what is reached from one object, by all who come to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from engine.formula import ALLOWED, DENIED
from engine.index.apply import REVERSE
from engine.index.encoding import packed
from engine.index.parts import (
    Changes,
    Goal,
    Members,
    Part,
    Reached,
    Reads,
    Shared,
    as_collection,
    count_of,
    is_among,
    size_of,
)
from engine.index.reader import View
from engine.index.ways import Step, Ways
from engine.plan import Plan
from engine.tuples import Subject

_FIXED, _POINTER = 700, 8
"""About how many bytes a closure takes by itself, and for each of its parts."""
_PARTS = 8
"""Parts that are looked into one by one; more are put together."""


class Closure:
    """What one subject reaches. `parts` and `reads` are what it was made from, `seen` is the moment
    at which it was last seen to hold, and `weight` about how many bytes it takes beside its
    parts."""

    __slots__ = ("_looked", "_own", "_sure", "parts", "reads", "seen", "ways", "weight")

    def __init__(
        self,
        ways: Ways,
        own: Reached,
        parts: tuple[Part, ...],
        reads: Reads,
        *,
        looked: tuple[Part, ...],
        sure: tuple[bool, ...],
        seen: int,
    ) -> None:
        """What is reached is in `own` and in the parts of `looked`; all is found that is at the
        places which are `sure`."""
        self.ways = ways
        self._own = own
        self.parts = parts
        self._looked = looked
        self._sure = sure
        self.reads = reads
        self.seen = seen
        self.weight = _FIXED + _POINTER * len(parts) + size_of(own, reads)

    def value(self, plan: Plan, object_id: str) -> int | None:
        """Whether the subject is a member of the object under a plan; None if it is not known."""
        at = self.ways.numbers.get(plan, -1)
        if at < 0 or " " in object_id:
            # No id has a space; of such a one nothing is known.
            return None
        spaced = f" {object_id} "
        if is_among(object_id, spaced, self._own[at]):
            return ALLOWED
        for part in self._looked:
            if is_among(object_id, spaced, part.reached[at]):
                return ALLOWED
        return DENIED if self._sure[at] else None

    def members(self, plan: Plan, most: int) -> Collection[str] | None:
        """All objects of which the subject is a member under a plan; None if they are not known, or
        more than `most`. An object may be there twice."""
        at = self.ways.numbers.get(plan, -1)
        if at < 0 or not self._sure[at]:
            return None
        each = [self._own[at], *[part.reached[at] for part in self._looked]]
        count = 0
        for ids in each:
            count += count_of(ids)
        return None if count > most else Members(each, count)

    def holds(self, moment: int, changes: Changes) -> bool:
        """Whether nothing that it was made from has changed, as noted by now; `moment` is that of
        the last change that may be of concern."""
        if self.seen < moment:
            if changes.since(self.seen, self.reads):
                return False
            for part in self.parts:
                if not part.holds(moment, changes):
                    return False
            self.seen = moment
        return True


class _Met:
    """What a walk has met: objects by their places, keys that were read, and places at which there
    is something that is not certain."""

    __slots__ = ("keys", "reached", "size", "unsure")

    def __init__(self, places: int) -> None:
        self.reached: list[set[str]] = [set() for _ in range(places)]
        self.keys: set[bytes] = set()
        self.unsure: set[int] = set()
        self.size = 0

    def reach(self, reached: Sequence[Collection[str]]) -> int:
        """Take in objects; how many they are."""
        count = 0
        for mine, theirs in zip(self.reached, reached, strict=True):
            mine |= set(theirs)
            count += len(theirs)
        return count

    def add(self, other: _Met) -> None:
        """Take in all that another has met."""
        self.reach(other.reached)
        self.keys |= other.keys
        self.unsure |= other.unsure


class Ground(NamedTuple):
    """What a walk stands on: a view of the revision that all changes were noted of at `moment`, and
    what closures share. What leads on to no more than `few` objects is no part."""

    view: View
    changes: Changes
    shared: Shared
    moment: int
    few: int


class Walk:
    """One walk; None is found if it meets more than `most` objects and reads that are not in parts
    by now."""

    def __init__(self, ways: Ways, ground: Ground, most: int) -> None:
        self._ways = ways
        self._ground = ground
        self._view = ground.view
        self._most = self._left = most
        self._seen: set[Goal] = set()
        self._again = 0

    def run(self, subject: Subject) -> Closure | None:
        """What the subject reaches. Raises what reading a damaged index raises."""
        own, firsts = self._begin(subject)
        made = self._by_parts(own, firsts)
        if made is None and 2 * self._again > self._most:
            # Its parts have most in common with one another: all of them are less than each.
            self._left = self._most
            own, firsts = self._begin(subject)
            self._from(firsts, own)
            made = self._made(own, [], []) if self._left > 0 else None
        return made

    def _begin(self, subject: Subject) -> tuple[_Met, list[Goal]]:
        ways = self._ways
        own = _Met(len(ways.onward))
        firsts: list[Goal] = [(place, subject.id) for place in ways.itself]
        for step in ways.begin:
            self._read(step, step.id or subject.id, own, firsts)
        return own, firsts

    def _by_parts(self, own: _Met, firsts: list[Goal]) -> Closure | None:
        parts, ground = self._ways.parts, self._ground
        known: list[Part] = []
        fresh: list[tuple[Goal, _Met]] = []
        for goal in dict.fromkeys(firsts):
            part = parts.get(goal)
            if part is not None and part.holds(self._ways.changed, ground.changes):
                known.append(part)
                self._left -= 1
                continue
            met = _Met(len(own.reached))
            self._from([goal], met)
            if met.size <= ground.few:
                own.add(met)
            else:
                fresh.append((goal, met))
            if self._left <= 0:
                # The last read may have found nothing for want of room.
                return None
        return self._made(own, known, fresh) if self._left > 0 else None

    def _from(self, stack: list[Goal], met: _Met) -> None:
        """Go on from objects, as far as there is room."""
        ways, seen = self._ways, self._seen
        while stack and self._left > 0:
            goal = stack.pop()
            place, id_ = goal
            if id_ in met.reached[place]:
                continue
            met.reached[place].add(id_)
            met.size += 1
            self._left -= 1
            left = self._left
            stack += [(into, id_) for into in ways.aliases[place]]
            for step in ways.onward[place]:
                self._read(step, id_, met, stack)
            if goal in seen:
                self._again += 1 + left - self._left
            else:
                seen.add(goal)

    def _read(self, step: Step, id_: str, met: _Met, found: list[Goal]) -> None:
        """Read the tuples whose subject is `id_`, and add what they lead to."""
        access = self._view.names.access(
            step.object_type, step.relation, step.subject_type, step.subject_relation
        )
        self._left -= 1
        if access is None or self._left <= 0:
            return
        subject_id = packed(id_)
        plain, others = self._view.reached_from(access, subject_id, self._left)
        kind = REVERSE + access.form + access.relation
        self._ways.kinds.add(kind)
        met.keys.add(kind + subject_id)
        if others:
            met.unsure.add(step.into)
        if step.plain and plain:
            self._left -= len(plain)
            found += [(step.into, other) for other in plain]

    def _made(self, own: _Met, known: list[Part], fresh: list[tuple[Goal, _Met]]) -> Closure | None:
        together = len(known) + len(fresh) > _PARTS
        if together:
            for part in known:
                self._left -= own.reach([as_collection(ids) for ids in part.reached])
            for _, met in fresh:
                self._left -= own.reach(met.reached)
            if self._left <= 0:
                return None
        parts = (*known, *[self._part(goal, met) for goal, met in fresh])
        unsure = own.unsure
        for part in parts:
            unsure.update(part.unsure)
        ground = self._ground
        return Closure(
            self._ways,
            ground.shared.reached(own.reached),
            parts,
            ground.changes.reads(own.keys),
            looked=() if together else parts,
            sure=self._ways.sure(unsure),
            seen=ground.moment,
        )

    def _part(self, goal: Goal, met: _Met) -> Part:
        ground = self._ground
        reached, reads = ground.shared.reached(met.reached), ground.changes.reads(met.keys)
        return Part(goal, reached, tuple(met.unsure), reads, ground.moment)
