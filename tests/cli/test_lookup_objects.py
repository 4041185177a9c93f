"""`lookup objects`."""

from __future__ import annotations

import pytest

from tests.cli.program import Program

VIEW = ("lookup", "objects", "user:ann", "view", "document")


@pytest.fixture
def filled(program: Program) -> Program:
    """Five documents, one of them under a caveat and one through a group."""
    program.ok(
        "write",
        *(f"document:{name}#viewer@user:ann" for name in "abc"),
        "document:d#viewer@user:ann[on_day]",
        "document:e#viewer@group:eng#member",
        "group:eng#member@user:ann",
    )
    return program


def test_pages_are_put_together(filled: Program) -> None:
    told = filled.ok(*VIEW, "--json").json
    assert [item["object"] for item in told["objects"]] == [f"document:{id_}" for id_ in "abcde"]
    first = filled.ok(*VIEW, "--limit", "2", "--json").json
    rest = filled.ok(*VIEW, "--cursor", first["cursor"], "--all", "--json").json
    assert first["objects"] + rest["objects"] == told["objects"]
    assert "there is more" in filled.ok(*VIEW, "--limit", "2").error


def test_a_table_for_people(filled: Program) -> None:
    lines = filled.ok(*VIEW, "--context", '{"day":"x"}').out.splitlines()
    assert lines[0].split() == ["OBJECT", "DECISION", "MISSING", "CONTEXT"]
    assert lines[4].split() == ["document:d", "conditional", "wanted"]


def test_candidates_contextual_tuples_and_usersets(filled: Program) -> None:
    more = ("--with", "document:new#viewer@user:ann", "--candidate", "new", "--candidate", "a")
    told = filled.ok(*VIEW, *more, "--json").json
    assert [item["object"] for item in told["objects"]] == ["document:a", "document:new"]
    eng = ("lookup", "objects", "group:eng#member", "view", "document", "--json")
    assert [item["object"] for item in filled.ok(*eng).json["objects"]] == ["document:e"]


def test_a_count(filled: Program) -> None:
    assert filled.ok(*VIEW, "--count").out.splitlines() == ["4 allowed", "1 conditional"]
    assert filled(*VIEW, "--count", "--cursor", "x").code == 2


def test_wrong_input_is_told(filled: Program) -> None:
    ended = filled("lookup", "objects", "user:ann", "veiw", "document")
    assert (ended.code, "`view`" in ended.error) == (2, True)
    ended = filled(*VIEW, "group")
    assert (ended.code, "types[1]" in ended.error or "relation" in ended.error) == (2, True)
