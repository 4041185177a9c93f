"""Collects the problems of one schema, so that a person sees all of them at once.

Everything here is bounded, because the text comes from outside: the number of problems kept, the
length of input quoted in a message, and the work spent on finding a suggestion.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from schema.errors import Problem
from schema.source import Span

MAX_PROBLEMS = 100
_MAX_QUOTED = 80
_MAX_CANDIDATES = 500


def quote(text: str) -> str:
    """`text` in backticks, on one line and cut to a readable length."""
    shown = " ".join(text.split())
    if len(shown) > _MAX_QUOTED:
        shown = shown[: _MAX_QUOTED - 1] + "…"
    return f"`{shown}`"


def closest(word: str, candidates: Iterable[str]) -> str:
    """The candidate that `word` was probably meant to be, or "" if none is near."""
    if len(word) > _MAX_QUOTED:
        return ""
    near: list[str] = []
    for candidate in candidates:
        if abs(len(candidate) - len(word)) <= 3 and candidate != word:
            near.append(candidate)
            if len(near) == _MAX_CANDIDATES:
                break
    found = difflib.get_close_matches(word, near, n=1, cutoff=0.6)
    return found[0] if found else ""


class ProblemList:
    """The problems found so far. Those beyond `MAX_PROBLEMS` are counted and not kept."""

    def __init__(self) -> None:
        self._kept: list[Problem] = []
        self._seen: set[tuple[str, str, Span | None]] = set()
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._kept) + self._dropped

    def add(
        self,
        code: str,
        message: str,
        span: Span | None,
        *,
        word: str = "",
        candidates: Iterable[str] = (),
    ) -> None:
        """Note a problem. Of `candidates` the one nearest to `word` becomes the suggestion."""
        if len(self._kept) >= MAX_PROBLEMS:
            self._dropped += 1
            return
        key = (code, message, span)
        if key in self._seen:
            return
        self._seen.add(key)
        suggestion = closest(word, candidates) if word else ""
        self._kept.append(Problem(code, message, span, suggestion))

    def extend(self, other: ProblemList) -> None:
        """Take over the problems of `other`."""
        for problem in other._kept:
            if len(self._kept) < MAX_PROBLEMS:
                self._kept.append(problem)
            else:
                self._dropped += 1
        self._dropped += other._dropped

    def besides(self, broken: Sequence[Span], *, unknown: bool) -> ProblemList:
        """Only those problems that hold although the statements at `broken` did not parse.

        `unknown` says whether names that were not found are among them.
        """
        result = ProblemList()
        result._dropped = self._dropped
        for problem in self._kept:
            start = -1 if problem.span is None else problem.span.start
            within = any(span.start <= start < span.end for span in broken)
            if not within and (unknown or not problem.code.startswith("unknown_")):
                result._kept.append(problem)
        return result

    def in_order(self) -> tuple[Problem, ...]:
        """The problems in the order of the text, ended by a count of those left out."""
        ordered = sorted(self._kept, key=_position)
        if self._dropped:
            more = f"{self._dropped} more problems are not shown"
            ordered.append(Problem("too_many_problems", more))
        return tuple(ordered)


def _position(problem: Problem) -> int:
    return -1 if problem.span is None else problem.span.start
