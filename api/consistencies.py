"""How fresh an answer must be, as clients say it in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from api.members import Problems
from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    AtExactSnapshot,
    AtLeastAsFresh,
    AtTime,
    Consistency,
)
from engine.tuples import parse_time

_NAMED_CONSISTENCY: Mapping[str, Consistency] = {
    "minimize_latency": MINIMIZE_LATENCY,
    "fully_consistent": FULLY_CONSISTENT,
}


def decode_consistency(value: Any, path: str, problems: Problems) -> Consistency:
    """One of the five ways to choose a snapshot; `minimize_latency` when absent."""
    if value is None:
        return MINIMIZE_LATENCY
    if type(value) is str and (named := _NAMED_CONSISTENCY.get(value)) is not None:
        return named
    if type(value) is dict and len(value) == 1:
        ((kind, argument),) = value.items()
        if kind in MADE_CONSISTENCY and type(argument) is str:
            made = problems.attempt(MADE_CONSISTENCY[kind], argument, f"{path}.{kind}")
            return made or MINIMIZE_LATENCY
    problems.add(
        "invalid_request",
        "it is not a consistency",
        path,
        '`"minimize_latency"`, `"fully_consistent"`, `{"at_least_as_fresh": zookie}`, '
        '`{"at_exact_snapshot": zookie}` or `{"at_time": RFC3339}`',
    )
    return MINIMIZE_LATENCY


MADE_CONSISTENCY: Mapping[str, Callable[[str, str], Consistency]] = {
    "at_least_as_fresh": lambda zookie, _: AtLeastAsFresh(zookie),
    "at_exact_snapshot": lambda zookie, _: AtExactSnapshot(zookie),
    "at_time": lambda text, field: AtTime(parse_time(text, field)),
}
