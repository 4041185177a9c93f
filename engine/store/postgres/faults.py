"""What the driver's errors mean: which say that nothing was done, and which leave it open."""

from __future__ import annotations

from typing import NoReturn

import asyncpg

from engine.errors import InvalidRequest, OutcomeUnknown, Unavailable


class UnstorableError(Exception):
    """A value that no statement can carry."""


# The connection is gone or useless; the server may have gone with it.
_LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's last words came between two messages
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresSystemError,
)
# Two transactions met in an order that Postgres could not allow, or a migration was between.
_CONFLICT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)
# The server is there but has no room, no time or no permission for this now.
_REFUSED = (
    TimeoutError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
# Text that Postgres cannot hold: NUL, half of a surrogate pair, a number too great for its type.
_UNSTORABLE = (asyncpg.DataError, UnicodeEncodeError, UnstorableError)


def may_retry(error: BaseException) -> bool:
    """Whether nothing was done and the same again, on another connection, may well succeed.

    A timeout is an OSError in name, but has used up the time.
    """
    return isinstance(error, (*_LOST, *_CONFLICT)) and not isinstance(error, TimeoutError)


def before_commit(error: Exception) -> NoReturn:
    """Raise what `error` means when COMMIT was not sent yet: nothing has been done."""
    if isinstance(error, _UNSTORABLE):
        raise InvalidRequest("a value holds characters that cannot be stored") from error
    if isinstance(error, (*_LOST, *_CONFLICT, *_REFUSED)):
        raise Unavailable(f"Postgres is away or busy ({_name(error)})") from error
    raise error


def around_commit(error: Exception) -> NoReturn:
    """Raise what `error` means when COMMIT was sent and not answered."""
    if isinstance(error, _CONFLICT):
        raise error
    raise OutcomeUnknown(f"the connection was lost around the commit ({_name(error)})") from error


def _name(error: BaseException) -> str:
    """The error's class and SQLSTATE; its text may hold data and names, and stays out."""
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}, {state}" if state else type(error).__name__
