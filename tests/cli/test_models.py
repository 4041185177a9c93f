"""`schema check|fmt|diff|convert` with models of OpenFGA."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import SCHEMA, Program

MODEL = """model
  schema 1.1

type user

type document
  relations
    define editor: [user]
    define viewer: [user with near] or editor

condition near(x: int) {
  x < 5
}
"""
ZED = """caveat near(x int) {
    x < 5
}

definition user {}

definition document {
    relation editor: user
    relation viewer_direct: user with near
    permission viewer = viewer_direct + editor
}
"""
MODULES = {
    "fga.mod": "schema: '1.2'\ncontents:\n  - core.fga\n  - more/wiki.fga\n",
    "core.fga": "module core\n\ntype user\n\ntype space\n  relations\n    define member: [user]\n",
    "more/wiki.fga": (
        "module wiki\n\nextend type space\n  relations\n    define reader: [user] or member\n"
    ),
}
offline = Program("http://127.0.0.1:9")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.fga"
    path.write_text(MODEL)
    return path


def modules(folder: Path, **changes: str) -> Path:
    """The manifest of modules written to a folder."""
    (folder / "more").mkdir()
    for name, text in (MODULES | changes).items():
        (folder / name).write_text(text)
    return folder / "fga.mod"


def test_check_tells_the_problems_of_a_model_by_place(file: Path) -> None:
    told = offline.ok("schema", "check", str(file))
    assert told.out == f"{file}: 2 object types, 1 caveats, no problems\n"
    file.write_text(MODEL.replace("or editor", "or editr"))
    ended = offline("schema", "check", str(file))
    assert ended.code == 1
    assert f"{file}:9:40: the relation `editr` does not exist." in ended.out
    file.write_text(MODEL.replace("define editor:", "define editor"))
    ended = offline("schema", "check", str(file))
    assert (ended.code, f"{file}:8:19: missing ':'" in ended.out) == (1, True)
    file.write_text(MODEL.replace("x < 5", "y < 5"))
    ended = offline("schema", "check", str(file))
    assert (ended.code, f"{file}:12:3: caveat `near`: undeclared" in ended.out) == (1, True)


def test_check_warns_of_what_only_the_server_of_openfga_takes(file: Path) -> None:
    file.write_text(MODEL.replace(" with near", ""))
    ended = offline.ok("schema", "check", str(file))
    assert f"{file}:11:11: warning: `near` condition is not used in the model." in ended.out
    assert offline("schema", "check", str(file), "--fail-on-warn").code == 1


def test_check_reads_json_and_modules(file: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(
        offline.ok("schema", "convert", str(file), "--to", "json").out
    )
    manifest = modules(tmp_path)
    ended = offline.ok("schema", "check", str(tmp_path / "model.json"), str(manifest))
    assert ended.out.count("no problems") == 2
    (tmp_path / "model.json").write_text('{"schema_version": "0.9"}')
    ended = offline("schema", "check", str(tmp_path / "model.json"))
    assert (ended.code, "invalid schema" in ended.out) == (1, True)


def test_a_model_may_come_from_standard_input() -> None:
    assert offline.ok("schema", "check", "-", input_=f"# mine\n{MODEL}").out.startswith("-: 2 obj")
    assert offline.ok("schema", "convert", "-", input_=MODEL).out == ZED
    assert offline.ok("schema", "convert", "-", input_=ZED).out.startswith("model\n")


def test_problems_of_modules_name_their_file(tmp_path: Path) -> None:
    wrong = MODULES["more/wiki.fga"].replace("or member", "or membr")
    manifest = modules(tmp_path, **{"more/wiki.fga": wrong})
    ended = offline("schema", "check", str(manifest))
    assert ended.code == 1
    assert f"{tmp_path / 'more/wiki.fga'}:5:30: the relation `membr` does not exist." in ended.out
    (tmp_path / "fga.mod").write_text("schema: '1.2'\ncontents: ../core.fga\n")
    ended = offline("schema", "check", str(manifest))
    assert (ended.code, f"{manifest}:2:11: unexpected contents type" in ended.out) == (1, True)


def test_fmt_lays_a_model_out_and_keeps_its_hands_off_comments(file: Path) -> None:
    file.write_text(MODEL.replace("\n\ntype", "\ntype").replace("editor: [", "editor:   [ "))
    assert offline("schema", "fmt", "--check", str(file)).code == 1
    assert offline.ok("schema", "fmt", str(file)).out == MODEL
    file.write_text(f"# mine\n{MODEL}")
    ended = offline("schema", "fmt", "--write", str(file))
    assert (ended.code, "comments, which would be lost" in ended.error) == (2, True)
    assert file.read_text() == f"# mine\n{MODEL}"


def test_diff_compares_a_model_with_any_schema(file: Path, tmp_path: Path) -> None:
    (tmp_path / "schema.zed").write_text("definition user {}\n")
    ended = offline.ok("schema", "diff", str(tmp_path / "schema.zed"), str(file))
    assert "object type `document` added" in ended.out


def test_a_model_becomes_zed_and_comes_back(file: Path, tmp_path: Path) -> None:
    ended = offline.ok("schema", "convert", str(file))
    assert ended.out == ZED
    assert (
        "changed: document#viewer: its tuples are those of `document#viewer_direct`" in ended.error
    )
    told = offline.ok("schema", "convert", str(file), "--json").json
    assert told["moves"] == [
        {"object_type": "document", "relation": "viewer", "to": "viewer_direct"}
    ]
    assert offline("schema", "convert", str(file), "--fail-on-warn").code == 1
    (tmp_path / "schema.zed").write_text(ZED)
    back = offline.ok("schema", "convert", str(tmp_path / "schema.zed"))
    assert "define viewer: viewer_direct or editor" in back.out


def test_the_forms_of_a_model_say_the_same(file: Path, tmp_path: Path) -> None:
    ended = offline.ok("schema", "convert", str(file), "--to", "json")
    assert json.loads(ended.out)["conditions"]["near"]["expression"] == "x < 5"
    (tmp_path / "model.json").write_text(ended.out)
    assert offline.ok("schema", "convert", str(tmp_path / "model.json"), "--to", "fga").out == MODEL
    ended = offline.ok("schema", "convert", str(modules(tmp_path)), "--to", "fga")
    assert "define reader: [user] or member" in ended.out
    assert "lost: which module and file a part comes from" in ended.error


def test_what_cannot_be_said_is_refused(file: Path, tmp_path: Path) -> None:
    zed = tmp_path / "schema.zed"
    zed.write_text(SCHEMA)
    ended = offline("schema", "convert", str(zed))
    assert ended.code == 1
    assert "document#viewer: tuples of OpenFGA do not expire" in ended.error
    file.write_text(MODEL.replace("viewer", "Viewer"))
    ended = offline("schema", "convert", str(file))
    assert (ended.code, "`Viewer` cannot be a name" in ended.error) == (1, True)
    zed.write_text("caveat c(x any) { x == 1 }\ndefinition user { relation r: user with c }\n")
    ended = offline("schema", "convert", str(zed))
    assert (ended.code, "--to json" in ended.error) == (1, True)
    assert "TYPE_NAME_ANY" in offline.ok("schema", "convert", str(zed), "--to", "json").out
    zed.write_text("caveat c(x uint) { x < 5 }\ndefinition user { relation r: user with c }\n")
    assert "define r: [user with c]" in offline.ok("schema", "convert", str(zed)).out
    file.write_text(MODEL.replace("x: int", "x: uint").replace("x < 5", "x < 5u"))
    ended = offline("schema", "convert", str(file))
    assert (ended.code, "does not compile" in ended.error) == (1, True)


def test_other_commands_point_to_convert(file: Path) -> None:
    ended = offline("schema", "write", str(file))
    assert (ended.code, "stonetown schema convert" in ended.error) == (2, True)
