"""Every read call answers as it did: at a zookie, and at a moment, under that time's schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import SnapshotExpired
from engine.history import History
from engine.pages import Way
from engine.requests import (
    AtExactSnapshot,
    AtTime,
    Check,
    Consistency,
    LookupObjects,
    LookupPermissions,
    LookupSubjects,
    WriteRequest,
)
from engine.store.protocol import TupleFilter
from engine.tuples import Object, Subject, format_time
from tests.audit.conftest import Clock
from tests.store.tenant import delete, touch

FIRST = """use expiration
definition user {}
definition document {
  relation viewer: user | user with expiration
  relation banned: user
  permission view = viewer
}"""
SECOND = FIRST.replace("view = viewer", "view = viewer - banned")
THIRD = SECOND.replace("view = viewer - banned", "see = viewer\n  permission view = nil")
PLAN = Object("document", "plan")
ANN, BOB, CY = (Subject("user", name) for name in ("ann", "bob", "cy"))
Question = Callable[[Engine, Consistency], Awaitable[Any]]


def check(subject: Subject, *, explain: bool = False) -> Check:
    return Check(PLAN, "view", subject, explain=explain)


async def _checked(engine: Engine, at: Consistency) -> Any:
    made = [await engine.check("acme", check(who), at) for who in (ANN, BOB, CY)]
    return [one.decision for one in made], {one.zookie for one in made}


async def _explained(engine: Engine, at: Consistency) -> Any:
    answer = await engine.check("acme", check(BOB, explain=True), at)
    assert answer.explanation is not None
    # What would help is said from `now` on, as a renewed expiry is.
    proof = {**answer.explanation, "now": None, "revision": None, "ways_to_yes": None}
    return replace(answer, explanation=proof)


async def _batch(engine: Engine, at: Consistency) -> Any:
    return await engine.check_batch("acme", [check(who) for who in (ANN, BOB, CY)], at)


async def _expanded(engine: Engine, at: Consistency) -> Any:
    return await engine.expand("acme", PLAN, "view", at)


async def _read(engine: Engine, at: Consistency) -> Any:
    return await engine.read("acme", TupleFilter(object_type="document"), consistency=at)


async def _exported(engine: Engine, at: Consistency) -> Any:
    return [page async for page in engine.export("acme", consistency=at)]


async def _objects(engine: Engine, at: Consistency) -> Any:
    asked = LookupObjects(["document"], "view", BOB)
    return await engine.lookup_objects("acme", asked, Way(consistency=at))


async def _object_count(engine: Engine, at: Consistency) -> Any:
    asked = LookupObjects(["document"], "view", BOB)
    return await engine.count_objects("acme", asked, Way(consistency=at))


async def _object_stream(engine: Engine, at: Consistency) -> Any:
    asked = LookupObjects(["document"], "view", BOB)
    return [page async for page in engine.stream_objects("acme", asked, Way(consistency=at))]


async def _subjects(engine: Engine, at: Consistency) -> Any:
    return await engine.lookup_subjects(
        "acme", LookupSubjects(PLAN, "view", "user"), Way(consistency=at)
    )


async def _subject_count(engine: Engine, at: Consistency) -> Any:
    return await engine.count_subjects(
        "acme", LookupSubjects(PLAN, "view", "user"), Way(consistency=at)
    )


async def _subject_stream(engine: Engine, at: Consistency) -> Any:
    asked = LookupSubjects(PLAN, "view", "user")
    return [page async for page in engine.stream_subjects("acme", asked, Way(consistency=at))]


async def _permissions(engine: Engine, at: Consistency) -> Any:
    return await engine.lookup_permissions(
        "acme", LookupPermissions(PLAN, BOB), Way(consistency=at)
    )


async def _schema(engine: Engine, at: Consistency) -> Any:
    return await engine.read_schema("acme", at)


async def _history(engine: Engine, at: Consistency) -> Any:
    asked = History(TupleFilter(object_type="document", object_id="plan"))
    return await engine.history("acme", asked, Way(consistency=at))


QUESTIONS: tuple[Question, ...] = (
    _checked,
    _explained,
    _batch,
    _expanded,
    _read,
    _exported,
    _objects,
    _object_count,
    _object_stream,
    _subjects,
    _subject_count,
    _subject_stream,
    _permissions,
    _schema,
    _history,
)


async def passed(engine: Engine, zookie: str) -> datetime:
    """The moment at which a zookie's snapshot was committed, once that is over."""
    store = await engine.get_store("acme")
    record = await engine.freshness.resume(store, zookie, "zookie")
    while datetime.now(UTC) <= record.committed_at:
        pass
    return record.committed_at


@pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__.strip("_"))
async def test_the_past_answers_as_it_did(engine: Engine, ask: Question) -> None:
    """Each step changes what the call says; afterwards all of them are still there."""
    await engine.write_schema("acme", FIRST)
    steps: list[Callable[[], Awaitable[Any]]] = [
        lambda: engine.write("acme", WriteRequest(touch("document:plan#viewer@user:bob"))),
        lambda: engine.write(
            "acme",
            WriteRequest(touch("document:plan#viewer@user:ann", "document:plan#banned@user:bob")),
        ),
        lambda: engine.write_schema("acme", SECOND),
        lambda: engine.write("acme", WriteRequest(delete("document:plan#banned@user:bob"))),
        lambda: engine.write_schema("acme", THIRD),
    ]
    then = []
    for step in steps:
        zookie = (await step()).zookie
        moment = await passed(engine, zookie)
        at = AtExactSnapshot(zookie)
        then.append((zookie, moment, await ask(engine, at)))
    later = [moment for _, moment, _ in then[1:]] + [then[-1][1]]
    for (zookie, moment, answer), following in zip(then, later, strict=True):
        between = moment + (following - moment) / 2
        assert await ask(engine, AtExactSnapshot(zookie)) == answer
        assert await ask(engine, AtTime(moment)) == answer
        assert await ask(engine, AtTime(between)) == answer
    said = {repr(answer).replace(zookie, "") for zookie, _, answer in then}
    assert len(said) > 1


@pytest.mark.parametrize("ask", QUESTIONS[:-2], ids=lambda ask: ask.__name__.strip("_"))
async def test_the_past_has_its_own_expiries(engine: Engine, clock: Clock, ask: Question) -> None:
    await engine.write_schema("acme", FIRST)
    before = (await engine.write("acme", WriteRequest(touch("document:x#viewer@user:cy")))).zookie
    end = datetime.now(UTC) + timedelta(hours=1)
    text = f"document:plan#viewer@user:bob[expiration:{format_time(end)}]"
    zookie = (await engine.write("acme", WriteRequest(touch(text)))).zookie
    clock.ahead = timedelta(hours=2)
    alive = await ask(engine, AtTime(end - timedelta(microseconds=1)))
    expired = await ask(engine, AtTime(end))
    assert await ask(engine, AtTime(end - timedelta(minutes=30))) == alive
    assert await ask(engine, AtTime(end + timedelta(minutes=30))) == expired
    assert await ask(engine, AtExactSnapshot(zookie)) == alive
    assert alive != expired
    never = await ask(engine, AtExactSnapshot(before))
    if ask is _explained:
        return  # a proof names what has expired
    assert repr(never).replace(before, zookie) == repr(expired)


@pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__.strip("_"))
async def test_what_lies_before_the_window_is_refused(
    engine: Engine, clock: Clock, ask: Question
) -> None:
    await engine.write_schema("acme", FIRST)
    zookie = (await engine.write("acme", WriteRequest(touch("document:a#viewer@user:b")))).zookie
    moment = await passed(engine, zookie)
    await engine.write("acme", WriteRequest(touch("document:b#viewer@user:b")))
    await engine.freshness.store("acme")
    clock.ahead = timedelta(hours=1)
    await engine.collect_garbage("acme", window=timedelta())
    late = Engine(engine.storage)
    for at in (AtExactSnapshot(zookie), AtTime(moment)):
        with pytest.raises(SnapshotExpired):
            await ask(late, at)
    await late.freshness.close()


async def test_pages_go_on_in_the_past(engine: Engine) -> None:
    await engine.write_schema("acme", FIRST)
    tuples = [f"document:plan#viewer@user:{name}" for name in "abcde"]
    zookie = (await engine.write("acme", WriteRequest(touch(*tuples)))).zookie
    await engine.write("acme", WriteRequest(delete(*tuples)))
    way = Way(2, None, AtTime(await passed(engine, zookie)))
    asked = LookupSubjects(PLAN, "view", "user")
    found = []
    while True:
        page = await engine.lookup_subjects("acme", asked, way)
        found += [item.subject.id for item in page.subjects]
        assert page.zookie == zookie
        if page.cursor is None:
            break
        way = replace(way, cursor=page.cursor)
    assert found == list("abcde")
