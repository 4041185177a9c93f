"""Requests that came in one piece, and their answers in one piece: the short way of most calls.

The server's protocol (`api.protocol`) makes one of a request whose head and body are both here, and
hands it to `api.front` without ASGI in between: no messages, no stream, one write. To the protocol
it stands in the place of uvicorn's cycle of a request. All that is decided about a request is
decided in the front, for this way and for ASGI alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.asgi import (
    JSON_HEADERS,
    NO_CONTENT,
    Answer,
    ClientGone,
    Ending,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    deadline_passed,
)
from api.calls import Operation

_JSON_LINE = b"content-type: application/json\r\n"


async def _nothing_comes() -> Message:
    return {"type": "http.disconnect"}


async def _nothing_goes(_message: Message) -> None:
    raise AssertionError("a call that is answered as a whole does not stream")


NO_ASGI: tuple[Scope, Receive, Send] = ({"query_string": b""}, _nothing_comes, _nothing_goes)
"""What stands for ASGI in a Call whose body is here: there is no query either."""


class Connection(Protocol):
    """What a request needs to know of the connection that it came on."""

    @property
    def transport(self) -> asyncio.Transport:
        """Where the answer goes."""
        ...

    def default_lines(self) -> bytes:
        """Header lines that the server adds to every response."""
        ...

    def on_response_complete(self) -> None:
        """The next request may begin."""
        ...

    def wait_for(self, task: asyncio.Task[None]) -> None:
        """The server is not to stop before the task has ended."""
        ...


class Whole:
    """One request, all of it. `headers` are in lower case, each name with its last value."""

    __slots__ = (
        "_connection",
        "body",
        "disconnected",
        "ending",
        "headers",
        "keep_alive",
        "operation",
        "pairs",
        "response_complete",
        "store",
        "task",
        "url",
    )

    def __init__(
        self,
        connection: Connection,
        url: bytes,
        pairs: list[Header],
        route: tuple[Operation, str],
        *,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self.url = url
        self.pairs = pairs
        self.headers = dict(pairs)
        self.operation, self.store = route
        self.keep_alive = keep_alive
        self.body = b""
        self.response_complete = False
        self.disconnected = False
        self.ending: Ending | None = None
        self.task: asyncio.Task[None] | None = None
        """What answers it: the loop itself holds tasks only weakly."""

    @property
    def message_event(self) -> Whole:
        """What uvicorn sets when the connection is lost."""
        return self

    def set(self) -> None:
        """End the work if the client has left, unless it writes."""
        if self.disconnected and self.ending is not None and not self.operation.writes:
            self.ending.end(ClientGone())

    def respond(self, answer: Answer, fixed: bytes, request_id: bytes) -> None:
        """Send the answer with `fixed` header lines, and let the next request begin."""
        self.response_complete = True
        if self.disconnected:
            return
        connection = self._connection
        transport = connection.transport
        body = answer.body
        lines = [STATUS_LINE[answer.status], connection.default_lines(), fixed]
        if answer.headers is JSON_HEADERS:
            lines.append(_JSON_LINE)
        else:
            lines.extend([b"%b: %b\r\n" % header for header in answer.headers])
        if answer.status != NO_CONTENT:
            lines.append(b"content-length: %d\r\n" % len(body))
        ending = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        lines += (b"x-request-id: ", request_id, ending, body)
        transport.write(b"".join(lines))
        if not self.keep_alive:
            transport.close()
        connection.on_response_complete()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a task answer it."""
        self.task = asyncio.get_running_loop().create_task(work)
        if self.operation.writes:  # the server waits for it though its client may have left
            self._connection.wait_for(self.task)

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.response_complete = True
        self._connection.transport.abort()


class Deadlines:
    """Ends pieces of work at their times, all by one timer that is rarely set."""

    def __init__(self) -> None:
        self._dues: dict[Ending, tuple[float, bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    def add(self, ending: Ending, seconds: float, *, writes: bool) -> None:
        """End it in so many seconds because its deadline passed, unless it is removed before."""
        due = monotonic() + seconds
        self._dues[ending] = (due, writes)
        if self._timer is None or due < self._timer_due:
            self._set_timer(due, seconds)

    def remove(self, ending: Ending) -> None:
        """It has ended by itself."""
        del self._dues[ending]

    def _set_timer(self, due: float, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._look)

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        first = None
        for ending, (due, writes) in self._dues.items():
            if due <= now:
                ending.end(deadline_passed(writes=writes))
            elif first is None or due < first:
                first = due
        if first is not None:
            self._set_timer(first, first - now)
