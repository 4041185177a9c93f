"""Checks over HTTP that are answered together: as those that are answered alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.serving import STORE, Served, bearer, key
from tests.api.test_whole import CHECK, CLOSE, FULLY, REQUESTS, answer_to, body_of, chunked, request
from tests.api.together import Counting, serving_together

TOGETHER = {"allowed", "wrong relation", "conditional", "context", "contextual"}
CONTEXT = {**CHECK, "object": "document:day", "context": {"day": "monday"}}
MORE = {
    "context": request(f"{STORE}/check", body_of(CONTEXT), CLOSE),
    "contextual": request(f"{STORE}/check", body_of({**CHECK, "contextual_tuples": []}), CLOSE),
    "fully": request(f"{STORE}/check", body_of(FULLY), CLOSE),
    "large": request(f"{STORE}/check", body_of({**CONTEXT, "context": {"x": "x" * 4_000}}), CLOSE),
    "wrong relation": request(f"{STORE}/check", body_of({**CHECK, "relation": "none"}), CLOSE),
    "conditional": request(f"{STORE}/check", body_of({**CHECK, "object": "document:day"}), CLOSE),
}
ZOOKIE = re.compile(rb'"zookie":"[^"]*"')


@pytest.fixture(scope="module")
async def both(valkey_url: str) -> AsyncIterator[tuple[Served, Counting]]:
    async with serving_together(valkey_url) as made:
        await ready(*made)
        yield made


async def ready(served: Served, counting: Counting) -> None:
    """Return when checks are answered together."""
    await served.write(
        "document:a#viewer@user:ann",
        'document:day#viewer@user:ann[on_day:{"wanted":"monday"}]',
    )
    async with asyncio.timeout(20):
        while not counting.answered:
            assert (await served.post("/check", CHECK)).status_code == 200


@pytest.mark.parametrize("name", [*REQUESTS, *MORE])
async def test_a_request_is_answered_together_as_alone(
    both: tuple[Served, Counting], name: str
) -> None:
    served, counting = both
    before = counting.answered
    whole = (REQUESTS | MORE)[name]
    answer = await answer_to(served, whole)
    assert (counting.answered > before) == (name in TOGETHER)
    alone = await answer_to(served, chunked(whole))
    assert sorted(alone.split(b"\r\n")) == sorted(answer.split(b"\r\n"))


async def test_each_gets_its_own_answer(both: tuple[Served, Counting]) -> None:
    served, counting = both
    await served.write(*[f"document:{number}#viewer@user:{number % 7}" for number in range(50)])

    async def asked(number: int) -> Any:
        subject = f"user:{number % 5}"
        check = {"object": f"document:{number}", "relation": "view", "subject": subject}
        found = await served.post("/check", check)
        return found.json()["decision"], found.headers["x-request-id"]

    answers = await asyncio.gather(*(asked(number) for number in range(50)))
    expected = ["allowed" if n % 7 == n % 5 else "denied" for n in range(50)]
    assert [decision for decision, _ in answers] == expected
    assert len({request_id for _, request_id in answers}) == 50
    assert counting.answered >= 25


async def test_writes_are_seen_by_those_who_made_them(both: tuple[Served, Counting]) -> None:
    served, _ = both

    async def client(number: int) -> None:
        item = {"object": f"document:c{number}", "relation": "viewer", "subject": "user:ann"}
        check = item | {"relation": "view"}
        for turn in range(20):
            op = ("touch", "delete")[turn % 2]
            written = await served.post("/write", {"updates": [{"op": op, "tuple": item}]})
            assert written.status_code == 200
            found = (await served.post("/check", check)).json()
            assert found["decision"] == ("allowed", "denied")[turn % 2]

    await asyncio.gather(*(client(number) for number in range(8)))


async def test_a_key_without_the_right_is_refused(valkey_url: str) -> None:
    keys = key("all", "open") + "," + key("app", "secret", ":default:write")
    async with serving_together(valkey_url, api_keys=keys) as (served, counting):
        served.http.headers.update(bearer("open"))
        await ready(served, counting)
        before = counting.answered
        assert (await served.post("/check", CHECK, headers=bearer("wrong"))).status_code == 401
        assert (await served.post("/check", CHECK, headers=bearer("secret"))).status_code == 403
        assert counting.answered == before
        assert (await served.post("/check", CHECK)).json()["decision"] == "allowed"
        assert counting.answered == before + 1


async def test_one_who_leaves_keeps_nothing(both: tuple[Served, Counting]) -> None:
    served, counting = both
    before = counting.answered
    for _ in range(20):
        _, writer = await served.connect()
        writer.write(request(f"{STORE}/check", body_of(CHECK)))
        await writer.drain()
        writer.transport.abort()
    assert (await served.post("/check", CHECK)).status_code == 200
    await served.metric("stonetown_in_flight 0.0")
    assert counting.answered > before


async def test_too_many_are_refused(valkey_url: str) -> None:
    async with serving_together(valkey_url, max_in_flight=1) as (served, counting):
        await ready(served, counting)
        answers = await asyncio.gather(*(served.post("/check", CHECK) for _ in range(50)))
        statuses = {answer.status_code for answer in answers}
        assert statuses <= {200, 503}
        assert 200 in statuses
        await served.metric("stonetown_in_flight 0.0")


async def test_a_deadline_holds(both: tuple[Served, Counting]) -> None:
    """A millisecond may or may not be enough; what it is not enough for is no decision."""
    served, _ = both
    short = {"x-stonetown-deadline-ms": "1"}
    answers = [await served.post("/check", CHECK, headers=short) for _ in range(50)]
    for answer in answers:
        assert answer.status_code in {200, 422, 503}, answer.text
        if answer.status_code == 200:
            assert answer.json()["decision"] == "allowed"
