"""Every subject of one form that the data below a goal mention: the candidates of a lookup.

The walk goes forwards from one goal, in rounds, one fetch for a whole frontier; it follows every
branch of the plan, subtracted ones too, and keeps what it read, so that confirming a candidate
reads nothing again. A subject that nothing mentions is treated like any other such subject: only a
wildcard can make it a member.

Most candidates need no confirmation. A mention is `SURE` when nothing but unions, any-arrows and
usersets lie between it and the goal, all by tuples that hold without condition: the subject is a
member whatever else is true. It is of the `BASE` when exclusions lie between, too, and it stands in
what they subtract from: the subject is a member unless something subtracted mentions it as well,
for what is not mentioned is denied. Anything else is to be confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from time import perf_counter
from typing import assert_never

from engine.budget import Budget
from engine.check import Evaluation
from engine.formula import ALLOWED, DENIED
from engine.plan import (
    AllOf,
    AnyOf,
    Direct,
    Forms,
    Goal,
    Identity,
    Minus,
    Never,
    Plan,
    Step,
    SubjectForm,
    Walk,
)
from engine.reader import Edge, Probe, Reader, Scan
from engine.tuples import WILDCARD
from schema.rewrite import ArrowMode

_GOALS_PER_ROUND = 5_000
_WORK_PER_PAUSE = 256
_SECONDS_PER_TURN = 0.001

Place = tuple[str, str, str]
"""An object's type, its id, and a relation."""


class Standing(IntEnum):
    """What a mention says of its subject; the highest one counts."""

    CONFIRM = 0
    BASE = 1
    SURE = 2


class Held:
    """A Reader of the tuples that a walk has read; it is asked for nothing else."""

    def __init__(self) -> None:
        self._all: dict[Place, Sequence[Edge]] = {}
        self._usersets: dict[Place, Sequence[Edge]] = {}
        self._by_subject: dict[Place, dict[tuple[str, ...], Edge]] = {}

    def keep(self, scan: Scan, edges: Sequence[Edge]) -> None:
        """Hold what a scan found."""
        (self._usersets if scan.only_usersets else self._all)[scan[:3]] = edges

    @property
    def size(self) -> int:
        """How many tuples are held."""
        kept = (*self._all.values(), *self._usersets.values())
        return len(kept) + sum(map(len, kept))

    def has(self, scan: Scan) -> bool:
        """Whether a scan need not be made."""
        return scan[:3] in self._all or (scan.only_usersets and scan[:3] in self._usersets)

    def edges(self, place: Place, *, only_usersets: bool) -> Sequence[Edge]:
        """What a scan of a place finds."""
        if not only_usersets:
            return self._all[place]
        found = self._usersets.get(place)
        if found is None:
            found = [edge for edge in self._all[place] if edge.subject_relation]
            self._usersets[place] = found
        return found

    async def fetch(
        self,
        probes: Sequence[Probe],
        scans: Sequence[Scan],
        limit: int,  # noqa: ARG002 - what is held was paid for
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """See `engine.reader.Reader.fetch`."""
        held = [self._subjects(probe[:3]).get(probe[3:]) for probe in probes]
        return held, [self.edges(scan[:3], only_usersets=scan.only_usersets) for scan in scans]

    def _subjects(self, place: Place) -> dict[tuple[str, ...], Edge]:
        found = self._by_subject.get(place)
        if found is None:
            found = self._by_subject[place] = {edge[:3]: edge for edge in self._all[place]}
        return found


@dataclass(slots=True)
class _Visit:
    """A goal on the way: how it stands to the first one, and whether under a subtraction."""

    plan: Plan
    object_id: str
    standing: Standing
    subtracted: bool
    read: bool = False


class Mentions:
    """Gathers mentions. `standings` has every id, `subtracted` those that something subtracted
    mentions; `wildcard` and `wildcard_subtracted` say the same of the form's wildcard.

    `stranger` evaluates for a subject that no tuple names; it knows which tuples hold.
    """

    def __init__(self, form: SubjectForm, stranger: Evaluation) -> None:
        self.standings: dict[str, Standing] = {}
        self.subtracted: set[str] = set()
        self.wildcard = False
        self.wildcard_subtracted = False
        self.held = Held()
        self._form = form
        self._stranger = stranger
        self._visits: dict[tuple[Plan, str], _Visit] = {}
        self._waiting: list[_Visit] = []
        self._changed: list[_Visit] = []
        self._reads: dict[Plan, dict[str, bool]] = {}

    def is_sure(self, id_: str) -> bool:
        """Whether a subject that is mentioned is a member without confirmation."""
        standing = self.standings[id_]
        if standing is Standing.BASE:
            return not self.wildcard_subtracted and id_ not in self.subtracted
        return standing is Standing.SURE

    async def gather(self, plan: Plan, object_id: str, reader: Reader, budget: Budget) -> None:
        """Walk all that lies below a goal. Raises BudgetExceeded, and what the reader raises;
        mentions that are SURE then are so nevertheless."""
        turn = budget.check_time()
        self._visit(plan, object_id, Standing.SURE, subtracted=False)
        while self._waiting:
            taken, self._waiting = (
                self._waiting[:_GOALS_PER_ROUND],
                self._waiting[_GOALS_PER_ROUND:],
            )
            budget.spend_nodes(len(taken))
            await self._read(taken, reader, budget)
            self._changed.extend(taken)
            while self._changed:
                for _ in self._look(self._changed.pop()):
                    if budget.check_time() - turn > _SECONDS_PER_TURN:
                        await asyncio.sleep(0)
                        turn = perf_counter()

    async def _read(self, visits: Sequence[_Visit], reader: Reader, budget: Budget) -> None:
        wanted: dict[Place, bool] = {}
        for visit in visits:
            visit.read = True
            kind = visit.plan.object_type
            for relation, only_usersets in self._reads_of(visit.plan).items():
                if not self.held.has(Scan(kind, visit.object_id, relation, only_usersets)):
                    place = (kind, visit.object_id, relation)
                    wanted[place] = only_usersets and wanted.get(place, True)
        if wanted:
            scans = [Scan(*place, only_usersets) for place, only_usersets in wanted.items()]
            _, found = await reader.fetch((), scans, budget.reads)
            budget.spend_reads(len(scans) + sum(map(len, found)))
            for scan, edges in zip(scans, found, strict=True):
                self.held.keep(scan, edges)

    def _reads_of(self, plan: Plan) -> dict[str, bool]:
        """The relations that a plan reads, and whether usersets alone are enough."""
        reads = self._reads.get(plan)
        if reads is None:
            reads = self._reads[plan] = {relation: False for relation, _ in plan.program.probes}
            for relation, only_usersets in plan.program.scans:
                reads[relation] = only_usersets and reads.get(relation, True)
        return reads

    def _visit(self, plan: Plan, object_id: str, standing: Standing, *, subtracted: bool) -> None:
        visit = self._visits.get((plan, object_id))
        if visit is None:
            visit = _Visit(plan, object_id, standing, subtracted)
            self._visits[plan, object_id] = visit
            self._waiting.append(visit)
        elif standing > visit.standing or (subtracted and not visit.subtracted):
            visit.standing = max(standing, visit.standing)
            visit.subtracted |= subtracted
            if visit.read:
                self._changed.append(visit)

    def _mention(self, id_: str, standing: Standing, *, subtracted: bool) -> None:
        if id_ == WILDCARD:
            self.wildcard = True
            self.wildcard_subtracted |= subtracted
            return
        if standing > self.standings.get(id_, -1):
            self.standings[id_] = standing
        if subtracted:
            self.subtracted.add(id_)

    # -- the steps of a plan, as `engine.check.Evaluation` takes them ----------------------------

    def _look(self, visit: _Visit) -> Iterator[None]:
        """Look at what was read of a goal; yields every so often."""
        yield from self._step(visit, visit.plan.program.step, visit.standing, visit.subtracted)
        yield

    def _step(
        self, visit: _Visit, step: Step, standing: Standing, subtracted: bool
    ) -> Iterator[None]:
        match step:
            case Direct():
                yield from self._direct(visit, step, standing, subtracted)
            case AnyOf(parts=parts):
                for part in parts:
                    yield from self._step(visit, part, standing, subtracted)
            case Walk():
                yield from self._walk(visit, step, standing, subtracted)
            case Goal(plan=plan):
                self._visit(plan, visit.object_id, standing, subtracted=subtracted)
            case AllOf(parts=parts):
                for part in parts:
                    yield from self._step(visit, part, Standing.CONFIRM, subtracted)
            case Minus(base=base, subtracted=without):
                yield from self._step(visit, base, min(standing, Standing.BASE), subtracted)
                yield from self._step(visit, without, Standing.CONFIRM, True)
            case Identity():
                if visit.object_id != WILDCARD:
                    self._mention(visit.object_id, standing, subtracted=subtracted)
            case Never():
                pass
            case _:
                assert_never(step)

    def _direct(
        self, visit: _Visit, step: Direct, standing: Standing, subtracted: bool
    ) -> Iterator[None]:
        program = visit.plan.program
        probed = step.exact or step.wildcard
        relation = program.probes[probed[0]][0] if probed else program.scans[step.scan][0]
        place = (visit.plan.object_type, visit.object_id, relation)
        for number, edge in enumerate(self.held.edges(place, only_usersets=not probed)):
            if not number % _WORK_PER_PAUSE:
                yield
            kind = (edge.subject_type, edge.subject_relation)
            target = step.usersets.get(kind)
            if target is not None:
                self._follow(edge, *target, standing, subtracted)
            elif kind == self._form:
                named = step.wildcard if edge.subject_id == WILDCARD else step.exact
                if named is not None and (own := self._own(edge, named[1])) is not None:
                    self._mention(edge.subject_id, min(standing, own), subtracted=subtracted)

    def _walk(
        self, visit: _Visit, step: Walk, standing: Standing, subtracted: bool
    ) -> Iterator[None]:
        relation, only_usersets = visit.plan.program.scans[step.scan]
        place = (visit.plan.object_type, visit.object_id, relation)
        if step.mode is ArrowMode.ALL:
            standing = Standing.CONFIRM
        for number, edge in enumerate(self.held.edges(place, only_usersets=only_usersets)):
            if not number % _WORK_PER_PAUSE:
                yield
            target = step.targets.get((edge.subject_type, edge.subject_relation))
            if target is not None and edge.subject_id != WILDCARD:
                self._follow(edge, *target, standing, subtracted)

    def _follow(
        self, edge: Edge, forms: Forms, plan: Plan | None, standing: Standing, subtracted: bool
    ) -> None:
        own = None if plan is None else self._own(edge, forms)
        if plan is not None and own is not None:
            self._visit(plan, edge.subject_id, min(standing, own), subtracted=subtracted)

    def _own(self, edge: Edge, forms: Forms) -> Standing | None:
        """How much a tuple by itself is worth: None if it can make nobody a member."""
        holds = self._stranger.holds(edge, forms)
        if holds is None or holds == DENIED:
            return None
        return Standing.SURE if holds == ALLOWED else Standing.CONFIRM
