"""A server on memory in a process of its own: `python -m tests.cli.server [API_KEYS]`.

Prints its address on one line, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys

from api.settings import Settings
from api.telemetry import configure_logging
from tests.api.serving import serving


async def serve(keys: str) -> None:
    async with serving(schema="", api_keys=keys) as served:
        print(served.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    # To standard error: a log on standard output, which nobody reads on, would stop the server.
    configure_logging(Settings(log_level="error"))
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else ""))
