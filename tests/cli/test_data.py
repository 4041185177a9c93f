"""`write`, `read`, `delete`, `check`, `expand`: what they print and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import Program

ANN = "document:readme#viewer@user:ann"
MONDAY = 'document:readme#viewer@user:bo[on_day:{"wanted":"monday"}]'


@pytest.fixture
def filled(program: Program) -> Program:
    """A program whose store holds a direct, a group and a caveated viewer."""
    program.ok(
        "write", ANN, MONDAY, "document:readme#viewer@group:eng#member", "group:eng#member@user:cy"
    )
    return program


@pytest.mark.parametrize(
    ("subject", "code", "decision"),
    [("user:ann", 0, "allowed"), ("user:no", 1, "denied"), ("user:bo", 3, "conditional")],
)
def test_check_ends_as_it_decides(filled: Program, subject: str, code: int, decision: str) -> None:
    ended = filled("check", "document:readme", "view", subject)
    assert (ended.code, ended.out) == (code, f"{decision}\n")
    assert filled("check", f"document:readme#view@{subject}").code == code
    told = filled("check", "document:readme", "view", subject, "--json")
    assert (told.code, told.json["decision"]) == (code, decision)
    assert told.error == ""


def test_check_says_what_context_is_missing(filled: Program) -> None:
    assert "missing context: day" in filled("check", "document:readme", "view", "user:bo").error


def test_check_takes_context_and_contextual_tuples(filled: Program, tmp_path: Path) -> None:
    question = ("check", "document:readme", "view", "user:bo")
    assert filled(*question, "--context", '{"day":"monday"}').code == 0
    assert filled(*question, "--context", '{"day":"friday"}').code == 1
    (tmp_path / "context.json").write_text('{"day": "monday"}')
    assert filled(*question, "--context", f"@{tmp_path / 'context.json'}").code == 0
    assert filled("check", "document:new", "view", "user:x", "--with",
                  "document:new#owner@user:x").code == 0  # fmt: skip


def test_check_at_the_snapshot_of_a_zookie(filled: Program) -> None:
    before = filled("write", "document:a#owner@user:x", "--json").json["zookie"]
    after = filled("delete", "document:a", "--json").json["zookie"]
    question = ("check", "document:a", "view", "user:x")
    assert filled(*question, "--zookie", after).code == 1
    assert filled(*question, "--zookie", before, "--consistency", "at_exact_snapshot").code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--consistency", "at_least_as_fresh"],
        ["--consistency", "fully_consistent", "--zookie", "abc"],
        ["--zookie", "abc", "--at-time", "2030-01-01T00:00:00Z"],
        ["--zookie", ""],
        ["--at-time", ""],
        ["--at-time", "yesterday"],
        ["--zookie", "forged"],
    ],
)
def test_consistency_that_makes_no_sense_is_refused(filled: Program, options: list[str]) -> None:
    ended = filled("check", "document:readme", "view", "user:ann", *options)
    assert (ended.code, ended.out) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "document:readme", "view"], 2, "an object, a relation and a subject"),
        (["check", "document:readme", "vieww", "user:x"], 2, "\ndid you mean"),
        (["check", "paper:readme", "view", "user:x"], 2, "no object type `paper`"),
        (["check", MONDAY], 2, "--context"),
        (["check", "nonsense"], 2, "not a relation tuple"),
        (["write"], 2, "no tuple is given"),
        (["write", "document:a#view@user:x"], 2, "permission"),
        (["write", "document:a#owner@group:g"], 2, "expected `user`"),
        (["write", ANN, "--op", "create"], 4, "exists already"),
        (["write", "document:b#owner@user:x", "--must-match", "group:none"], 4, "precondition"),
        (["write", "document:b#owner@user:x", "--metadata", "[]"], 2, "not valid JSON"),
        (["write", "--file", "/nowhere/at/all"], 2, "No such file"),
        (["read"], 2, "stonetown export"),
        (["read", "document:a", "--object", "document:b"], 2, "one object"),
        (["delete"], 2, "the filter is empty"),
        (["expand", "document:readme", "nope"], 2, "nope"),
        (["--store", "not-there", "read", "document"], 4, "stonetown store list"),
    ],
)
def test_wrong_input_says_what_to_do(
    filled: Program, arguments: list[str], code: int, words: str
) -> None:
    ended = filled(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.error.startswith("error: ")
    assert words in ended.error
    told = filled(*arguments, "--json")
    error = json.loads(told.error)["error"]
    assert (told.code, told.out) == (code, "")
    assert error["code"]
    assert words in f"{error['message']}\n{error.get('hint', '')}"


def test_write_tells_what_became_of_each_tuple(program: Program) -> None:
    assert program("write", ANN, "--json").json["results"] == ["created"]
    shown = program.ok("write", ANN, MONDAY).out.splitlines()
    assert [line.split() for line in shown] == [
        ["RESULT", "TUPLE"],
        ["unchanged", ANN],
        ["created", MONDAY],
    ]
    assert program("write", ANN, "--op", "delete", "--json").json["results"] == ["deleted"]


def test_write_reads_files_and_standard_input(program: Program, tmp_path: Path) -> None:
    lines = f"// viewers\n\n{ANN}\n" + json.dumps(
        {"object": "document:a[1]", "relation": "owner", "subject": "user:x"}
    )
    (tmp_path / "tuples").write_text(lines)
    assert len(program("write", "--file", str(tmp_path / "tuples"), "--json").json["results"]) == 2
    answer = program("write", "--file", "-", "--json", input_=lines).json
    assert answer["results"] == ["unchanged", "unchanged"]
    wrong = program("write", "--file", "-", input_=f"{ANN}\nno tuple\n")
    assert (wrong.code, "-:2: `no tuple`" in wrong.error) == (2, True)


def test_one_key_writes_once(program: Program) -> None:
    first = program.ok("write", ANN, "--idempotency-key", "k1", "--json").json
    assert program.ok("write", ANN, "--idempotency-key", "k1", "--json").json == first
    other = program("write", MONDAY, "--idempotency-key", "k1")
    assert (other.code, "idempotency" in other.error) == (4, True)


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["document"], 3),
        (["document:readme#viewer"], 3),
        (["document:readme#viewer@user"], 2),
        (["#@user:ann"], 1),
        (["#member"], 1),
        (["--subject", "group:eng#member"], 1),
        (["--subject", "user#..."], 3),
        (["--object", "document:readme", "--relation", "viewer", "--subject", "user:ann"], 1),
        (["document:other"], 0),
    ],
)
def test_read_finds_what_the_filter_says(filled: Program, words: list[str], count: int) -> None:
    assert len(filled.ok("read", *words, "--json").json["tuples"]) == count
    assert len(filled.ok("read", *words).out.splitlines()) == count + 1


def test_read_shows_caveats_and_times_whole(program: Program) -> None:
    id_ = "x" * 300
    program.ok("write", MONDAY, f"document:{id_}#viewer@user:t[expiration:2300-01-01T00:00:00Z]")
    shown = program.ok("read", "document").out
    assert 'on_day {"wanted":"monday"}' in shown
    assert "2300-01-01T00:00:00Z" in shown
    assert id_ in shown


def test_read_pages_resume(program: Program) -> None:
    program.ok("write", *(f"document:d{number}#owner@user:x" for number in range(5)))
    page = program.ok("read", "document", "--limit", "2", "--json").json
    rest = program.ok("read", "document", "--cursor", page["cursor"], "--json").json
    everything = program.ok("read", "document", "--all", "--json").json
    assert page["tuples"] + rest["tuples"] == everything["tuples"]
    assert everything["cursor"] is None
    assert "--cursor" in program.ok("read", "document", "--limit", "2").error


def test_text_of_a_store_is_never_markup(program: Program) -> None:
    item = json.dumps({"object": "document:[red]x[/red]", "relation": "owner", "subject": "user:u"})
    program.ok("write", "--file", "-", input_=item)
    assert "document:[red]x[/red]" in program.ok("read", "document").out


def test_delete_goes_on_until_nothing_matches(program: Program) -> None:
    lines = "".join(f"document:d{number}#owner@user:x\n" for number in range(2100))
    program.ok("import", "-", input_=lines)
    limited = program.ok("delete", "document", "--limit", "1050", "--json").json
    assert (limited["deleted"], limited["complete"]) == (1050, False)
    assert program.ok("delete", "document").out == "1050 deleted\n"
    assert program.ok("delete", "document", "--json").json["deleted"] == 0


def test_delete_with_preconditions_is_one_revision(program: Program) -> None:
    lines = "".join(f"document:d{number}#owner@user:x\n" for number in range(1100))
    program.ok("import", "-", input_=lines)
    ended = program.ok("delete", "document", "--must-match", "document:d1099", "--json").json
    assert (ended["deleted"], ended["complete"]) == (1000, False)
    assert program("delete", "document", "--must-not-match", "document").code == 4


def test_expand_draws_the_tree(filled: Program) -> None:
    assert filled.ok("expand", "document:readme", "view").out.splitlines() == [
        "document:readme#view union",
        "├── document:readme#viewer leaf",
        "│   ├── group:eng#member",
        "│   ├── user:ann",
        '│   └── user:bo if on_day {"wanted":"monday"}',
        "└── document:readme#owner leaf",
    ]
    assert filled.ok("expand", "document:readme", "view", "--json").json["tree"]["kind"] == "union"


def test_options_stand_before_or_after_the_command(filled: Program) -> None:
    question = ("check", "document:readme", "view", "user:ann")
    elsewhere = {"STONETOWN_URL": "http://127.0.0.1:9", "STONETOWN_STORE": "nope"}
    place = ("--url", filled.url, "--store", filled.store)
    assert filled(*place, *question, **elsewhere).code == 0
    assert filled(*question, *place, **elsewhere).code == 0
    assert filled("--store", "nope", *question, "--store", filled.store).code == 0
    assert filled("--json", *question).json["allowed"] is True
    assert filled("--json", *question, "--no-json").out == "allowed\n"
