"""What bounds a request: size, time, number, and a client that leaves."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from api.asgi import ClientGone, Message, Patience
from api.errors import WriteDeadlinePassed
from api.protocol import BoundedHttp
from engine.errors import Unavailable
from tests.api.serving import STORE, PausingStorage, Served, serving

CHECK = {"object": "document:a", "relation": "view", "subject": "user:ann"}
FULLY = {**CHECK, "consistency": "fully_consistent"}
WRITE = {"updates": [{"op": "touch", "tuple": "document:a#viewer@user:ann"}]}


def request(body: bytes, *headers: str, path: str = f"{STORE}/check") -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def problem_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_body_is_counted_while_it_comes(served: Served) -> None:
    """The chunks of a body that never ends are refused once they exceed the limit."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = request(b"", "Transfer-Encoding: chunked")
    answer = await served.exchange(head + chunk * 17)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert problem_of(answer)["code"] == "body_too_large"


async def test_a_body_at_the_limit_is_taken() -> None:
    body = json.dumps(CHECK).encode()
    async with serving(max_body=len(body)) as served:
        head = f"Content-Length: {len(body)}"
        assert (await served.exchange(request(body, head))).startswith(b"HTTP/1.1 200 ")
        head = f"Content-Length: {len(body) + 1}"
        assert (await served.exchange(request(body + b" ", head))).startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with serving(read_timeout=0.1) as served:
        answer = await served.exchange(request(b"{", "Content-Length: 100"))
        assert answer.startswith(b"HTTP/1.1 408 ")
        import_ = request(b"", "Content-Length: 100", path=f"{STORE}/import")
        answer = await served.exchange(import_.replace(b"/json", b"/x-ndjson"))
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""],
)
async def test_only_json_is_taken(served: Served, kind: str) -> None:
    response = await served.http.post(
        f"{STORE}/check", content=json.dumps(CHECK), headers={"content-type": kind}
    )
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_encoded_bodies_are_not_taken(served: Served) -> None:
    response = await served.post("/check", CHECK, headers={"content-encoding": "gzip"})
    assert (response.status_code, response.json()["field"]) == (415, "Content-Encoding")


async def test_headers_and_urls_are_bounded(served: Served) -> None:
    large = await served.http.get(STORE, headers={"x-large": "x" * 17_000})
    assert (large.status_code, large.json()["code"]) == (431, "headers_too_large")
    long = await served.http.get(f"{STORE}?x={'x' * 9000}")
    assert (long.status_code, long.json()["code"]) == (414, "url_too_long")


async def test_a_header_that_decides_stands_once(served: Served) -> None:
    for name in (
        "idempotency-key",
        "openfga-authorization-model-id",
        "stonetown-id",
        "stonetown-zookie",
    ):
        twice = [(name, "a"), (name, "b")]
        response = await served.post("/write", WRITE, headers=twice)
        assert (response.status_code, response.json().get("field")) == (400, name)


async def test_calls_without_a_body_refuse_one(served: Served) -> None:
    response = await served.http.request("GET", STORE, content=b"{}")
    assert (response.status_code, response.json()["field"]) == (400, "body")


async def test_a_read_that_takes_too_long_can_be_tried_again() -> None:
    storage = PausingStorage()
    async with serving(storage, deadline=0.1) as served:
        storage.open.clear()
        response = await served.post("/check", FULLY)
        assert (response.status_code, response.json()["code"]) == (503, "deadline_exceeded")
        assert response.headers["retry-after"] == "1"
        assert "outcome" not in response.json()
        storage.open.set()
        assert (await served.post("/check", FULLY)).status_code == 200


async def test_a_write_that_takes_too_long_has_an_unknown_outcome() -> None:
    storage = PausingStorage()
    async with serving(storage, deadline=0.1, max_staleness=0.001) as served:
        storage.open.clear()
        response = await served.post("/write", WRITE)
        problem = response.json()
        assert (response.status_code, problem["code"]) == (504, "outcome_unknown")
        assert problem["outcome"] == "unknown"
        storage.open.set()


async def test_a_client_may_lower_the_deadline_and_not_raise_it() -> None:
    storage = PausingStorage()
    async with serving(storage, deadline=0.2) as served:
        storage.open.clear()
        for asked in ("1", "999999999"):
            headers = {"x-stonetown-deadline-ms": asked}
            response = await served.post("/check", FULLY, headers=headers)
            assert response.status_code == 503
        storage.open.set()
        for wrong in ("0", "-1", "1.5", "x", "", "1e3"):
            headers = {"x-stonetown-deadline-ms": wrong}
            response = await served.post("/check", CHECK, headers=headers)
            assert response.json()["field"] == "X-Stonetown-Deadline-Ms"


async def test_a_client_that_leaves_ends_its_check() -> None:
    storage = PausingStorage()
    async with serving(storage, deadline=60) as served:
        storage.open.clear()
        storage.waiting.clear()
        body = json.dumps(FULLY).encode()
        _, writer = await served.connect()
        writer.write(request(body, f"Content-Length: {len(body)}"))
        await storage.waiting.wait()
        writer.close()
        await served.metric('stonetown_requests_total{call="check",status="499"} 1.0')
        storage.open.set()


async def test_a_write_is_not_ended_because_its_client_left() -> None:
    """Both have a client that is gone; the write ends by its deadline, and the read does not."""

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def work(*, writes: bool) -> None:
        with Patience(60) as patience:
            patience.begin_work(gone, 0.2, writes=writes)
            await asyncio.Event().wait()

    for writes, ended in ((True, WriteDeadlinePassed), (False, ClientGone)):
        with pytest.raises(ended):
            await work(writes=writes)


async def test_a_head_that_never_ends_is_cut_off(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"GET /healthz HTTP/1.1\r\n" + b"x-more: 1\r\n" * 10_000)
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


class Impatient(BoundedHttp):
    """Waits a tenth of a second for a request's head."""

    head_seconds = 0.1


async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    async with serving(protocol=Impatient) as served:
        for sent in (b"", b"GET /healthz HTTP/1.1\r\n"):
            reader, writer = await served.connect()
            writer.write(sent)
            async with asyncio.timeout(20):
                assert await reader.read() == b""
            writer.close()


@pytest.mark.parametrize("pieces", [1, 7, 1000])
@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0"])
async def test_an_offer_of_another_protocol_is_passed_over(
    served: Served, offer: str, pieces: int
) -> None:
    """The first request of some clients has one, and a body; none of it is another request."""
    await served.write("document:1#viewer@user:ann")
    body = json.dumps({"object": "document:1", "relation": "view", "subject": "user:ann"})
    check = (
        f"POST {STORE}/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: {offer}\r\n"
        f"HTTP2-Settings: AAMAAABk\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    data = (check + check + last).encode()
    size = -(-len(data) // pieces)
    reader, writer = await served.connect()
    for start in range(0, len(data), size):
        writer.write(data[start : start + size])
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        answers = await reader.read()
    writer.close()
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") == 3
    assert answers.count(b'"decision":"allowed"') == 2


async def test_a_stream_does_not_wait_for_a_body_that_does_not_come() -> None:
    async with serving(read_timeout=0.1) as served:
        for call in ("export", "watch"):
            head = f"GET {STORE}/{call} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
            assert (await served.exchange(head.encode())).startswith(b"HTTP/1.1 408 ")


async def test_too_many_requests_at_once_are_turned_away() -> None:
    storage = PausingStorage()
    async with serving(storage, max_in_flight=1) as served:
        storage.open.clear()
        storage.waiting.clear()
        first = asyncio.create_task(served.post("/check", FULLY))
        await storage.waiting.wait()
        second = await served.post("/check", CHECK)
        assert (second.status_code, second.json()["code"]) == (503, "overloaded")
        assert second.headers["retry-after"] == "1"
        storage.open.set()
        assert (await first).status_code == 200
        assert (await served.post("/check", CHECK)).status_code == 200


async def test_storage_that_is_away_is_503_and_a_fault_has_no_details() -> None:
    storage = PausingStorage()
    async with serving(storage, max_staleness=0.001) as served:
        storage.fault = Unavailable("Postgres does not answer")
        away = await served.post("/check", FULLY)
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        storage.fault = RuntimeError("secret detail")
        read = await served.post("/check", FULLY)
        assert (read.status_code, read.json()["code"]) == (503, "internal")
        write = await served.post("/write", WRITE)
        assert (write.status_code, write.json()["outcome"]) == (500, "unknown")
        for response in (read, write):
            assert "secret" not in response.text
            assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_request_ids_are_taken_if_sane_and_always_given(served: Served) -> None:
    given = await served.http.get(STORE, headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 65, "<script>", ""):
        made = (await served.http.get(STORE, headers={"x-request-id": odd})).headers["x-request-id"]
        assert made != odd
        assert made
    one, two = [(await served.http.get(STORE)).headers["x-request-id"] for _ in range(2)]
    assert one != two


@pytest.mark.parametrize(
    "path", [STORE, "/healthz", "/openapi.json", "/nope", "/v1/nope", "/v1/stores/x/y"]
)
async def test_every_response_has_the_security_headers(served: Served, path: str) -> None:
    headers = (await served.http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


async def test_unknown_paths_and_methods(served: Served) -> None:
    for path in ("/nope", "/v1", "/v1/", "/v1/stores/", f"{STORE}/", f"{STORE}/nope", "/healthz/"):
        response = await served.http.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), path
        assert response.json()["request_id"] == response.headers["x-request-id"]
    for method, path, allowed in (
        ("GET", f"{STORE}/check", "POST"),
        ("PATCH", f"{STORE}/schema", "GET, PUT"),
        ("PUT", "/v1/stores", "GET, POST"),
        ("POST", "/healthz", "GET"),
        ("OPTIONS", f"{STORE}/check", "POST"),
    ):
        response = await served.http.request(method, path)
        assert (response.status_code, response.headers["allow"]) == (405, allowed)
    for name in ("A", "a_b", "1", "a" * 64, "%00", "..", "default%2Fcheck"):
        response = await served.http.get(f"/v1/stores/{name}/schema")
        assert response.status_code == 404, name


async def test_the_host_header_is_never_echoed(served: Served) -> None:
    headers = {"host": "evil.test", "x-forwarded-host": "evil.test", "forwarded": "host=evil.test"}
    for path in (STORE, "/healthz", "/docs", "/openapi.json", "/docs/", "/nope", f"{STORE}/"):
        response = await served.http.get(path, headers=headers)
        assert "evil.test" not in response.text + str(response.headers)
        assert response.status_code not in {301, 302, 307, 308}
