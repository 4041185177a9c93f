"""`store list|create|delete`: the tenants of a server."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from api.cli.client import JsonObject, Server
from api.cli.failure import Failure
from api.cli.options import Run, command

app = typer.Typer(help="List, create and delete stores.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="`[a-z][a-z0-9-]{0,62}`.")]

_HEADS = {"name": "NAME", "id": "ID", "created_at": "CREATED", "title": "TITLE"}


@app.command("list")
@command()
def list_stores(run: Run) -> None:
    """List the stores that the key may see, sorted by name."""
    found: list[JsonObject] = []
    parameters: dict[str, str] = {"limit": "1000"}
    with Server(run.options) as server:
        while True:
            answer = server.call("GET", "/v1/stores", parameters=parameters)
            found.extend(answer["stores"])
            if not answer.get("cursor"):
                break
            parameters["cursor"] = str(answer["cursor"])
    if run.output.as_json:
        run.output.json({"stores": found})
        return
    columns = ["name", "id", "created_at"]
    if any(item.get("title") for item in found):
        columns.append("title")
    heads = tuple(_HEADS[column] for column in columns)
    run.output.table(heads, (tuple(str(item.get(one, "")) for one in columns) for item in found))


@app.command("create")
@command()
def create_store(run: Run, name: NameArgument) -> None:
    """Create an empty store."""
    with Server(run.options) as server:
        answer = server.call("POST", "/v1/stores", {"name": name})
    if run.output.as_json:
        run.output.json(answer)
    else:
        run.output.line(f"created store {name}")
        run.output.note(f"write its schema with `stonetown --store {name} schema write FILE`")


@app.command("delete")
@command()
def delete_store(
    run: Run,
    name: NameArgument,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask: the store and all in it are gone.")
    ] = False,
) -> None:
    """Delete a store, its schema and all its tuples, for ever."""
    if not yes:
        if run.output.as_json:
            raise Failure("deleting a store needs --yes", hint=f"it deletes everything in `{name}`")
        answer = typer.prompt(f"Type the name `{name}` to delete it with all its tuples", err=True)
        if answer != name:
            raise Failure(f"`{answer}` is not `{name}`; nothing was deleted")
    with Server(run.options) as server:
        answer = server.call("DELETE", f"/v1/stores/{quote(name, safe='')}")
    if run.output.as_json:
        run.output.json({"deleted": name})
    else:
        run.output.line(f"deleted store {name}")
