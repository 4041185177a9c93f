"""Every schema in the documentation is a schema, tidy, and without warnings."""

import re
from pathlib import Path

import pytest

from schema import format_text, lint_schema, parse_schema
from schema.lint import WARNINGS
from schema.zed.syntax import FLAG_KEYWORDS

PAGE = (Path(__file__).parents[2] / "docs" / "schema-language.md").read_text()
BLOCKS = re.findall(r"^```zed\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_has_examples() -> None:
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize("text", BLOCKS)
def test_examples(text: str) -> None:
    assert parse_schema(text).object_types
    assert format_text(text) == text
    warnings = lint_schema(text)
    assert [warning.render(text) for warning in warnings] == []


def test_every_warning_and_flag_is_told_of() -> None:
    for name in (*WARNINGS, *(f"use {flag}" for flag in FLAG_KEYWORDS)):
        assert f"`{name}`" in PAGE
