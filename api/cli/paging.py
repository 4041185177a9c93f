"""Lists that come in pages: the options that say how much of one, and the pages one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from api.cli.client import JsonObject, Server
from api.cli.options import Run

_PAGE = 1000

LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Stop after so many.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them, however many.")]
CursorOption = Annotated[
    str, typer.Option("--cursor", help="Go on after an earlier page.", show_default=False)
]


def pages(
    server: Server, call: str, key: str, body: JsonObject, *, cursor: str, limit: int | None
) -> Iterator[JsonObject]:
    """The answers of a call of the store, from the page of `cursor` on, until `limit` of what
    they hold under `key` have come (None: all of them). Raises Failure."""
    asked = {**body, **({"cursor": cursor} if cursor else {})}
    left = limit
    while True:
        asked["limit"] = _PAGE if left is None else min(_PAGE, left)
        answer = server.call("POST", server.store_path(call), asked)
        yield answer
        asked["cursor"] = answer["cursor"]
        if left is not None:
            left -= len(answer[key])
        if answer["cursor"] is None or left == 0:
            return


def tell_end(run: Run, answer: JsonObject) -> None:
    """Say whether there is more than was shown, and at which zookie."""
    if answer.get("cursor") is not None:
        run.output.note(f"there is more: --limit, --all, or --cursor {answer['cursor']}")
    run.output.note(f"zookie: {answer['zookie']}")
