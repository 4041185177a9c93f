"""`docs/http-api.md` says what the server does: its examples are run, its tables compared."""

from __future__ import annotations

import re

from api.native.operations import OPERATIONS
from tests.api.page import PAGE, run_page


async def test_every_example_gives_the_output_that_stands_in_the_page() -> None:
    text = PAGE.read_text()
    assert text.count("$ curl") >= len(OPERATIONS)
    assert await run_page(text) == text


def test_the_page_tables_every_call_with_its_right() -> None:
    rows = re.findall(r"^\| `([A-Z]+ /v1\S+)` \| (\w+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    expected = [
        (f"{item.method} {item.path}", str(item.right), item.summary) for item in OPERATIONS
    ]
    assert rows == expected


def test_every_call_has_an_example() -> None:
    text = PAGE.read_text()
    for operation in OPERATIONS:
        path = operation.path.replace("{store}", "(default|acme)")
        assert re.search(rf"\$ curl .*localhost:8080{path}[ '?\n]", text), operation.name
