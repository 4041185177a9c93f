"""Starting, stopping, and waiting for Postgres."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from api.servers.postgres import PrivatePostgres
from api.servers.process import processes_in
from tests.faults.service import Service, write
from tests.servers import eventually, frozen, started_by


def children(data: Path) -> list[int]:
    return [*processes_in(data / "postgres"), *processes_in(data / "valkey")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_with_all_that_it_started_and_finds_its_data(
    data: Path, number: signal.Signals
) -> None:
    async with Service(data) as service:
        await service.set_up()
        async with service.client() as client:
            assert await write(client, "document:a", ("user:a",)) == 200
        assert children(data)
        assert await service.stop(number) == 0
        assert children(data) == []

        await service.start()
        assert await service.viewers() == {"document:a": {"user:a"}}


async def test_a_killed_server_leaves_nothing_running(data: Path) -> None:
    async with Service(data) as service:
        assert await service.stop(signal.SIGKILL) == -signal.SIGKILL

        async def nothing_runs() -> bool:
            return children(data) == []

        await eventually(nothing_runs)


async def test_a_directory_serves_one_server(data: Path) -> None:
    async with Service(data) as service:
        status, words = await Service(data).refusal()
        assert status == 4
        assert f"process {service.process.pid}" in words
        assert "STONETOWN_DATA" in words
        assert await service.status("/readyz") == 200


async def test_a_port_in_use_is_refused(data: Path) -> None:
    async with Service(data) as service:
        port = service.url.rpartition(":")[2]
        status, words = await Service(data / "other", STONETOWN_PORT=port).refusal()
        assert status == 4
        assert "STONETOWN_PORT" in words
        assert not (data / "other").exists()


async def test_an_absent_database_is_named(data: Path) -> None:
    url = "postgresql://someone:hidden-word@127.0.0.1:9/nowhere"
    status, words = await Service(data, DATABASE_URL=url).refusal()
    assert status == 5
    assert "DATABASE_URL" in words
    assert "hidden-word" not in words
    assert "Traceback" not in words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "hidden-word"),
        ("DATABASE_URL", "mysql://hidden-word@127.0.0.1/x"),
        ("REDIS_URL", "hidden-word"),
        ("STONETOWN_PORT", "hidden-word"),
        ("STONETOWN_HOST", "0.0.0.0"),  # noqa: S104 - it must not start
    ],
)
async def test_a_wrong_setting_is_named_and_not_shown(data: Path, name: str, value: str) -> None:
    status, words = await Service(data, **{name: value}).refusal()
    assert status == 2
    assert name in words
    assert "hidden-word" not in words
    assert "Traceback" not in words


async def test_what_is_under_way_is_finished(data: Path) -> None:
    """A request whose body is still coming when SIGTERM comes gets its answer."""
    body = json.dumps({"updates": [{"op": "touch", "tuple": "document:a#viewer@user:a"}]}).encode()
    async with Service(data) as service:
        await service.set_up()
        host, port = service.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/stores/default/write HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        service.process.terminate()

        async def closed_to_others() -> bool:
            return await service.status("/healthz") == 0

        await eventually(closed_to_others)
        writer.write(body)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert await service.process.wait() == 0


async def test_a_watch_ends_with_the_place_to_resume_from(data: Path) -> None:
    async with Service(data) as service, service.client() as client:
        await service.set_up()
        async with client.stream(
            "GET", "/watch", headers={"accept": "application/x-ndjson"}
        ) as told:
            lines = told.aiter_lines()
            await anext(lines)
            service.process.terminate()
            last = json.loads([line async for line in lines][-1])
        assert last["end"] == "stopping"
        await service.process.wait()
        await service.start()
        async with service.client() as after:
            check = {"object": "document:a", "relation": "view", "subject": "user:a"}
            fresh = {"at_least_as_fresh": last["zookie"]}
            answer = await after.post("/check", json=check | {"consistency": fresh})
            assert answer.status_code == 200


async def test_it_is_ready_while_postgres_is(data: Path) -> None:
    own = data / "postgres-of-the-test"
    own.mkdir()
    with PrivatePostgres(own, durable=False) as postgres:
        async with Service(data, DATABASE_URL=postgres.dsn) as service:

            async def ready() -> bool:
                return await service.status("/readyz") == 200

            async def not_ready() -> bool:
                return await service.status("/readyz") == 503

            assert await ready()
            with frozen(postgres):
                await eventually(not_ready)
                assert await service.status("/healthz") == 200
            await eventually(ready)
            postgres.stop()
            await eventually(not_ready)
            postgres.start()
            await eventually(ready)
            assert not (data / "postgres").exists()


async def test_several_workers_are_kept_and_ended(data: Path) -> None:
    async with Service(data, STONETOWN_WORKERS="2") as service:
        await service.set_up()
        parent = service.process.pid
        workers = workers_of(parent)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)

        async def replaced() -> bool:
            now = workers_of(parent)
            return len(now) == 2 and workers[0] not in now

        await eventually(replaced)
        async with service.client() as client:
            assert await write(client, "document:a", ("user:a",)) == 200
        assert await service.stop() == 0
        assert children(data) == []
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def workers_of(parent: int) -> list[int]:
    """The processes of `python -m api.workers` that `parent` started."""
    found = []
    for pid in started_by(parent):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"api.workers" in command:
            found.append(pid)
    return sorted(found)


async def test_connections_are_not_bounded_by_the_limit_that_programs_start_with(
    data: Path,
) -> None:
    limited = ["sh", "-c", 'ulimit -S -n 128 && exec "$@"', "sh"]
    async with Service(data, through=limited) as service, AsyncExitStack() as opened:
        for _ in range(200):
            client = await opened.enter_async_context(service.client())
            assert (await client.get(f"{service.url}/readyz")).status_code == 200
