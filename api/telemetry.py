"""What the service tells about itself: Prometheus metrics, and structured logs.

A label is never what a client chose: calls are told apart by their names. One registry per
application, so that several can live in a process; with `PROMETHEUS_MULTIPROC_DIR` set, the
worker processes of one server are added up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from api import index_metrics
from api.settings import Settings
from engine.decision import Decision, Verdict
from engine.errors import EngineError

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the times that requests are counted by, in seconds."""

_FLUSH_SECONDS = 0.25
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one application."""

    def __init__(self, indexes: Path | None = None) -> None:
        """`indexes` is the directory of the node's indexes, if it has any."""
        self._indexes = indexes
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "stonetown_requests",
            "Requests answered, by call and status",
            ("call", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "stonetown_request_seconds",
            "Time to answer, streams left out",
            ("call",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        decisions = Counter(
            "stonetown_decisions",
            "Checks decided, and checks that ended in an error",
            ("decision",),
            registry=self.registry,
        )
        self._readers = Counter(
            "stonetown_read_from",
            "Checks, batches, trees and pages of lists, by whether the index or storage was read",
            ("source",),
            registry=self.registry,
        )
        self._read_from: Mapping[str, int] = {}
        self._told: dict[str, int] = {}
        self.in_flight = 0
        self._in_flight = Gauge(
            "stonetown_in_flight",
            "Requests under way",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.streams = Gauge(
            "stonetown_streams",
            "Imports, exports and watches under way",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.slow_readers = Counter(
            "stonetown_slow_readers",
            "Readers of a stream that took nothing for the whole write timeout",
            registry=self.registry,
        )
        self._counters: dict[tuple[str, int], Any] = {}
        self._spans: dict[str, _Spans] = {}
        self._decisions = {verdict: decisions.labels(verdict.value) for verdict in Verdict}
        self._failed = decisions.labels("error")
        self._counted: dict[Any, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def request(self, call: str, status: int, seconds: float, *, stream: bool) -> None:
        """Count one answered request."""
        counter = self._counters.get((call, status))
        if counter is None:
            counter = self._requests.labels(call, str(status))
            self._counters[call, status] = counter
        self._counted[counter] = self._counted.get(counter, 0) + 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        if stream:
            return
        spans = self._spans.get(call)
        if spans is None:
            spans = self._spans[call] = _Spans(self._seconds.labels(call))
        spans.add(seconds)

    def decided(self, results: Iterable[Decision | EngineError]) -> None:
        """Count decisions."""
        counted = self._counted
        for result in results:
            counter = (
                self._decisions[result.verdict] if isinstance(result, Decision) else self._failed
            )
            counted[counter] = counted.get(counter, 0) + 1

    def follow(self, read_from: Mapping[str, int]) -> None:
        """Tell what questions were read from, as it is counted there."""
        self._read_from = read_from

    def flush(self) -> None:
        """Hand over what was counted, where other processes see it. Each request on its own would
        cost several times as much."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counted, self._counted = self._counted, {}
        for counter, number in counted.items():
            counter.inc(number)
        for spans in self._spans.values():
            spans.flush()
        for source, number in self._read_from.items():
            self._readers.labels(source).inc(number - self._told.get(source, 0))
            self._told[source] = number
        self._in_flight.set(self.in_flight)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format."""
        self.flush()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            together = CollectorRegistry()
            multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            return generate_latest(together) + index_metrics.exposition(self._indexes)
        return generate_latest(self.registry) + index_metrics.exposition(self._indexes)


class _Spans:
    """How long calls took, to be handed over to their histogram many at a time."""

    def __init__(self, histogram: Any) -> None:
        self._histogram = histogram
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def flush(self) -> None:
        """As `Histogram.observe` of each, which has no call for many."""
        for index, count in enumerate(self._counts):
            if count:
                self._histogram._buckets[index].inc(count)  # noqa: SLF001
                self._counts[index] = 0
        self._histogram._sum.inc(self._sum)  # noqa: SLF001
        self._sum = 0.0


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line of the process, our own and the libraries', as JSON to `stream`.

    One line per entry whatever it holds, and nothing in it that `settings` calls a secret.
    """
    hide = _Hide(settings.secrets())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide,
    ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            hide,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class _Hide:
    """Replaces secrets in every text of a log entry."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if isinstance(value, str):
                for secret in self._secrets:
                    value = value.replace(secret, "[hidden]")  # noqa: PLW2901 - hidden step by step
                event[key] = value
        return event
