"""The options that every command shares, wherever on the line they stand.

`stonetown --store acme check …` and `stonetown check … --store acme` mean the same: the root takes
the options for all, a command takes them again for itself, and the command's own value wins.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, get_type_hints

import typer

from api.cli.failure import ExitCode, Failure, hint_of
from api.cli.output import Output
from engine.errors import EngineError

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_TIMEOUT = 30.0
_PANEL = "Server"


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options after root, command and environment are put together.

    `timeout` is seconds for one request to be answered.
    """

    url: str | None = None
    token: str | None = None
    store: str | None = None
    timeout: float | None = None
    json: bool | None = None

    def over(self, other: Options) -> Options:
        """These options, and `other`'s where these are not given."""
        missing = {
            field.name: getattr(other, field.name)
            for field in fields(self)
            if getattr(self, field.name) is None
        }
        return replace(self, **missing)


@dataclass(frozen=True, slots=True)
class Run:
    """What a command works with: where to print, and the shared options."""

    output: Output
    options: Options


def _parameter(name: str, kind: type, flags: tuple[str, ...], **about: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, typer.Option(*flags, show_default=False, **about)],
    )


def _parameters(*, environment: bool) -> dict[str, inspect.Parameter]:
    """The shared options; only the root's read the environment, so that its flags win over it."""

    def variable(name: str) -> dict[str, Any]:
        return {"envvar": name, "show_envvar": True} if environment else {}

    made = [
        _parameter(
            "url",
            str,
            ("--url",),
            help=f"The server's address (default: {DEFAULT_URL})",
            rich_help_panel=_PANEL,
            **variable("STONETOWN_URL"),
        ),
        _parameter(
            "token",
            str,
            ("--token",),
            help="The secret of an API key; better given in the environment.",
            rich_help_panel=_PANEL,
            **variable("STONETOWN_TOKEN"),
        ),
        _parameter(
            "store",
            str,
            ("--store",),
            help="The store to work on (default: default)",
            rich_help_panel=_PANEL,
            **variable("STONETOWN_STORE"),
        ),
        _parameter(
            "timeout",
            float,
            ("--timeout",),
            min=0.001,
            help=f"Seconds to wait for an answer (default: {DEFAULT_TIMEOUT:g})",
            rich_help_panel=_PANEL,
            **variable("STONETOWN_TIMEOUT"),
        ),
        _parameter("json", bool, ("--json/--no-json",), help="Print JSON, for machines."),
    ]
    return {parameter.name: parameter for parameter in made}


_ROOT = _parameters(environment=True)
_COMMAND = _parameters(environment=False)
LOCAL = ("json",)
REMOTE = tuple(_COMMAND)


def root(callback: Callable[..., None]) -> Callable[..., None]:
    """Give the application's callback every shared option; they wait in the context."""

    def taking(context: typer.Context, given: Options, rest: dict[str, Any]) -> None:
        context.obj = given
        callback(**rest)

    return _with_parameters(callback, list(_ROOT.values()), taking)


def command(*, shared: tuple[str, ...] = REMOTE) -> Callable[[Callable[..., None]], Any]:
    """Make a function whose first parameter is `run: Run` into a command with shared options.

    Failures are printed and become exit codes; anything else that is raised is a defect.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def taking(context: typer.Context, given: Options, rest: dict[str, Any]) -> None:
            above = context.obj if isinstance(context.obj, Options) else Options()
            options = given.over(above)
            run = Run(Output(as_json=bool(options.json)), options)
            try:
                function(run, **rest)
            except (Failure, EngineError, OSError) as error:
                if isinstance(error, BrokenPipeError):
                    raise
                failure = _as_failure(error)
                run.output.failure(failure)
                raise typer.Exit(failure.exit_code) from None

        return _with_parameters(function, [_COMMAND[name] for name in shared], taking)

    return decorate


def _as_failure(error: Failure | EngineError | OSError) -> Failure:
    if isinstance(error, Failure):
        return error
    if isinstance(error, EngineError):
        return Failure(error.message, code=error.code, hint=hint_of(error.expected))
    where = f"`{error.filename}`: " if error.filename else ""
    return Failure(f"{where}{error.strerror or error}", code="file", exit_code=ExitCode.USAGE)


def _with_parameters(
    function: Callable[..., None],
    added: list[inspect.Parameter],
    call: Callable[[typer.Context, Options, dict[str, Any]], None],
) -> Callable[..., None]:
    """`function` as the option parser shall see it: its own parameters without `run`, and more."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "run"
    ]
    invocation = inspect.Parameter(
        "invocation", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
    )

    @functools.wraps(function)
    def wrapper(**values: Any) -> None:
        shared = {item.name: values.pop(item.name) for item in added}
        call(values.pop("invocation"), Options(**shared), values)

    signature = inspect.Signature([invocation, *own, *added])
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    wrapper.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    return wrapper
