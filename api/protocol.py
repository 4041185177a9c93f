"""uvicorn's HTTP/1.1 protocol, with an end to request heads that never end.

httptools takes headers of any size and waits for them for ever; the application sees a request only
once its head is complete, so that its own bounds come too late for these two.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.asgi import ABORT, Scope

HEAD_BYTES = 64 * 1024
"""Far over `STONETOWN_MAX_HEADERS`, beyond which a complete head gets a proper answer."""
HEAD_SECONDS = 10.0


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose request head is too large or does not come."""

    head_bytes = HEAD_BYTES
    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
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
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_is_here()
        self._received = 0
        self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_is_here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
