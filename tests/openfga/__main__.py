"""`python -m tests.openfga`: asks every published case over HTTP, and prints a table by file."""

from __future__ import annotations

import asyncio
from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.api.serving import serving
from tests.openfga.cases import all_cases
from tests.openfga.conformance import failures
from tests.openfga.differences import EXPECTED


async def main() -> None:
    """Run them all on memory."""
    counts: dict[str, Counter[str]] = {}
    surprises: dict[str, str] = {}
    async with serving() as server:
        for case in all_cases():
            asked, wrong = await failures(server.http, case)
            expected = EXPECTED.get(case.id, {})
            count = counts.setdefault(case.file, Counter())
            count["again" if case.contextual else "tests"] += 1
            count["questions"] += asked
            count["as there"] += asked - len(wrong)
            count["on purpose"] += len(wrong.keys() & expected.keys())
            odd = {key for key in (*wrong, *expected) if (key in wrong) != (key in expected)}
            count["wrong"] += len(odd)
            surprises |= {f"{case.id} {key}": wrong.get(key, "as there, after all") for key in odd}
    columns = ("tests", "again", "questions", "as there", "on purpose", "wrong")
    table = Table("file", *columns)
    for file, count in counts.items():
        table.add_row(file, *(str(count[column]) for column in columns))
    console = Console()
    console.print(table)
    for place, why in surprises.items():
        console.print(place, why)


if __name__ == "__main__":
    asyncio.run(main())
