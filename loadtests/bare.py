"""`python -m loadtests.bare PORT`: the HTTP API before an engine that does next to nothing.

Every check is allowed at once. What a request costs here is what HTTP adds to an engine. With
`yardstick` as a second argument it is uvicorn alone, with an application that always answers the
same: what the machine makes of one request at that moment.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn
import uvloop

from api.app import create_app
from api.asgi import Receive, Scope, Send
from api.serving import listen, serve_app
from api.settings import Settings
from engine.decision import ALLOWED
from engine.engine import Engine
from engine.requests import BatchAnswer, Check, CheckAnswer, Consistency, Overlay
from engine.store.memory import MemoryStorage
from engine.telling import Told

ZOOKIE = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class BareTogether:
    """In the place of `engine.together.Together`: allows every check without looking."""

    def ask(
        self,
        store: str,  # noqa: ARG002 - as `Telling.ask` has it
        check: Check,  # noqa: ARG002
        consistency: Consistency,  # noqa: ARG002
        told: Told,
        *,
        deadline: float,  # noqa: ARG002
        overlay: Overlay | None = None,  # noqa: ARG002
    ) -> bool:
        """Allowed, as soon as all have asked who came together."""
        answer = CheckAnswer(ALLOWED, ZOOKIE)
        asyncio.get_running_loop().call_soon(told, answer)
        return True


class BareEngine(Engine):
    """Allows every check without looking."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage())
        self.together = BareTogether()

    async def check(self, *_asked: Any, **_how: Any) -> CheckAnswer:
        """Allowed."""
        return CheckAnswer(ALLOWED, ZOOKIE)

    async def check_batch(
        self, _store: str, checks: Sequence[Check], *_asked: Any, **_how: Any
    ) -> BatchAnswer:
        """All allowed."""
        return BatchAnswer((ALLOWED,) * len(checks), ZOOKIE, (None,) * len(checks))


async def same_answer(_scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads nothing."""
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def ready() -> None:
    """Say that requests are taken."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def yardstick(listener: socket.socket) -> None:
    """Serve `same_answer` as uvicorn does by itself."""
    config = uvicorn.Config(
        same_answer,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    asyncio.get_running_loop().call_later(0.5, ready)
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    """Serve on the port until SIGINT or SIGTERM, after a line that says so."""
    settings = Settings(port=int(sys.argv[1]))
    with listen(settings.host, settings.port) as listener:
        if sys.argv[2:] == ["yardstick"]:
            uvloop.run(yardstick(listener))
        else:
            app = create_app(BareEngine(), settings)
            uvloop.run(serve_app(app, settings, listener, ready))


if __name__ == "__main__":
    main()
