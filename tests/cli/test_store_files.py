"""`validate` with store files of OpenFGA."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.conformance.data import ROOT, cases

STORES = ROOT / "openfga" / "sample-stores"
STORE = """name: small
model: |
  model
    schema 1.1
  type user
  type group
    relations
      define member: [user]
  type document
    relations
      define viewer: [user, user:*, group#member, user with before]
      define banned: [user]
      define can_view: viewer but not banned
  condition before(now: timestamp, end: timestamp) {
    now < end
  }
tuples:
  - user: user:anne
    relation: viewer
    object: document:1
tuple_file: more.yaml
tests:
  - name: whole
    tuples:
      - {user: user:anne, relation: banned, object: document:2}
      - user: user:bob
        relation: viewer
        object: document:1
        condition: {name: before, context: {end: 2030-01-01T00:00:00Z}}
    check:
      - user: user:anne
        object: document:1
        assertions: {viewer: true, can_view: true, banned: false}
      - users: [user:anne, user:carl]
        objects: [document:2]
        assertions:
          viewer: true
      - user: user:bob
        object: document:1
        context: {now: 2029-01-01T00:00:00Z}
        assertions: {viewer: true}
    list_objects:
      - user: user:anne
        type: document
        context: {now: 2031-01-01T00:00:00Z}
        assertions: {viewer: [document:2, document:1], can_view: [document:1]}
    list_users:
      - object: document:2
        user_filter: [{type: group, relation: member}]
        assertions: {viewer: {users: [group:x#member]}}
"""
MORE = """
- {user: "user:*", relation: viewer, object: document:2}
- {user: "group:x#member", relation: viewer, object: document:2}
"""
offline = Program("http://127.0.0.1:9")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "store.fga.yaml"
    path.write_text(STORE)
    (tmp_path / "more.yaml").write_text(MORE)
    return path


def test_a_store_file_is_run(file: Path) -> None:
    assert offline.ok("validate", str(file)).out == f"{file}: 9 of 9 assertions hold\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "can_view: true, banned",
            "can_view: false, banned",
            "33: whole: document:1#can_view@user:anne is true, expected false",
        ),
        (
            "can_view: [document:1]",
            "can_view: []",
            "46: whole: list of document by can_view of user:anne is [document:1], expected []",
        ),
        (
            "{users: [group:x#member]}",
            "{users: [group:y#member]}",
            (
                "50: whole: list of group#member by document:2#viewer is [group:x#member], "
                "expected [group:y#member]"
            ),
        ),
        (
            "context: {now: 2029-01-01T00:00:00Z}",
            "context: {}",
            "41: whole: document:1#viewer@user:bob is conditional, missing now, expected true",
        ),
        (
            "assertions: {viewer: true, can",
            "assertions: {editor: true, can",
            "33: whole: document:1#editor@user:anne could not be decided: ",
        ),
    ],
)
def test_what_comes_out_otherwise_is_told(file: Path, old: str, new: str, message: str) -> None:
    assert old in STORE
    file.write_text(STORE.replace(old, new))
    ended = offline("validate", str(file))
    assert ended.code == 1
    assert f"{file}:{message}" in ended.out
    assert "8 of 9 assertions hold" in ended.out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tests:", "test:", "unknown key `test` in the file"),
        ("name: small", "name: small\nname: small", "key `name` stands twice"),
        ("{viewer: true}", "{viewer: maybe}", "expected true or false for `viewer`"),
        ("model: |", "model_file: model.fga\nmodel: |", "either `model` or `model_file`"),
        ("user: user:bob", "user: user:bob#x", "has no relation or permission `x`"),
        ("users: [user:anne", "user: [user:anne", "expected text in `user`"),
        ("tuple_file: more.yaml", "tuple_file: none.yaml", "No such file"),
        ("now < end", "now < then", "store.fga.yaml:15:11: caveat `before`: undeclared"),
        ("schema 1.1", "schema 1.3", "store.fga.yaml:4:12: invalid schema 1.3"),
        ("viewer but not banned", "viewr but not banned", "store.fga.yaml:13:24: the relation"),
        (STORE, "", "the file is empty"),
    ],
)
def test_a_wrong_file_is_told(file: Path, old: str, new: str, message: str) -> None:
    assert old in STORE
    file.write_text(STORE.replace(old, new))
    ended = offline("validate", str(file))
    assert ended.code in {1, 2}
    assert message in ended.out + ended.error


def test_models_and_tuples_come_from_files_of_every_kind(file: Path, tmp_path: Path) -> None:
    model, rest = STORE.split("model: |\n")[1].split("tuples:\n", 1)
    (tmp_path / "model.fga").write_text("\n".join(line[2:] for line in model.splitlines()) + "\n")
    rows = [
        {"user": "user:*", "relation": "viewer", "object": "document:2"},
        {"user": "group:x#member", "relation": "viewer", "object": "document:2"},
    ]
    (tmp_path / "more.json").write_text(json.dumps(rows[:1]))
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "more.csv").write_text(
        "user_type,user_id,user_relation,relation,object_type,object_id,condition_name\n"
        "user,*,,viewer,document,2,\ngroup,x,member,viewer,document,2,\n"
    )
    for names in ("[more.json, more.jsonl]", "[more.csv]"):
        text = f"model_file: model.fga\ntuples:\n{rest}"
        file.write_text(text.replace("tuple_file: more.yaml", f"tuple_files: {names}"))
        assert offline.ok("validate", str(file)).out == f"{file}: 9 of 9 assertions hold\n"


def test_models_are_checked_as_schemas(tmp_path: Path) -> None:
    (tmp_path / "model.fga").write_text("model\n  schema 1.1\ntype user\n")
    assert offline.ok("validate", str(tmp_path / "model.fga")).code == 0
    (tmp_path / "model.fga").write_text("model\n  schema 1.1\ntype\n")
    assert offline("validate", str(tmp_path / "model.fga")).code == 1


@pytest.mark.parametrize(
    "store", cases(lambda: sorted(STORES.rglob("*.fga.yaml")), lambda path: str(path.parent.name))
)
def test_the_sample_stores_hold(store: Path) -> None:
    told = offline.ok("validate", str(store), "--json").json
    assert told["files"][0]["failures"] == []
    assert told["files"][0]["assertions"] > 0
