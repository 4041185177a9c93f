"""`history`."""

from __future__ import annotations

import pytest

from tests.cli.program import Program


@pytest.fixture
def filled(program: Program) -> Program:
    """Three viewers, one of whom is deleted."""
    for name in ("ann", "bob", "cy"):
        program.ok("write", f"document:a#viewer@user:{name}", "--metadata", '{"for":"x"}')
    program.ok("delete", "document:a#viewer@user:bob")
    return program


def test_an_object(filled: Program) -> None:
    lines = filled.ok("history", "document:a").out.splitlines()
    assert lines[0].split() == ["TIME", "EVENT", "TUPLE", "ACTOR", "METADATA"]
    assert [line.split()[1:] for line in lines[1:]] == [
        ["delete", "document:a#viewer@user:bob"],
        ["touch", "document:a#viewer@user:cy", '{"for":"x"}'],
        ["touch", "document:a#viewer@user:bob", '{"for":"x"}'],
        ["touch", "document:a#viewer@user:ann", '{"for":"x"}'],
    ]


def test_a_subject_from_the_beginning_in_pages(filled: Program) -> None:
    asked = ("history", "--subject", "user:bob", "--oldest-first", "--json")
    told = filled.ok(*asked, "--all").json
    assert [one["op"] for one in told["events"]] == ["touch", "delete"]
    first = filled.ok(*asked, "--limit", "1").json
    rest = filled.ok(*asked, "--cursor", first["cursor"]).json
    assert first["events"] + rest["events"] == told["events"]
    assert "there is more" in filled.ok("history", "document:a", "--limit", "1").error


def test_until_then(filled: Program) -> None:
    events = filled.ok("history", "document:a", "--json").json["events"]
    then = ("--zookie", events[2]["zookie"], "--consistency", "at_exact_snapshot")
    assert filled.ok("history", "document:a", *then, "--json").json["events"] == events[2:]
    at = ("--at-time", events[2]["committed_at"])
    assert filled.ok("history", "document:a", *at, "--json").json["events"] == events[2:]


def test_a_filter_that_names_nothing_is_refused(filled: Program) -> None:
    ended = filled("history", "document")
    assert (ended.code, "object_id" in ended.error) == (2, True)
