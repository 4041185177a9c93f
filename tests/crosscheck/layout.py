"""A case laid out in a storage: its tuples stored, or half of them in an overlay."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

from engine.accesses import Accesses
from engine.caveats import CaveatSet
from engine.consistency import Freshness
from engine.cursor import Cursors
from engine.engine import Engine
from engine.errors import EngineError
from engine.limits import Limits
from engine.pages import Pages, Way
from engine.requests import Overlay
from engine.schemas import CompiledSchema
from engine.store.protocol import Storage, Update, UpdateOp, WriteCommand
from engine.tuples import RelationTuple
from engine.write import checked_tuple
from tests.crosscheck.cases import Case, moment_of
from tests.lookups.subjects import OneSchema

LIMITS = Limits(
    evaluation_reads=10**6,
    evaluation_nodes=10**6,
    contextual_tuples=1000,
    deadline=120.0,
    expand_nodes=2000,
    explain_seconds=60.0,
    explain_reads=10**6,
)
_DECOYS = 6
_numbers = itertools.count(1)


class OneSchemaEngine(Engine):
    """An engine whose stores all have one schema, which may be one that no write accepts."""

    def __init__(self, storage: Storage, each: Case, limits: Limits) -> None:
        freshness = Freshness(storage, now=moment_of(each))
        super().__init__(storage, limits=limits, freshness=freshness, clock=moment_of(each))
        schemas, cursors = OneSchema(storage, each.world.schema), Cursors(storage)
        self._pages = Pages(storage, freshness, schemas, cursors, limits)
        Accesses.__init__(self, self._pages, storage, cursors)


class Laid(NamedTuple):
    """A store that holds a case, by itself or together with an overlay."""

    engine: Engine
    case: Case
    store: str
    overlay: Overlay | None
    tuples: Sequence[RelationTuple]

    @property
    def way(self) -> Way:
        """How every list is asked for."""
        return Way(overlay=self.overlay)

    def with_changes(self, updates: Sequence[Update]) -> Overlay:
        """The overlay with further changes."""
        touched = {update.tuple.identity for update in updates}
        add, remove = (self.overlay.add, self.overlay.remove) if self.overlay else ((), ())
        added = [item for item in add if item.identity not in touched]
        removed = [item for item in remove if item.identity not in touched]
        added += [update.tuple for update in updates if update.op is not UpdateOp.DELETE]
        removed += [update.tuple for update in updates if update.op is UpdateOp.DELETE]
        return Overlay(added, removed)


async def lay_out(
    storage: Storage, each: Case, *, half: bool, limits: Limits = LIMITS, salt: int = 0
) -> Laid:
    """The case in a new store. With `half` a random half of its tuples is in an overlay, which
    takes away some tuples that are stored though the world does not have them."""
    engine = OneSchemaEngine(storage, each, limits)
    name = f"cross-{next(_numbers)}"
    await engine.create_store(name)
    stored, overlay = list(each.world.tuples), None
    if half:
        dice = random.Random(f"{each.name} {salt}")
        added = _half(each, dice)
        kept = {item.identity for item in stored} - {item.identity for item in added}
        stored = [item for item in stored if item.identity in kept]
        decoys = _decoys(each, dice)
        overlay = Overlay(added, decoys)
        stored += decoys
    if stored:
        store = await storage.get_store(name)
        updates = [Update(UpdateOp.CREATE, item) for item in stored]
        await storage.write(store.id, WriteCommand(updates, (), 0, each.world.now))
    return Laid(engine, each, name, overlay, each.world.tuples)


def _half(each: Case, dice: random.Random) -> list[RelationTuple]:
    """A random half of the tuples; those that no overlay accepts are stored."""
    schema = each.world.schema
    compiled = CompiledSchema(schema, CaveatSet(schema))
    tuples = list(each.world.tuples)
    chosen = []
    for item in dice.sample(tuples, (len(tuples) + 1) // 2):
        try:
            chosen.append(checked_tuple(compiled, item, LIMITS, "tuple"))
        except EngineError:
            continue
    return chosen


def _decoys(each: Case, dice: random.Random) -> list[RelationTuple]:
    """Tuples of the case with the subjects of others, which the case does not have."""
    known = {item.identity for item in each.world.tuples}
    made: dict[object, RelationTuple] = {}
    for _ in range(_DECOYS if each.world.tuples else 0):
        one, other = dice.choice(each.world.tuples), dice.choice(each.world.tuples)
        item = other._replace(object=one.object, relation=one.relation)
        if item.identity not in known:
            made[item.identity] = item
    return list(made.values())
