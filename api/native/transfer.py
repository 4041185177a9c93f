"""Import and export: tuples as NDJSON, streamed, in bounded memory and with honest ends.

An import is a sequence of revisions, each all or nothing. A line that is refused ends it with a
problem that names the line; what came before and was acknowledged stays, and is told in
`imported` and `zookie`. An export is one snapshot; its last line says that it is complete, or why
not and where to go on. So the output of an export can be imported as it stands.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from functools import partial
from typing import Any

from api.asgi import Answer, read_chunks
from api.calls import Call
from api.errors import BodyTooLarge, DeadlinePassed, WriteDeadlinePassed, describe
from api.members import Members, Problems
from api.native import render
from api.native.decode import (
    consistency_of_query,
    decode_filter,
    decode_tuple,
    filter_of_query,
    tuple_of_query,
)
from api.native.handlers import consistency_of
from api.native.hot import plain_tuple
from api.native.listing import body_of
from api.native.overlay import overlay_of
from api.streaming import Stream
from engine.errors import EngineError, InvalidRequest
from engine.jsontext import parse_json
from engine.requests import FULLY_CONSISTENT, MINIMIZE_LATENCY, ReadAnswer, WriteRequest
from engine.store.protocol import TupleFilter, Update, UpdateOp
from engine.tuples import RelationTuple

_NDJSON = re.compile(
    rb'application/(?:x-ndjson|jsonl|ndjson)(?:;\s*charset="?utf-8"?)?', re.IGNORECASE
)
_UPDATE = re.compile(r"updates\[(\d+)\]\.tuple(.*)", re.DOTALL)
_YIELD_EVERY = 256
_AHEAD = 2
"""Batches under way: one is validated while the one before it is written."""


EXPORT_FIELDS = ("filter", "after", "consistency", "overlay")


async def import_tuples(call: Call) -> Answer:
    """`POST /import`."""
    call.expect_type(_NDJSON, "application/x-ndjson")
    op = call.query().get("op", "touch")
    if op not in {"touch", "create"}:
        raise InvalidRequest("not an op", field="query.op", expected="`touch` or `create`")
    if b"idempotency-key" in call.headers:
        raise InvalidRequest(
            "an import takes no idempotency key",
            field="Idempotency-Key",
            expected="none: touching a tuple again changes nothing",
        )
    work = _Import(call, UpdateOp(op))
    try:
        async for number, lines in _lines(call):
            await work.take(number, lines)
        await work.flush()
        await work.settle()
    except EngineError as error:
        # A batch that is still under way stands before what was refused, and tells first.
        await work.settle()
        work.account(error)
        raise
    finally:
        work.abandon()
    return Answer(200, render.encode(await work.answer()))


class _Import:
    """One import under way: the batch that is filling, those before it, of which one is being
    written meanwhile and one is being validated, and what was acknowledged."""

    def __init__(self, call: Call, op: UpdateOp) -> None:
        self._call = call
        self._op = op
        self._imported = 0
        self._zookie: str | None = None
        self._batch: dict[Any, Update] = {}
        self._numbers: list[int] = []
        self._bytes = 0
        self._writing: list[asyncio.Task[None]] = []
        self._most = call.settings.limit_import_batch
        self._most_bytes = call.settings.max_import_batch

    async def take(self, first: int, lines: Iterable[bytes]) -> None:
        """Take lines, of which the first has the number `first`. Raises what is wrong with one,
        with its number."""
        batch, numbers = self._batch, self._numbers
        for number, line in enumerate(lines, first):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            item = plain_tuple(line) or self._tuple(number, line)
            if item is None:
                continue
            identity = item.identity
            if identity in batch:
                await self.flush()
            batch[identity] = Update(self._op, item)
            numbers.append(number)
            self._bytes += len(line)
            if len(batch) >= self._most or self._bytes >= self._most_bytes:
                await self.flush()

    def _tuple(self, number: int, line: bytes) -> RelationTuple | None:
        """The tuple of a line; None for an empty one and for the last line of an export."""
        if not line.strip():
            return None
        problems = Problems()
        value = problems.attempt(parse_json, line, f"line {number}")
        if isinstance(value, dict) and ("complete" in value or "error" in value):
            self._end_of_export(value, number)
            return None
        item = None
        if value is not None or not problems.found:
            item = decode_tuple(value, f"line {number}", problems)
        if problems.found:
            problems.found[0].extra["line"] = number
            problems.raise_any()
        return item

    def _end_of_export(self, value: dict[str, Any], number: int) -> None:
        if value.get("complete") is not True:
            raise InvalidRequest(
                "the export that made this did not complete",
                field=f"line {number}",
                expected="a complete export",
                line=number,
            )

    async def flush(self) -> None:
        """Begin to write what is gathered, as one revision, when the batch before is written.

        Raises what the engine refuses of the one before that, by line.
        """
        if len(self._writing) >= _AHEAD:
            await self._first()
        if self._batch:
            before = self._writing[-1] if self._writing else None
            batch = (list(self._batch.values()), list(self._numbers))
            self._writing.append(asyncio.create_task(self._write(*batch, before)))
            self._batch.clear()
            self._numbers.clear()
            self._bytes = 0

    async def settle(self) -> None:
        """Wait until the batches under way are written. Raises what the engine refuses, by line."""
        while self._writing:
            await self._first()

    async def _first(self) -> None:
        """Wait until the first of the batches under way is written."""
        try:
            await self._writing.pop(0)
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Wait no longer for the batches under way: whoever sent them is gone, or the one before
        them is not written."""
        while self._writing:
            writing = self._writing.pop()
            writing.cancel()
            writing.add_done_callback(_retrieve)

    async def _write(
        self, updates: list[Update], numbers: list[int], before: asyncio.Task[None] | None
    ) -> None:
        request = WriteRequest(updates, actor=self._call.principal.name)
        engine, store = self._call.engine, self._call.store
        try:
            async with asyncio.timeout(self._call.settings.import_deadline):
                answer = await engine.import_batch(store, request, after=partial(_well, before))
        except TimeoutError:
            error = WriteDeadlinePassed("a batch took longer than the deadline")
            self.account(error)
            raise error from None
        except EngineError as error:
            _place(error, numbers)
            self.account(error)
            raise
        self._imported += len(updates)
        self._zookie = answer.zookie

    def account(self, error: EngineError) -> None:
        """Add to an error what was imported before it."""
        error.extra["imported"] = self._imported
        if self._zookie is not None:
            error.extra["zookie"] = self._zookie

    async def answer(self) -> dict[str, Any]:
        """What was imported; for an import of nothing, the zookie of the head."""
        if self._zookie is None:
            nothing = TupleFilter(object_type="-", object_id="-")
            page = await self._call.engine.read(
                self._call.store, nothing, limit=1, consistency=FULLY_CONSISTENT
            )
            self._zookie = page.zookie
        return {"imported": self._imported, "zookie": self._zookie}


async def _well(before: asyncio.Task[None] | None) -> None:
    """Return when the batch before is written; wait to be abandoned if it is not."""
    if before is not None:
        await asyncio.wait([before])
        if before.cancelled() or before.exception() is not None:
            await asyncio.get_running_loop().create_future()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Ask for an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _place(error: EngineError, numbers: list[int]) -> None:
    """Name the line of the import where the engine named the update of the batch."""
    match = _UPDATE.fullmatch(error.field)
    if match is not None:
        number = numbers[int(match[1])]
        error.extra["line"] = number
        error.field = f"line {number}{match[2]}"


async def _lines(call: Call) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The lines of the body as they come, with the number of the first. Raises BodyTooLarge for
    one that is too long."""
    longest = call.settings.max_import_line
    number, rest = 1, b""
    async for chunk in read_chunks(call.receive, call.settings.read_timeout):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for at, line in enumerate(lines, number):
            if len(line) > longest:
                yield number, lines[: at - number]
            _check_line(line, at, longest)
        yield number, lines
        number += len(lines)
        _check_line(rest, number, longest)
    if rest:
        yield number, [rest]


def _check_line(line: bytes, number: int, longest: int) -> None:
    if len(line) > longest:
        raise BodyTooLarge(
            "the line is too long",
            field=f"line {number}",
            expected=f"at most {longest} bytes",
            line=number,
        )


async def export_tuples(call: Call) -> None:
    """`GET /export`."""
    problems = Problems()
    query = call.query()
    wanted = filter_of_query(query, problems)
    consistency = consistency_of_query(query, problems) or MINIMIZE_LATENCY
    after = tuple_of_query(query["after"], "query.after", problems) if "after" in query else None
    problems.raise_any()
    await call.no_body()
    await _export(
        call,
        call.engine.export(call.store, filter=wanted, consistency=consistency, after=after),
    )


async def post_export(call: Call) -> None:
    """`POST /export`."""
    problems = Problems()
    body = Members(await body_of(call), "", EXPORT_FIELDS, problems)
    wanted, after = TupleFilter(), None
    if body.get("filter") not in (None, {}):
        wanted = decode_filter(body.get("filter"), "filter", problems)
    if body.get("after") is not None:
        after = decode_tuple(body.get("after"), "after", problems)
    consistency, overlay = consistency_of(body, problems), overlay_of(body, problems)
    problems.raise_any()
    await _export(
        call,
        call.engine.export(
            call.store, filter=wanted, consistency=consistency, after=after, overlay=overlay
        ),
    )


async def _export(call: Call, pages: AsyncGenerator[ReadAnswer, None]) -> None:
    stream = Stream(call, b"application/x-ndjson")
    try:
        async with asyncio.timeout(call.settings.deadline):
            page: ReadAnswer | None = await anext(pages, None)
        assert page is not None
        await stream.start(((b"x-stonetown-zookie", page.zookie.encode()),))
        await _send_pages(call, stream, pages, page)
    finally:
        await pages.aclose()


async def _send_pages(
    call: Call, stream: Stream, pages: AsyncGenerator[ReadAnswer, None], first: ReadAnswer
) -> None:
    page: ReadAnswer | None = first
    zookie, count, last = first.zookie, 0, None
    while page is not None:
        if page.tuples:
            await stream.send(_encode_lines(page.tuples))
            count += len(page.tuples)
            last = page.tuples[-1]
        try:
            async with asyncio.timeout(call.settings.deadline):
                page = await anext(pages, None)
        except (TimeoutError, EngineError) as error:
            told = error if isinstance(error, EngineError) else DeadlinePassed("a page was late")
            await stream.finish(_broken(told, zookie, count, last))
            return
    whole = {"complete": True, "exported": count, "zookie": zookie}
    await stream.finish(render.encode(whole) + b"\n")


def _encode_lines(tuples: tuple[RelationTuple, ...]) -> bytes:
    return b"".join(render.encode(render.tuple_(item)) + b"\n" for item in tuples)


def _broken(error: EngineError, zookie: str, count: int, last: RelationTuple | None) -> bytes:
    """The last line of an export that could not go on: why, and where to take it up again."""
    resume: dict[str, Any] = {"at_exact_snapshot": zookie}
    if last is not None:
        resume["after"] = render.tuple_(last._replace(caveat="", context="", expires_at=None))
    line = {"complete": False, "exported": count, "error": describe(error), "resume": resume}
    return render.encode(line) + b"\n"
