"""Asking without a task: who asks is told by a call. See `engine.together`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.errors import EngineError
from engine.requests import Check, CheckAnswer, Consistency, Overlay

Found = CheckAnswer | EngineError | None
"""None: it is to be asked of `Engine.check`."""
Told = Callable[[Found], None]


class Telling(Protocol):
    """What answers checks that arrive together."""

    def ask(
        self,
        store: str,
        check: Check,
        consistency: Consistency,
        told: Told,
        *,
        deadline: float,
        overlay: Overlay | None = None,
    ) -> bool:
        """Ask as by `Engine.check`, and have `told` called with the answer, the error, or None if
        it is to be asked there; False if that is known now, and then nobody is called."""
        ...
