"""Questions to the store `acme` of an engine, in the string form of tuples."""

from __future__ import annotations

from typing import Any

from engine.engine import Engine
from engine.requests import FULLY_CONSISTENT
from tests.engine.ground import question


async def allowed(engine: Engine, text: str, consistency: Any = FULLY_CONSISTENT) -> bool:
    """Whether a check in the form of a tuple is allowed."""
    return (await engine.check("acme", question(text), consistency)).decision.allowed


async def stored(engine: Engine) -> list[str]:
    """Every tuple of the store."""
    pages = engine.export("acme", consistency=FULLY_CONSISTENT)
    return [str(item) async for page in pages for item in page.tuples]
