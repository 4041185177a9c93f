"""What a proposed change may reach: which permissions, which objects, and which subjects.

The plan of the comparison, so that its cost follows the change and not the store. Whatever is left
out here cannot differ; what is kept may turn out the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from engine.asking import Ground
from engine.budget import Budget
from engine.impact_people import People
from engine.plan import SubjectForm
from engine.reader import Edge, Probe, Reader, ReverseReader, ReverseScan
from engine.requests import Overlay
from engine.schemas import CompiledSchema
from engine.store.protocol import Snapshot, Storage, TupleFilter
from engine.tuples import Object, RelationTuple, Subject
from schema.dependence import Dependence, Link, dependents, differing
from schema.model import Schema
from schema.walk import Node

_EACH = 1_000
_SCANS_PER_ROUND = 1_000
_READ_AT_ONCE = 500
_LAST = "\U0010ffff"
"""It sorts after every name of a relation."""


class Aim(NamedTuple):
    """One comparison: who of a form of subject gains or loses `type#name`.

    `everywhere`: of every object of the type, since it means something else under the new schema.
    """

    type: str
    name: str
    form: SubjectForm
    everywhere: bool


class Wanted(NamedTuple):
    """What the asker restricts the comparison to; None for no restriction. `relations`: not the
    permissions alone."""

    types: frozenset[str] | None
    names: frozenset[str] | None
    forms: tuple[SubjectForm, ...] | None
    relations: bool


class Scope:
    """What has to be compared. `people` are the only subjects whose answers may differ, except
    `everywhere`."""

    def __init__(
        self, storage: Storage, snapshot: Snapshot, before: Ground | None, after: Ground
    ) -> None:
        self.aims: list[Aim] = []
        self.people = People((), set(), ())
        self._storage = storage
        self._snapshot = snapshot
        self._before = before
        self._after = after
        self._changed: list[RelationTuple] = []
        self._links: dict[str, set[Link]] = {}
        self._reached: dict[str, list[str]] | None = None

    async def find(self, wanted: Wanted, budget: Budget) -> None:
        """Look at the change. Raises BudgetExceeded, and what the reader raises."""
        reader = self._storage.reader(self._snapshot)
        self._changed = await _effective(reader, self._after.overlay, budget)
        old = Schema() if self._before is None else self._before.compiled.schema
        new = self._after.compiled.schema
        direct, schemas = await asyncio.to_thread(_compared, old, new)
        everywhere = dependents(direct, schemas)
        start = {(item.object.type, item.relation) for item in self._changed}
        by_tuples = dependents(start, schemas)
        for schema in schemas:
            for kind, links in schema.links(by_tuples).items():
                self._links.setdefault(kind, set()).update(links)
        walked: set[Node] = set().union(*(schema.walked for schema in schemas))
        self.people = People(self._changed, walked, (self._before, self._after))
        for node in sorted(everywhere | by_tuples):
            budget.check_time()
            if self._wants(wanted, node):
                for form in self._forms(wanted, node):
                    self.aims.append(Aim(*node, form, node in everywhere))

    async def objects(self, aim: Aim, start: str, budget: Budget) -> AsyncIterator[str]:
        """The ids, in order and from `start` on, of the objects whose answers may differ."""
        if aim.everywhere:
            async for id_ in self._every(aim.type, start):
                yield id_
            return
        if self._reached is None:
            self._reached = await self._reach(budget)
        for id_ in self._reached.get(aim.type, ()):
            if id_ >= start:
                yield id_

    def _schemas(self) -> list[CompiledSchema]:
        grounds = [ground for ground in (self._before, self._after) if ground is not None]
        return list({id(ground.compiled): ground.compiled for ground in grounds}.values())

    def _wants(self, wanted: Wanted, node: Node) -> bool:
        kind, name = node
        if wanted.types is not None and kind not in wanted.types:
            return False
        if wanted.names is not None and name not in wanted.names:
            return False
        known = [compiled.schema.object_types.get(kind) for compiled in self._schemas()]
        return wanted.relations or any(each and name in each.permissions for each in known)

    def _forms(self, wanted: Wanted, node: Node) -> list[SubjectForm]:
        """The forms of subject that either schema lets reach a node."""
        found: set[SubjectForm] = set()
        for compiled in self._schemas():
            types = compiled.schema.object_types
            forms: Iterable[SubjectForm] = (SubjectForm(kind, "") for kind in types)
            if wanted.forms is not None:
                forms = (form for form in wanted.forms if _exists(compiled, form))
            found |= {form for form in forms if compiled.plans.for_subject(*form).reaches(*node)}
        return sorted(found)

    async def _every(self, kind: str, start: str) -> AsyncIterator[str]:
        """The objects of a type that have tuples, added ones too."""
        added = {item.object.id for item in self._after.overlay.add if item.object.type == kind}
        waiting = sorted((id_ for id_ in added if id_ >= start), reverse=True)
        async for id_ in self._stored(kind, start):
            while waiting and waiting[-1] < id_:
                yield waiting.pop()
            if waiting and waiting[-1] == id_:
                waiting.pop()
            yield id_
        while waiting:
            yield waiting.pop()

    async def _stored(self, kind: str, start: str) -> AsyncIterator[str]:
        after = RelationTuple(Object(kind, start), "", Subject("", ""))
        wanted, now = TupleFilter(object_type=kind), self._after.now
        while True:
            found = await self._storage.read(
                self._snapshot, wanted, after=after, limit=_READ_AT_ONCE, now=now
            )
            for id_ in dict.fromkeys(item.object.id for item in found):
                yield id_
            if len(found) < _READ_AT_ONCE:
                return
            after = RelationTuple(found[-1].object, _LAST, Subject("", ""))

    async def _reach(self, budget: Budget) -> dict[str, list[str]]:
        """The objects that the changed tuples stand on, and those that come to them: what is
        stored now is enough to follow, as an added tuple's object is there already."""
        reader = self._storage.reader(self._snapshot)
        found = {item.object for item in self._changed}
        waiting = list(found)
        while waiting:
            scans = [
                ReverseScan(*one, relation, kind, name)
                for one in waiting
                for relation, kind, name in sorted(self._links.get(one.type, ()))
            ]
            waiting = []
            for start in range(0, len(scans), _SCANS_PER_ROUND):
                part = scans[start : start + _SCANS_PER_ROUND]
                waiting += await _further(reader, part, found, budget)
        by_type: dict[str, list[str]] = {}
        for kind, id_ in sorted(found):
            by_type.setdefault(kind, []).append(id_)
        return by_type


async def _further(
    reader: ReverseReader, scans: list[ReverseScan], found: set[Object], budget: Budget
) -> list[Object]:
    """The objects that these scans add to those that are found, to their ends."""
    new: list[Object] = []
    while scans:
        budget.check_time()
        lists = await reader.objects_of(scans, _EACH, budget.reads)
        longer = []
        for scan, edges in zip(scans, lists, strict=True):
            budget.spend_reads(1 + len(edges))
            for edge in edges:
                one = Object(scan.object_type, edge.object_id)
                if one not in found:
                    found.add(one)
                    new.append(one)
            if len(edges) == _EACH:
                longer.append(scan._replace(after=edges[-1].object_id))
        scans = longer
    return new


async def _effective(reader: Reader, overlay: Overlay, budget: Budget) -> list[RelationTuple]:
    """The tuples of an overlay that change something."""
    items = [*overlay.add, *overlay.remove]
    if not items:
        return []
    probes = [Probe(*item.object, item.relation, *item.subject) for item in items]
    edges, _ = await reader.fetch(probes, (), budget.reads)
    budget.spend_reads(len(probes))
    wanted = [
        *(Edge(*item.subject, item.caveat, item.context, item.expires_at) for item in overlay.add),
        *(None for _ in overlay.remove),
    ]
    return [item for item, is_, to in zip(items, edges, wanted, strict=True) if is_ != to]


def _compared(old: Schema, new: Schema) -> tuple[set[Node], list[Dependence]]:
    if old is new:
        return set(), [Dependence(new)]
    return differing(old, new), [Dependence(old), Dependence(new)]


def _exists(compiled: CompiledSchema, form: SubjectForm) -> bool:
    known = compiled.schema.object_types.get(form.type)
    return known is not None and (not form.relation or known.rewrite_of(form.relation) is not None)
