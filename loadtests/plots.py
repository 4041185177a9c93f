"""Draw what was measured: bars beside what is to be reached, as SVG, one file for each table.

`python -m loadtests.plots` reads `loadtests/results/*.json` and writes `docs/performance/*.svg`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

from loadtests import load

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parent.parent / "docs" / "performance"
_WIDTH, _LABELS, _ROW, _TOP = 860, 300, 22, 58
_FONT = 'font-family="sans-serif" font-size="12" role="img"'
_BAR, _GOAL = "#4878a8", "#c44e52"
_SIZES = {"100k": "100,000", "1m": "1,000,000", "10m": "10,000,000"}
HTTP = {"http": "100,000", "http-1m": "1,000,000", "http-10m": "10,000,000"}
"""The results over HTTP, each with how many tuples it is of."""


class Bar(NamedTuple):
    """One measured value, and what is to be reached, if anything is."""

    label: str
    value: float
    goal: float | None = None


class Chart(NamedTuple):
    """A picture: values of one unit on a logarithmic axis. `note` is what they were measured on."""

    name: str
    title: str
    note: str
    bars: Sequence[Bar]


def svg(chart: Chart) -> str:
    """The picture of a chart whose values are all above 0."""
    values = [bar.value for bar in chart.bars]
    values += [bar.goal for bar in chart.bars if bar.goal is not None]
    low, high = log10(min(values) / 2), log10(max(values) * 4)
    scale = (_WIDTH - _LABELS - 20) / (high - low)
    height = _TOP + _ROW * len(chart.bars) + 12

    def across(value: float) -> float:
        return round(_LABELS + (log10(value) - low) * scale, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_FONT}>',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="14" font-weight="bold">{escape(chart.title)}</text>',
        f'<text x="10" y="40" fill="#666666">{escape(chart.note)}; logarithmic</text>',
    ]
    for number, bar in enumerate(chart.bars):
        top = _TOP + number * _ROW
        end = across(bar.value)
        parts += [
            f'<text x="{_LABELS - 8}" y="{top + 13}" text-anchor="end">{escape(bar.label)}</text>',
            _rectangle(_LABELS, top + 2, round(end - _LABELS, 1), _ROW - 8),
            f'<text x="{end + 4}" y="{top + 13}">{_number(bar.value)}</text>',
        ]
        if bar.goal is not None:
            goal = across(bar.goal)
            parts.append(
                f'<line x1="{goal}" x2="{goal}" y1="{top}" y2="{top + _ROW - 4}" '
                f'stroke="{_GOAL}" stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>", ""])


def charts(found: dict[str, Any]) -> Iterator[Chart]:
    """The charts of all results that are there, by the names of their files."""
    sizes = {key: found[f"onindex-{key}"] for key in _SIZES if f"onindex-{key}" in found}
    if sizes:
        yield from _of_the_index(sizes)
    if "lists" in found:
        yield _lists(found["lists"])
    if "visible" in found:
        bars = [
            Bar(f"{item['woken_by']}, {share}", item[share], 50.0 if share == "p99" else None)
            for item in found["visible"]["figures"]
            for share in ("p50", "p99")
        ]
        yield _chart("visible", "Milliseconds until another node shows it", found["visible"], bars)
    if "writes" in found:
        bars = [
            Bar(f"{item['what']}, {item['clients']} client(s)", item["per_second"], _written(item))
            for item in found["writes"]["figures"]
        ]
        yield _chart("writes", "Acknowledged a second (line: to reach)", found["writes"], bars)
    measured = {size: found[name] for name, size in HTTP.items() if name in found}
    if measured:
        yield from _over_http(measured)
    if "peer" in found:
        bars = [
            Bar(f"{item['kind']}{who}", item[column])
            for item in found["peer"]["figures"]
            for who, column in (("", "ours"), (" (SpiceDB)", "theirs"))
        ]
        title = "Microseconds of a check: Stonetown's index, and SpiceDB embedded with caches off"
        yield _chart("peer", title, found["peer"], bars)


def _of_the_index(sizes: dict[str, Any]) -> Iterator[Chart]:
    goals = {"direct": 10.0, "folder and group": 40.0, "denied, nested": 150.0}
    last = list(sizes.values())[-1]
    bars = [
        Bar(f"{item['kind']}, {_SIZES[key]}", item["engine"], _goal(goals, item["kind"], key))
        for kind in range(len(last["checks"]))
        for key, result in sizes.items()
        for item in (result["checks"][kind],)
    ]
    title = "Engine: microseconds of a check, by tuples (line: to reach)"
    yield _chart("checks", title, last, bars)
    one = sizes.get("1m", last)
    ratios = {"9,001 direct members": 1.5, "groups nested 32 deep": 3.0}
    direct = one["shapes"][0]["engine"]
    limits = {name: ratio * direct for name, ratio in ratios.items()}
    limits |= {"1,000 parents": 300.0, "double-wide arrow": 300.0}
    bars = [Bar(item["kind"], item["engine"], limits.get(item["kind"])) for item in one["shapes"]]
    bars += [Bar(f"{item['kind']}: first time", item["first"]) for item in one["shapes"]]
    yield _chart("shapes", "Engine: microseconds by shape (line: to reach)", one, bars)
    bars = []
    for key, result in sizes.items():
        index, size = result["index"], _SIZES[key]
        bars.append(Bar(f"{size}: B a tuple", index["bytes_per_tuple"], 100.0))
        goal = 180.0 if key == "10m" else None
        bars.append(Bar(f"{size}: seconds to build", index["build_seconds"], goal))
    yield _chart("index", "The index: size, and seconds to build it (line: to reach)", last, bars)
    bars = [
        Bar(f"{who}, {_SIZES[key]}", result["batches"][column], 60_000.0)
        for key, result in sizes.items()
        for who, column in (("engine", "engine"), ("whole call", "call"))
    ]
    yield _chart(
        "batches", "Checks a second of a core, batches of 1,000 (line: to reach)", last, bars
    )


def _lists(result: dict[str, Any]) -> Chart:
    bars = []
    for item in result["figures"]:
        if item["name"] == "objects, view":
            page = item["way"] == "page of 100"
            if page or item["way"] == "stream":
                goal = 5.0 if page else 100.0
                large = item["results"] == 50_000
                label = f"{item['results']:,}: {'page of 100' if page else 'all'}"
                bars.append(Bar(label, item["milliseconds"], goal if large else None))
    title = "Milliseconds for the objects of a subject (line: to reach)"
    return _chart("lists", title, result, bars)


def _over_http(sizes: dict[str, Any]) -> Iterator[Chart]:
    """Charts of the results by size."""
    last = list(sizes.values())[-1]
    measured = [
        (f"{item['workload']}, {size}", item)
        for number in range(len(last["figures"]))
        for size, result in sizes.items()
        for item in (result["figures"][number],)
        if item["workload"] != load.YARDSTICK and not item["workload"].startswith(load.NO_ENGINE)
    ]
    bars = [
        Bar(name, item["checks_per_second"], 60_000.0 if "batch" in name else 12_000.0)
        for name, item in measured
    ]
    title = "HTTP: checks a second of one worker (line: to reach)"
    yield _chart("http", title, last, bars)
    bars = [Bar(name, item["open_p99"], 5.0) for name, item in measured if "batch" not in name]
    title = "HTTP: p99 in milliseconds at 60 % of the peak (line: to reach)"
    yield _chart("http-p99", title, last, bars)


def _goal(goals: dict[str, float], kind: str, size: str) -> float | None:
    goal = goals.get(kind)
    return goal if goal is None or size != "10m" else goal * 1.5


def _written(item: dict[str, Any]) -> float | None:
    if "imported" in item["what"]:
        return 50_000.0
    return 3_000.0 if item["clients"] == 64 else None


def _chart(name: str, title: str, result: dict[str, Any], bars: Sequence[Bar]) -> Chart:
    tuples = f"; {result['tuples']:,} tuples" if result.get("tuples") else ""
    return Chart(
        name, title, f"{result['machine']}{tuples}", [bar for bar in bars if bar.value > 0]
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def draw(results: Path = RESULTS, pictures: Path = PICTURES) -> None:
    """Write a picture for each table of which there is a result."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    pictures.mkdir(parents=True, exist_ok=True)
    for chart in charts(found):
        (pictures / f"{chart.name}.svg").write_text(svg(chart))


def _rectangle(left: float, top: float, width: float, height: float) -> str:
    return f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="{_BAR}"/>'


if __name__ == "__main__":
    draw()
