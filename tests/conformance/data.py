"""Where the published test data of other engines is kept, beside this repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[3] / "shared" / "conformance"

T = TypeVar("T")


def cases(load: Callable[[], list[T]], name: Callable[[T], str]) -> list[object]:
    """Parameters for a test of each case; one that skips, with the reason, without the data."""
    if not ROOT.is_dir():
        reason = f"the conformance data is not there: {ROOT}"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(case, id=name(case)) for case in load()]
