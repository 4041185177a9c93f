"""`check --explain` and `verify`: reasons for people, proofs for machines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from api.cli.drawing import MAX_NODES, as_dot, as_svg
from tests.cli.program import SCHEMA, Program

TUPLES = (
    "document:readme#viewer@group:eng#member",
    "group:eng#member@group:ops#member",
    "group:ops#member@user:ann",
    'document:readme#viewer@user:bo[on_day:{"wanted":"monday"}]',
)

FILES = {"--proof": "proof.json", "--schema": "schema.zed", "--tuples": "tuples.txt"}


@pytest.fixture
def filled(program: Program, tmp_path: Path) -> Program:
    """A program whose store holds the tuples above, which are in a file, too, as the schema is."""
    program.ok("write", *TUPLES)
    (tmp_path / "schema.zed").write_text(SCHEMA)
    program.ok("export", str(tmp_path / "tuples.txt"))
    return program


def check(program: Program, subject: str, *options: str) -> str:
    question = ("check", "document:readme", "view", subject, "--consistency", "fully_consistent")
    return program(*question, *options).out


def test_a_tree_leads_from_the_goal_to_the_subject(filled: Program) -> None:
    lines = check(filled, "user:ann", "--explain").splitlines()
    assert lines[:2] == ["allowed", "✓ document:readme#view"]
    told = [line for line in lines if "(revision" in line]
    depths = [line.index(text) for line, text in zip(told, TUPLES, strict=False)]
    assert len(depths) == 3
    assert depths == sorted(set(depths))


def test_a_denial_names_what_it_looked_for_and_ways(filled: Program) -> None:
    out = check(filled, "user:zoe", "--explain")
    assert out.startswith("denied\n")
    assert "no tuple document:readme#owner of user:zoe" in out
    assert "1. + document:readme#" in out
    assert "lets in this subject alone" in out
    assert "lets everyone in" in out


def test_a_condition_says_what_its_caveat_needs(filled: Program) -> None:
    out = check(filled, "user:bo", "--explain")
    assert "its caveat needs day" in out
    denied = check(filled, "user:bo", "--explain", "--context", '{"day":"friday"}')
    assert "its caveat says no, given day='friday'" in denied


def test_json_holds_the_proof(filled: Program) -> None:
    answer = json.loads(check(filled, "user:ann", "--explain", "--json"))
    assert answer["explanation"]["decision"] == "allowed"
    assert "explanation" not in json.loads(check(filled, "user:ann", "--json"))


def verify(program: Program, folder: Path, *options: str) -> tuple[int, str]:
    files: list[str] = []
    for option, file in FILES.items():
        files += [option, str(folder / file)]
    ended = program("verify", *files, *options)
    return ended.code, ended.out


@pytest.mark.parametrize("subject", ["user:ann", "user:zoe", "user:bo"])
def test_a_kept_proof_verifies_offline(filled: Program, tmp_path: Path, subject: str) -> None:
    check(filled, subject, "--proof", str(tmp_path / "proof.json"))
    offline = Program("http://127.0.0.1:1")
    assert verify(offline, tmp_path) == (0, "the proof is right\n")
    code, out = verify(offline, tmp_path, "--json")
    assert (code, json.loads(out)) == (0, {"ok": True, "problems": []})


def test_a_whole_answer_verifies_too(filled: Program, tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_text(check(filled, "user:ann", "--explain", "--json"))
    assert verify(filled, tmp_path)[0] == 0


def test_a_proof_of_other_tuples_does_not(filled: Program, tmp_path: Path) -> None:
    check(filled, "user:ann", "--proof", str(tmp_path / "proof.json"))
    (tmp_path / "tuples.txt").write_text("\n".join(TUPLES[:2]))
    code, out = verify(filled, tmp_path)
    assert code == 1
    assert "`group:ops#member@user:ann` is not stored" in out
    assert verify(filled, tmp_path, "--with", TUPLES[2])[0] == 0


def test_a_proof_under_another_context_does_not(filled: Program, tmp_path: Path) -> None:
    monday = ("--context", '{"day":"monday"}')
    check(filled, "user:bo", "--proof", str(tmp_path / "proof.json"), *monday)
    assert verify(filled, tmp_path)[0] == 0
    assert verify(filled, tmp_path, "--context", '{"day":"friday"}')[0] == 1


def test_what_is_no_proof_is_said(filled: Program, tmp_path: Path) -> None:
    for text, code in (("[", 2), ("[]", 1), ("{}", 1), ('{"version":1}', 1), ("[" * 10**5, 2)):
        (tmp_path / "proof.json").write_text(text)
        assert verify(filled, tmp_path)[0] == code, text[:20]


def drawn(path: Path) -> ET.Element:
    return ET.fromstring(path.read_text())  # noqa: S314 - our own picture


def test_pictures_show_goals_and_tuples(filled: Program, tmp_path: Path) -> None:
    svg, dot = tmp_path / "proof.svg", tmp_path / "proof.dot"
    check(filled, "user:ann", "--svg", str(svg), "--dot", str(dot))
    picture = drawn(svg)
    shown = {element.text for element in picture.iter() if element.text}
    assert {"document:readme#view", "group:ops#member"} <= shown
    assert any("group:ops#member@user:ann" in text for text in shown)
    assert dot.read_text().startswith("digraph proof {")
    assert dot.read_text().count("->") == len([e for e in picture.iter() if e.tag.endswith("line")])


def test_pictures_escape_what_a_store_holds(program: Program, tmp_path: Path) -> None:
    id_ = 'a"<&>\\'
    program.ok("write", f"document:{id_}#owner@user:ann")
    svg, dot = tmp_path / "proof.svg", tmp_path / "proof.dot"
    question = ("check", f"document:{id_}", "view", "user:ann")
    program.ok(*question, "--consistency", "fully_consistent", "--svg", str(svg), "--dot", str(dot))
    shown = {element.text for element in drawn(svg).iter()}
    assert f"document:{id_}#view" in shown
    assert 'label="document:a\\"<&>\\\\#view"' in dot.read_text()


def wide(count: int) -> dict[str, Any]:
    """A proof of a denial with this many tuples, each of a group with no member."""
    verdict = {"verdict": "denied"}
    facts = [
        {
            "tuple": {"object": "doc:d", "relation": "viewer", "subject": f"group:{n}#member"},
            "state": "holds",
            "then": f"group:{n}#member",
            **verdict,
        }
        for n in range(count)
    ]
    step = {"kind": "tuples", "relation": "viewer", "tuples": facts, **verdict}
    judgements = [{"goal": "doc:d#viewer", "step": step, **verdict}]
    for n in range(count):
        lacking = {"kind": "tuples", "relation": "member", "looked_for": ["user:a"], **verdict}
        judgements.append({"goal": f"group:{n}#member", "step": lacking, **verdict})
    return {
        "object": "doc:d",
        "relation": "viewer",
        "decision": "denied",
        "judgements": judgements,
    }


@pytest.mark.parametrize(("count", "more"), [(99, 0), (100, 1), (299, 598), (500, 1201)])
def test_a_picture_says_how_much_it_leaves_out(count: int, more: int) -> None:
    proof = wide(count)
    for picture in (as_dot(proof), as_svg(proof)):
        found = re.findall(r"… (\d+) more", picture)
        assert found == ([str(more)] if more else [])
    nodes = re.findall(r"^  n\d+ \[", as_dot(proof), re.MULTILINE)
    assert len(nodes) == min(3 * count + 1, MAX_NODES + 1)


def test_a_denial_shows_every_side_that_fails(filled: Program, tmp_path: Path) -> None:
    file = tmp_path / "proposed.zed"
    file.write_text(
        """definition user {}
definition doc {
  relation signed: user
  relation cleared: user
  permission enter = signed & cleared
}
"""
    )
    question = ("check", "doc:a", "enter", "user:zoe", "--explain", "--schema", str(file))
    out = filled(*question).out
    assert "no tuple doc:a#signed of user:zoe" in out
    assert "no tuple doc:a#cleared of user:zoe" in out
