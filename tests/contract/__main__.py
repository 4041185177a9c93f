"""`make contract`: asks a server of its own what its documents say, and holds the answers to them.

`python -m tests.contract --examples 30 --seed 1` starts `stonetown serve`, fills a native and an
OpenFGA store, and asks by `/openapi.json`, by `/openfga/openapi.json`, and by the document that
OpenFGA publishes, if it lies beside the checkout. The exit code is 1 if an answer was a 5xx or was
not as documented.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from tests.contract.asking import Outcome, ask
from tests.contract.documents import SWAGGER, documents
from tests.contract.seeding import seed
from tests.faults.service import Service

_VARIABLES = {
    "STONETOWN_LOG_LEVEL": "error",
    "STONETOWN_AUTHZEN_BASE_URL": "https://authz.example.com",
}


async def run(options: argparse.Namespace, console: Console) -> int:
    """Ask by every document; 0 if all answers were as documented."""
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="stonetown-contract-") as data:
        async with (
            Service(Path(data), **_VARIABLES) as service,
            httpx.AsyncClient(base_url=service.url, timeout=30) as http,
        ):
            found = await documents(http, await seed(http), strict=options.strict)
            for document in found:
                console.print(f"asking by {document.name}")
                outcomes[document.name] = await asyncio.to_thread(
                    ask, document, service.url, examples=options.examples, seed=options.seed
                )
    _report(outcomes, console)
    if not SWAGGER.exists():
        console.print("OpenFGA's own document is not there, and was not asked by:", SWAGGER.name)
    return 1 if any(outcome.breaks for outcome in outcomes.values()) else 0


def _report(outcomes: dict[str, Outcome], console: Console) -> None:
    table = Table("document", "calls", "requests", "2xx", "4xx", "5xx", "excused", "breaks")
    for name, outcome in outcomes.items():
        kinds = [
            sum(count for status, count in outcome.statuses.items() if status // 100 == kind)
            for kind in (2, 4, 5)
        ]
        counts = [len(outcome.calls), outcome.statuses.total(), *kinds]
        counts += [outcome.excused.total(), outcome.breaks.total()]
        table.add_row(name, *map(str, counts))
    console.print(table)
    for name, outcome in outcomes.items():
        for reason, count in outcome.excused.items():
            console.print(f"excused: {name}: {count} × {reason}", markup=False)
    for name, outcome in outcomes.items():
        for what, count in outcome.breaks.items():
            console.print(f"break: {name}: {count} × {what}", style="red", markup=False)
            console.print(outcome.shown[what], markup=False, highlight=False)


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="make contract ARGS=…", description=__doc__)
    parser.add_argument("--examples", type=int, default=30, help="random requests of each call")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--strict", action="store_true", help="take OpenFGA's document to the letter"
    )
    return asyncio.run(run(parser.parse_args(), Console()))


if __name__ == "__main__":
    sys.exit(main())
