"""What `docs/openfga-models.md` shows is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schema import parse_schema
from schema.fga.dsl.print import print_model
from schema.fga.language import parse_dsl
from tests.fga.test_conformance import DIFFERENT

PAGE = (Path(__file__).parents[2] / "docs" / "openfga-models.md").read_text()
BLOCKS = re.findall(r"^```fga\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS)
def test_examples(text: str) -> None:
    assert parse_schema(text, "fga").object_types
    assert print_model(parse_dsl(text)) == text


def test_every_case_that_differs_is_told() -> None:
    assert BLOCKS
    for name in DIFFERENT:
        assert f"`{name}`" in PAGE
