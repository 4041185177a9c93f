"""Stores in random worlds, overlays for them, and what would be stored if those were written."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.engine import Engine
from engine.errors import EngineError, SchemaRefused
from engine.limits import Limits
from engine.requests import Overlay, WriteRequest
from engine.schemas import CompiledSchema, compile_schema
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple
from engine.write import checked_tuple
from schema import print_schema
from tests.worlds import Worlds

LIMITS = Limits(evaluation_reads=10**6, evaluation_nodes=10**6)
_CHANGES = 40


class Case(NamedTuple):
    """A store, an overlay for it, and what the store would be if the overlay were written.

    `seen` are all tuples under the overlay; not all may stand in a store with its schema.
    """

    schema: str
    tuples: Sequence[RelationTuple]
    overlay: Overlay
    seen: Sequence[RelationTuple]
    then_schema: str
    then_tuples: Sequence[RelationTuple]
    context: dict[str, Any]


def _readable(worlds: Worlds) -> tuple[str, CompiledSchema, Sequence[RelationTuple], Any]:
    """The next world whose schema the language has words for, and does not refuse."""
    while True:
        world = worlds.world()
        try:
            text = print_schema(world.schema)
            return text, compile_schema(text), world.tuples, world.context
        except (SchemaRefused, ValueError):
            continue


def _valid(compiled: CompiledSchema, tuples: Sequence[RelationTuple]) -> list[RelationTuple]:
    found: dict[object, RelationTuple] = {}
    for item in tuples:
        try:
            found[item.identity] = checked_tuple(compiled, item, LIMITS, "tuple")
        except EngineError:
            continue
    return list(found.values())


def case(seed: int) -> Case:
    """Two worlds: the tuples of the first are stored, some go, and some of the second come."""
    dice, worlds = random.Random(seed), Worlds(seed)
    text, compiled, tuples, context = _readable(worlds)
    other_text, other, more, _ = _readable(worlds)
    stored = _valid(compiled, tuples)
    then_text, then = (other_text, other) if seed % 2 else (text, compiled)
    added = _valid(then, [*dice.sample(more, len(more) // 2), *dice.sample(tuples, 4)])
    added = added[: _CHANGES // 2]
    free = [item for item in [*stored, *more] if item.identity not in {a.identity for a in added}]
    gone = {item.identity: item for item in dice.sample(free, min(len(free), _CHANGES // 2))}
    overlay = Overlay(added, list(gone.values()), other_text if seed % 2 else None)
    result = {item.identity: item for item in [*stored, *added] if item.identity not in gone}
    seen = list(result.values())
    return Case(text, stored, overlay, seen, then_text, _valid(then, seen), context)


async def planted(engine: Engine, name: str, text: str, tuples: Sequence[RelationTuple]) -> None:
    """A new store with this schema and these tuples."""
    await engine.create_store(name)
    await engine.write_schema(name, text)
    if tuples:
        updates = [Update(UpdateOp.CREATE, item) for item in tuples]
        await engine.write(name, WriteRequest(updates))
