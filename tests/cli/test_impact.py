"""`impact`, `schema impact` and `schema gate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import SCHEMA, Program

OWNERS = SCHEMA.replace("permission view = viewer + owner", "permission view = owner")
EDITORS = SCHEMA.replace(
    "permission view = viewer + owner",
    "permission view = viewer + owner\n  permission edit = viewer",
)
CAVEAT = SCHEMA.replace("day == wanted", 'day == wanted || day == "friday"')
CYCLE = """definition user {}
definition document {
  relation viewer: user
  relation seen: document#view
  permission view = viewer - seen
}
"""


@pytest.fixture
def filled(program: Program) -> Program:
    """Ann views document a as an engineer, bo on some day, cy owns it."""
    program.ok(
        "write",
        "document:a#viewer@group:eng#member",
        "group:eng#member@user:ann",
        "document:a#owner@user:cy",
        'document:a#viewer@user:bo[on_day:{"wanted":"monday"}]',
    )
    return program


def schema_file(folder: Path, text: str) -> str:
    """A file with this schema."""
    path = folder / "proposed.zed"
    path.write_text(text)
    return str(path)


def test_what_a_write_would_do(filled: Program) -> None:
    change = ("--with", "group:eng#member@user:zoe", "--without", "document:a#owner@user:cy")
    shown = filled.ok("impact", *change).out
    assert [line.split() for line in shown.splitlines()] == [
        ["TYPE", "PERMISSION", "SUBJECTS", "GAINED", "LOST", "CHANGED", "NEW", "ACCESS"],
        ["document", "view", "user", "1", "1", "0", "1"],
        [],
        ["CHANGE", "OBJECT", "PERMISSION", "SUBJECT", "BEFORE", "AFTER"],
        ["gained", "document:a", "view", "user:zoe", "denied", "allowed"],
        ["lost", "document:a", "view", "user:cy", "allowed", "denied"],
        [],
        ["1", "gained,", "1", "lost,", "0", "changed"],
    ]
    told = filled.ok("impact", *change, "--json").json
    assert (told["gained"], told["lost"], told["complete"]) == (1, 1, True)
    assert filled.ok("impact", *change, "--permission", "view", "--json").json["gained"] == 1
    assert filled.ok("impact", *change, "--type", "group", "--json").json["permissions"] == []
    members = ("--type", "group", "--relations", "--subjects", "user", "--json")
    assert filled.ok("impact", *change, *members).json["gained"] == 1
    assert filled("impact", *change, "--type", "grup").code == 2
    assert filled("impact").code == 2


def test_what_a_schema_would_do(filled: Program, tmp_path: Path) -> None:
    told = filled.ok("schema", "impact", schema_file(tmp_path, OWNERS), "--json").json
    (row,) = told["permissions"]
    assert (row["type"], row["permission"], row["gained"], row["lost"]) == (
        "document",
        "view",
        0,
        2,
    )
    few = filled.ok("schema", "impact", schema_file(tmp_path, OWNERS), "--limit", "1", "--json")
    assert len(few.json["permissions"][0]["sample"]["lost"]) == 1
    assert few.json["lost"] == 2
    path = schema_file(tmp_path, OWNERS)
    assert filled.ok("impact", "--schema", path, "--json").json["lost"] == 2
    broken = filled("schema", "impact", schema_file(tmp_path, "definition user {"))
    assert broken.code == 2


def test_the_gate(filled: Program, tmp_path: Path) -> None:
    rule = ("schema", "gate", "--no-new-access")
    passed = filled(*rule, schema_file(tmp_path, OWNERS))
    assert passed.code == 0
    assert passed.out.splitlines()[-1] == "no new access"
    refused = filled(*rule, schema_file(tmp_path, EDITORS))
    assert refused.code == 1
    assert refused.out.splitlines()[-1] == "new access: 2"
    told = filled(*rule, schema_file(tmp_path, EDITORS), "--json")
    assert (told.code, told.json["passed"], told.json["new_access"]) == (1, False, 2)
    assert filled(*rule, schema_file(tmp_path, EDITORS), "--permission", "view").code == 0
    assert filled.ok(*rule, schema_file(tmp_path, SCHEMA), "--json").json["passed"]
    assert filled("schema", "gate", schema_file(tmp_path, SCHEMA)).code == 2


def test_the_gate_sees_a_condition_that_is_another(filled: Program, tmp_path: Path) -> None:
    refused = filled("schema", "gate", "--no-new-access", schema_file(tmp_path, CAVEAT), "--json")
    assert refused.code == 1
    assert (refused.json["changed"], refused.json["new_access"]) == (1, 1)


def test_what_is_not_known_does_not_pass(bare: Program, tmp_path: Path) -> None:
    bare.ok("schema", "write", "-", input_=CYCLE)
    bare.ok("write", "document:a#viewer@user:ann", "document:a#seen@document:a#view")
    narrower = schema_file(tmp_path, CYCLE.replace("viewer - seen", "viewer - seen - seen"))
    ended = bare("schema", "gate", "--no-new-access", narrower)
    assert ended.code == 6
    assert "not known" in ended.out
    assert "incomplete: document:a#view@user:ann" in ended.error
    told = bare("schema", "gate", "--no-new-access", narrower, "--json")
    assert (told.code, told.json["passed"], told.json["complete"]) == (6, False, False)
    assert bare("schema", "impact", narrower).code == 6
    more = "viewer - seen - seen\n  permission edit = viewer"
    wider = schema_file(tmp_path, CYCLE.replace("viewer - seen", more))
    both = bare("schema", "gate", "--no-new-access", wider)
    assert both.code == 1
    assert both.out.splitlines()[-1] == "new access: at least 1"
