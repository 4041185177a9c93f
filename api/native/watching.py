"""Watch: a store's changes as server-sent events, or as lines of JSON.

Every event carries the zookie up to which everything has been delivered; for server-sent events it
is the event's id, so that a browser's EventSource resumes by itself. The stream ends with an `end`
event when the server stops or the reader is too slow, and with an `error` event when watching
cannot go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from api.asgi import ClientGone
from api.calls import Call, accepts_lines
from api.errors import describe
from api.members import Problems
from api.native import render
from api.native.decode import relation_name
from api.streaming import SlowReader, Stream
from engine.errors import EngineError, InvalidRequest, Unavailable
from engine.requests import WatchEvent
from engine.tuples import MAX_TYPE_BYTES, check_name

_MAX_NAMES = 100


async def watch(call: Call) -> None:
    """`GET /watch`."""
    query = call.query()
    problems = Problems()
    types = _names(query.get("types", ""), "types", problems)
    relations = _names(query.get("relations", ""), "relations", problems)
    problems.raise_any()
    # An empty `after` is a mistake, such as an unset variable, and not "from now on".
    after = query["after"] if "after" in query else _last_event_id(call)
    await call.no_body()
    events = call.engine.watch(
        call.store,
        after=after,
        object_types=types,
        relations=relations,
        heartbeat=call.settings.watch_heartbeat,
    )
    watcher = _Watcher(call, events, after, lines=accepts_lines(call.headers))
    await watcher.run()


def _names(text: str, field: str, problems: Problems) -> list[str]:
    """Names that are separated by commas."""
    found = text.split(",") if text else []
    if len(found) > _MAX_NAMES:
        problems.add(
            "limit_exceeded", f"{len(found)} names", f"query.{field}", f"at most {_MAX_NAMES}"
        )
        return []
    for name in found:
        if field == "types":
            problems.attempt(check_name, name, f"query.{field}", MAX_TYPE_BYTES)
        else:
            problems.attempt(relation_name, name, f"query.{field}")
    return found


def _last_event_id(call: Call) -> str | None:
    value = call.headers.get(b"last-event-id", b"")
    if not value.isascii():
        raise InvalidRequest("not a zookie", field="Last-Event-ID", expected="an event's id")
    return value.decode("ascii") or None


class _Watcher:
    """One watch under way."""

    def __init__(
        self,
        call: Call,
        events: AsyncGenerator[WatchEvent, None],
        after: str | None,
        *,
        lines: bool,
    ) -> None:
        self._call = call
        self._events = events
        self._last = after
        self._lines = lines
        kind = b"application/x-ndjson" if lines else b"text/event-stream; charset=utf-8"
        self._stream = Stream(call, kind)

    async def run(self) -> None:
        """Deliver events until the client leaves, the server stops, or watching fails.

        Raises the EngineError of a watch that fails before its first event.
        """
        stopping = asyncio.ensure_future(self._call.stopping())
        gone = asyncio.ensure_future(self._until_gone())
        upcoming: asyncio.Future[WatchEvent] | None = None
        try:
            while True:
                upcoming = asyncio.ensure_future(anext(self._events))
                done, _ = await asyncio.wait(
                    {upcoming, stopping, gone}, return_when=asyncio.FIRST_COMPLETED
                )
                if gone in done:
                    raise ClientGone
                if upcoming not in done:
                    await self._end("stopping")
                    return
                await self._deliver(upcoming.result())
        except SlowReader:
            await self._end("slow_reader")
        except EngineError as error:
            if not self._stream.started:
                raise
            await self._fail(error)
        finally:
            await _settle(stopping, gone, upcoming)
            await self._events.aclose()

    async def _until_gone(self) -> None:
        while (await self._call.receive())["type"] != "http.disconnect":
            pass

    async def _deliver(self, event: WatchEvent) -> None:
        if not self._stream.started:
            await self._stream.start()
        name = "heartbeat" if event.heartbeat else ""
        told = {"zookie": event.zookie} if event.heartbeat else render.event(event)
        if self._lines and event.heartbeat:
            told = {"zookie": event.zookie, "heartbeat": True}
        await self._stream.send(self._encode(name, told, event.zookie))
        self._last = event.zookie

    async def _end(self, reason: str) -> None:
        """End the stream with the zookie to resume from; a reader that takes nothing is cut."""
        if not self._stream.started:
            raise Unavailable("the server is stopping", expected="a retry at another node")
        told = {"end": reason, "zookie": self._last}
        try:
            await self._stream.finish(self._encode("end", told, self._last))
        except SlowReader:
            raise ClientGone from None

    async def _fail(self, error: EngineError) -> None:
        told = {"error": describe(error), "zookie": self._last}
        await self._stream.finish(self._encode("error", told, None))

    def _encode(self, name: str, told: dict[str, Any], zookie: str | None) -> bytes:
        data = render.encode(told)
        if self._lines:
            return data + b"\n"
        head = f"event: {name}\n" if name else ""
        head += f"id: {zookie}\n" if zookie else ""
        return head.encode() + b"data: " + data + b"\n\n"


async def _settle(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel what still runs, and wait until it has ended."""
    left = [task for task in tasks if task is not None]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
