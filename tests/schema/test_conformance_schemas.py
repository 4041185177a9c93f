"""The published schemas of SpiceDB parse, print and format."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from schema import format_text, lint_schema, parse_schema, print_schema

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "conformance" / "spicedb"


def _texts() -> Iterator[tuple[str, str]]:
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix == ".zed":
            yield path.name, path.read_text()
        elif path.suffix in {".yaml", ".skip"}:
            text = yaml.safe_load(path.read_text()).get("schema")
            if text:
                yield str(path.relative_to(FOLDER)), text


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the conformance data is not beside the checkout")
def test_published_schemas() -> None:
    texts = dict(_texts())
    assert len(texts) >= 45
    for name, text in texts.items():
        schema = parse_schema(text)
        assert parse_schema(print_schema(schema)) == schema, name
        tidy = format_text(text)
        assert parse_schema(tidy) == schema, name
        assert format_text(tidy) == tidy, name
        lint_schema(text)
