"""Questions to Redis over one connection: those that arrive together travel together.

One exchange runs at a time; what is asked meanwhile waits for the next one, so a reply was always
made after its question was asked. A question that many have is sent once. A caller that is
cancelled leaves the exchange running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

Command = tuple[str | bytes, ...]
Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


class Exchange(Generic[Q, A]):
    """Sends the `command` of each question over a connection of `pool`, which it keeps, and gives
    everyone who asked it what `understand` makes of the reply: of the question, the value or
    ResponseError, and the `session` that the connection was given when it was opened. An exchange
    ends after `seconds`.
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
        self._waiting: dict[Q, list[asyncio.Future[A]]] = {}
        self._running: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """What the reply to `question` means.

        Raises RedisError, OSError or TimeoutError if there is none.
        """
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        asking = self._waiting.get(question)
        if asking is None:
            self._waiting[question] = [answer]
            if self._running is None or self._running.done():
                self._running = asyncio.create_task(self._run())
        else:
            asking.append(answer)
        return await answer

    async def close(self) -> None:
        """End the running exchange; those who wait get an error."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        _fail(self._waiting, Lost("closed"))
        await self._let_go()

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                async with asyncio.timeout(self._seconds):
                    replies, session = await self._exchange(list(batch))
                for (question, asking), reply in zip(batch.items(), replies, strict=True):
                    answer = self._understand(question, reply, session)
                    for one in asking:
                        if not one.done():
                            one.set_result(answer)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
                # Those who came meanwhile need not find out for themselves.
                _fail(batch, error)
                _fail(self._waiting, error)
                self._waiting = {}
            except BaseException:
                _fail(batch, Lost("closed"))
                raise

    async def _exchange(self, questions: list[Q]) -> tuple[list[Any], Any]:
        """The values in order, and the session of the connection that brought them."""
        if self._connection is not None:
            try:
                return await self._asked(questions)
            except (Lost, OSError):
                pass  # The other end may have closed it since it was last used.
        return await self._asked(questions)

    async def _asked(self, questions: list[Q]) -> tuple[list[Any], Any]:
        try:
            if self._connection is None:
                self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            connection = self._connection
            commands = b"".join([_packed(self._command(one)) for one in questions])
            await connection.send_packed_command(commands, check_health=False)
            return [await _reply(connection) for _ in questions], connection.session
        except BaseException:
            # Replies may be under way that would answer the next question.
            await self._let_go()
            raise

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


def _packed(command: Command) -> bytes:
    """A command as the protocol has it (RESP2); the library's own way takes ten times as long."""
    parts = [part if isinstance(part, bytes) else part.encode() for part in command]
    return b"*%d\r\n%b" % (
        len(parts),
        b"".join([b"$%d\r\n%b\r\n" % (len(one), one) for one in parts]),
    )


def _fail(batch: dict[Q, list[asyncio.Future[A]]], error: Exception) -> None:
    for asking in batch.values():
        for one in asking:
            if not one.done():
                one.set_exception(error)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
