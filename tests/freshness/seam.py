"""A storage in front of another one: counts what it is asked, can hold a call, can be swapped."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from engine.store.protocol import Storage


class Seam:
    """Passes every call on to `inner`, which a test may replace, as a restored backup does.

    `asked` counts calls by name. While `gate` is not set, calls named in `held` wait for it before
    they are passed on, those in `held_answers` afterwards; `arrived` says that one waits.
    """

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.asked: Counter[str] = Counter()
        self.held: set[str] = set()
        self.held_answers: set[str] = set()
        self.gate = asyncio.Event()
        self.arrived = asyncio.Event()

    @property
    def storage(self) -> Storage:
        """This seam, as what it is to its callers."""
        return cast("Storage", self)

    def __getattr__(self, name: str) -> Any:
        if name == "reader":
            return self.inner.reader

        async def call(*args: Any, **named: Any) -> Any:
            self.asked[name] += 1
            if name in self.held:
                await self._hold()
            answer = await getattr(self.inner, name)(*args, **named)
            if name in self.held_answers:
                await self._hold()
            return answer

        return call

    async def _hold(self) -> None:
        self.arrived.set()
        await self.gate.wait()
