"""uvicorn's HTTP/1.1 protocol, with an end to request heads that never end, and no other protocol.

httptools takes headers of any size and waits for them for ever; the application sees a request only
once its head is complete, so that its own bounds come too late for these two. And it ends a request
that offers to change the protocol at its head: its body, which some clients' first request has
(`Upgrade: h2c`), would be lost, or taken for the next request.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.asgi import ABORT, Scope

HEAD_BYTES = 64 * 1024
"""Far over `STONETOWN_MAX_HEADERS`, beyond which a complete head gets a proper answer."""
HEAD_SECONDS = 10.0
_OF_AN_UPGRADE = (b"upgrade", b"http2-settings")


class _Parser:
    """httptools' parser, which reads a request that offers an upgrade as one that does not."""

    def __init__(self, protocol: BoundedHttp) -> None:
        self._protocol = protocol
        self._parser = _fresh(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def offers_upgrade(self) -> bool:
        """Whether the request is to be read again without its offer."""
        return self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT"

    def feed_data(self, data: bytes) -> None:
        """Parse what came. Raises what httptools raises for what is no HTTP."""
        while data:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as offer:
                if not self.offers_upgrade():
                    raise
                head = self._protocol.plain_head()
                self._parser = _fresh(self._protocol)
                self._parser.feed_data(head)
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
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: its first head is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._head_is_here()
        super().connection_lost(exc)
        del self._parser  # each knows the other, as uvicorn's own, which it lets go

    def data_received(self, data: bytes) -> None:
        """Parse what came; what does not complete a head is counted."""
        super().data_received(data)
        if self._late is not None:
            self._received += len(data)
            if self._received > self.head_bytes:
                self.send_400_response("The request head is too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        cast("Scope", self.scope)[ABORT] = self.transport.abort
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is complete: the application takes over."""
        self._head_is_here()
        if not self._parser.offers_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete, unless only the head that offers an upgrade is."""
        if not self._parser.offers_upgrade():
            super().on_message_complete()

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
        self._head_is_here()
        self._received = 0
        self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_is_here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
