"""Places in a source text, and how they are shown to the person who wrote it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of source text: offsets in characters, half open; line and column count from 1."""

    start: int
    end: int
    line: int
    column: int

    def caret(self, text: str) -> str:
        """Draw the line of `text` that this span begins in, with a caret line under it."""
        lines = text.splitlines()
        line = lines[self.line - 1] if self.line <= len(lines) else ""
        shown = line.replace("\t", " ")
        room = max(1, len(shown) - self.column + 1)
        width = max(1, min(self.end - self.start, room))
        return f"{shown}\n{' ' * (self.column - 1)}{'^' * width}"
