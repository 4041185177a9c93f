"""`diff`."""

from __future__ import annotations

import json

from tests.cli.program import Program


def test_who_gained_and_who_lost(program: Program) -> None:
    written = program.ok(
        "write", "document:a#viewer@user:ann", "document:a#owner@user:bob", "--json"
    )
    start = written.json["zookie"]
    program.ok("write", "document:a#viewer@user:cy", "--metadata", '{"ticket":7}')
    program.ok("delete", "document:a#viewer@user:ann")
    asked = ("diff", start, "--relation", "view", "--object", "document:a", "--subjects", "user")
    shown = program.ok(*asked).out
    assert [line.split() for line in shown.splitlines()[:3]] == [
        ["CHANGE", "OBJECT", "SUBJECT", "BEFORE", "AFTER"],
        ["gained", "document:a", "user:cy", "denied", "allowed"],
        ["lost", "document:a", "user:ann", "allowed", "denied"],
    ]
    assert [line.split()[1:] for line in shown.splitlines()[5:]] == [
        ["touch", "document:a#viewer@user:cy", '{"ticket":7}'],
        ["delete", "document:a#viewer@user:ann"],
    ]
    told = program.ok(*asked, "--json").json
    assert (len(told["gained"]), len(told["lost"]), told["complete"]) == (1, 1, True)
    over = ("diff", start, "--relation", "view", "--type", "document", "--subjects", "user")
    assert program.ok(*over, "--json").json["gained"] == told["gained"]
    of = ("diff", start, "--relation", "view", "--type", "document", "--subject", "user:cy")
    assert program.ok(*of, "--json").json["gained"] == told["gained"]


def test_pages_and_wrong_input(program: Program) -> None:
    start = program.ok("write", "document:a#viewer@user:x", "--json").json["zookie"]
    program.ok("write", *(f"document:a#viewer@user:{name}" for name in "abc"))
    asked = ("diff", start, "--relation", "view", "--object", "document:a", "--subjects", "user")
    first = program.ok(*asked, "--limit", "2", "--json").json
    rest = program.ok(*asked, "--cursor", first["cursor"], "--all", "--json").json
    names = [one["subject"] for one in first["gained"] + rest["gained"]]
    assert names == ["user:a", "user:b", "user:c"], json.dumps(rest)
    assert "there is more" in program.ok(*asked, "--limit", "1").error
    assert program("diff", start, "--relation", "view").code == 2


def test_a_context_and_what_counts_as_written(program: Program) -> None:
    start = program.ok("write", "document:a#viewer@user:ann", "--json").json["zookie"]
    program.ok("write", "document:a#viewer@user:ann[on_day]", "document:a#viewer@user:bob")
    asked = ("diff", start, "--relation", "view", "--object", "document:a", "--subjects", "user")
    laid = (*asked, "--without", "document:a#viewer@user:bob")
    told = program.ok(*laid, "--json").json
    assert (len(told["gained"]), len(told["changed"])) == (0, 1)
    context = ("--context", '{"day":"monday","wanted":"friday"}')
    assert [one["subject"] for one in program.ok(*laid, *context, "--json").json["lost"]] == [
        "user:ann"
    ]
    kept = program.ok(*asked, "--with", "document:a#viewer@user:ann", "--json").json
    assert (len(kept["gained"]), kept["changed"], kept["lost"]) == (1, [], [])


def test_lines_come_until_the_last_one_says_that_they_are_all(program: Program) -> None:
    start = program.ok("write", "document:a#viewer@user:x", "--json").json["zookie"]
    program.ok("write", *(f"document:a#viewer@user:{name}" for name in "abc"))
    asked = ("diff", start, "--relation", "view", "--type", "document", "--subjects", "user")
    lines = [json.loads(line) for line in program.ok(*asked, "--lines").out.splitlines()]
    assert [line["subject"] for line in lines if "change" in line] == ["user:a", "user:b", "user:c"]
    assert len(lines[3]["cause"]["updates"]) == 3
    assert (lines[4]["complete"], lines[4]["found"]) == (True, 3)
    assert program("diff", start, "--relation", "nope", *asked[4:], "--lines").code == 2
