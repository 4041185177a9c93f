"""`python -m loadtests.bare PORT`: the HTTP API before an engine that does next to nothing.

Every check is allowed at once. What a request costs here is what HTTP adds to an engine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import uvloop

from api.app import create_app
from api.serving import listen, serve_app
from api.settings import Settings
from engine.decision import ALLOWED
from engine.engine import Engine
from engine.requests import BatchAnswer, Check, CheckAnswer
from engine.store.memory import MemoryStorage

ZOOKIE = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class BareEngine(Engine):
    """Allows every check without looking."""

    async def check(self, *_asked: Any, **_how: Any) -> CheckAnswer:
        """Allowed."""
        return CheckAnswer(ALLOWED, ZOOKIE)

    async def check_batch(
        self, _store: str, checks: Sequence[Check], *_asked: Any, **_how: Any
    ) -> BatchAnswer:
        """All allowed."""
        return BatchAnswer((ALLOWED,) * len(checks), ZOOKIE, (None,) * len(checks))


def main() -> None:
    """Serve on the port until SIGINT or SIGTERM, after a line that says so."""

    def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    settings = Settings(port=int(sys.argv[1]))
    engine = BareEngine(MemoryStorage())
    app = create_app(engine, settings)
    with listen(settings.host, settings.port) as listener:
        uvloop.run(serve_app(app, settings, listener, ready))


if __name__ == "__main__":
    main()
