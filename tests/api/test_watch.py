"""Watch over HTTP: both forms, resuming, filters, heartbeats, slow readers, stopping."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.api import serving
from tests.api.serving import STORE, Served
from tests.servers import eventually

LINES = {"accept": "application/x-ndjson"}


async def ndjson(response: httpx.Response) -> AsyncIterator[Any]:
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    async for line in response.aiter_lines():
        yield json.loads(line)


async def sse(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    event: dict[str, Any] = {}
    async for line in response.aiter_lines():
        if not line:
            yield event
            event = {}
            continue
        name, _, value = line.partition(": ")
        event[name] = json.loads(value) if name == "data" else value


def watching(served: Served, query: str = "", **headers: str) -> Any:
    return served.http.stream("GET", f"{STORE}/watch{query}", headers=headers or LINES)


async def test_changes_come_as_lines_in_order(served: Served) -> None:
    start = await served.write("document:a#viewer@user:ann")
    async with watching(served, f"?after={start}") as response:
        events = ndjson(response)
        assert await anext(events) == {"zookie": start, "heartbeat": True}
        first = await served.write("document:b#viewer@user:ann", "document:c#viewer@user:ann")
        event = await anext(events)
        assert event["zookie"] == first
        assert [(item["op"], item["tuple"]["object"]) for item in event["updates"]] == [
            ("touch", "document:b"),
            ("touch", "document:c"),
        ]
        gone = {"updates": [{"op": "delete", "tuple": "document:b#viewer@user:ann"}]}
        await served.post("/write", {**gone, "metadata": {"why": "left"}})
        event = await anext(events)
        assert event["updates"][0]["op"] == "delete"
        assert (event["metadata"], event["schema_changed"]) == ({"why": "left"}, False)
        await served.http.put(f"{STORE}/schema", json={"schema": serving.SCHEMA + "// more"})
        assert (await anext(events))["schema_changed"] is True


async def test_an_event_source_resumes_by_its_last_id(served: Served) -> None:
    start = await served.write("document:a#viewer@user:ann")
    await served.write("document:b#viewer@user:ann")
    await served.write("document:c#viewer@user:ann")
    async with watching(served, accept="text/event-stream", **{"last-event-id": start}) as response:
        events = sse(response)
        beat = await anext(events)
        assert (beat["event"], beat["id"]) == ("heartbeat", start)
        event = await anext(events)
        assert "event" not in event
        assert event["data"]["updates"][0]["tuple"]["object"] == "document:b"
        assert event["id"] == event["data"]["zookie"]
    async with watching(served, **{"last-event-id": event["id"]}) as response:
        events = sse(response)
        await anext(events)
        assert (await anext(events))["data"]["updates"][0]["tuple"]["object"] == "document:c"


async def test_without_a_zookie_a_watch_begins_now(served: Served) -> None:
    await served.write("document:a#viewer@user:ann")
    async with watching(served) as response:
        events = ndjson(response)
        await anext(events)
        await served.write("document:b#viewer@user:ann")
        assert (await anext(events))["updates"][0]["tuple"]["object"] == "document:b"


async def test_types_and_relations_are_filtered(served: Served) -> None:
    start = await served.write("document:a#viewer@user:ann")
    await served.write("group:g#member@user:ann", "document:b#owner@user:ann")
    last = await served.write("document:c#viewer@user:ann", "document:d#owner@user:ann")
    query = f"?after={start}&types=document,group&relations=owner,member"
    async with watching(served, query) as response:
        events = ndjson(response)
        await anext(events)
        seen = [item["tuple"]["object"] for item in (await anext(events))["updates"]]
        assert seen == ["document:b", "group:g"]
        event = await anext(events)
        assert [item["tuple"]["object"] for item in event["updates"]] == ["document:d"]
        assert event["zookie"] == last


async def test_heartbeats_carry_the_zookie_that_was_reached() -> None:
    async with (
        serving.serving(watch_heartbeat=0.05) as served,
        watching(served, "?types=group") as response,
    ):
        events = ndjson(response)
        await anext(events)
        hidden = await served.write("document:a#viewer@user:ann")
        async for event in events:
            assert event["heartbeat"] is True
            if event["zookie"] == hidden:
                break


async def test_a_wrong_watch_is_refused_before_it_starts(served: Served) -> None:
    for query, status, code in (
        ("after=x", 400, "invalid_zookie"),
        ("types=a%20b", 400, "invalid_tuple"),
        ("relations=,", 400, "invalid_tuple"),
        ("type=document", 400, "unknown_field"),
        (f"types={','.join('x' * 101)}", 400, "limit_exceeded"),
    ):
        response = await served.http.get(f"{STORE}/watch?{query}")
        assert (response.status_code, response.json()["code"]) == (status, code), query
    absent = await served.http.get("/v1/stores/absent/watch")
    assert (absent.status_code, absent.json()["code"]) == (404, "store_not_found")


async def test_a_store_that_goes_ends_its_watch_with_an_error(served: Served) -> None:
    async with watching(served, accept="text/event-stream") as response:
        events = sse(response)
        beat = await anext(events)
        await served.http.delete(STORE)
        event = await anext(events)
        assert event["event"] == "error"
        assert event["data"]["error"]["code"] == "store_not_found"
        assert event["data"]["zookie"] == beat["id"]
        assert [item async for item in events] == []


async def test_a_stopping_server_ends_watches_with_the_zookie_to_resume_from(
    served: Served,
) -> None:
    async with watching(served, accept="text/event-stream") as response:
        events = sse(response)
        await anext(events)
        reached = await served.write("document:a#viewer@user:ann")
        await anext(events)
        served.app.stop()
        event = await anext(events)
        assert (event["event"], event["id"]) == ("end", reached)
        assert event["data"] == {"end": "stopping", "zookie": reached}
        assert [item async for item in events] == []


async def flood(served: Served, rounds: int) -> None:
    """Changes of more bytes than the sockets between server and reader hold."""
    subject = "x" * 1000
    for n in range(rounds):
        await served.write(*(f"document:{n}-{m}#viewer@user:{subject}" for m in range(900)))


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(30):
        return await reader.read()


async def test_a_reader_that_takes_nothing_is_cut() -> None:
    async with serving.serving(write_timeout=0.2) as served:
        reader, writer = await served.connect()
        request = f"GET {STORE}/watch HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"
        writer.write(request.encode())
        await reader.readuntil(b"heartbeat")
        await flood(served, 10)
        await served.metric("stonetown_streams 0.0")

        async def dropped() -> bool:
            return not served.connections

        await served.http.aclose()
        await eventually(dropped)
        writer.close()


async def test_a_slow_reader_is_told_where_to_resume() -> None:
    """A reader that takes nothing until it is found to be slow, and then reads on."""
    async with serving.serving(write_timeout=2) as served:
        reader, writer = await served.connect()
        request = f"GET {STORE}/watch HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"
        writer.write(request.encode())
        await reader.readuntil(b"heartbeat")
        await flood(served, 10)
        await served.metric("stonetown_slow_readers_total 1.0")
        text = (await read_all(reader)).decode()
        writer.close()
        *_, last = [line for line in text.splitlines() if line.startswith("{")]
        told = json.loads(last)
        assert told["end"] == "slow_reader"
        async with watching(served, f"?after={told['zookie']}") as response:
            events = ndjson(response)
            await anext(events)
            assert (await anext(events))["updates"]


async def test_a_reader_that_leaves_ends_its_watch(served: Served) -> None:
    async with watching(served) as response:
        events = ndjson(response)
        await anext(events)
        assert "stonetown_streams 1.0" in served.app.metrics.exposition().decode()
    await served.metric("stonetown_streams 0.0")


async def test_streams_are_bounded_per_key_and_per_worker() -> None:
    keys = ",".join(serving.key(name, f"{name}-secret") for name in ("one", "two"))
    async with serving.serving(api_keys=keys, max_streams=2, max_streams_per_key=1) as served:
        one, two = [{**LINES, **serving.bearer(f"{name}-secret")} for name in ("one", "two")]
        async with watching(served, **one) as response:
            events = ndjson(response)
            await anext(events)
            again = await served.http.get(f"{STORE}/watch", headers=one)
            assert (again.status_code, again.json()["code"]) == (429, "too_many_streams")
            assert again.headers["retry-after"] == "5"
            async with watching(served, **two) as other:
                others = ndjson(other)
                await anext(others)
                full = await served.http.get(f"{STORE}/export", headers=one)
                assert (full.status_code, full.json()["code"]) == (503, "overloaded")
    assert not served.app.front.streaming  # nothing is kept of those who are gone
