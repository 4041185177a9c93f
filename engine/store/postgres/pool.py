"""Connections, bounded in number and in time, and the two ways to use one.

`fetch` runs one reading statement; `transact` runs a write. Nothing relies on the state of a
session: without prepared statements a pooler may stand between that gives each transaction
another backend (PgBouncer in transaction mode). asyncpg then parses, binds and executes the
unnamed statement before it lets the transaction end, so that no other client comes between.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from engine.errors import OutcomeUnknown, Unavailable
from engine.store.postgres import faults
from engine.store.postgres.sql import statement

T = TypeVar("T")

ATTEMPTS = 3
_BEGIN_WRITE = statement("begin_write")
_COMMIT = statement("commit")
_ROLLBACK = statement("rollback")

# Cached generic plans, and no plan that is good only while a table is small: the statements are
# few, each has one right plan, and planning `fetch` anew would cost more than running it. Without
# statistics, as after an import, a page would be picked from a bitmap of the whole store; with
# them, a page of a large store would have processes started for it, which take most of its time.
_PLANNING = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}

# What tidying up after an error may meet, which must not take the place of that error: asyncpg
# takes back a connection that it found dead, and then knows it no more.
_USELESS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

# After these nobody knows what the connection is in the middle of.
_IN_DOUBT = (OSError, asyncio.CancelledError, OutcomeUnknown, asyncpg.InternalClientError)


class Pool:
    """At most `size` connections to one database.

    `patience` is how long a request waits for a free connection, `statement_timeout` how long a
    read, a write up to its commit, or its commit may take, both in seconds; beyond them
    Unavailable is raised. A connection is opened within `connect_timeout` or not at all. Writes
    use up to half of the connections, and wait longer for one since they hold nothing meanwhile.
    """

    def __init__(
        self,
        connections: asyncpg.Pool,
        size: int,
        *,
        patience: float,
        statement_timeout: float,
    ) -> None:
        self._connections = connections
        self._free = asyncio.Semaphore(size)
        # Writers of one store wait for each other inside Postgres: they may not hold every
        # connection while they do, or nobody could read.
        self._writers = asyncio.Semaphore(max(1, size // 2))
        self._patience = patience
        self._timeout = statement_timeout

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        size: int,
        patience: float,
        connect_timeout: float,
        statement_timeout: float,
        prepared_statements: bool,
    ) -> Pool:
        """A pool that connects when it is first used, so that it outlives its server."""
        connections = await asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=size,
            timeout=connect_timeout,
            reset=_leave_as_is,
            statement_cache_size=200 if prepared_statements else 0,
            server_settings=_PLANNING if prepared_statements else None,
        )
        return cls(connections, size, patience=patience, statement_timeout=statement_timeout)

    async def close(self) -> None:
        """Close every connection, waiting a moment for those in use."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._connections.close()
        except TimeoutError:
            self._connections.terminate()

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of one reading statement. Raises Unavailable and InvalidRequest.

        A lost connection is replaced: the server may only have restarted.
        """
        for attempt in range(ATTEMPTS):
            try:
                return await self._fetch(sql, arguments)
            except Exception as error:  # noqa: BLE001 - translated and raised
                if attempt == ATTEMPTS - 1 or not faults.may_retry(error):
                    faults.before_commit(error)
                await self._before_retry(attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _fetch(self, sql: str, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
        async with self._connection() as connection, asyncio.timeout(self._timeout):
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return rows

    async def transact(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `work` in a write transaction and commit it; any error leaves no trace of it.

        `work` may run again after a conflict, or when the connection was found dead before the
        commit. Raises Unavailable when nothing was done and OutcomeUnknown when the connection
        was lost around the commit, beside what `work` raises.
        """
        for attempt in range(ATTEMPTS):
            try:
                return await self._transact(work)
            except Exception as error:  # noqa: BLE001 - translated and raised
                if attempt == ATTEMPTS - 1 or not faults.may_retry(error):
                    faults.before_commit(error)
                await self._before_retry(attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _transact(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        await _take_turn(self._writers, self._timeout)
        try:
            async with self._connection() as connection:
                async with asyncio.timeout(self._timeout):
                    await connection.execute(_BEGIN_WRITE)
                    result = await work(connection)
                try:
                    async with asyncio.timeout(self._timeout):
                        status = await connection.execute(_COMMIT)
                except Exception as error:  # noqa: BLE001 - translated and raised
                    faults.around_commit(error)
                if status != "COMMIT":
                    raise Unavailable("Postgres rolled the transaction back")
                return result
        finally:
            self._writers.release()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection with no transaction open, given back so, or ended if that is in doubt."""
        await _take_turn(self._free, self._patience)
        try:
            connection = await self._connections.acquire()
            try:
                yield connection
            except BaseException as error:
                with suppress(*_USELESS):
                    await self._clear(connection, error)
                raise
            finally:
                with suppress(*_USELESS):
                    await self._connections.release(connection, timeout=self._patience)
        finally:
            self._free.release()

    async def _clear(self, connection: asyncpg.Connection, error: BaseException) -> None:
        """Roll back after an error that the server reported; end the connection after others.

        A statement that ran out of time may still be running, and a cancelled one too.
        """
        if isinstance(error, _IN_DOUBT):
            connection.terminate()
        elif connection.is_in_transaction():
            try:
                async with asyncio.timeout(self._patience):
                    await connection.execute(_ROLLBACK)
            except (*_USELESS, asyncpg.PostgresError):
                connection.terminate()

    async def _before_retry(self, attempt: int) -> None:
        """Wait a little, at random so that those in conflict part; drop connections that idled."""
        await self._connections.expire_connections()
        await asyncio.sleep(random.uniform(0.01, 0.05) * (attempt + 1))  # noqa: S311 - no secret


async def _take_turn(free: asyncio.Semaphore, patience: float) -> None:
    """Acquire `free`, or raise Unavailable after `patience` seconds."""
    if not free.locked():
        await free.acquire()
        return
    try:
        async with asyncio.timeout(patience):
            await free.acquire()
    except TimeoutError:
        raise Unavailable("every connection to Postgres is in use") from None


async def _leave_as_is(connection: asyncpg.Connection) -> None:
    """Instead of asyncpg's RESET ALL: there is no session state, and it costs a round trip."""
