"""`key new`: a preshared key for `STONETOWN_API_KEYS`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.auth import Right, new_key
from api.cli.failure import Failure
from api.cli.options import LOCAL, Run, command

app = typer.Typer(help="Make API keys.", no_args_is_help=True)


@app.command("new")
@command(shared=LOCAL)
def new(
    run: Run,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Who will use it: the actor of its writes.")
    ],
    *,
    store: Annotated[
        list[str] | None,
        typer.Option("--store", help="A store that it may use; repeatable (default: every store)"),
    ] = None,
    right: Annotated[
        list[Right] | None,
        typer.Option("--right", help="Something that it may do; repeatable (default: everything)"),
    ] = None,
) -> None:
    """Make a key: the secret for the client, and the entry for the server, which holds no secret.

    The secret is shown once and kept nowhere.
    """
    try:
        secret, entry = new_key(name, store or (), [item.value for item in right or ()])
    except ValueError as error:
        raise Failure(str(error)) from None
    if run.output.as_json:
        run.output.json({"name": name, "secret": secret, "entry": entry})
        return
    run.output.line(f"secret  {secret}")
    run.output.line(f"entry   {entry}")
    run.output.note("give the secret to the client as STONETOWN_TOKEN; it is not shown again")
    run.output.note("add the entry to STONETOWN_API_KEYS of the server, commas between entries")
