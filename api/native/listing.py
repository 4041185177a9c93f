"""What the answers of lookups have in common: pages, lines of JSON, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Protocol, TypeVar

from api.asgi import Patience
from api.calls import Call
from api.errors import DeadlinePassed, describe
from api.members import Members, Problems
from api.native import render
from api.native.handlers import consistency_of
from api.native.overlay import overlay_of
from api.streaming import Stream
from engine.decision import Decision
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import Gap
from engine.tuples import check_subject_id

_GRACE = 1.0
_NONE: Sequence[str] = ()


class ListPage(Protocol):
    """A page of any list."""

    @property
    def cursor(self) -> str | None:
        """Where it goes on."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What is missing from it."""

    @property
    def zookie(self) -> str:
        """The zookie of its snapshot."""


P = TypeVar("P", bound=ListPage)


async def body_of(call: Call) -> Any:
    """The body; a stream has nothing around it that bounds how long that may take to arrive."""
    if not call.streams:
        return await call.json()
    with Patience(call.settings.read_timeout):
        return await call.json()


def way_of(call: Call, body: Members, problems: Problems) -> Way:
    """How a list is asked for: the members that all lookups share."""
    return Way(
        body.optional_count("limit"),
        body.optional_text("cursor"),
        consistency_of(body, problems),
        call.deadline,
        overlay_of(body, problems),
    )


def candidates_of(body: Members, problems: Problems) -> list[str] | None:
    """The ids that a lookup is restricted to, None if it is not."""
    if body.get("candidates") is None:
        return None
    made: list[str] = []
    for index, item in enumerate(body.items("candidates")):
        path = f"candidates[{index}]"
        if type(item) is not str:
            problems.add("wrong_type", "found something else", path, "a string: an id")
        elif problems.attempt(check_subject_id, item, path) is not None:
            made.append(item)
    return made


async def send_lines(
    call: Call,
    pages: AsyncGenerator[P, None],
    entries: Callable[[P], Sequence[Any]],
    *,
    beside: Callable[[P], Sequence[Any]] = lambda _: (),
    more: Callable[[], dict[str, Any]] = dict,
) -> None:
    """An entry a line; the last line says whether these are all, and where to go on if not.

    After the entries of a page stand lines of what is told `beside` them and is not counted; the
    last line has `more` members.
    """
    stream = Stream(call, b"application/x-ndjson")
    gaps: list[Gap] = []
    found = 0
    page = await _next(call, pages)
    assert page is not None  # a list has a page, be it an empty one
    last = page
    await stream.start(((b"x-stonetown-zookie", page.zookie.encode()),))
    try:
        while page is not None:
            last = page
            told = entries(page)
            lines = [*told, *beside(page)]
            if lines:
                await stream.send(render.encode_lines(lines))
            found += len(told)
            gaps += page.gaps
            page = await _next(call, pages)
    except EngineError as error:
        gaps.append(Gap("", error))
    finally:
        await pages.aclose()
    told_last = ending(tuple(gaps), last.zookie)
    end = {"cursor": last.cursor, "found": found, **more(), **told_last}
    await stream.finish(render.encode(end) + b"\n")


async def _next(call: Call, pages: AsyncIterator[P]) -> P | None:
    """The next page. Raises DeadlinePassed when the engine is stuck beyond its own deadline."""
    try:
        async with asyncio.timeout(call.deadline + _GRACE):
            return await anext(pages, None)
    except TimeoutError:
        raise DeadlinePassed("a page was late", budget="milliseconds") from None


def missing(decision: Decision) -> Sequence[str]:
    """The names of the context that a decision misses, sorted."""
    return sorted(decision.missing) if decision.missing else _NONE


def ending(gaps: tuple[Gap, ...], zookie: str) -> dict[str, Any]:
    """Whether an answer is complete, why it is not, and its snapshot."""
    return {"complete": not gaps, "gaps": [_gap(gap) for gap in gaps], "zookie": zookie}


def _gap(gap: Gap) -> dict[str, Any]:
    return {"about": gap.about or None, "error": describe(gap.error)}
