"""What an indexer tells about its indexes, in a file that workers and people read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

_NAME = "report.json"


class Line(msgspec.Struct, frozen=True):
    """One store. `state` is `building`, `following`, `behind` or `waiting`; `trouble` is why it
    waits, "" for nothing. `as_of` is the moment since which the index lacks nothing, 0 if it never
    was level; `done` of `total` rows are built."""

    store: str
    state: str
    generation: int
    revision: int
    head: int
    bytes: int
    as_of: float
    done: int = 0
    total: int = 0
    swept: int = 0
    trouble: str = ""

    def age(self, now: float) -> float:
        """Seconds since the index was last known to lack nothing."""
        return max(0.0, now - self.as_of)


class Report(msgspec.Struct, frozen=True):
    """What an indexer said at the moment `at` on the clock of `engine.cache.shared.elapsed`:
    `builds` since its start, by reason, and the stores that it keeps."""

    at: float
    builds: Mapping[str, int]
    stores: list[Line]


def write_report(root: Path, report: Report) -> None:
    """Replace the report under `root`. Raises OSError."""
    path = root / _NAME
    coming = path.with_suffix(".new")
    coming.write_bytes(msgspec.json.encode(report))
    coming.replace(path)


def read_report(root: Path) -> Report | None:
    """The newest report under `root`, None if there is none that can be read."""
    try:
        return msgspec.json.decode((root / _NAME).read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        return None


def lagging(report: Report, now: float, beyond: float) -> list[str]:
    """The stores whose index is there and older than `beyond` seconds, be it that the indexer does
    not get on."""
    return [line.store for line in report.stores if line.generation and line.age(now) > beyond]
