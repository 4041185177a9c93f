"""The indexer beside a real server: started, told of, started again, and stopped with a seal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.index_metrics import exposition, health
from engine.cache.shared import elapsed
from engine.index.report import Line, Report, read_report, write_report
from tests.faults.service import Service, write
from tests.servers import eventually, started_by


def processes(parent: int, module: str) -> list[int]:
    """The processes of `python -m module` that `parent` started."""
    found = []
    for pid in started_by(parent):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if module.encode() in command:
            found.append(pid)
    return found


async def told(service: Service, path: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        return await client.get(f"{service.url}{path}")


async def run_cli(data: Path, url: str, *words: str) -> dict[str, Any]:
    """What a command prints as JSON, run beside the server."""
    ended = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli.main", *words, "--json"),
        env=os.environ | {"STONETOWN_DATA": str(data), "STONETOWN_URL": url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await ended.communicate()
    assert ended.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


async def test_an_indexer_is_kept_beside_one_worker(data: Path) -> None:
    async with Service(data) as service:
        await service.set_up()
        async with service.client() as client:
            assert await write(client, "document:a", ("user:a",)) == 200

        async def it_is_well() -> bool:
            answer = (await told(service, "/readyz")).json()
            return bool(answer == {"status": "ready", "index": "ok"})

        await eventually(it_is_well)
        (first,) = processes(service.process.pid, "api.indexer")
        assert len(processes(service.process.pid, "api.workers")) == 1
        shown = await run_cli(data, service.url, "index", "build", "default")
        assert shown["generation"] == 1
        assert shown["revision"] == shown["head"] == 2
        listed = await run_cli(data, service.url, "index", "status")
        assert [item["store"] for item in listed["stores"]] == [shown["store"]]
        os.kill(first, signal.SIGKILL)

        async def replaced() -> bool:
            return processes(service.process.pid, "api.indexer") not in ([], [first])

        await eventually(replaced)
        await eventually(it_is_well)
        assert "stonetown_index_report_age_seconds" in (await told(service, "/metrics")).text
        assert await service.viewers() == {"document:a": {"user:a"}}
        (second,) = processes(service.process.pid, "api.indexer")
        assert await service.stop() == 0
        assert not Path(f"/proc/{second}").exists()


async def test_a_worker_that_dies_of_its_index_comes_back(data: Path) -> None:
    async with Service(data) as service, service.client() as client:
        await service.set_up()
        await write(client, "document:a", ("user:a",))
        check = {"object": "document:a", "relation": "view", "subject": "user:a"}

        async def it_answers() -> bool:
            try:
                answer = await client.post("/check", json=check)
            except httpx.TransportError:
                return False
            assert answer.status_code == 200, answer.text
            return bool(answer.json()["decision"] == "allowed")

        shown = await run_cli(data, service.url, "index", "build", "default")
        assert await it_answers()
        (worker,) = processes(service.process.pid, "api.workers")
        maps = Path(f"/proc/{worker}/maps").read_text()
        path = data / "index" / shown["store"] / "1" / "data.mdb"
        assert str(path) in maps, "it reads the index"
        os.truncate(path, 0)

        async def replaced() -> bool:
            await it_answers()
            return processes(service.process.pid, "api.workers") not in ([], [worker])

        await eventually(replaced)
        await eventually(it_answers)
        shown = await run_cli(data, service.url, "index", "build", "default")
        assert shown["generation"] > 1
        assert await it_answers()


async def test_without_an_index_there_is_no_indexer(data: Path) -> None:
    async with Service(data, STONETOWN_INDEX="false") as service:
        assert processes(service.process.pid, "api.indexer") == []
        assert (await told(service, "/readyz")).json() == {"status": "ready", "index": "off"}
        assert not (data / "index").exists()


def line(**changes: object) -> Line:
    told = {
        "store": "0" * 32,
        "state": "following",
        "generation": 1,
        "revision": 7,
        "head": 9,
        "bytes": 4096,
        "as_of": elapsed(),
    }
    return Line(**(told | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ago", "changes", "expected"),
    [
        (0.0, {}, "ok"),
        (60.0, {}, "stalled"),
        (-60.0, {}, "stalled"),
        (0.0, {"as_of": 1.0}, "stalled"),
        (0.0, {"as_of": 0.0, "generation": 0, "state": "building"}, "ok"),
    ],
)
def test_a_stalled_indexer_is_told(
    tmp_path: Path, ago: float, changes: dict[str, object], expected: str
) -> None:
    assert health(tmp_path, 1.0) == "absent"
    assert health(None, 1.0) == "off"
    write_report(tmp_path, Report(elapsed() - ago, {}, [line(**changes)]))
    assert health(tmp_path, 1.0) == expected


def test_the_metrics_of_indexes(tmp_path: Path) -> None:
    assert exposition(None) == exposition(tmp_path) == b""
    write_report(
        tmp_path,
        Report(
            elapsed(),
            {"first": 2, "full": 1},
            [line(), line(bytes=1), line(generation=0, head=90, state="waiting", trouble="x")],
        ),
    )
    text = exposition(tmp_path).decode()
    for told in (
        'stonetown_index_stores{state="following"} 2.0',
        'stonetown_index_stores{state="waiting"} 1.0',
        "stonetown_index_bytes 8193.0",
        "stonetown_index_lag_revisions 2.0",
        'stonetown_index_builds_total{reason="full"} 1.0',
    ):
        assert f"\n{told}\n" in text


def test_a_report_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{")
    assert read_report(tmp_path) is None
