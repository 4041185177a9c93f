"""`migrate` and `gc`: work on the Postgres of DATABASE_URL itself, without a server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer

from api.cli.failure import ExitCode, Failure
from api.cli.options import LOCAL, Run, command
from api.serving import FOR_EVER, open_engine
from api.setting_values import parse_window
from api.settings import Settings, SettingsError, load_settings
from engine.errors import Unavailable
from engine.store.postgres import migrate as migrations

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="DATABASE_URL",
        show_envvar=True,
        show_default=False,
        help="The Postgres to work on; better given in the environment, as it may hold a password.",
    ),
]


@command(shared=LOCAL)
def migrate(
    run: Run,
    *,
    database_url: UrlOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Apply nothing; exit with 1 if something is pending.")
    ] = False,
) -> None:
    """Bring the tables of a Postgres up to date. `serve` does so too, when it starts."""
    url = _required(database_url)
    act = migrations.pending if check else migrations.migrate
    try:
        names = asyncio.run(act(url))
    except migrations.MigrationRefusedError as error:
        raise Failure(str(error), exit_code=ExitCode.REFUSED, code="migration_refused") from None
    except Unavailable as error:
        raise _unavailable(error) from None
    except ValueError:
        raise _wrong_url() from None
    if run.output.as_json:
        run.output.json({"pending" if check else "applied": names})
    else:
        for name in names:
            run.output.line(f"{'pending' if check else 'applied'} {name}")
        if not names:
            run.output.line("the tables are up to date")
    if check and names:
        raise typer.Exit(ExitCode.NO)


@command(shared=("json", "store"))
def gc(
    run: Run,
    *,
    database_url: UrlOption = None,
    window: Annotated[
        str,
        typer.Option(
            "--window",
            help="How long past snapshots stay readable: `7d`, `12h`, `off`. "
            "(default: STONETOWN_HISTORY_WINDOW, or 7d)",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Remove expired tuples and give up history older than the window, once.

    Of every store, or of the one that --store or STONETOWN_STORE names. A server does so too,
    from time to time.
    """
    url = _required(database_url)
    try:
        settings = load_settings()
        kept = parse_window(window) if window else settings.history_window
    except SettingsError as error:
        raise Failure(str(error), code="settings") from None
    except ValueError as error:
        raise Failure(f"--window: {error}") from None
    try:
        removed = asyncio.run(
            _collect(settings, url, run.options.store, FOR_EVER if kept is None else kept)
        )
    except Unavailable as error:
        raise _unavailable(error) from None
    except ValueError:
        raise _wrong_url() from None
    if run.output.as_json:
        run.output.json({"removed": removed, "store": run.options.store})
    else:
        place = f"store {run.options.store}" if run.options.store else "all stores"
        run.output.line(f"{removed} rows removed from {place}")


async def _collect(settings: Settings, url: str, store: str | None, window: timedelta) -> int:
    redis = settings.redis_url
    engine = await open_engine(settings, url, redis.get_secret_value() if redis else None)
    try:
        return await engine.collect_garbage(store, window=window)
    finally:
        await engine.close()


def _required(url: str | None) -> str:
    if url:
        return url
    raise Failure(
        "DATABASE_URL is not set",
        hint="name the Postgres, as in DATABASE_URL=postgresql://user@host/database; a server "
        "with a Postgres of its own does this work itself",
    )


def _unavailable(error: Unavailable) -> Failure:
    return Failure(
        error.message,
        exit_code=ExitCode.UNAVAILABLE,
        code=error.code,
        hint="is DATABASE_URL right, and does that Postgres run?",
    )


def _wrong_url() -> Failure:
    return Failure("DATABASE_URL is not an address of a Postgres", hint="expected postgresql://…")
