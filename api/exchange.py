"""One request while it is answered: what is told of it, and what every response has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from api.asgi import Header, Message, Send
from api.errors import Failure, ProblemAnswer, render_problem

_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
_NO_CONTENT: tuple[Header, ...] = (
    *_HEADERS,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_PAGE: tuple[Header, ...] = (
    *_HEADERS,
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
FIXED_LINES = b"".join(b"%b: %b\r\n" % header for header in _NO_CONTENT)
GONE_STATUS = 499
"""What a request is counted under whose client left before the answer."""


class Exchange:
    """One request as it is answered: what the log and the metrics will say of it."""

    __slots__ = ("call", "problem", "request_id", "shown", "started", "status", "stream", "writes")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.shown = request_id.encode()
        self.call = "other"
        self.problem: Callable[[Failure, str], ProblemAnswer] = render_problem
        self.status = 0
        self.started = False
        self.stream = False
        self.writes = False

    def echo(self, headers: Mapping[bytes, bytes]) -> None:
        """Show the client's own request id, whatever it is: it is told nowhere else."""
        self.shown = headers.get(b"x-request-id", self.shown)


def sender(exchange: Exchange, send: Send, *, page: bool) -> Send:
    """`send` that adds the headers of every response, and notes what was sent."""

    fixed = _PAGE if page else _NO_CONTENT

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.started = True
            exchange.status = message["status"]
            named = (b"x-request-id", exchange.shown)
            message["headers"] = [*message.get("headers", ()), *fixed, named]
        await send(message)

    return add
