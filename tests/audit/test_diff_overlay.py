"""Diffs under an overlay, which lies over both snapshots, and with a caveat context."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.diff import Diff, DiffAnswer, Difference
from engine.engine import Engine
from engine.errors import (
    EngineError,
    InvalidContext,
    InvalidCursor,
    LimitExceeded,
    SchemaNotFound,
    UnknownRelation,
)
from engine.pages import Way
from engine.requests import AtExactSnapshot, AtTime, Overlay
from engine.sides import OfObject, OfSubject, Target
from engine.store.protocol import TupleFilter
from engine.tuples import Object, Subject, format_time, parse_tuple
from tests.audit.conftest import Clock
from tests.audit.test_diff import ALL, EXPIRING, PLAN, SCHEMA, shown, write

ENG = "document:new#viewer@group:eng#member"
CAVEAT = """definition user {}
caveat on_day(day string, wanted string) { day == wanted }
definition document {
  relation viewer: user | user with on_day
  permission view = viewer
}"""


def overlay_of(*added: str, gone: tuple[str, ...] = (), schema: str | None = None) -> Overlay:
    return Overlay([parse_tuple(one) for one in added], [parse_tuple(one) for one in gone], schema)


async def diff(
    engine: Engine, target: Target, zookie: str, overlay: Overlay | None, **context: Any
) -> DiffAnswer:
    """What changed since a zookie, which is the same page by page and streamed."""
    asked = Diff(target, AtExactSnapshot(zookie), context=context)
    whole = await engine.diff("acme", asked, Way(overlay=overlay))
    for size in (1, 2):
        found: list[Difference] = []
        way = Way(size, overlay=overlay)
        while True:
            page = await engine.diff("acme", asked, way)
            found += page.differences
            if page.cursor is None:
                break
            way = replace(way, cursor=page.cursor)
        streamed = [
            one async for one in engine.stream_diff("acme", asked, Way(size, overlay=overlay))
        ]
        assert tuple(found) == whole.differences
        assert [one for each in streamed for one in each.differences] == found
        assert {one.zookie for each in streamed for one in each.causes} == {
            one.zookie for one in whole.causes
        }
    return whole


async def test_what_it_hides_made_no_difference(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(engine, "document:plan#viewer@user:ann")
    told = await write(engine, "document:plan#viewer@user:bob", "document:plan#viewer@user:cy")
    without = overlay_of(gone=("document:plan#viewer@user:bob",))
    for target in (PLAN, ALL):
        answer = await diff(engine, target, start, without)
        assert shown(answer) == ["gained document:plan user:cy"]
        (cause,) = answer.causes
        assert cause.zookie == told
        assert [str(item) for _, item in cause.updates] == ["document:plan#viewer@user:cy"]
    # The group is looked at for everyone; what became of it is hidden.
    given = "document:plan#viewer@group:eng#member"
    await write(engine, given)
    also = [one async for one in engine.stream_diff("acme", Diff(PLAN, AtExactSnapshot(start)))]
    assert given in {str(item) for one in also[0].causes for _, item in one.updates}
    answer = await diff(engine, PLAN, start, replace(without, add=(parse_tuple(given),)))
    assert [one.zookie for one in answer.causes] == [told]
    both = overlay_of("document:plan#viewer@user:bob", "document:plan#viewer@user:cy")
    answer = await diff(engine, PLAN, start, both)
    assert (answer.differences, answer.causes, answer.causes_complete) == ((), (), True)


async def test_what_it_adds_is_reached_by_what_changed(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(engine, "group:eng#member@user:ann")
    joined = await write(engine, "group:eng#member@user:bob")
    laid = overlay_of(ENG)
    bob = OfSubject(Subject("user", "bob"), "document", "view")
    new = OfObject(Object("document", "new"), "view", "user")
    for target in (new, bob, ALL):
        assert shown(await diff(engine, target, start, None)) == []
        answer = await diff(engine, target, start, laid)
        assert shown(answer) == ["gained document:new user:bob"]
        assert [one.zookie for one in answer.causes] == [joined]


async def test_another_schema_holds_at_both_snapshots(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(engine, "document:plan#viewer@user:ann", "document:plan#banned@user:ann")
    await engine.write_schema("acme", SCHEMA.replace(" - banned", ""))
    assert shown(await diff(engine, ALL, start, None)) == ["gained document:plan user:ann"]
    answer = await diff(engine, ALL, start, overlay_of(schema=SCHEMA))
    assert (answer.differences, answer.causes) == ((), ())
    last = await write(engine, "document:plan#viewer@user:bob")
    answer = await diff(engine, ALL, start, overlay_of(schema=SCHEMA))
    assert shown(answer) == ["gained document:plan user:bob"]
    assert [(one.zookie, one.schema_changed) for one in answer.causes] == [(last, False)]


async def test_an_added_tuple_expires_in_between(engine: Engine, clock: Clock) -> None:
    await engine.write_schema("acme", EXPIRING)
    start = await write(engine, "document:plan#viewer@user:x[expiration:2999-01-01T00:00:00Z]")
    end = datetime.now(UTC) + timedelta(minutes=1)
    clock.ahead = timedelta(minutes=2)
    laid = overlay_of(f"document:new#viewer@user:ann[expiration:{format_time(end)}]")
    answer = await diff(engine, ALL, start, laid)
    assert shown(answer) == ["lost document:new user:ann"]
    (cause,) = answer.causes
    assert (cause.zookie, cause.at, cause.updates[0][0]) == (None, end, "expire")


async def test_what_one_of_the_schemas_does_not_allow_is_refused(engine: Engine) -> None:
    await engine.write_schema("acme", "definition user {}")
    first = (await engine.read_schema("acme")).zookie
    await engine.write_schema("acme", SCHEMA)
    start = (await engine.read_schema("acme")).zookie
    await engine.write_schema("acme", SCHEMA.replace("banned", "barred"))
    laid = overlay_of("document:plan#barred@user:ann")
    with pytest.raises(UnknownRelation) as caught:
        await engine.diff("acme", Diff(PLAN, AtExactSnapshot(start)), Way(overlay=laid))
    assert caught.value.field == "overlay.add[0].relation"
    assert caught.value.message.endswith("at `from`")
    with pytest.raises(EngineError):
        await engine.diff("acme", Diff(PLAN, AtExactSnapshot(first)), Way(overlay=laid))
    gone = overlay_of(gone=("document:plan#barred@user:ann",))
    assert shown(await diff(engine, PLAN, first, gone)) == []


async def test_a_time_without_a_schema(engine: Engine) -> None:
    empty = (await engine.read("acme", TupleFilter("document"))).zookie
    await engine.write_schema("acme", SCHEMA)
    await write(engine, "document:plan#viewer@user:ann", "document:plan#viewer@user:bob")
    gone = overlay_of(gone=("document:plan#viewer@user:bob",))
    assert shown(await diff(engine, PLAN, empty, gone)) == ["gained document:plan user:ann"]
    laid = overlay_of("document:plan#viewer@user:cy")
    with pytest.raises(SchemaNotFound):
        await engine.diff("acme", Diff(PLAN, AtExactSnapshot(empty)), Way(overlay=laid))
    with_schema = replace(laid, schema=SCHEMA)
    assert shown(await diff(engine, PLAN, empty, with_schema)) == [
        "gained document:plan user:ann",
        "gained document:plan user:bob",
    ]


async def test_a_context_decides_at_both_snapshots(engine: Engine) -> None:
    await engine.write_schema("acme", CAVEAT)
    ann = 'document:plan#viewer@user:ann[on_day:{"wanted":"monday"}]'
    start = await write(engine, "document:plan#viewer@user:ann", "document:plan#viewer@user:bob")
    told = await write(engine, ann)
    person = OfSubject(Subject("user", "ann"), "document", "view")
    for target in (PLAN, person, ALL):
        assert shown(await diff(engine, target, start, None)) == ["changed document:plan user:ann"]
        assert shown(await diff(engine, target, start, None, day="monday")) == []
        lost = await diff(engine, target, start, None, day="friday")
        assert shown(lost) == ["lost document:plan user:ann"]
        assert [one.zookie for one in lost.causes] == [told]
        with pytest.raises(InvalidContext):
            await diff(engine, target, start, None, day=7)
        with pytest.raises(LimitExceeded):
            await diff(engine, target, start, None, day="x" * 5000)


async def test_a_cursor_is_of_its_overlay_and_of_its_context(engine: Engine) -> None:
    await engine.write_schema("acme", CAVEAT)
    start = await write(engine, "document:plan#viewer@user:x")
    await write(engine, "document:plan#viewer@user:a", "document:plan#viewer@user:b")
    asked = Diff(PLAN, AtExactSnapshot(start), context={"day": "friday"})
    laid = overlay_of("document:plan#viewer@user:c")
    page = await engine.diff("acme", asked, Way(1, overlay=laid))
    on = Way(1, page.cursor, overlay=laid)
    assert shown(await engine.diff("acme", asked, on)) == ["gained document:plan user:b"]
    for other, way in (
        (asked, replace(on, overlay=None)),
        (asked, replace(on, overlay=overlay_of(gone=("document:plan#viewer@user:c",)))),
        (replace(asked, context={}), on),
        (replace(asked, to=AtTime(datetime.now(UTC))), on),
    ):
        with pytest.raises(InvalidCursor):
            await engine.diff("acme", other, way)


async def test_a_stream_that_ran_out_of_time_says_where_to_go_on(engine: Engine) -> None:
    await engine.write_schema("acme", SCHEMA)
    start = await write(engine, "document:plan#viewer@user:x")
    await write(engine, *(f"document:plan#viewer@user:{name}" for name in "abc"))
    asked = Diff(PLAN, AtExactSnapshot(start))
    stream = engine.stream_diff("acme", asked, Way(deadline=0.0))
    (page,) = [one async for one in stream]
    assert [gap.error.code for gap in page.gaps] == ["budget_exceeded"]
    assert page.differences == ()
