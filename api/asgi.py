"""The few pieces of HTTP that calls are made of: a body read within bounds, an answer, patience.

Everything here is plain ASGI and per-request cheap: no middleware classes, no copies of headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from api.errors import BodyTimeout, BodyTooLarge, DeadlinePassed, WriteDeadlinePassed

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

WATCH_AFTER = 0.05
"""Seconds after which a request's client is watched for leaving: most requests end sooner, and a
watcher costs more than they do."""


NO_CONTENT = 204
REQUEST_ID = "stonetown.request_id"
"""Where a scope holds the request's id, for what is mounted behind the front."""


ABORT = "stonetown.abort"
"""Where a scope holds what drops the connection at once, if its server can."""


JSON_HEADERS: tuple[Header, ...] = ((b"content-type", b"application/json"),)


class ClientGone(Exception):
    """The client closed its connection; nobody is left to answer."""


class Answer(NamedTuple):
    """A whole response. The content type is JSON unless `headers` say otherwise."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = JSON_HEADERS


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole response."""
    headers = list(answer.headers)
    if answer.status != NO_CONTENT:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request body. Raises BodyTooLarge as soon as more than `limit` bytes have come."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(
                "the body is too large", field="body", expected=f"at most {limit} bytes"
            )
        if not message.get("more_body"):
            return chunk if not chunks else b"".join((*chunks, chunk))
        chunks.append(chunk)


async def read_chunks(receive: Receive, pause: float) -> AsyncIterator[bytes]:
    """The request body as it comes. Raises BodyTimeout when nothing comes for `pause` seconds."""
    more = True
    while more:
        try:
            async with asyncio.timeout(pause):
                message = await receive()
        except TimeoutError:
            raise body_timeout(pause) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = bool(message.get("more_body"))
        yield message.get("body", b"")


def body_timeout(seconds: float) -> BodyTimeout:
    """The error of a body that did not come."""
    return BodyTimeout("the body did not arrive", expected=f"the body within {seconds:g} s")


class Ending:
    """Can end the current task for a reason, which leaving the block raises in place of the
    cancellation. The first reason counts; the task must have no other use for being cancelled."""

    __slots__ = ("_cancelling", "_ended_by", "_task")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._ended_by: Exception | None = None

    def end(self, reason: Exception) -> None:
        """End the work."""
        if self._ended_by is None:
            self._ended_by = reason
            self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ended_by is None or self._task.uncancel() > self._cancelling:
            return
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._ended_by from None


def deadline_passed(*, writes: bool) -> DeadlinePassed | WriteDeadlinePassed:
    """The error of work that took too long."""
    kind = WriteDeadlinePassed if writes else DeadlinePassed
    return kind("the deadline passed", budget="milliseconds")


class Patience(Ending):
    """Bounds how long the current task may take, and ends it when its client leaves.

    Enter with the time that the body may take to arrive; `begin_work` then allows `deadline`
    seconds for the work. A write is not ended because its client left: it would leave the outcome
    open for nothing. One timer at a time; `asyncio.timeout` twice would cost three times as much.
    """

    __slots__ = ("_loop", "_timer", "_watcher")

    def __init__(self, body_seconds: float) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._watcher: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(body_seconds, self.end, body_timeout(body_seconds))

    def begin_work(self, receive: Receive, deadline: float, *, writes: bool) -> None:
        """The body is here: from now `deadline` seconds remain."""
        self._timer.cancel()
        first = min(WATCH_AFTER, deadline)
        self._timer = self._loop.call_later(first, self._watch, receive, deadline, first, writes)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        super().__exit__(kind, error, traceback)

    def _watch(self, receive: Receive, deadline: float, spent: float, writes: bool) -> None:
        passed = deadline_passed(writes=writes)
        self._timer = self._loop.call_later(max(0.0, deadline - spent), self.end, passed)
        if not writes:
            self._watcher = self._loop.create_task(self._until_gone(receive))

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end(ClientGone())
