"""Questions to Redis over one connection: those that arrive together travel together.

One exchange runs at a time; what is asked meanwhile waits for the next one, so a reply was always
made after its question was asked. A question that many have is sent once. A caller that is
cancelled leaves the exchange running.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from functools import partial
from time import monotonic
from typing import Any, Generic, TypeVar, cast

from hiredis import ProtocolError, Reader
from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

_log = logging.getLogger(__name__)

_LAST_LOOK = 0.002
"""Seconds until what is overdue is given up."""

Command = tuple[str | bytes, ...]
Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


class Exchange(Generic[Q, A]):
    """Sends the `command` of each question over a connection of `pool`, which it keeps, and gives
    everyone who asked it what `understand` makes of the reply: of the question, the value or
    ResponseError, and the `session` that the connection was given when it was opened. An exchange
    ends after `seconds`.

    It works by calls alone, without a task or a future for each exchange: a worker has thousands of
    them a second.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        seconds: float,
        command: Callable[[Q], Command],
        understand: Callable[[Q, Any, Any], A],
    ) -> None:
        self._pool = pool
        self._seconds = seconds
        self._command = command
        self._understand = understand
        self._connection: Any = None
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting: dict[Q, list[Callable[[A | Exception], None]]] = {}
        self._asked: dict[Q, list[Callable[[A | Exception], None]]] = {}
        self._replies: list[Any] = []
        self._may_repeat = False
        self._gathering: asyncio.Handle | None = None
        self._due = 0.0
        self._overdue = False
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, question: Q) -> A:
        """What the reply to `question` means, asked with all who ask in this turn of the loop.

        Raises RedisError, OSError or TimeoutError if there is none.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        self._put(question, partial(_give, answer))
        if not self._asked and self._gathering is None:
            self._gathering = loop.call_soon(self._begin)
        return await answer

    def ask_now(self, question: Q, told: Callable[[A | Exception], None]) -> None:
        """As `ask`, but the question leaves at once if it can, and `told` is called with what the
        reply means, or with the error."""
        self._put(question, told)
        if not self._asked:
            self._begin()

    async def close(self) -> None:
        """End the running exchange; those who wait get an error."""
        opening = self._opening
        self._fail(Lost("closed"))
        if opening is not None:
            await asyncio.wait([opening])
        await self._release()

    def _put(self, question: Q, told: Callable[[A | Exception], None]) -> None:
        asking = self._waiting.get(question)
        if asking is None:
            self._waiting[question] = [told]
        else:
            asking.append(told)

    def _begin(self) -> None:
        """Ask all that waits."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if not self._waiting:  # all were let down meanwhile
            return
        self._asked, self._waiting = self._waiting, {}
        self._due = monotonic() + self._seconds
        self._overdue = False
        if self._timer is None:  # one timer for many exchanges: it looks how old the newest is
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._look)
        # The other end may have closed a connection since it was last used.
        self._may_repeat = self._wire is not None
        self._send()

    def _send(self) -> None:
        wire = self._wire
        if wire is None or wire.transport.is_closing():
            self._wire = None
            self._opening = asyncio.get_running_loop().create_task(self._open())
            return
        self._replies = []
        wire.transport.write(b"".join([_packed(self._command(one)) for one in self._asked]))

    async def _open(self) -> None:
        try:
            await self._release()
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            self._wire = _Wire(self._connection, self._received, self._lost)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
            self._opening = None
            self._fail(error)
        else:
            self._opening = None
            self._send()

    def _received(self, wire: _Wire, replies: list[Any]) -> None:
        if wire is not self._wire:
            return
        self._replies += replies
        if len(self._replies) < len(self._asked):
            return
        if len(self._replies) > len(self._asked):
            self._fail(Lost("a reply to nothing"))
            return
        asked, self._asked = self._asked, {}
        try:
            answers: list[A | Exception] = [
                self._understand(question, reply, wire.session)
                for question, reply in zip(asked, self._replies, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - as above
            self._asked = asked
            self._fail(error)
            return
        if self._waiting:
            self._begin()
        for asking, answer in zip(asked.values(), answers, strict=True):
            _tell(asking, answer)

    def _lost(self, wire: _Wire, error: Exception) -> None:
        """A connection has ended."""
        if wire is not self._wire:
            return
        self._wire = None
        if not self._asked:
            return
        if self._may_repeat:
            self._may_repeat = False
            self._send()
        else:
            self._fail(error)

    def _look(self) -> None:
        self._timer = None
        if not self._asked:
            return
        left = self._due - monotonic()
        if left <= 0:
            if self._overdue:
                self._fail(TimeoutError("no reply"))
                return
            # A process that was kept from running may have the reply and not have read it yet.
            self._overdue, left = True, _LAST_LOOK
        self._timer = asyncio.get_running_loop().call_later(left, self._look)

    def _fail(self, error: Exception) -> None:
        """Let all who wait know, those too who came meanwhile: they need not find out for
        themselves. Replies may be under way that would answer the next question, so the connection
        is given up."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.transport.abort()
        failed = [*self._asked.values(), *self._waiting.values()]
        self._asked, self._waiting = {}, {}
        for asking in failed:
            _tell(asking, error)

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


class _Wire:
    """What comes over a connection that the library has opened, from now on: an `asyncio.Protocol`,
    but not a subclass, since compiled classes inherit from compiled ones alone."""

    def __init__(
        self,
        connection: Any,
        received: Callable[[_Wire, list[Any]], None],
        lost: Callable[[_Wire, Exception], None],
    ) -> None:
        self.session = connection.session
        # The library reads by a task and two futures for each reply.
        self.transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001
        self._received = received
        self._lost = lost
        self._reader = Reader(replyError=ResponseError)
        self.transport.set_protocol(cast("asyncio.Protocol", self))

    def data_received(self, data: bytes) -> None:
        """Replies, or parts of them."""
        replies = []
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
        except ProtocolError as error:
            self.transport.abort()
            self._lost(self, error)
            return
        if replies:
            self._received(self, replies)

    def eof_received(self) -> bool:
        """No more comes: the transport is to close."""
        return False

    def pause_writing(self) -> None:
        """Too much waits to be sent: no more will, before it was answered."""

    def resume_writing(self) -> None:
        """It was sent."""

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        self._lost(self, error or Lost("the connection was closed"))


def _packed(command: Command) -> bytes:
    """A command as the protocol has it (RESP2); the library's own way takes ten times as long."""
    parts = [part if isinstance(part, bytes) else part.encode() for part in command]
    return b"*%d\r\n%b" % (
        len(parts),
        b"".join([b"$%d\r\n%b\r\n" % (len(one), one) for one in parts]),
    )


def _tell(asking: list[Callable[[A | Exception], None]], answer: A | Exception) -> None:
    for told in asking:
        try:
            told(answer)
        except Exception:  # noqa: BLE001 - the others are to be told all the same
            _log.exception("an answer was not told")


def _give(waiting: asyncio.Future[A], answer: A | Exception) -> None:
    if waiting.done():
        return
    if isinstance(answer, Exception):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
