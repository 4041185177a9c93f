"""The short way of requests that come in one piece answers what the long one does."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from api.protocol import BoundedHttp
from tests.api.serving import STORE, PausingStorage, Served, bearer, key, serving

CHECK = {"object": "document:a", "relation": "view", "subject": "user:ann"}
FULLY = {**CHECK, "consistency": "fully_consistent"}
VARYING = re.compile(rb"\r\n(date|x-request-id): [^\r]*|\"request_id\":\"[^\"]*\"")


def request(path: str, body: bytes | None, *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def chunked(whole: bytes) -> bytes:
    head, _, body = whole.partition(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    return head + b"\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


async def answer_to(served: Served, *pieces: bytes) -> bytes:
    """Send pieces, each taken in before the next, and read until the connection ends."""
    reader, writer = await served.connect()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.05 if len(pieces) > 1 else 0)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return VARYING.sub(b"", answer)


def body_of(value: Any) -> bytes:
    return json.dumps(value).encode()


CLOSE = "Connection: close"
REQUESTS = {
    "allowed": request(f"{STORE}/check", body_of(CHECK), CLOSE),
    "wrong": request(f"{STORE}/check", body_of({"object": 1, "x": 2}), CLOSE),
    "no json": request(f"{STORE}/check", b"{", CLOSE),
    "no store": request("/v1/stores/none/check", body_of(CHECK), CLOSE),
    "wrong store name": request("/v1/stores/-/check", body_of(CHECK), CLOSE),
    "batch": request(f"{STORE}/check/batch", body_of({"checks": [CHECK, CHECK]}), CLOSE),
    "read": request(f"{STORE}/read", body_of({"filter": {"object_type": "document"}}), CLOSE),
    "lookup": request(
        f"{STORE}/lookup/objects",
        body_of({"type": "document", "relation": "view", "subject": "user:ann"}),
        CLOSE,
    ),
    "lines": request(
        f"{STORE}/lookup/objects",
        body_of({"type": "document", "relation": "view", "subject": "user:ann"}),
        "Accept: application/x-ndjson",
        CLOSE,
    ),
    "wrong deadline": request(
        f"{STORE}/check", body_of(CHECK), "X-Stonetown-Deadline-Ms: x", CLOSE
    ),
    "twice": request(f"{STORE}/check", body_of(CHECK), *["Idempotency-Key: a"] * 2, CLOSE),
    "large headers": request(f"{STORE}/check", body_of(CHECK), "X-Large: " + "x" * 17_000, CLOSE),
    "encoded": request(f"{STORE}/check", body_of(CHECK), "Content-Encoding: gzip", CLOSE),
    "wrong method": request(f"{STORE}/check", body_of(CHECK), CLOSE, method="PUT"),
    "query": request(f"{STORE}/check?x=1", body_of(CHECK), CLOSE),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_in_pieces_is_answered_as_one_that_is_whole(
    served: Served, name: str
) -> None:
    await served.write("document:a#viewer@user:ann")
    whole = REQUESTS[name]
    answer = await answer_to(served, whole)
    assert answer.startswith(b"HTTP/1.1 ")
    middle = whole.index(b"\r\n\r\n") + 6
    split = await answer_to(served, whole[:middle], whole[middle:])
    assert sorted(split.split(b"\r\n")) == sorted(answer.split(b"\r\n"))
    in_chunks = await answer_to(served, chunked(whole))
    assert sorted(in_chunks.split(b"\r\n")) == sorted(answer.split(b"\r\n"))


async def test_calls_without_a_body_are_answered_alike(served: Served) -> None:
    whole = request(STORE, None, CLOSE, method="GET")
    answer = await answer_to(served, whole)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert sorted((await answer_to(served, whole[:20], whole[20:])).split(b"\r\n")) == sorted(
        answer.split(b"\r\n")
    )
    gone = await answer_to(served, request(STORE, None, CLOSE, method="DELETE"))
    assert gone.startswith(b"HTTP/1.1 204 ")
    assert b"content-length" not in gone


async def test_keys_are_asked_for_on_the_short_way() -> None:
    async with serving(api_keys=key("app", "secret", ":default:write")) as served:
        body = body_of(CHECK)
        for header, status in (
            ("X-No: key", b"401"),
            ("Authorization: Bearer wrong", b"401"),
            (f"Authorization: {bearer('secret')['authorization']}", b"403"),
        ):
            answer = await answer_to(served, request(f"{STORE}/check", body, header, CLOSE))
            assert answer[9:12] == status


async def test_requests_of_a_pipeline_are_answered_in_order(served: Served) -> None:
    """The first comes as a whole, and is under way when the others come."""
    await served.write("document:a#viewer@user:ann")
    allowed = request(f"{STORE}/check", body_of(CHECK))
    denied = request(f"{STORE}/check", body_of({**CHECK, "subject": "user:bob"}))
    health = request("/healthz", None, method="GET")
    last = request(f"{STORE}/check", body_of(CHECK), CLOSE)
    answer = await answer_to(served, allowed + denied + allowed + health + denied + last)
    words = [b'"allowed"', b'"denied"', b'"allowed"', b'"ok"', b'"denied"', b'"allowed"']
    found = re.findall(rb'"allowed"(?!:)|"denied"|"ok"', answer)
    assert found == words


async def test_an_old_client_is_answered_and_let_go(served: Served) -> None:
    old = request(f"{STORE}/check", body_of(CHECK)).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert (await answer_to(served, old)).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_asks_whether_it_may_send_is_told_so(served: Served) -> None:
    asks = request(f"{STORE}/check", body_of(CHECK), "Expect: 100-continue", CLOSE)
    answer = await answer_to(served, asks)
    assert b"HTTP/1.1 200 OK" in answer


async def test_the_server_waits_for_a_write_whose_client_left() -> None:
    storage = PausingStorage()
    async with serving(storage, max_staleness=0.001) as served:
        storage.open.clear()
        storage.waiting.clear()
        _, writer = await served.connect()
        update = {"op": "touch", "tuple": "document:a#viewer@user:ann"}
        writer.write(request(f"{STORE}/write", body_of({"updates": [update]})))
        await storage.waiting.wait()
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.1)  # the server learns of it
        asyncio.get_running_loop().call_later(0.3, storage.open.set)
    assert 'call="write",status="499"} 1.0' in served.app.metrics.exposition().decode()


class Restless(BoundedHttp):
    """Lets a connection rest for a fifth of a second."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = 0.2  # type: ignore[assignment]  # uvicorn has it in whole seconds


async def test_a_connection_may_rest_for_a_while_and_work_for_longer() -> None:
    storage = PausingStorage()
    async with serving(storage, protocol=Restless) as served:
        reader, writer = await served.connect()
        writer.write(request(f"{STORE}/check", body_of(CHECK)))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        storage.open.clear()
        writer.write(request(f"{STORE}/check", body_of(FULLY)))
        await asyncio.sleep(0.5)  # longer than it may rest
        storage.open.set()
        async with asyncio.timeout(20):
            answer = await reader.read()  # until the connection has rested for too long
        assert b"HTTP/1.1 200 " in answer
        writer.close()
