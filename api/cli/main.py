"""The command `stonetown`."""

from __future__ import annotations

import io
import sys

import typer

from api.cli import database, index, keys, lookup, query, schema, stores, update
from api.cli.diff import diff
from api.cli.exporting import export
from api.cli.history import history
from api.cli.impact import gate, impact, schema_impact
from api.cli.importing import FileUnlessNamed, import_
from api.cli.openfga_import import import_openfga
from api.cli.options import LOCAL, Run, command, root
from api.cli.serve import serve
from api.cli.validate import validate
from api.cli.verify import verify
from api.cli.watch import watch
from api.version import program_version
from engine.compiled import is_compiled

app = typer.Typer(name="stonetown", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
@root
def stonetown() -> None:
    """Relationship-based authorization: relation tuples, checks, zookies."""


@command(shared=LOCAL)
def version(run: Run) -> None:
    """Print the version of this program, and whether it is compiled."""
    number, compiled = program_version(), is_compiled()
    if run.output.as_json:
        run.output.json({"version": number, "compiled": compiled})
    else:
        run.output.line(f"stonetown {number} ({'compiled' if compiled else 'not compiled'})")


_SERVING = "Serving"
_DATA = "Data"
_FILES = "Files"

app.command(rich_help_panel=_SERVING)(serve)
app.command(rich_help_panel=_SERVING)(database.migrate)
app.command(rich_help_panel=_SERVING)(database.gc)
app.add_typer(index.app, name="index", rich_help_panel=_SERVING)
app.add_typer(keys.app, name="key", rich_help_panel=_SERVING)
app.add_typer(stores.app, name="store", rich_help_panel=_SERVING)
app.add_typer(schema.app, name="schema", rich_help_panel=_DATA)
app.command(rich_help_panel=_DATA)(update.write)
app.command(rich_help_panel=_DATA)(query.read)
app.command(rich_help_panel=_DATA)(update.delete)
app.command(rich_help_panel=_DATA)(query.check)
app.command(rich_help_panel=_DATA)(query.expand)
app.add_typer(lookup.app, name="lookup", rich_help_panel=_DATA)
app.command(rich_help_panel=_DATA)(history)
app.command(rich_help_panel=_DATA)(diff)
app.command(rich_help_panel=_DATA)(impact)
schema.app.command("impact")(schema_impact)
schema.app.command()(gate)
app.command(rich_help_panel=_DATA)(watch)
imports = typer.Typer(cls=FileUnlessNamed, help="Write tuples: of a file, or of another server.")
imports.command("file")(import_)
imports.command("openfga")(import_openfga)
app.add_typer(imports, name="import", rich_help_panel=_FILES)
app.command(rich_help_panel=_FILES)(export)
app.command(rich_help_panel=_FILES)(validate)
app.command(rich_help_panel=_FILES)(verify)
app.command()(version)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows its escape; it is never an error.
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
