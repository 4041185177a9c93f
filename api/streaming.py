"""A response that is sent piece by piece, to a reader that may be slow, gone, or in the way."""

from __future__ import annotations

import asyncio

from api.asgi import ClientGone, Header
from api.calls import Call


class SlowReader(Exception):
    """The reader took nothing for the whole write timeout."""


class Stream:
    """The body of one response. What waits to be read is one piece, and the socket's buffer."""

    def __init__(self, call: Call, content_type: bytes) -> None:
        self._send = call.send
        self._slow_readers = call.metrics.slow_readers
        self._timeout = call.settings.write_timeout
        self._content_type = content_type
        self.started = False

    async def start(self, headers: tuple[Header, ...] = ()) -> None:
        """Send status 200 and the headers."""
        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", self._content_type), *headers],
            }
        )
        self.started = True

    async def send(self, body: bytes) -> None:
        """Send a piece. Raises SlowReader when the reader takes nothing for too long."""
        await self._bounded(body, more=True)

    async def finish(self, body: bytes = b"") -> None:
        """Send the last piece and end the response. Raises SlowReader."""
        await self._bounded(body, more=False)

    async def _bounded(self, body: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError:
            self._slow_readers.inc()
            raise SlowReader from None
        except OSError:
            raise ClientGone from None
