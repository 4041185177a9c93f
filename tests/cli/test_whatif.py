"""`--with`, `--without` and `--schema` on every question."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import SCHEMA, Program

ASKED = {
    "check": ("check", "document:a", "view", "user:bo"),
    "expand": ("expand", "document:a", "viewer"),
    "recursive": ("expand", "document:a", "viewer", "--recursive"),
    "objects": ("lookup", "objects", "user:bo", "view", "document"),
    "how many objects": ("lookup", "objects", "user:bo", "view", "document", "--count"),
    "subjects": ("lookup", "subjects", "document:a", "view", "user"),
    "how many subjects": ("lookup", "subjects", "document:a", "view", "user", "--count"),
    "permissions": ("lookup", "permissions", "document:a", "user:bo"),
    "read": ("read", "document:a"),
}


@pytest.mark.parametrize("name", ASKED)
def test_it_answers_as_if_written(program: Program, name: str) -> None:
    asked = (*ASKED[name], "--json")
    kept, come = "document:a#viewer@user:ann", "document:a#viewer@user:bo"
    program.ok("write", kept)

    def told(*options: str) -> object:
        answer = program(*asked, *options).json
        return {key: value for key, value in answer.items() if key != "zookie"}

    before, would = told(), told("--with", come)
    assert before != would
    program.ok("write", come)
    assert told() == would
    assert told("--without", come) == before


def test_another_schema_answers(program: Program, tmp_path: Path) -> None:
    program.ok("write", "document:a#viewer@user:bo")
    file = tmp_path / "other.zed"
    file.write_text(SCHEMA.replace("view = viewer + owner", "view = owner"))
    assert program(*ASKED["check"]).code == 0
    assert program(*ASKED["check"], "--schema", str(file)).code == 1
    assert not program.ok(*ASKED["objects"], "--schema", str(file), "--json").json["objects"]
    assert program.ok("read", "document:a", "--schema", str(file), "--json").json["tuples"]
    file.write_text("definition {")
    assert program("read", "document:a", "--schema", str(file)).code == 2
