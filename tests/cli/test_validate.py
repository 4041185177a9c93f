"""`validate`, and the reading of validation files."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.validation_file import ValidationFileError, parse_validation_file
from tests.cli.program import ROOT, Program

CONFORMANCE = ROOT.parent / "shared" / "conformance" / "spicedb"
SCHEMA_BLOCK = """schema: |
  definition user {}

  caveat on_day(day string, wanted string) {
    day == wanted
  }

  definition document {
    relation viewer: user | user with on_day
    relation banned: user
    permission view = viewer - banned
  }
"""
GOOD = (
    SCHEMA_BLOCK
    + """relationships: |
  // readers
  document:readme#viewer@user:ann

  document:readme#viewer@user:bo[on_day:{"wanted":"monday"}]
assertions:
  assertTrue:
    - "document:readme#view@user:ann"
    - 'document:readme#view@user:bo with {"day": "monday"}'
  assertCaveated:
    - "document:readme#view@user:bo"
  assertFalse:
    - "document:readme#view@user:cy"
    - 'document:readme#view@user:bo with {"day": "friday"}'
"""
)
offline = Program("http://127.0.0.1:9")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "drive.yaml"
    path.write_text(GOOD)
    return path


def line_of(path: Path, text: str) -> int:
    return next(
        number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line
    )


def test_assertions_that_hold(file: Path) -> None:
    assert offline.ok("validate", str(file)).out == f"{file}: 5 of 5 assertions hold\n"
    told = offline.ok("validate", str(file), "--json").json
    assert told["ok"] is True
    assert told["files"][0]["assertions"] == 5


def test_each_assertion_that_fails_is_placed(file: Path) -> None:
    swapped = GOOD.replace("assertTrue", "x").replace("assertFalse", "assertTrue")
    file.write_text(swapped.replace("  x:", "  assertFalse:"))
    ended = offline("validate", str(file))
    assert ended.code == 1
    out = ended.out.splitlines()
    ann = "document:readme#view@user:ann"
    assert out[0] == f"{file}:{line_of(file, ann)}: assertFalse: {ann} is allowed"
    assert len(out) == 5
    assert out[-1] == f"{file}: 1 of 5 assertions hold"
    told = offline("validate", str(file), "--json").json
    assert told["ok"] is False
    failure = told["files"][0]["failures"][0]
    assert (failure["line"], failure["kind"], failure["decision"]) == (
        line_of(file, ann),
        "assertFalse",
        "allowed",
    )


def test_a_conditional_answer_names_what_is_missing(file: Path) -> None:
    file.write_text(GOOD.replace("assertCaveated", "assertFalse", 1).replace(
        'assertFalse:\n    - "document:readme#view@user:cy"\n', 'assertTrue_:\n'))  # fmt: skip
    assert "unknown key `assertTrue_`" in offline("validate", str(file)).out
    file.write_text(GOOD.replace(' with {"day": "monday"}\'', "'"))
    ended = offline("validate", str(file))
    assert "is conditional, missing day" in ended.out


def test_a_check_that_cannot_be_decided_is_a_failure(file: Path) -> None:
    file.write_text(GOOD.replace("document:readme#view@user:cy", "document:readme#edit@user:cy"))
    ended = offline("validate", str(file))
    assert (ended.code, "could not be decided: " in ended.out) == (1, True)


EXPECTED = """validation:
  document:readme#view:
    - "[user:ann] is <document:readme#viewer>"
    - "[user:bo[...]] is <document:readme#viewer>"
"""


def test_relations_that_are_as_expected(file: Path) -> None:
    file.write_text(GOOD + EXPECTED)
    ended = offline.ok("validate", str(file))
    assert ended.out == f"{file}: 5 of 5 assertions hold, 1 of 1 relations are as expected\n"
    told = offline.ok("validate", str(file), "--json").json["files"][0]
    assert (told["relations"], told["differences"]) == (1, [])


def test_differences_are_told_like_a_diff(file: Path) -> None:
    lines = [
        '    - "[user:ann[...]] is <document:readme#viewer>/<document:readme#banned>"',
        '    - "[user:* - {user:cy, user:di[...]}] is <document:readme#viewer>"',
    ]
    file.write_text(f"{GOOD}validation:\n  document:readme#view:\n" + "\n".join(lines) + "\n")
    ended = offline("validate", str(file))
    key = line_of(file, "document:readme#view:")
    assert (ended.code, ended.out.splitlines()) == (
        1,
        [
            f"{file}:{key}: document:readme#view is not as expected",
            "  - [user:ann[...]] is <document:readme#banned>/<document:readme#viewer>",
            "  + [user:ann] is <document:readme#viewer>",
            "  - [user:* - {user:cy, user:di[...]}] is <document:readme#viewer>",
            "  + [user:bo[...]] is <document:readme#viewer>",
            f"{file}: 5 of 5 assertions hold, 0 of 1 relations are as expected",
        ],
    )
    told = offline("validate", str(file), "--json").json
    assert told["ok"] is False
    assert [item["line"] for item in told["files"][0]["differences"]] == [key + 1, key + 2, key]
    assert told["files"][0]["differences"][2] == {
        "line": key,
        "relation": "document:readme#view",
        "expected": None,
        "found": "[user:bo[...]] is <document:readme#viewer>",
    }


def test_a_wildcard_is_found_with_its_exceptions(tmp_path: Path) -> None:
    path = tmp_path / "wild.yaml"
    path.write_text(
        """schema: |
  definition user {}
  caveat c(x int) { x == 1 }
  definition doc {
    relation viewer: user | user:*
    relation banned: user | user with c
    permission view = viewer - banned
  }
relationships: |
  doc:a#viewer@user:*
  doc:a#viewer@user:ann
  doc:a#banned@user:cy
  doc:a#banned@user:di[c]
validation:
  doc:a#view:
    - "[user:*  -  {user:di[...],user:cy}] is <doc:a#viewer>"
    - "[user:ann#...] is <doc:a#viewer>"
"""
    )
    offline.ok("validate", str(path))


def test_a_relation_that_cannot_be_found_is_a_difference(file: Path) -> None:
    file.write_text(f"{GOOD}validation:\n  document:readme#edit: []\n")
    ended = offline("validate", str(file))
    assert ended.code == 1
    assert "  ! " in ended.out
    told = offline("validate", str(file), "--json").json["files"][0]
    assert told["differences"][0]["error"]["code"] == "unknown_relation"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("document:readme: []", "names no relation of an object"),
        ("document:readme#view: {}", "expected `document:readme#view` to be a list"),
        ("document:readme#view: [[user:ann]]", "expected text in `validation`, found a list"),
        ("document:readme#view: ['[user:ann]']", "does not say who is found by what"),
        ("document:readme#view: ['[user] is <a:b#c>']", "is not a subject"),
        ("document:readme#view: ['[user:a] is <a:b>']", "names no relation of an object"),
        ("document:readme#view: ['[user:a - {user:b}] is <a:b#c>']", "of a wildcard only"),
        ("document:readme#view: ['[user:a] is <a:b#c>', '[user:a] is <a:b#d>']", "stands twice"),
    ],
)
def test_what_is_wrong_with_a_block_is_placed(file: Path, block: str, words: str) -> None:
    file.write_text(f"{GOOD}validation:\n  {block}\n")
    ended = offline("validate", str(file))
    assert ended.code == 1
    line = line_of(file, block)
    assert any(
        said.startswith(f"{file}:{line}:") and words in said for said in ended.out.split("\n")
    )
    assert f"{file}: not run" in ended.out


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("viewer: user |", "viewer: usr |", "relation viewer", "usr"),
        ("day == wanted", "day == 1", "day == 1", ""),
        ("@user:ann\n", "@usr:ann\n", "@usr:ann", "usr"),
        ("#viewer@user:ann\n", "#view@user:ann\n", "#view@user:ann\n", "permission"),
        ("document:readme#viewer@user:ann\n", "nonsense\n", "nonsense", "not a relation tuple"),
        ('{"day": "monday"}', '{"day" "monday"}', '{"day" "monday"}', "not valid JSON"),
        ('"document:readme#view@user:cy"', '"nonsense"', "nonsense", "not a relation tuple"),
        ("assertTrue", "assertTru", "assertTru:", "did you mean `assertTrue`?"),
        ("relationships", "relationship", "relationship:", "did you mean `relationships`?"),
        ("assertCaveated:", "assertTrue:", None, "key `assertTrue` stands twice"),
        ("assertions:", "assertions: [", None, "not YAML"),
    ],
)
def test_whatever_is_wrong_is_placed(
    file: Path, old: str, new: str, place: str | None, words: str
) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    ended = offline("validate", str(file))
    assert ended.code == 1
    assert words in ended.out
    assert f"{file}: not run\n" in ended.out
    if place is not None:
        assert f"{file}:{line_of(file, place.strip())}:" in ended.out
    told = offline("validate", str(file), "--json")
    assert (told.code, bool(told.json["files"][0]["problems"])) == (1, True)


def test_a_relationship_twice_is_refused(file: Path) -> None:
    again = "  document:readme#viewer@user:ann\n"
    file.write_text(GOOD.replace(again, again + "\n" + again, 1))
    ended = offline("validate", str(file))
    assert (ended.code, "stands twice, first on line" in ended.out) == (1, True)


def test_the_schema_may_be_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "user.zed").write_text("definition user {}\n")
    (tmp_path / "schema.zed").write_text(
        'use import\nimport "user.zed"\ndefinition team {\n  relation member: user\n}\n'
    )
    path = tmp_path / "tests" / "team.yaml"
    path.write_text(
        "schemaFile: ../schema.zed\nrelationships: team:a#member@user:x\n"
        'assertions: {assertTrue: ["team:a#member@user:x"]}\n'
    )
    assert offline.ok("validate", str(path)).out == f"{path}: 1 of 1 assertions hold\n"
    assert offline.ok("validate", str(tmp_path / "schema.zed")).code == 0
    (tmp_path / "user.zed").unlink()
    assert offline("validate", str(path)).code == 1
    (tmp_path / "schema.zed").unlink()
    assert f"{path}:1:13: `../schema.zed` cannot be read" in offline("validate", str(path)).out
    path.write_text("relationships: team:a#member@user:x\n")
    assert "either `schema` or `schemaFile`" in offline("validate", str(path)).out


def test_several_files_are_summed_up(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(GOOD.replace("assertCaveated", "assertFalse", 1).replace(
        "assertFalse:\n    - \"document:readme#view@user:cy\"", "x:\n    - a"))  # fmt: skip
    ended = offline("validate", str(file), str(other))
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == "2 files, 5 assertions, 1 files with failures"
    missing = offline("validate", str(tmp_path / "none.yaml"))
    assert (missing.code, "No such file" in missing.error) == (2, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n",
        "a: &x [*x]\n",
        "schema: x\n---\nschema: y\n",
        "schema: [\n",
        "schema: 1\n",
        "schema: {a: b}\n",
        "schema: x\nrelationships: [a]\n",
        "schema: x\nassertions: [a]\n",
        "schema: x\nassertions: {assertTrue: a}\n",
        "schema: x\nassertions: {assertTrue: [{a: b}]}\n",
        "schema: x\nassertions: {assertTrue: ['']}\n",
        "schema: x\n? {a: b}\n: c\n",
        "schema: !!python/object/apply:os.getcwd []\n",
        "[" * 5000,
        "\x00",
    ],
)
def test_what_is_no_validation_file_is_refused(text: str) -> None:
    with pytest.raises(ValidationFileError) as caught:
        parse_validation_file(text, Path("f.yaml"))
    assert str(caught.value).startswith("f.yaml:")


def test_folded_relationships_keep_their_lines() -> None:
    told = parse_validation_file(
        "schema: x\nrelationships: >-\n  a:1#b@c:1\n\n  // no\n\n  a:1#b@c:2\n", Path("f.yaml")
    )
    assert [(item.text, item.line) for item in told.relationships] == [
        ("a:1#b@c:1", 3),
        ("a:1#b@c:2", 7),
    ]


def test_published_files_hold() -> None:
    if not CONFORMANCE.is_dir():
        pytest.skip("../shared/conformance is not here")
    files = sorted(map(str, CONFORMANCE.rglob("*.yaml")))
    assert len(files) > 40
    told = offline.ok("validate", *files, "--json").json
    assert sum(item["assertions"] for item in told["files"]) > 280
