"""Places in a source text, and how they are shown to the person who wrote it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

# A line may be as long as the text; of a long one only the part around the span is shown.
_WINDOW = 160
_LEAD = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of source text: offsets in characters, half open; line and column count from 1."""

    start: int
    end: int
    line: int
    column: int

    def caret(self, text: str) -> str:
        """Draw the line of `text` that this span begins in, with a caret line under it."""
        begin = text.rfind("\n", 0, self.start) + 1
        end = text.find("\n", self.start)
        line = text[begin : len(text) if end < 0 else end].rstrip("\r")
        offset = min(self.start - begin, len(line))
        cut = max(0, offset - _LEAD) if len(line) > _WINDOW else 0
        shown = "".join(c if c.isprintable() else " " for c in line[cut : cut + _WINDOW])
        room = max(1, len(shown) - (offset - cut))
        width = max(1, min(self.end - self.start, room))
        return f"{shown}\n{' ' * (offset - cut)}{'^' * width}"


class Lines:
    """Where the lines of a text begin, to turn offsets into spans. Lines end at `\\n`."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        position = text.find("\n")
        while position >= 0:
            self._starts.append(position + 1)
            position = text.find("\n", position + 1)

    def span(self, start: int, end: int) -> Span:
        """The span of the characters `start` to `end`, half open."""
        line = bisect_right(self._starts, start)
        return Span(start, end, line, start - self._starts[line - 1] + 1)

    def line_of(self, offset: int) -> int:
        """The number of the line that the character at `offset` stands in, from 1."""
        return bisect_right(self._starts, offset)
