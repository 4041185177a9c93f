"""Put what was measured into `docs/performance.md`: each table stands between two comments there,
and is made anew from `loadtests/results/*.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from loadtests import (
    dialects,
    load,
    lookups,
    onindex,
    peer,
    plots,
    shares,
    turns,
    visible,
    writes,
)

PAGE = plots.PICTURES.with_suffix(".md")
_BLOCK = re.compile(r"(<!-- table: ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NOW = ("load", "plain loop")
_COLUMNS = ("figure", "to reach", "reached", *(f"{what} then" for what in _NOW))
_GOALS = (
    ("direct", 10.0),
    ("folder and group", 40.0),
    ("denied, nested", 150.0),
)


def fill_in(page: str, found: dict[str, Any]) -> str:
    """The page with the tables of all results that are there; the others stay as they are."""
    tables = dict(_tables(found))

    def table(match: re.Match[str]) -> str:
        made = tables.get(match[2])
        return match[0] if made is None else f"{match[1]}{made}{match[3]}"

    return _BLOCK.sub(table, page)


def _tables(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "summary", _text(_summary(found))
    for name in ("onindex-1m", "onindex-1m-written", "onindex-10m"):
        if name in found:
            checks, shapes = onindex.tables(found[name])
            yield f"checks-{name[8:]}", _told(found[name]) + _text(checks)
            yield f"shapes-{name[8:]}", _told(found[name]) + _text(shapes)
    if "lists" in found:
        yield "lists", _told(found["lists"]) + _text(lookups.table(found["lists"]))
    for name in plots.HTTP:
        if name in found:
            yield name, _told(found[name]) + _text(load.table(found[name]))
    if "turns" in found:
        yield "turns", _told(found["turns"]) + _text(turns.table(found["turns"]))
    if "shares" in found:
        yield "shares", _told(found["shares"]) + _text(shares.table(found["shares"]))
        yield "steps", _told(found["shares"]) + _text(shares.table(found["shares"], "steps"))
    if "dialects" in found:
        yield "dialects", _told(found["dialects"]) + _text(dialects.table(found["dialects"]))
    if "visible" in found:
        yield "visible", _told(found["visible"]) + _text(visible.table(found["visible"]))
    if "writes" in found:
        figures = [writes.Figure(**item) for item in found["writes"]["figures"]]
        yield "writes", _told(found["writes"]) + _text(writes.table(figures))
    if "peer" in found:
        yield (
            "peer",
            f"{_told(found['peer']).rstrip()} {peer.DEFAULTS}:\n\n"
            + _text(peer.table(found["peer"])),
        )


def _summary(found: dict[str, Any]) -> Table:
    made = Table(box=box.MARKDOWN)
    for number, column in enumerate(_COLUMNS):
        made.add_column(column, justify="left" if number == 0 else "right")
    for result, *cells in _lines(found):
        now = (result["machine"].partition(f"{what} ")[2].partition(",")[0] for what in _NOW)
        made.add_row(*cells, *now)
    return made


def _lines(found: dict[str, Any]) -> Iterator[tuple[Any, str, str, str]]:
    """For each figure the result that it is from, its name, what is to be reached, what was."""
    for key, size, factor in (("1m", "1,000,000", 1.0), ("10m", "10,000,000", 1.5)):
        result = found.get(f"onindex-{key}")
        if result is not None:
            checks = {item["kind"]: item for item in result["checks"]}
            for kind, goal in _GOALS:
                goal_text = f"≤ {goal * factor:.0f} µs"
                reached = f"{checks[kind]['engine']:.0f} µs (least {checks[kind]['least']:.0f})"
                yield result, f"engine, {kind}, {size}", goal_text, reached
            index, batches = result["index"], result["batches"]
            rate = _beside(batches["engine"], batches["fastest"])
            yield result, f"batch of 1,000, {size}", "≥ 60,000 checks/s of a core", rate
            size_text = f"{index['bytes_per_tuple']:.0f} B"
            yield result, f"index, a tuple, {size}", "≤ 100 B", size_text
            goal_text = "≤ 180 s" if key == "10m" else ""
            yield result, f"index, build, {size}", goal_text, f"{index['build_seconds']:.0f} s"
    yield from _shape_lines(found)
    for item in found.get("lists", {"figures": []})["figures"]:
        goals = {"page of 100": "≤ 5 ms", "stream": "≤ 100 ms"}
        wanted = (item["name"], item["results"]) == ("objects, view", 50_000)
        if wanted and item["way"] in goals:
            text = f"objects of a subject, 50,000, {item['way']}"
            yield found["lists"], text, goals[item["way"]], f"{item['milliseconds']:,.0f} ms"
    for name, size in plots.HTTP.items():
        if name in found:
            yield from _http_lines(found[name], size)
    for item in found.get("visible", {"figures": []})["figures"]:
        text = f"visible on another node, p99, {item['woken_by']}"
        yield found["visible"], text, "≤ 50 ms", f"{item['p99']:.1f} ms"
    for item in found.get("writes", {"figures": []})["figures"]:
        imported = "imported" in item["what"]
        if imported or item["clients"] == 64:
            goal_text = "≥ 50,000/s" if imported else "≥ 3,000/s"
            reached = _beside(item["per_second"], item["fastest"])
            yield found["writes"], item["what"], goal_text, reached


def _http_lines(result: dict[str, Any], size: str) -> Iterator[tuple[Any, str, str, str]]:
    for item in result["figures"]:
        if item["workload"] == load.YARDSTICK or item["workload"].startswith(load.NO_ENGINE):
            continue
        batch = "batch" in item["workload"]
        rate = _beside(item["checks_per_second"], item["fastest"])
        goal = "≥ 60,000/s" if batch else "≥ 12,000/s"
        yield result, f"HTTP, checks, {item['workload']}, {size}", goal, rate
        if not batch:
            text = f"HTTP, p99 at 60 %, {item['workload']}, {size}"
            reached = f"{item['open_p99']:.1f} ms (least {item['open_least_p99']:.1f})"
            yield result, text, "≤ 5 ms", reached
    memory = f"{result['resident_megabytes']:.0f} MB"
    yield result, f"a worker's memory beside the index, {size}", "≤ 150 MB", memory


def _beside(rate: float, fastest: float) -> str:
    return f"{rate:,.0f}/s (fastest {fastest:,.0f})"


def _shape_lines(found: dict[str, Any]) -> Iterator[tuple[Any, str, str, str]]:
    result = found.get("onindex-1m", {"shapes": []})
    values = {item["kind"]: item["engine"] for item in result["shapes"]}
    for name, goal in (("9,001 direct members", 1.5), ("groups nested 32 deep", 3.0)):
        if name in values:
            ratio = values[name] / values["direct"]
            yield result, f"shape: {name}", f"≤ {goal} × direct", f"{ratio:.1f} ×"
    for name in ("1,000 parents", "double-wide arrow"):
        if name in values:
            yield result, f"shape: {name}", "≤ 300 µs", f"{values[name]:.0f} µs"


def _told(result: dict[str, Any]) -> str:
    tuples = f"; {result['tuples']:,} tuples" if result.get("tuples") else ""
    return f"{result['machine']}{tuples}:\n\n"


def _text(table: Table) -> str:
    written = StringIO()
    Console(file=written, width=240).print(table)
    return (
        "\n".join(line.rstrip() for line in written.getvalue().splitlines() if line.strip()) + "\n"
    )


def refresh(page: Path = PAGE, results: Path = plots.RESULTS) -> None:
    """Write the page with its tables made anew."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    page.write_text(fill_in(page.read_text(), found))


if __name__ == "__main__":
    refresh()
