"""`schema check|fmt|diff|write|read`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import SCHEMA, Program

BROKEN = """definition user {}

definition document {
  relation viewer: usr
  permission view = viewr
}

caveat late(hour int) {
  hour > "noon"
}
"""
WARNED = """definition user {}

definition document {
  relation a: user
  relation b: user
  relation c: user
  permission view = a + b & c
}
"""
offline = Program("http://127.0.0.1:9")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "schema.zed"
    path.write_text(SCHEMA)
    return path


def test_check_tells_every_problem_with_its_place(file: Path) -> None:
    assert offline.ok("schema", "check", str(file)).out.startswith(f"{file}: 3 object types")
    file.write_text(BROKEN)
    ended = offline("schema", "check", str(file))
    assert ended.code == 1
    assert f"{file}:4:20: " in ended.out
    assert "  relation viewer: usr\n                   ^^^" in ended.out
    assert "did you mean `user`?" in ended.out
    assert f"{file}:5:21: " in ended.out
    told = offline("schema", "check", str(file), "--json")
    assert told.code == 1
    problems = told.json["files"][0]["problems"]
    assert [(item["line"], item["column"]) for item in problems] == [(4, 20), (5, 21)]
    assert problems[0]["suggestion"] == "user"


def test_check_compiles_caveats(file: Path) -> None:
    file.write_text('definition user {}\n\ncaveat late(hour int) {\n  hour > "noon"\n}\n')
    ended = offline("schema", "check", str(file))
    assert (ended.code, f"{file}:4:" in ended.out) == (1, True)


def test_warnings_fail_only_where_asked_to(file: Path) -> None:
    file.write_text(WARNED)
    ended = offline.ok("schema", "check", str(file))
    assert f"{file}:7:" in ended.out
    assert "warning: " in ended.out
    assert offline("schema", "check", str(file), "--fail-on-warn").code == 1
    told = offline("schema", "check", str(file), "--fail-on-warn", "--json")
    assert (told.code, told.json["ok"]) == (1, False)
    assert told.json["files"][0]["warnings"][0]["code"] == "mixed-operators"


def test_check_reads_several_files_and_standard_input(file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.zed").write_text(BROKEN)
    ended = offline("schema", "check", str(file), str(tmp_path / "broken.zed"))
    assert (ended.code, "no problems" in ended.out) == (1, True)
    assert offline("schema", "check", "-", input_=SCHEMA).code == 0
    missing = offline("schema", "check", str(tmp_path / "none.zed"))
    assert (missing.code, "No such file" in missing.error) == (2, True)
    (tmp_path / "latin.zed").write_bytes(b"// \xe9\n")
    assert "not UTF-8" in offline("schema", "check", str(tmp_path / "latin.zed")).error


def test_fmt_prints_checks_and_writes(file: Path) -> None:
    untidy = "definition user { }\n// who may\ndefinition d { relation a:user }\n"
    tidy = offline.ok("schema", "fmt", "-", input_=untidy).out
    assert tidy.splitlines() == [
        "definition user {}",
        "",
        "// who may",
        "definition d {",
        "    relation a: user",
        "}",
    ]
    file.write_text(untidy)
    assert offline.ok("schema", "fmt", str(file)).out == tidy
    ended = offline("schema", "fmt", str(file), "--check")
    assert (ended.code, ended.out) == (1, f"would format {file}\n")
    assert file.read_text() == untidy
    assert offline.ok("schema", "fmt", str(file), "--write", "--json").json == {
        "changed": [str(file)]
    }
    assert file.read_text() == tidy
    assert offline.ok("schema", "fmt", str(file), "--check").out == ""
    assert offline("schema", "fmt", str(file), "--check", "--write").code == 2
    file.write_text("definition {")
    broken = offline("schema", "fmt", str(file), "--write")
    assert (broken.code, f"{file}:1:" in broken.error) == (2, True)
    assert file.read_text() == "definition {"


def test_diff_tells_meaning(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "new.zed"
    other.write_text(SCHEMA.replace("viewer + owner", "viewer"))
    assert offline.ok("schema", "diff", str(file), str(file)).out == "no differences\n"
    ended = offline("schema", "diff", str(file), str(other), "--exit-code")
    assert (ended.code, ended.out) == (1, "expression of `document#view` changed\n")
    told = offline.ok("schema", "diff", str(file), str(other), "--json").json
    assert [change["kind"] for change in told["changes"]] == ["permission_expr_changed"]


def test_write_read_and_diff_with_the_server(bare: Program, file: Path) -> None:
    written = bare.ok("schema", "write", str(file), "--json").json
    assert written["version"] == 1
    assert bare.ok("schema", "read").out == SCHEMA
    assert bare.ok("schema", "read", "--json").json["schema"] == SCHEMA
    file.write_text(SCHEMA.replace("permission view = viewer + owner", "permission view = owner"))
    assert "`document#view` changed" in bare.ok("schema", "diff", "server", str(file)).out
    shown = bare.ok("schema", "write", str(file)).out
    assert shown == "changed: expression of `document#view` changed\nversion 2\n"


def test_a_dry_run_names_what_forbids_it(program: Program, file: Path) -> None:
    program.ok("write", "document:a#owner@user:x")
    file.write_text(SCHEMA.replace("  relation owner: user\n", "").replace(" + owner", ""))
    ended = program("schema", "write", str(file), "--dry-run")
    assert (ended.code, "forbidden by document:a#owner@user:x" in ended.out) == (1, True)
    told = program("schema", "write", str(file), "--dry-run", "--json")
    assert (told.code, len(told.json["blocked_by"])) == (1, 1)
    refused = program("schema", "write", str(file))
    assert (refused.code, "document:a#owner@user:x" in refused.error) == (4, True)
    assert program.ok("schema", "read").out == SCHEMA


def test_imports_are_put_in_their_place(bare: Program, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "user.zed").write_text("definition user {}\n")
    main = tmp_path / "main.zed"
    main.write_text(
        'use import\nimport "parts/user.zed"\n\ndefinition team {\n  relation member: user\n}\n'
    )
    offline.ok("schema", "check", str(main))
    bare.ok("schema", "write", str(main))
    assert "import" not in bare.ok("schema", "read").out
    bare.ok("write", "team:a#member@user:x")
    (tmp_path / "parts" / "user.zed").write_text("definition {}\n")
    ended = bare("schema", "write", str(main))
    assert ended.code == 2
    assert f"{tmp_path / 'parts' / 'user.zed'}:1:12: " in ended.error


def test_a_broken_schema_is_not_sent(file: Path) -> None:
    file.write_text(BROKEN)
    ended = offline("schema", "write", str(file))
    assert (ended.code, f"{file}:4:20: " in ended.error) == (2, True)
