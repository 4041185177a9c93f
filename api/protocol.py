"""uvicorn's HTTP/1.1 protocol, with an end to request heads that never end, and no other protocol.

httptools takes headers of any size and waits for them for ever; the application sees a request only
once its head is complete, so that its own bounds come too late for these two. And it ends a request
that offers to change the protocol at its head: its body, which some clients' first request has
(`Upgrade: h2c`), would be lost, or taken for the next request.

A request for the native API that has come as a whole goes to the front directly (`api.whole`); one
that comes in pieces, streams or is unusual goes uvicorn's way, through ASGI, and so does every
request that waits behind another on its connection.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.asgi import ABORT, Header, Scope
from api.calls import accepts_lines
from api.front import Front
from api.whole import Whole

HEAD_BYTES = 64 * 1024
"""Far over `STONETOWN_MAX_HEADERS`, beyond which a complete head gets a proper answer."""
HEAD_SECONDS = 10.0
_OF_AN_UPGRADE = (b"upgrade", b"http2-settings")


class _Parser:
    """httptools' parser, which reads a request that offers an upgrade as one that does not."""

    def __init__(self, protocol: BoundedHttp) -> None:
        self._protocol = protocol
        self.inner = _fresh(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def offers_upgrade(self) -> bool:
        """Whether the request is to be read again without its offer."""
        return self.inner.should_upgrade() and self.inner.get_method() != b"CONNECT"

    def feed_data(self, data: bytes) -> None:
        """Parse what came. Raises what httptools raises for what is no HTTP."""
        while data:
            try:
                self.inner.feed_data(data)
            except HttpParserUpgrade as offer:
                if not self.offers_upgrade():
                    raise
                head = self._protocol.plain_head()
                self.inner = _fresh(self._protocol)
                self.inner.feed_data(head)
                data = data[offer.args[0] :]
            else:
                return


def _fresh(protocol: BoundedHttp) -> HttpRequestParser:
    parser = HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
    return parser


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose request head is too large or does not come."""

    head_bytes = HEAD_BYTES
    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = self._parser = _Parser(self)  # type: ignore[assignment]
        self._received = 0
        self._in_head = False
        self._late: asyncio.TimerHandle | None = None
        self._resting_since: float | None = None
        self._front: Front | None = getattr(self.config.loaded_app, "front", None)
        self._whole: Whole | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: its first head is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._head_is_here()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)
        del self._parser  # each knows the other, as uvicorn's own, which it lets go

    def data_received(self, data: bytes) -> None:
        """Parse what came; what does not complete a head is counted."""
        super().data_received(data)
        if self._whole is not None:
            self._begin_piecewise(self._whole)
        if self._in_head:
            self._received += len(data)
            if self._received > self.head_bytes:
                self.send_400_response("The request head is too large.")
            elif self._late is None:
                self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_head = True
        self._received = 0

    def on_headers_complete(self) -> None:
        """The head is complete: the application takes over."""
        self._head_is_here()
        if self._parser.offers_upgrade():
            return
        self._whole = self._as_whole()
        if self._whole is None:
            self._begin()

    def on_body(self, body: bytes) -> None:
        """A piece of the body has come."""
        if self._whole is None:
            super().on_body(body)
        else:
            self._whole.body += body

    def on_message_complete(self) -> None:
        """The request is complete, unless only the head that offers an upgrade is."""
        whole = self._whole
        if whole is None:
            if not self._parser.offers_upgrade():
                super().on_message_complete()
            return
        assert self._front is not None
        if len(whole.body) > self._front.max_body:
            self._begin_piecewise(whole)
            super().on_message_complete()
            return
        self._whole = None
        self.cycle = cast("RequestResponseCycle", whole)
        self._front.answer(whole)

    def _as_whole(self) -> Whole | None:
        """The request whose head is complete, if what is left of it may be awaited without ASGI."""
        if self._front is None or self.flow.write_paused or self.expect_100_continue:
            return None
        before = cast("RequestResponseCycle | None", self.cycle)
        if before is not None and not before.response_complete:
            return None
        parser = self._parser.inner
        route = self._front.route(parser.get_method(), self.url)
        if route is None or parser.get_http_version() != "1.1":
            return None
        keeps = parser.should_keep_alive() and not self._front.draining
        whole = Whole(self, self.url, self.headers, route, keep_alive=keeps)
        if b"transfer-encoding" in whole.headers:
            return None  # its trailers would come among its headers
        if route[0].lines and accepts_lines(whole.headers):
            return None
        return whole

    def _begin_piecewise(self, whole: Whole) -> None:
        """Begin a request that did not come as a whole after all."""
        self._whole = None
        self._begin()
        if whole.body:
            super().on_body(whole.body)

    def _begin(self) -> None:
        """Begin a request in uvicorn's way."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        cast("Scope", self.scope)[ABORT] = self.transport.abort
        super().on_headers_complete()
        if self._front is not None and self._front.draining:
            self.cycle.keep_alive = False

    def drain(self) -> None:
        """End the connection with the answer that is under way, or else with the next."""
        under_way = cast("RequestResponseCycle | None", self.cycle)
        if under_way is not None and not under_way.response_complete:
            under_way.keep_alive = False

    def wait_for(self, task: asyncio.Task[None]) -> None:
        """Have the server wait for a task when it stops."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def default_lines(self) -> bytes:
        """The header lines that stand in every response; the server renews them every second."""
        headers = self.server_state.default_headers
        known = _default_lines.get("now")
        if known is None or known[0] is not headers:
            lines = b"".join([b"%b: %b\r\n" % header for header in headers])
            known = _default_lines["now"] = (headers, lines)
        return known[1]

    def on_response_complete(self) -> None:
        """Begin the next request of the pipeline, or rest until it comes."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        # One timer for many rests: it looks how long the newest has lasted.
        self._resting_since = monotonic()
        if self.timeout_keep_alive_task is None:
            self._rest(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._resting_since = None

    def _rest(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has rested for too long."""
        self.timeout_keep_alive_task = None
        if self._resting_since is None:
            return
        left = self._resting_since + self.timeout_keep_alive - monotonic()
        if left > 0:
            self._rest(left)
        else:
            super().timeout_keep_alive_handler()

    def plain_head(self) -> bytes:
        """The request's head without its offer, which a server may ignore (RFC 9110 §7.8)."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            kept = value
            if name == b"connection":
                options = (option.strip() for option in value.split(b","))
                kept = b", ".join(o for o in options if o.lower() not in _OF_AN_UPGRADE)
            if name not in _OF_AN_UPGRADE:
                lines.append(name + b": " + kept)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _expect_head(self) -> None:
        self._in_head = True
        self._received = 0
        self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_is_here(self) -> None:
        self._in_head = False
        if self._late is not None:
            self._late.cancel()
            self._late = None


_default_lines: dict[str, tuple[list[Header], bytes]] = {}
