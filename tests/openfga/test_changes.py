"""ReadChanges and assertions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.tuples import format_time
from tests.openfga.client import Fga, Json, Refusal, tuple_key
from tests.openfga.model import TUPLES, conditional


async def page(fga: Fga, **query: Any) -> Json:
    told: Json = await fga.send("GET", f"/stores/{fga.store}/changes", **query)
    return told


async def every(fga: Fga, **query: Any) -> list[Json]:
    """All changes, page by page, until the token stays."""
    found: list[Json] = []
    token = ""
    while True:
        asked = {**query, "continuation_token": token} if token else query
        told = await page(fga, **asked)
        if told["continuation_token"] == token:
            assert not told["changes"]
            return found
        found += told["changes"]
        token = told["continuation_token"]


def told(change: Json) -> str:
    key, of = change["tuple_key"], change["operation"].removeprefix("TUPLE_OPERATION_")
    return f"{of} {key['object']}#{key['relation']}@{key['user']}"


async def test_changes_are_told_in_order_whatever_the_page(fga: Fga) -> None:
    await fga.delete(TUPLES[0])
    await fga.write(TUPLES[0])
    for size in (1, 3, 100):
        found = [told(change) for change in await every(fga, page_size=size)]
        first = found[: len(TUPLES) + 1]
        assert sorted(first) == sorted(
            f"WRITE {one}" for one in (*TUPLES, "document:plan#viewer@user:cy")
        )
        assert found[len(first) :] == [f"DELETE {TUPLES[0]}", f"WRITE {TUPLES[0]}"]


async def test_a_change_in_full(fga: Fga) -> None:
    changed = conditional("user:dee", {"x": 3})
    await fga.write(changed)
    await fga.delete("document:plan#viewer@user:dee")
    written, deleted = (await every(fga))[-2:]
    assert set(written) == {"tuple_key", "operation", "timestamp"}
    assert written["tuple_key"] == changed
    assert deleted["tuple_key"] == {**changed, "condition": None}
    assert datetime.fromisoformat(written["timestamp"]) <= datetime.now(UTC)


async def test_changes_of_one_type(fga: Fga) -> None:
    found = [told(change) for change in await every(fga, type="folder", page_size=1)]
    assert found == ["WRITE folder:all#viewer@user:fay"]
    token = (await page(fga, type="folder"))["continuation_token"]
    for other in ({}, {"type": "document"}):
        with pytest.raises(Refusal) as refused:
            await page(fga, continuation_token=token, **other)
        assert refused.value.code == "query_string_type_continuation_token_mismatch"


async def test_a_page_is_empty_only_at_the_end(fga: Fga) -> None:
    """However much of other types lies before the next change of this one."""
    token = (await page(fga, type="folder"))["continuation_token"]
    for start in range(0, 1200, 100):
        await fga.write(*[f"document:{n}#owner@user:ann" for n in range(start, start + 100)])
    await fga.write("folder:new#viewer@user:ann")
    (change,) = (await page(fga, type="folder", continuation_token=token))["changes"]
    assert told(change) == "WRITE folder:new#viewer@user:ann"


async def test_a_token_is_kept_while_nothing_is_new(fga: Fga) -> None:
    token = (await page(fga, page_size=100))["continuation_token"]
    assert await page(fga, continuation_token=token) == {
        "changes": [],
        "continuation_token": token,
    }
    await fga.write("document:new#viewer@user:ann")
    (change,) = (await page(fga, continuation_token=token))["changes"]
    assert told(change) == "WRITE document:new#viewer@user:ann"


async def test_a_time_to_begin_at(fga: Fga) -> None:
    before = datetime.now(UTC)
    await fga.write("document:new#viewer@user:ann")
    begun = format_time(before)
    assert [told(one) for one in await every(fga, start_time=begun)] == [
        "WRITE document:new#viewer@user:ann"
    ]
    first = (await page(fga, page_size=1))["continuation_token"]
    later = format_time(datetime.now(UTC))
    assert (await page(fga, continuation_token=first, start_time=later))["changes"]


async def test_what_is_refused(fga: Fga) -> None:
    future = format_time(datetime.now(UTC) + timedelta(hours=1))
    for query, code in (
        ({"start_time": future}, "invalid_start_time"),
        ({"start_time": "today"}, "validation_error"),
        ({"continuation_token": "bm9uZQ=="}, "invalid_continuation_token"),
        ({"continuation_token": "AAA"}, "invalid_continuation_token"),
        ({"continuation_token": "*"}, "validation_error"),
        ({"page_size": 101}, "page_size_invalid"),
        ({"type": "x" * 255}, "type_invalid_pattern"),
    ):
        with pytest.raises(Refusal) as refused:
            await page(fga, **query)
        assert (refused.value.status, refused.value.code) == (400, code)


async def test_a_follower_misses_nothing_that_writers_do(fga: Fga) -> None:
    """However late a write ends that began before others."""
    wanted = {f"document:{one}-{two}#viewer@user:ann" for one in range(8) for two in range(10)}
    token = (await page(fga, page_size=100))["continuation_token"]
    found: set[str] = set()

    async def write(one: int) -> None:
        for two in range(10):
            await fga.write(f"document:{one}-{two}#viewer@user:ann")

    async def follow() -> None:
        nonlocal token
        while len(found) < len(wanted):
            read = await page(fga, continuation_token=token, page_size=7)
            token = read["continuation_token"]
            found.update(told(change).removeprefix("WRITE ") for change in read["changes"])

    async with asyncio.timeout(60):
        await asyncio.gather(follow(), *(write(one) for one in range(8)))
    assert found == wanted


async def test_assertions_are_kept_with_their_model(fga: Fga) -> None:
    path = f"/stores/{fga.store}/assertions/{fga.model}"
    empty = await fga.send("GET", path)
    assert empty == {"authorization_model_id": fga.model, "assertions": []}
    one = {"tuple_key": tuple_key(TUPLES[0]), "expectation": True}
    two = {
        "tuple_key": tuple_key("document:plan#viewer@user:new"),
        "contextual_tuples": [conditional("user:new")],
        "context": {"x": 3},
    }
    assert await fga.send("PUT", path, {"assertions": [one, two]}) is None
    read = (await fga.send("GET", path))["assertions"]
    assert read[0] == {**one, "contextual_tuples": [], "context": None}
    assert read[1]["expectation"] is False
    assert read[1]["context"] == {"x": 3}
    assert read[1]["contextual_tuples"][0]["condition"] == {"name": "small", "context": {}}
    old = fga.model
    await fga.write_model("model\n  schema 1.1\ntype user\n")
    other = await fga.send("GET", f"/stores/{fga.store}/assertions/{fga.model}")
    assert other["assertions"] == []
    await fga.send("PUT", f"/stores/{fga.store}/assertions/{old}", {})
    assert (await fga.send("GET", path))["assertions"] == []


async def test_assertions_that_are_refused(fga: Fga) -> None:
    path = f"/stores/{fga.store}/assertions/{fga.model}"
    one = {"tuple_key": tuple_key(TUPLES[0]), "expectation": True}
    for assertions, code in (
        ([one] * 101, "assertions_too_many_items"),
        ([{"expectation": True}], "tuple_key_value_not_specified"),
        ([{"tuple_key": tuple_key("document:plan#viewer@ann")}], "validation_error"),
        ([{**one, "contextual_tuples": [tuple_key(TUPLES[0])] * 21}], "validation_error"),
        ([{**one, "context": {"x": "y" * 65_000}}], "exceeded_entity_limit"),
    ):
        with pytest.raises(Refusal) as refused:
            await fga.send("PUT", path, {"assertions": assertions})
        assert (refused.value.status, refused.value.code) == (400, code)
    with pytest.raises(Refusal) as refused:
        await fga.send("PUT", f"/stores/{fga.store}/assertions/{'0' * 26}", {"assertions": [one]})
    assert refused.value.code == "authorization_model_not_found"
