"""The documents say what the server does: examples are run, tables compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.native.operations import OPERATIONS
from tests.api.page import PAGE, PAGES, run_page

_LEAST_EXAMPLES = 6


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_every_example_gives_the_output_that_stands_in_the_page(page: Path) -> None:
    text = page.read_text()
    assert text.count("$ curl") >= _LEAST_EXAMPLES
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
