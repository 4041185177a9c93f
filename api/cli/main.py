"""The command `stonetown`."""

from __future__ import annotations

import typer

from api.cli import keys
from api.cli.options import root
from api.cli.serve import serve

app = typer.Typer(name="stonetown", no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(serve)
app.add_typer(keys.app, name="key")


@app.callback()
@root
def stonetown() -> None:
    """Relationship-based authorization: relation tuples, checks, zookies."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
