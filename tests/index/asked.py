"""Questions about a story, asked while it goes on: each answer is held to the oracle, at the
revision that the answer itself names."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from engine import zookie
from engine.decision import Decision
from engine.engine import Engine
from engine.errors import EngineError
from engine.jsontext import canonical_json
from engine.pages import Way
from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    AtExactSnapshot,
    AtLeastAsFresh,
    Check,
    Consistency,
    LookupObjects,
    LookupSubjects,
)
from engine.tuples import Object, Subject
from tests.engine.agreement import simplified
from tests.index.story import CONTEXTS, IDS, MOMENTS, OBJECTS, State, Story, parsed
from tests.lookups.subjects import Listed, differences
from tests.reference import Oracle

MOMENT: ContextVar[datetime] = ContextVar("moment")
"""The time of a question."""
_STRANGER = "nobody"
_RECENT, _OLD = 500, 1 << 30
_ORACLES = 50
_BATCH = 24  # so many of one subject that a closure is made


class Asked(NamedTuple):
    """How a question is asked: its mode by name, the oldest revision that may answer it, and the
    only one if it names one."""

    mode: str
    consistency: Consistency
    least: int
    exactly: int | None = None


class Asker:
    """Asks one question after the other of one store. `wrong` are the differences, in words."""

    def __init__(self, engine: Engine, store: str, story: Story, seed: int) -> None:
        self.tally: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._engine = engine
        self._store = store
        self._story = story
        self._dice = random.Random(seed)
        self._oracles: dict[tuple[object, ...], tuple[Oracle, State]] = {}

    async def ask(self) -> None:
        """One question, whatever it is."""
        dice = self._dice
        MOMENT.set(dice.choice(MOMENTS))
        asked = self._asked()
        kinds = {self._check: 4, self._batch: 4, self._objects: 2, self._subjects: 1}
        (kind,) = dice.choices(list(kinds), list(kinds.values()))
        await kind(asked, dice.choice(CONTEXTS))
        self.tally[asked.mode] += 1

    def _asked(self) -> Asked:
        dice, story = self._dice, self._story
        mode = dice.choice(["latest", "fresh", "recent", "old", "full"])
        if mode == "latest":
            return Asked(mode, MINIMIZE_LATENCY, 0)
        if mode == "full":
            return Asked(mode, FULLY_CONSISTENT, story.head)
        if mode == "fresh":
            revision = story.past(dice, dice.choice([1, 20, _RECENT]))
            return Asked(mode, AtLeastAsFresh(story.zookies[revision]), revision)
        revision = story.past(dice, _RECENT if mode == "recent" else _OLD)
        return Asked(mode, AtExactSnapshot(story.zookies[revision]), revision, revision)

    async def _truth(self, asked: Asked, text: str) -> tuple[State, datetime]:
        """What was stored at the revision that an answer names, and the time that it is of."""
        answered = zookie.decode(text)
        if not asked.least <= answered.revision <= (asked.exactly or answered.revision):
            self.wrong.append(f"{asked} was answered at {answered.revision}")
        state = await self._story.at(answered.revision)
        now = MOMENT.get()
        if asked.exactly is not None:
            held = await self._engine.storage.snapshot(answered.store_id, answered.revision)
            now = held.committed_at
        return state, now

    async def _check(self, asked: Asked, context: dict[str, Any]) -> None:
        check = self._some_check(self._some_subject(), context)
        try:
            answer = await self._engine.check(self._store, check, asked.consistency)
        except EngineError as error:
            # It names no revision; a batch of one does.
            self.tally[type(error).__name__] += 1
            await self._together(asked, [check])
            return
        await self._hold(asked, answer.zookie, [check], [answer.decision])

    async def _batch(self, asked: Asked, context: dict[str, Any]) -> None:
        subject, dice = self._some_subject(), self._dice
        checks = [self._some_check(subject, context) for _ in range(_BATCH)]
        if dice.random() < 0.3:
            checks.append(self._some_check(self._some_subject(), context))
        # Again and again, closures are made and used.
        for _ in range(dice.choice([1, 1, 4])):
            await self._together(asked, checks)

    async def _together(self, asked: Asked, checks: Sequence[Check]) -> None:
        answer = await self._engine.check_batch(self._store, checks, asked.consistency)
        await self._hold(asked, answer.zookie, checks, answer.results)

    async def _hold(
        self,
        asked: Asked,
        text: str,
        checks: Sequence[Check],
        results: Sequence[Decision | EngineError],
    ) -> None:
        state, now = await self._truth(asked, text)
        for check, result in zip(checks, results, strict=True):
            oracle = self._oracle(state, check.context, now, check.subject)
            is_ = oracle.answer(check.object, check.relation)
            self.tally["checks"] += 1
            self.tally[is_ if isinstance(is_, str) else "conditional"] += 1
            if simplified(result) != is_:
                question = f"{check.object}#{check.relation}@{check.subject} {check.context}"
                self._differs(asked, text, f"{question} is {is_}, answered {result!r}")

    async def _objects(self, asked: Asked, context: dict[str, Any]) -> None:
        subject, dice = self._some_subject(), self._dice
        kind = dice.choice(["group", "folder", "doc"])
        relation = self._some_name(kind)
        question = LookupObjects((kind,), relation, subject, context)
        way = Way(dice.choice([1, 2, 5, 100]), consistency=asked.consistency)
        engine = self._engine
        if dice.random() < 0.3:
            pages = [page async for page in engine.stream_objects(self._store, question, way)]
        else:
            pages = [await engine.lookup_objects(self._store, question, way)]
            while (cursor := pages[-1].cursor) is not None:
                following = replace(way, cursor=cursor)
                pages.append(await engine.lookup_objects(self._store, question, following))
        state, now = await self._truth(asked, pages[0].zookie)
        oracle = self._oracle(state, context, now, subject)
        is_ = {id_: oracle.answer(Object(kind, id_), relation) for id_ in sorted(IDS[kind])}
        is_ = {id_: answer for id_, answer in is_.items() if answer != "denied"}
        found = [(i.object.id, simplified(i.decision)) for page in pages for i in page.objects]
        gaps = [gap.about.removeprefix(f"{kind}:") for page in pages for gap in page.gaps]
        self.tally["pages of objects"] += len(pages)
        self.tally["objects"] += len(found)
        sorted_ = [id_ for id_, _ in found] == sorted(dict(found))
        told = {**dict(found), **dict.fromkeys(gaps, "error")}
        at_once = {page.zookie for page in pages}
        if told != is_ or not sorted_ or len(at_once) > 1:
            self._differs(asked, pages[0].zookie, f"{question} is {is_}, answered {found} {gaps}")

    async def _subjects(self, asked: Asked, context: dict[str, Any]) -> None:
        dice = self._dice
        at = dice.choice(OBJECTS)
        relation = self._some_name(at.type)
        form = dice.choice([("user", ""), ("user", ""), ("group", "member"), ("folder", "view")])
        question = LookupSubjects(at, relation, *form, context)
        way = Way(dice.choice([1, 2, 100]), consistency=asked.consistency)
        pages = [await self._engine.lookup_subjects(self._store, question, way)]
        while (cursor := pages[-1].cursor) is not None:
            following = replace(way, cursor=cursor)
            pages.append(await self._engine.lookup_subjects(self._store, question, following))
        state, now = await self._truth(asked, pages[0].zookie)
        is_ = {}
        for id_ in [*IDS[form[0]], _STRANGER]:
            oracle = self._oracle(state, context, now, Subject(form[0], id_, form[1]))
            is_[id_] = oracle.answer(at, relation)
        gaps = frozenset(gap.about for page in pages for gap in page.gaps)
        told = Listed(tuple(item for page in pages for item in page.subjects), gaps)
        self.tally["pages of subjects"] += len(pages)
        self.tally["subjects"] += len(told.subjects)
        for one in differences(told, form, is_):
            self._differs(asked, pages[0].zookie, f"{question}: {one}")
        if len({page.zookie for page in pages}) > 1:
            self._differs(asked, pages[0].zookie, f"{question}: pages of several snapshots")

    def _oracle(
        self, state: State, context: Mapping[str, Any], now: datetime, subject: Subject
    ) -> Oracle:
        key = (id(state), canonical_json(dict(context)), now, subject)
        if key not in self._oracles:
            if len(self._oracles) > _ORACLES:
                self._oracles.clear()
            # The state is held, so that its id stays its own.
            made = Oracle(state.world(context, now), subject, OBJECTS)
            self._oracles[key] = (made, state)
        return self._oracles[key][0]

    def _differs(self, asked: Asked, text: str, what: str) -> None:
        revision = zookie.decode(text).revision
        self.wrong.append(f"{asked.mode}, at revision {revision}: {what}")

    def _some_subject(self) -> Subject:
        dice = self._dice
        if dice.random() < 0.2:
            kind, name = dice.choice([("group", "member"), ("group", "all"), ("folder", "view")])
            return Subject(kind, dice.choice(IDS[kind]), name)
        return Subject("user", dice.choice(IDS["user"]))

    def _some_check(self, subject: Subject, context: dict[str, Any]) -> Check:
        at = self._dice.choice(OBJECTS)
        return Check(at, self._some_name(at.type), subject, context)

    def _some_name(self, kind: str) -> str:
        known = parsed(self._story.now.schema).object_types[kind]
        names = known.names if self._dice.random() < 0.2 else tuple(known.permissions)
        return self._dice.choice(names)
