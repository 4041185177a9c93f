"""An overlay answers as a store does in which its changes were really made, in random worlds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import (
    FULLY_CONSISTENT,
    Check,
    LookupObjects,
    LookupPermissions,
    LookupSubjects,
    Overlay,
)
from engine.schemas import compile_schema
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage
from engine.tuples import Object
from engine.verify import verify
from tests.lookups.objects import SUBJECTS
from tests.lookups.subjects import FORMS
from tests.whatif.cases import LIMITS, case, planted
from tests.worlds import NOW

_PLACES = [Object(kind, id_) for kind in ("group", "folder", "doc") for id_ in "12"]


class Asker:
    """Asks a store everything, with an overlay or without."""

    def __init__(self, engine: Engine, store: str, context: Any, overlay: Overlay | None) -> None:
        self.engine = engine
        self.store = store
        self.context = context
        self.overlay = overlay
        self.way = Way(consistency=FULLY_CONSISTENT, overlay=overlay)

    async def says(self, names: Sequence[tuple[Object, str]], dice: random.Random) -> list[Any]:
        """What every read call answers, without the zookies."""
        checks = [Check(*at, who, self.context) for at in names for who in SUBJECTS]
        told: list[Any] = [("check", _shown(one)) for one in await self._batch(checks)]
        told += [await self._try(self._check(check)) for check in dice.sample(checks, 10)]
        for at in dice.sample(names, min(8, len(names))):
            told.append(("expand", at, await self._try(self._expand(*at))))
            for form in dice.sample(FORMS, 2):
                subjects = LookupSubjects(*at, *form, self.context)
                told.append((subjects, await self._try(self._subjects(subjects))))
        for who in SUBJECTS[:5]:
            kinds = dice.sample(["doc", "folder", "group"], dice.choice([1, 3]))
            objects = LookupObjects(kinds, dice.choice(["all", "view", "edit"]), who, self.context)
            told.append((objects, await self._try(self._objects(objects))))
            permissions = LookupPermissions(dice.choice(_PLACES), who, self.context)
            told.append((permissions, await self._try(self._permissions(permissions))))
        return told

    async def _try(self, call: Any) -> Any:
        try:
            return await call
        except EngineError as error:
            return _shown(error)

    async def _batch(self, checks: Sequence[Check]) -> list[Any]:
        made: list[Any] = []
        for start in range(0, len(checks), 500):
            answer = await self.engine.check_batch(
                self.store, checks[start : start + 500], FULLY_CONSISTENT, overlay=self.overlay
            )
            made += answer.results
        return made

    async def _check(self, check: Check) -> Any:
        answer = await self.engine.check(self.store, check, FULLY_CONSISTENT, overlay=self.overlay)
        return answer.decision

    async def _expand(self, object_: Object, relation: str) -> Any:
        answer = await self.engine.expand(
            self.store, object_, relation, FULLY_CONSISTENT, overlay=self.overlay
        )
        way = replace(self.way, limit=2)
        trees: list[Any] = []
        while True:
            page = await self.engine.expand_further(self.store, object_, relation, way)
            trees += page.trees
            if page.cursor is None:
                return answer.tree, trees
            way = replace(way, cursor=page.cursor)

    async def _objects(self, asked: LookupObjects) -> Any:
        count = await self.engine.count_objects(self.store, asked, self.way)
        streamed = await _items(self.engine.stream_objects(self.store, asked, self.way), "objects")
        found: list[Any] = []
        way = replace(self.way, limit=2)
        while True:
            page = await self.engine.lookup_objects(self.store, asked, way)
            found += [*page.objects, *map(_gap, page.gaps)]
            if page.cursor is None:
                return found, streamed, count.allowed, count.conditional
            way = replace(way, cursor=page.cursor)

    async def _subjects(self, asked: LookupSubjects) -> Any:
        count = await self.engine.count_subjects(self.store, asked, self.way)
        stream = self.engine.stream_subjects(self.store, asked, self.way)
        streamed = await _items(stream, "subjects")
        found: list[Any] = []
        way = replace(self.way, limit=2)
        while True:
            page = await self.engine.lookup_subjects(self.store, asked, way)
            found += page.subjects
            if page.cursor is None:
                return found, streamed, count.allowed, count.conditional, count.wildcard
            way = replace(way, cursor=page.cursor)

    async def _permissions(self, asked: LookupPermissions) -> Any:
        answer = await self.engine.lookup_permissions(self.store, asked, self.way)
        return answer.permissions, [_gap(gap) for gap in answer.gaps]


async def _items(pages: AsyncIterator[Any], name: str) -> list[Any]:
    return [item async for page in pages for item in getattr(page, name)]


def _gap(gap: Any) -> tuple[str, str]:
    return gap.about, gap.error.code


def _shown(result: Any) -> Any:
    return result.code if isinstance(result, EngineError) else result


async def compare(storage: Storage, seed: int, tally: Counter[str]) -> None:
    """Every read call, in the store with the overlay and in the one it describes."""
    engine = Engine(storage, limits=LIMITS, clock=lambda: NOW)
    made = case(seed)
    await planted(engine, f"stored-{seed}", made.schema, made.tuples)
    await planted(engine, f"written-{seed}", made.then_schema, made.then_tuples)
    types = compile_schema(made.then_schema).schema.object_types
    names = [(at, name) for at in _PLACES for name in types[at.type].names]
    laid_over = Asker(engine, f"stored-{seed}", made.context, made.overlay)
    written = Asker(engine, f"written-{seed}", made.context, None)
    expected = await written.says(names, random.Random(seed))
    said = await laid_over.says(names, random.Random(seed))
    for is_, told in zip(expected, said, strict=True):
        assert told == is_, f"seed {seed}"
    if not made.overlay.schema:
        before = Asker(engine, f"stored-{seed}", made.context, None)
        changed = zip(await before.says(names, random.Random(seed)), expected, strict=True)
        tally["changed"] += sum(one != other for one, other in changed)
    tally["schema"] += made.overlay.schema is not None


async def test_proofs_under_an_overlay_verify_against_what_would_be_stored() -> None:
    engine = Engine(MemoryStorage(lambda: NOW), limits=LIMITS, clock=lambda: NOW)
    proved = 0
    for seed in range(200, 210):
        made, dice = case(seed), random.Random(seed)
        await planted(engine, f"proved-{seed}", made.schema, made.tuples)
        schema = compile_schema(made.then_schema).schema
        for at in dice.sample(_PLACES, 3):
            name = dice.choice(list(schema.object_types[at.type].permissions))
            check = Check(at, name, dice.choice(SUBJECTS), made.context, explain=True)
            try:
                answer = await engine.check(
                    f"proved-{seed}", check, FULLY_CONSISTENT, overlay=made.overlay
                )
            except EngineError:
                continue
            assert verify(answer.explanation, schema, made.seen) == []
            proved += 1
    assert proved >= 20


@pytest.mark.parametrize("first", range(0, 24, 8))
async def test_an_overlay_is_as_if_written(first: int) -> None:
    storage, tally = MemoryStorage(lambda: NOW), Counter[str]()
    for seed in range(first, first + 8):
        await compare(storage, seed, tally)
    assert tally["changed"] >= 50, tally
    assert tally["schema"] == 4


async def test_an_overlay_over_postgres_is_as_if_written(fresh_database: str) -> None:
    storage, tally = await PostgresStorage.connect(fresh_database), Counter[str]()
    for seed in range(100, 104):
        await compare(storage, seed, tally)
    await storage.close()
    assert tally["changed"] >= 10, tally
