"""`lookup subjects` and `lookup permissions`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import Program

VIEW = ("lookup", "subjects", "document:a", "view", "user")
FAILS = """definition user {}

caveat fails(x int) {
    10 / x > 1
}

definition document {
    relation viewer: user | user:* | user with fails
    relation banned: user
    permission view = viewer - banned
}
"""


@pytest.fixture
def filled(program: Program) -> Program:
    """Five viewers, one of them under a caveat and one through a group."""
    program.ok(
        "write",
        *(f"document:a#viewer@user:{name}" for name in ("ann", "bob", "cy")),
        "document:a#viewer@user:eve[on_day]",
        "document:a#viewer@group:eng#member",
        "group:eng#member@user:zoe",
    )
    return program


def test_pages_are_put_together(filled: Program) -> None:
    told = filled.ok(*VIEW, "--json").json
    names = [item["subject"] for item in told["subjects"]]
    assert names == ["user:ann", "user:bob", "user:cy", "user:eve", "user:zoe"]
    first = filled.ok(*VIEW, "--limit", "2", "--json").json
    rest = filled.ok(*VIEW, "--cursor", first["cursor"], "--all", "--json").json
    assert first["subjects"] + rest["subjects"] == told["subjects"]
    assert "there is more" in filled.ok(*VIEW, "--limit", "2").error


def test_a_table_for_people(filled: Program) -> None:
    lines = filled.ok(*VIEW, "--context", '{"day":"x"}').out.splitlines()
    assert lines[0].split() == ["SUBJECT", "DECISION", "MISSING", "CONTEXT"]
    assert lines[4].split() == ["user:eve", "conditional", "wanted"]


def test_candidates_context_and_contextual_tuples(filled: Program) -> None:
    more = ("--with", "document:a#viewer@user:new", "--candidate", "new", "--candidate", "ann")
    told = filled.ok(*VIEW, *more, "--json").json
    assert [item["subject"] for item in told["subjects"]] == ["user:ann", "user:new"]


def test_a_count(filled: Program) -> None:
    assert filled.ok(*VIEW, "--count").out.splitlines() == [
        "4 allowed",
        "1 conditional",
        "0 denied",
    ]
    assert filled.ok(*VIEW, "--count", "--json").json["allowed"] == 4
    assert filled(*VIEW, "--count", "--cursor", "x").code == 2


def test_exceptions_of_a_wildcard_and_what_could_not_be_decided(bare: Program) -> None:
    bare.ok("schema", "write", "-", input_=FAILS)
    bare.ok(
        "write",
        "document:a#viewer@user:*",
        "document:a#banned@user:bob",
        'document:b#viewer@user:x[fails:{"x":0}]',
    )
    told = bare.ok(*VIEW).out.splitlines()
    assert [line.split() for line in told[1:]] == [["user:*", "allowed"], ["user:bob", "denied"]]
    assert "everyone else allowed" in bare.ok(*VIEW, "--count").out
    ended = bare("lookup", "subjects", "document:b", "view", "user")
    assert (ended.code, "incomplete: user:x: " in ended.error) == (4, True)
    ended = bare("lookup", "permissions", "document:b", "user:x")
    assert (ended.code, "incomplete: view: " in ended.error) == (4, True)


def test_what_a_subject_may_do(filled: Program) -> None:
    may = ("lookup", "permissions", "document:a", "user:ann", "--json")
    assert [item["permission"] for item in filled.ok(*may).json["permissions"]] == ["view"]
    told = filled.ok(*may, "--relations").json["permissions"]
    assert [item["permission"] for item in told] == ["view", "viewer"]


def test_questions_about_what_is_not_written(filled: Program, tmp_path: Path) -> None:
    left = ("--without", "document:a#viewer@user:bob", "--without", "group:eng#member@user:zoe")
    told = filled.ok(*VIEW, *left, "--with", "document:a#viewer@user:new", "--json").json
    names = [item["subject"] for item in told["subjects"]]
    assert names == ["user:ann", "user:cy", "user:eve", "user:new"]
    assert filled("check", "document:a", "view", "user:bob", *left).code == 1
    assert "user:bob" not in filled.ok("expand", "document:a", "viewer", *left).out
    assert (
        "document:a"
        not in filled.ok("lookup", "objects", "user:bob", "view", "document", *left).out
    )
    path = tmp_path / "other.zed"
    path.write_text("definition user {} definition document { relation viewer: user }")
    may = ("lookup", "permissions", "document:a", "user:bob", "--relations", "--json")
    told = filled.ok(*may, "--schema", str(path)).json["permissions"]
    assert [item["permission"] for item in told] == ["viewer"]
    assert filled("check", "document:a", "view", "user:bob", "--schema", "missing.zed").code == 2
    assert filled.ok("check", "document:a", "view", "user:bob").out == "allowed\n"


def test_wrong_input_is_told(filled: Program) -> None:
    ended = filled("lookup", "subjects", "document:a", "veiw", "user")
    assert (ended.code, "`view`" in ended.error) == (2, True)


def test_expand_down_to_subjects(filled: Program) -> None:
    at = ("expand", "document:a", "viewer", "--recursive")
    lines = filled.ok(*at).out.splitlines()
    assert lines[0].startswith("document:a#viewer")
    assert lines[-2:] == ["group:eng#member leaf", "└── user:zoe"]
    trees = filled.ok(*at, "--json").json["trees"]
    assert [tree["object"] for tree in trees] == ["document:a", "group:eng"]
