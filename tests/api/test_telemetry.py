"""Metrics, health and logs: what they tell, and what they never do."""

from __future__ import annotations

import io
import json
import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from pydantic import SecretStr

from api.settings import Settings, SettingsError, load_settings
from api.telemetry import BUCKETS, Metrics, configure_logging
from engine.errors import Unavailable
from tests.api import serving
from tests.api.serving import STORE, PausingStorage, Served
from tests.servers import eventually

MARKER = "marker-password"
DSN = f"postgresql://user:{MARKER}@db.test/stonetown"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that the process logs, at debug, as it would stand in the log."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(Settings(log_level="debug", database_url=SecretStr(DSN)), stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_times_are_counted_as_the_library_counts_each() -> None:
    metrics = Metrics()
    registry = CollectorRegistry()
    told = Histogram(
        "stonetown_request_seconds", "", ("call",), buckets=BUCKETS, registry=registry
    ).labels("check")
    draw = random.Random(1)
    times = [draw.expovariate(20) for _ in range(500)] + [*BUCKETS, 0.0, 60.0]
    for number, seconds in enumerate(times):
        metrics.request("check", 200, seconds, stream=False)
        told.observe(seconds)
        if number % 100 == 0:
            metrics.flush()
    expected = samples(generate_latest(registry))
    found = samples(metrics.exposition())
    assert {name for name in found if "bucket" in name} == {n for n in expected if "bucket" in n}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def samples(exposition: bytes) -> dict[str, float]:
    """The lines of the histogram, but for when it was made."""
    lines = [line.rpartition(" ") for line in exposition.decode().splitlines()]
    named = [(name, value) for name, _, value in lines if name.startswith("stonetown_request_sec")]
    return {name: float(value) for name, value in named if "_created" not in name}


async def test_requests_are_counted_by_call_and_status(served: Served) -> None:
    await served.write("document:a#viewer@user:ann")
    question = {"object": "document:a", "relation": "view", "subject": "user:ann"}
    for subject in ("user:ann", "user:bob", "user:bob"):
        await served.post("/check", {**question, "subject": subject})
    await served.post("/check", {})
    wrong = {"checks": [question, {**question, "relation": "nope"}]}
    await served.post("/check/batch", wrong)
    await served.http.get("/never-seen-path")
    text = (await served.http.get("/metrics")).text
    for line in (
        'stonetown_requests_total{call="check",status="200"} 3.0',
        'stonetown_requests_total{call="check",status="400"} 1.0',
        'stonetown_request_seconds_count{call="check"} 4.0',
        'stonetown_decisions_total{decision="allowed"} 2.0',
        'stonetown_decisions_total{decision="denied"} 2.0',
        'stonetown_decisions_total{decision="error"} 1.0',
        'stonetown_read_from_total{source="storage"} 4.0',
        "stonetown_in_flight 0.0",
        "stonetown_streams 0.0",
    ):
        assert line in text
    for private in ("never-seen-path", "document", "user:", "default"):
        assert private not in text


async def test_a_client_that_left_is_counted_apart() -> None:
    storage = PausingStorage()
    async with serving.serving(storage) as served:
        storage.open.clear()
        storage.waiting.clear()
        body = b'{"object":"document:a","relation":"view","subject":"user:ann",'
        body += b'"consistency":"fully_consistent"}'
        head = f"POST {STORE}/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        _, writer = await served.connect()
        writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await storage.waiting.wait()
        writer.close()
        await served.metric('stonetown_requests_total{call="check",status="499"} 1.0')
        storage.open.set()


async def test_readiness_follows_storage_and_health_does_not() -> None:
    storage = PausingStorage()
    async with serving.serving(storage) as served:
        storage.fault = Unavailable("Postgres is away")
        away = await served.http.get("/readyz")
        assert (away.status_code, away.json()) == (503, {"status": "not ready"})
        assert (await served.http.get("/healthz")).json() == {"status": "ok"}
        storage.fault = None

        async def ready() -> bool:
            return (await served.http.get("/readyz")).status_code == 200

        await eventually(ready)


async def test_no_secret_reaches_the_log(logged: io.StringIO) -> None:
    storage = PausingStorage()
    keys = serving.key("root", "key-secret")
    async with serving.serving(storage, api_keys=keys, max_staleness=0.001) as served:
        storage.fault = RuntimeError(f"cannot connect to {DSN}")
        headers = serving.bearer("key-secret")
        question = {
            "object": "document:a",
            "relation": "view",
            "subject": "user:ann",
            "consistency": "fully_consistent",
        }
        response = await served.post("/check", question, headers=headers)
        assert response.status_code == 503
        wrong = await served.http.get(STORE, headers=serving.bearer("wrong-secret"))
        assert wrong.status_code == 401
        metrics = (await served.http.get("/metrics", headers=headers)).text
    text = logged.getvalue()
    failed = [entry for entry in entries(logged) if entry["event"] == "request failed"]
    assert failed[0]["request_id"] == response.headers["x-request-id"]
    assert "RuntimeError" in failed[0]["exception"]
    for secret in (MARKER, "key-secret", "wrong-secret"):
        assert secret not in text + metrics + response.text + wrong.text


def test_an_unparsable_setting_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STONETOWN_API_KEYS", f"app:{MARKER}")
    monkeypatch.setenv("STONETOWN_PORT", MARKER)
    with pytest.raises(SettingsError) as caught:
        load_settings(database_url=f"::{MARKER}")
    assert MARKER not in str(caught.value)


async def test_one_entry_is_one_line(logged: io.StringIO) -> None:
    structlog.get_logger("stonetown").warning("a\r\nb", field="c\nd\u2028e")
    logging.getLogger("library").warning("of a library:\n%s", "two\nlines")
    assert [entry["event"] for entry in entries(logged)] == [
        "a\r\nb",
        "of a library:\ntwo\nlines",
    ]
    assert logged.getvalue().count("\n") == 2


async def test_a_request_is_a_line_only_at_debug(logged: io.StringIO) -> None:
    async with serving.serving() as served:
        await served.http.get(STORE, headers={"x-request-id": "seen"})
    told = [entry for entry in entries(logged) if entry.get("request_id") == "seen"]
    assert [(entry["call"], entry["status"], entry["level"]) for entry in told] == [
        ("get_store", 200, "debug")
    ]


async def test_slow_requests_are_told_as_warnings(logged: io.StringIO) -> None:
    async with serving.serving(slow_request=1e-9) as served:
        await served.http.get(STORE, headers={"x-request-id": "seen"})
    (told,) = [entry for entry in entries(logged) if entry.get("request_id") == "seen"]
    assert (told["event"], told["level"]) == ("slow request", "warning")
