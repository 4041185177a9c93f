"""What a conversion has to tell."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Effect(StrEnum):
    """What a note means: the schema cannot be converted, or something is lost, or is said in
    another way that those who write tuples or ask questions have to know of, or is more than a
    server of the other language may take."""

    REFUSED = "refused"
    LOST = "lost"
    CHANGED = "changed"
    LIMIT = "limit"


class Note(NamedTuple):
    """One thing to tell. `where` is a name of the schema, or "" for all of it."""

    effect: Effect
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class CannotConvertError(Exception):
    """The other language cannot say this schema; `notes` has every reason, and the rest."""

    def __init__(self, notes: Iterable[Note]) -> None:
        self.notes = tuple(notes)
        refused = (str(note) for note in self.notes if note.effect is Effect.REFUSED)
        super().__init__("\n".join(refused))


class Notes:
    """The notes of one conversion, each once."""

    def __init__(self) -> None:
        self._kept: dict[Note, None] = {}

    def add(self, effect: Effect, where: str, message: str) -> None:
        """Remember one."""
        self._kept[Note(effect, where, message)] = None

    def settled(self) -> tuple[Note, ...]:
        """All of them. Raises CannotConvertError if one is a refusal."""
        notes = tuple(self._kept)
        if any(note.effect is Effect.REFUSED for note in notes):
            raise CannotConvertError(notes)
        return notes
