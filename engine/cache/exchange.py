"""Questions to Redis over one connection: those that arrive together travel together.

One exchange runs at a time; what is asked meanwhile waits for the next one, so a reply was always
made after its question was asked. A caller that is cancelled leaves the exchange running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

Command = tuple[str | bytes, ...]


class Replies(NamedTuple):
    """One value or ResponseError per command, and the `session` that the connection that brought
    them was given when it was opened."""

    values: list[Any]
    session: Any


class _Batch:
    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.done: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()


class Exchange:
    """Takes its connection from `pool` for each exchange, which ends after `seconds`."""

    def __init__(self, pool: ConnectionPool, *, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._waiting: _Batch | None = None
        self._running: asyncio.Task[None] | None = None

    async def ask(self, commands: Sequence[Command]) -> Replies:
        """The replies to `commands`, which follow each other on the wire.

        Raises RedisError, OSError or TimeoutError if there are none.
        """
        if self._waiting is None:
            self._waiting = _Batch()
        batch, at = self._waiting, len(self._waiting.commands)
        batch.commands += commands
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        replies = await asyncio.shield(batch.done)
        return replies._replace(values=replies.values[at : at + len(commands)])

    async def close(self) -> None:
        """End the running exchange; those who wait get an error."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._fail(self._waiting, Lost("closed"))

    async def _run(self) -> None:
        while (batch := self._waiting) is not None:
            self._waiting = None
            try:
                async with asyncio.timeout(self._seconds):
                    batch.done.set_result(await self._exchange(batch.commands))
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
                # Those who came meanwhile need not find out for themselves.
                self._fail(batch, error)
                self._fail(self._waiting, error)
                self._waiting = None
            except BaseException:
                self._fail(batch, Lost("closed"))
                raise

    async def _exchange(self, commands: Sequence[Command]) -> Replies:
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(connection.pack_commands(commands))
            values = [await _reply(connection) for _ in commands]
            return Replies(values, connection.session)
        except BaseException:
            # Replies may be under way that would answer the next question.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)

    def _fail(self, batch: _Batch | None, error: Exception) -> None:
        if batch is not None and not batch.done.done():
            batch.done.set_exception(error)
            batch.done.exception()  # All who waited may be gone.


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
