"""What a worker tells of the node's indexes: from the indexer's report, which all workers read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from engine.cache.shared import elapsed
from engine.index.report import Report, lagging, read_report

_STATES = ("building", "following", "behind", "waiting")
_SILENT_SECONDS = 5.0
"""An indexer reports every second; one that is silent for this long does not get on."""


def health(root: Path | None, max_staleness: float) -> str:
    """`off`; `absent` while no indexer has reported; `stalled` if it has not lately, or if an index
    is older than the bound, so that Postgres answers instead; else `ok`."""
    if root is None:
        return "off"
    report = read_report(root)
    if report is None:
        return "absent"
    now = elapsed()
    silent = not 0 <= now - report.at <= _SILENT_SECONDS
    # A report is up to a second old by itself.
    return "stalled" if silent or lagging(report, now, max_staleness + _SILENT_SECONDS) else "ok"


def exposition(root: Path | None) -> bytes:
    """The metrics of the indexes in Prometheus's text format; nothing if there are none."""
    report = None if root is None else read_report(root)
    if report is None:
        return b""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(report))
    return generate_latest(registry)


class _Collector:
    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        now, lines = elapsed(), self._report.stores
        offered = [line for line in lines if line.generation]
        yield GaugeMetricFamily(
            "stonetown_index_report_age_seconds",
            "Time since the indexer of this node last reported",
            value=max(0.0, now - self._report.at),
        )
        stores = GaugeMetricFamily(
            "stonetown_index_stores", "Stores that the indexer keeps, by state", labels=["state"]
        )
        states = Counter(line.state for line in lines)
        for state in _STATES:
            stores.add_metric([state], states[state])
        yield stores
        yield GaugeMetricFamily(
            "stonetown_index_bytes",
            "Size of all indexes",
            value=sum(line.bytes for line in lines),
        )
        yield GaugeMetricFamily(
            "stonetown_index_lag_revisions",
            "Revisions that the index furthest behind lacks",
            value=max((line.head - line.revision for line in offered), default=0),
        )
        yield GaugeMetricFamily(
            "stonetown_index_age_seconds",
            "Time since the oldest index was last known to lack nothing",
            value=max((line.age(now) for line in offered), default=0.0),
        )
        builds = CounterMetricFamily(
            "stonetown_index_builds", "Indexes built, by the reason", labels=["reason"]
        )
        for reason, count in sorted(self._report.builds.items()):
            builds.add_metric([reason], count)
        yield builds
