"""`serve`: the whole service in the foreground, with what it needs when nothing is configured."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import uvloop
from redis.asyncio import ConnectionPool

from api import workers
from api.cli.failure import ExitCode, Failure
from api.cli.options import LOCAL, Run, command
from api.descriptors import raise_limit
from api.orders import Orders
from api.servers.directory import DataDirectory
from api.servers.failure import ServerFailed
from api.servers.postgres import PrivatePostgres
from api.servers.valkey import PrivateValkey
from api.serving import Place, address_of, listen
from api.serving import serve as serve_here
from api.settings import Settings, SettingsError, environment_name, load_settings
from api.telemetry import configure_logging
from engine.errors import Unavailable
from engine.store.postgres.migrate import MigrationRefusedError, migrate, pending

_PANEL = "Settings that flags override; `docs/http-api.md` has them all"


@command(shared=LOCAL)
def serve(
    run: Run,
    *,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on (default: 127.0.0.1)", rich_help_panel=_PANEL),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port; 0 takes a free one (default: 8080)", rich_help_panel=_PANEL),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory (default: .stonetown)", rich_help_panel=_PANEL),
    ] = None,
    worker_processes: Annotated[
        int | None,
        typer.Option("--workers", help="Worker processes (default: 1)", rich_help_panel=_PANEL),
    ] = None,
) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM.

    With several workers, SIGHUP starts new ones and ends the old, one after the other, without
    refusing or cutting a request.

    Without DATABASE_URL and REDIS_URL it starts a Postgres and a Valkey of its own, which keep
    their data in the data directory and end with it.
    """
    flags = {"host": host, "port": port, "data": data, "workers": worker_processes}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = load_settings(**given)
        configure_logging(settings)
        raise_limit()
        with _terminable(), ExitStack() as stack:
            _serve(run, settings, given, stack)
    except SettingsError as error:
        raise Failure(str(error), code="settings") from None
    except (ServerFailed, MigrationRefusedError) as error:
        raise Failure(str(error), code="not_started", exit_code=ExitCode.REFUSED) from None
    except Unavailable as error:
        hint = "is DATABASE_URL right, and does that Postgres run?"
        raise Failure(
            error.message, code=error.code, hint=hint, exit_code=ExitCode.UNAVAILABLE
        ) from None
    except KeyboardInterrupt:
        # Ended before it was ready; what it had started is stopped by now.
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _serve(run: Run, settings: Settings, given: dict[str, Any], stack: ExitStack) -> None:
    listener = stack.enter_context(_listener(settings))
    place, own = _place(settings, listener, stack)
    uvloop.run(_bring_up_to_date(place.database_url))

    def ready() -> None:
        text = f"Stonetown is ready at {address_of(listener)}{own}"
        if run.output.as_json:
            run.output.json({"url": address_of(listener), "data": str(settings.data)})
        else:
            run.output.line(text)

    # With indexes even one worker is a process of its own: it is replaced if it dies of a damaged
    # one, and nothing else dies with it.
    if settings.workers == 1 and not settings.index:
        uvloop.run(serve_here(settings, place, ready))
        return
    flags = {environment_name(name): str(value) for name, value in given.items()}
    workers.run(settings, place, os.environ | flags, ready, Orders())


def _place(settings: Settings, listener: socket.socket, stack: ExitStack) -> tuple[Place, str]:
    """Where the service finds its servers, started if they are ours, and a word about those."""
    database, redis = settings.database_url, settings.redis_url
    names = [name for name, url in (("Postgres", database), ("Valkey", redis)) if url is None]
    own = f", with its own {' and '.join(names)} in {settings.data}" if names else ""
    directory = stack.enter_context(DataDirectory(settings.data)).path if names else settings.data
    if database is None:
        # A few more than the workers hold, for a person's psql and for migrations.
        connections = settings.workers * settings.database_pool + 10
        postgres = stack.enter_context(
            PrivatePostgres(directory, connections=max(100, connections))
        )
    if redis is None:
        valkey = stack.enter_context(PrivateValkey(directory))
    database_url = postgres.dsn if database is None else database.get_secret_value()
    redis_url = valkey.url if redis is None else _known_url(redis.get_secret_value())
    return Place(database_url, redis_url, listener), own


def _known_url(redis_url: str) -> str:
    try:
        ConnectionPool.from_url(redis_url)
    except ValueError:
        raise SettingsError("REDIS_URL: expected a redis://, rediss:// or unix:// URL") from None
    return redis_url


async def _bring_up_to_date(database_url: str) -> None:
    # Looked at first: a user without the right to create tables may serve once all is applied.
    if await pending(database_url):
        await migrate(database_url)


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        raise ServerFailed(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            "choose another with --port or STONETOWN_PORT"
        ) from None
    with listener:
        yield listener


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, also before there is a loop or `Orders` to take it. To those
    it is left to the end: one more signal must not end as killed what is stopping well."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is interrupt:
            signal.signal(signal.SIGTERM, before)
