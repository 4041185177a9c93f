"""What the driver's errors mean: which say that nothing was done, and which leave it open."""

from __future__ import annotations

import asyncio

import asyncpg

from engine.errors import EngineError, InvalidRequest, OutcomeUnknown, Unavailable

# The connection is gone or useless; the server may have gone with it.
LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresSystemError,
)
# Two transactions met in an order that Postgres could not allow: nothing was done, try again.
CONFLICT = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# The server is there but has no room or no time for this now.
_BUSY = (
    TimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    *CONFLICT,
)
# Text that Postgres cannot hold: NUL, half of a surrogate pair, a number too great for its type.
_UNSTORABLE = (asyncpg.DataError, UnicodeEncodeError)


def before_commit(error: BaseException) -> BaseException:
    """What to raise for `error`, met before COMMIT was sent: nothing has been done."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, _UNSTORABLE):
        return InvalidRequest("a value holds characters that cannot be stored")
    if isinstance(error, (*LOST, *_BUSY)):
        return Unavailable(f"Postgres is away or busy ({_name(error)})")
    return error


def around_commit(error: BaseException) -> BaseException:
    """What to raise for `error`, met after COMMIT was sent."""
    if isinstance(error, (*CONFLICT, asyncio.CancelledError)):
        return error
    return OutcomeUnknown(f"the connection was lost around the commit ({_name(error)})")


def _name(error: BaseException) -> str:
    """The error's class and SQLSTATE; its text may hold data and names, and stays out."""
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}, {state}" if state else type(error).__name__
