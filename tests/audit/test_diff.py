"""Diffs through the façade: schemas, expiries, wildcards, causes, pages and budgets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.diff import Diff, DiffAnswer, Difference
from engine.engine import Engine
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import AtExactSnapshot, AtTime, WriteRequest
from engine.sides import OfObject, OfSubject, OfType, Target
from engine.tuples import Object, Subject, format_time
from tests.audit.conftest import Clock
from tests.store.tenant import delete, touch

SCHEMA = """definition user {}
definition group { relation member: user | group#member }
definition folder {
  relation viewer: user | group#member
  permission view = viewer
}
definition document {
  relation parent: folder
  relation viewer: user | user:* | group#member
  relation banned: user
  permission view = (viewer + parent->view) - banned
}"""
EXPIRING = """use expiration
definition user {}
definition document {
  relation viewer: user with expiration
  permission view = viewer
}"""
PLAN = OfObject(Object("document", "plan"), "view", "user")
ALL = OfType("document", "view", "user")


async def write(engine: Engine, *tuples: str, gone: tuple[str, ...] = (), **more: str) -> str:
    """Touch and delete tuples; the zookie."""
    request = WriteRequest([*touch(*tuples), *delete(*gone)], metadata=more)
    return (await engine.write("acme", request)).zookie


async def diff(engine: Engine, target: Target, zookie: str) -> DiffAnswer:
    """What changed since a zookie, which is the same page by page."""
    asked = Diff(target, AtExactSnapshot(zookie))
    whole = await engine.diff("acme", asked)
    assert whole.cursor is None
    found: list[Difference] = []
    way = Way(1)
    while True:
        page = await engine.diff("acme", asked, way)
        found += page.differences
        assert (page.zookie, page.from_zookie) == (whole.zookie, zookie)
        if page.cursor is None:
            break
        way = replace(way, cursor=page.cursor)
    assert tuple(found) == whole.differences
    return whole


def shown(answer: DiffAnswer) -> list[str]:
    assert answer.gaps == ()
    return [f"{one.kind} {one.object} {one.subject}" for one in answer.differences]


async def test_a_group_is_a_cause(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    await write(engine, "folder:f#viewer@group:eng#member", "document:plan#parent@folder:f")
    start = await write(engine, "group:eng#member@user:ann", "document:other#viewer@user:ann")
    joined = await write(engine, "group:eng#member@user:bob", ticket="7")
    await write(engine, "document:other#viewer@user:x")
    left = await write(engine, gone=("group:eng#member@user:ann",), ticket="8")
    answer = await diff(engine, PLAN, start)
    assert shown(answer) == ["lost document:plan user:ann", "gained document:plan user:bob"]
    assert [one.zookie for one in answer.causes] == [joined, left]
    assert [one.metadata for one in answer.causes] == [{"ticket": "7"}, {"ticket": "8"}]
    assert [str(item) for one in answer.causes for _, item in one.updates] == [
        "group:eng#member@user:bob",
        "group:eng#member@user:ann",
    ]
    assert answer.causes_complete
    bob = OfSubject(Subject("user", "bob"), "document", "view")
    assert shown(await diff(engine, bob, start)) == ["gained document:plan user:bob"]
    assert shown(await diff(engine, ALL, start)) == [
        "gained document:other user:x",
        *shown(answer),
    ]
    groups = OfObject(Object("document", "plan"), "view", "group", "member")
    assert shown(await diff(engine, groups, start)) == []


async def test_every_loss_has_all_its_causes(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(
        engine, "document:plan#viewer@user:ann", "document:plan#viewer@group:g#member",
        "group:g#member@user:ann",
    )  # fmt: skip
    first = await write(engine, gone=("document:plan#viewer@user:ann",))
    second = await write(engine, gone=("document:plan#viewer@group:g#member",))
    answer = await diff(engine, PLAN, start)
    assert shown(answer) == ["lost document:plan user:ann"]
    assert [one.zookie for one in answer.causes] == [first, second]


async def test_a_wildcard_stands_for_everyone_else(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(
        engine, "document:plan#viewer@user:ann", "document:plan#banned@user:mallory"
    )
    await write(engine, "document:plan#viewer@user:*")
    opened = await diff(engine, PLAN, start)
    assert shown(opened) == ["gained document:plan user:*"]
    assert len(opened.causes) == 1
    later = await write(engine, "document:plan#banned@user:ann")
    assert shown(await diff(engine, PLAN, start)) == [
        "gained document:plan user:*",
        "lost document:plan user:ann",
    ]
    await write(engine, gone=("document:plan#banned@user:mallory",))
    assert shown(await diff(engine, PLAN, later)) == ["gained document:plan user:mallory"]


async def test_a_schema_is_a_cause(engine: Engine) -> None:
    zookie = (await engine.write_schema("acme", "definition user {}")).zookie
    first = (await engine.write_schema("acme", SCHEMA)).zookie
    start = await write(engine, "document:plan#viewer@user:ann", "document:plan#banned@user:bob")
    text = SCHEMA.replace("- banned", "+ banned")
    changed = (await engine.write_schema("acme", text)).zookie
    answer = await diff(engine, ALL, start)
    assert shown(answer) == ["gained document:plan user:bob"]
    assert [(one.zookie, one.schema_changed) for one in answer.causes] == [(changed, True)]
    # Before there was such a type, nobody had access to it.
    for early in (zookie, first):
        assert shown(await diff(engine, ALL, early)) == [
            "gained document:plan user:ann",
            "gained document:plan user:bob",
        ]


async def test_an_expiry_is_a_cause(engine: Engine, clock: Clock) -> None:
    await engine.write_schema("acme", EXPIRING)
    end = datetime.now(UTC) + timedelta(hours=1)
    text = f"document:plan#viewer@user:ann[expiration:{format_time(end)}]"
    start = await write(engine, text)
    clock.ahead = timedelta(hours=2)
    for target in (PLAN, ALL, OfSubject(Subject("user", "ann"), "document", "view")):
        answer = await diff(engine, target, start)
        assert shown(answer) == ["lost document:plan user:ann"]
        (cause,) = answer.causes
        assert (cause.zookie, cause.at) == (None, end)
        assert [(op, str(item)) for op, item in cause.updates] == [("expire", text)]
    around = Diff(PLAN, AtTime(end - timedelta(seconds=1)), AtTime(end))
    assert shown(await engine.diff("acme", around)) == ["lost document:plan user:ann"]
    before = Diff(PLAN, AtTime(end - timedelta(seconds=2)), AtTime(end - timedelta(seconds=1)))
    assert shown(await engine.diff("acme", before)) == []


async def test_a_cursor_fixes_both_sides(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(engine, "document:plan#viewer@user:a")
    await write(engine, *(f"document:plan#viewer@user:{name}" for name in "bcd"))
    asked = Diff(PLAN, AtExactSnapshot(start))
    page = await engine.diff("acme", asked, Way(2))
    await write(engine, "document:plan#viewer@user:e", gone=("document:plan#viewer@user:d",))
    rest = await engine.diff("acme", asked, Way(2, page.cursor))
    assert [*shown(page), *shown(rest)] == [f"gained document:plan user:{name}" for name in "bcd"]
    assert rest.cursor is None
    with pytest.raises(EngineError) as refused:
        await engine.diff("acme", Diff(ALL, AtExactSnapshot(start)), Way(2, page.cursor))
    assert refused.value.code == "invalid_cursor"


async def test_what_is_wrong_is_refused(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(engine, "document:plan#viewer@user:a")
    end = await write(engine, "document:plan#viewer@user:b")
    wrong: list[tuple[Diff, str]] = [
        (Diff(PLAN, AtExactSnapshot(end), AtExactSnapshot(start)), "invalid_request"),
        (Diff(replace(PLAN, relation="veiw"), AtExactSnapshot(start)), "unknown_relation"),
        (Diff(replace(ALL, type="doc"), AtExactSnapshot(start)), "unknown_type"),
        (Diff(replace(ALL, subject_type="usr"), AtExactSnapshot(start)), "unknown_type"),
        (Diff(PLAN, AtExactSnapshot("x")), "invalid_zookie"),
    ]
    for asked, code in wrong:
        with pytest.raises(EngineError) as refused:
            await engine.diff("acme", asked)
        assert refused.value.code == code


async def test_a_deadline_leaves_it_incomplete(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(engine, "document:plan#viewer@user:a")
    await write(engine, "document:plan#viewer@user:b")
    for target in (PLAN, ALL, OfSubject(Subject("user", "b"), "document", "view")):
        answer = await engine.diff("acme", Diff(target, AtExactSnapshot(start)), Way(deadline=0.0))
        assert answer.differences == ()
        assert [gap.error.code for gap in answer.gaps] == ["budget_exceeded"]
