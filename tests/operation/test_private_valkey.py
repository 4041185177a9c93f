"""The private Valkey answers, comes back, and keeps nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.servers.process import processes_in
from api.servers.valkey import PrivateValkey
from tests.servers import eventually


async def test_it_comes_back_empty_when_it_dies(data: Path) -> None:
    with PrivateValkey(data) as server:
        client = Redis.from_url(server.url)
        await client.set("k", "v")
        assert await client.get("k") == b"v"
        killed = server.keeper.pid
        os.kill(killed, signal.SIGKILL)

        async def forgot() -> bool:
            try:
                return await client.get("k") is None
            except RedisError:
                return False

        await eventually(forgot)
        assert server.keeper.pid != killed
        await client.aclose()
    assert processes_in(server.directory) == []


async def test_it_is_on_its_socket_only_and_forgets_nothing_by_itself(data: Path) -> None:
    with PrivateValkey(data) as server:
        client = Redis.from_url(server.url)
        settings = await client.config_get("port", "save", "maxmemory-policy")
        assert settings == {"port": "0", "save": "", "maxmemory-policy": "noeviction"}
        await client.aclose()
    assert not (data / "valkey" / "dump.rdb").exists()
