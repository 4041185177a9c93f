"""`import openfga`: from one real server that speaks OpenFGA's API into another."""

from __future__ import annotations

import contextlib
import json
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from schema.fga.encode import encode_model
from schema.fga.language import parse_model
from tests.cli.program import Program, Proxy

Json = dict[str, Any]
OLDER = """model
  schema 1.1
type user
type team
  relations
    define member: [user]
type folder
  relations
    define viewer: [user, team#member]
"""
MODEL = """model
  schema 1.1
type user
type team
  relations
    define member: [user]
type document
  relations
    define owner: [user]
    define viewer: [user, user:*, team#member, user with in_zone]
    define view: viewer or owner
condition in_zone(zone: string, wanted: string) {
  zone == wanted
}
"""


_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For addresses without TLS: reading the usual certificates takes a while each time."""


class Source:
    """A store on a server, spoken to by OpenFGA's API alone."""

    def __init__(self, url: str, store: str = "") -> None:
        self.url = url
        self.store = store

    def call(self, method: str, path: str, body: Json | None = None, **query: str) -> Json:
        with httpx.Client(base_url=self.url, timeout=20, verify=_NO_CERTIFICATES) as http:
            response = http.request(method, path, json=body, params=query)
        assert response.is_success, response.text
        told: Json = response.json() if response.content else {}
        return told

    def create(self, name: str) -> None:
        self.store = self.call("POST", "/stores", {"name": name})["id"]

    def write_model(self, dsl: str) -> str:
        path = f"/stores/{self.store}/authorization-models"
        made: str = self.call("POST", path, encode_model(parse_model(dsl)))[
            "authorization_model_id"
        ]
        return made

    def models(self) -> list[Json]:
        path = f"/stores/{self.store}/authorization-models"
        found: list[Json] = self.call("GET", path)["authorization_models"]
        return found

    def write(self, *tuples: Json) -> None:
        for begin in range(0, len(tuples), 100):
            keys = list(tuples[begin : begin + 100])
            self.call("POST", f"/stores/{self.store}/write", {"writes": {"tuple_keys": keys}})

    def delete(self, *tuples: Json) -> None:
        body = {"deletes": {"tuple_keys": list(tuples)}}
        self.call("POST", f"/stores/{self.store}/write", body)

    def tuples(self) -> set[str]:
        found: set[str] = set()
        token = ""
        while True:
            asked = {"page_size": 100, "continuation_token": token}
            page = self.call("POST", f"/stores/{self.store}/read", asked)
            found |= {json.dumps(item["key"], sort_keys=True) for item in page["tuples"]}
            token = page["continuation_token"]
            if not token:
                return found


def key(user: str, relation: str, object_: str, **condition: Any) -> Json:
    made: Json = {"user": user, "relation": relation, "object": object_}
    return made | ({"condition": condition} if condition else {})


def many(count: int, begin: int = 0) -> list[Json]:
    numbers = range(begin, begin + count)
    return [key(f"user:u{n % 37}", "viewer", f"document:d{n}") for n in numbers]


@pytest.fixture
def source(other_url: str) -> Source:
    """A store with two models, and tuples that only the older one allows."""
    made = Source(other_url)
    made.create("drive")
    made.write_model(OLDER)
    made.write(
        key("user:ann", "viewer", "folder:f"),
        key("team:eng#member", "viewer", "folder:g"),
        key("user:ann", "member", "team:eng"),
    )
    made.write_model(MODEL)
    made.write(
        key("user:*", "viewer", "document:public"),
        key("team:eng#member", "viewer", "document:plan"),
        key("user:bob", "viewer", "document:plan", name="in_zone", context={"wanted": "EAT"}),
        *many(240),
    )
    return made


def there(program: Program, source: Source) -> Source:
    return Source(program.url, source.store)


def ran(program: Program, source: Source, directory: Path, *more: str) -> Any:
    arguments = ["--store", source.store, "--state", str(directory / "state"), *more]
    return program("import", "openfga", source.url, *arguments)


def test_a_store_with_everything_keeps_its_ids(
    server_url: str, source: Source, tmp_path: Path
) -> None:
    program = Program(server_url)
    newest = source.models()[0]["id"]
    assertion = {"tuple_key": key("user:ann", "view", "document:plan"), "expectation": True}
    path = f"/stores/{source.store}/assertions/{newest}"
    source.call("PUT", path, {"assertions": [assertion]})
    told = ran(program, source, tmp_path, "--json").json
    (store,) = told["stores"]
    assert (store["id"], store["name"], store["models"]) == (source.store, "drive", 2)
    assert (store["tuples"], store["left_out"]) == (246, 0)
    assert told["checks"] == 200
    assert told["differences"] == []
    target = there(program, source)
    assert target.models() == source.models()
    assert target.tuples() == source.tuples()
    kept = f"/stores/{source.store}/assertions/{newest}"
    assert target.call("GET", kept) == source.call("GET", kept)
    assert target.call("GET", f"/stores/{source.store}")["name"] == "drive"
    assert not (tmp_path / "state").exists()


def test_importing_again_changes_nothing(server_url: str, source: Source, tmp_path: Path) -> None:
    program = Program(server_url)
    ran(program, source, tmp_path)
    before = there(program, source).call("GET", f"/stores/{source.store}/changes")
    again = ran(program, source, tmp_path)
    assert (again.code, "200 checks compared, 0 differ" in again.out) == (0, True)
    assert there(program, source).call("GET", f"/stores/{source.store}/changes") == before
    assert there(program, source).tuples() == source.tuples()


def test_all_stores_are_copied_unless_one_is_named(
    other_url: str, source: Source, fresh_url: str, tmp_path: Path
) -> None:
    empty = Source(other_url)
    empty.create("without a model")
    program = Program(fresh_url)
    ended = program("import", "openfga", other_url, "--state", str(tmp_path / "s"), "--checks", "8")
    assert ended.code == 0, ended
    assert f"drive ({source.store}): 2 models, 246 tuples" in ended.out
    target = Source(fresh_url)
    listed = {item["id"] for item in target.call("GET", "/stores", page_size="100")["stores"]}
    assert {source.store, empty.store} <= listed


def test_what_changes_meanwhile_is_followed(
    server_url: str, source: Source, tmp_path: Path
) -> None:
    """Tuples are written, deleted and changed while others are read."""
    stop = threading.Event()

    def disturb() -> None:
        writer, number = Source(source.url, source.store), 0
        while not stop.is_set() and number < 400:
            writer.write(key(f"user:new{number}", "viewer", "document:new"))
            if number % 2:
                writer.delete(key(f"user:new{number - 1}", "viewer", "document:new"))
            number += 1

    source.write(*many(600, 1000))
    writer = threading.Thread(target=disturb)
    writer.start()
    try:
        ended = ran(Program(server_url), source, tmp_path, "--checks", "20")
    finally:
        stop.set()
        writer.join()
    assert ended.code in {0, 1}, ended  # the last writes may come between two checks
    again = ran(Program(server_url), source, tmp_path)
    assert again.code == 0, again
    assert there(Program(server_url), source).tuples() == source.tuples()


def test_following_goes_on_until_it_is_interrupted(
    server_url: str, source: Source, tmp_path: Path
) -> None:
    program = Program(server_url)
    url = source.url
    state = str(tmp_path / "state")
    arguments = ["import", "openfga", url, "--store", source.store, "--state", state, "--follow"]
    target = there(program, source)
    with program.started(*arguments) as process:
        assert process.stdout is not None
        assert b"drive" in process.stdout.readline()
        source.write(key("user:late", "owner", "document:plan"))
        source.delete(key("user:*", "viewer", "document:public"))
        newest = source.write_model(MODEL.replace("viewer or owner", "viewer"))
        until = time.monotonic() + 60
        while target.tuples() != source.tuples() or target.models()[0]["id"] != newest:
            assert time.monotonic() < until
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not Path(state).exists()


def test_an_import_that_was_stopped_goes_on(
    server_url: str, source: Source, tmp_path: Path
) -> None:
    source.write(*many(2000, 5000))
    program = Program(server_url)
    url, state = source.url, tmp_path / "state"
    arguments = ["import", "openfga", url, "--store", source.store, "--state", str(state)]
    with program.started(*arguments, "--json") as process:
        until = time.monotonic() + 60
        while not state.exists():
            assert time.monotonic() < until
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"it ended with {process.wait(0.005)}")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    progress = json.loads(state.read_text())["progress"][source.store]
    assert 0 < progress["tuples"] < 2246
    assert "--resume would go on" in ran(program, source, tmp_path, "--checks", "0").error
    assert there(program, source).tuples() == source.tuples()
    state.write_text(
        json.dumps(
            {"source": url.rstrip("/"), "server": server_url, "progress": {source.store: progress}}
        )
    )
    resumed = ran(program, source, tmp_path, "--resume", "--json")
    assert resumed.code == 0, resumed
    assert resumed.json["stores"][0]["tuples"] == 2246
    assert there(program, source).tuples() == source.tuples()


def test_a_connection_that_breaks_is_tried_again(
    server_url: str, source: Source, tmp_path: Path
) -> None:
    with Proxy(server_url) as proxy:
        proxy.cut_after = 3000
        ended = ran(Program(proxy.url), source, tmp_path, "--checks", "4")
        assert ended.code == 0, ended
        assert proxy.cut_after is None
    assert there(Program(server_url), source).tuples() == source.tuples()


def test_differences_are_told(server_url: str, source: Source, tmp_path: Path) -> None:
    program = Program(server_url)
    ran(program, source, tmp_path)
    target = there(program, source)
    target.write(*[key(f"user:u{n}", "owner", "document:public") for n in range(37)])
    target.delete(key("user:*", "viewer", "document:public"))
    target.delete(*many(100))
    target.write_model(MODEL.replace("define view: viewer or owner", "define view: owner"))
    ended = ran(program, source, tmp_path, "--json")
    assert target.tuples() > source.tuples()  # the deleted ones are there again
    assert ended.code == 1
    error = json.loads(ended.error)["error"]
    assert error["code"] == "checks_differ"
    assert error["differences"][0]["source"] != error["differences"][0]["stonetown"]


def test_what_stops_an_import(
    server_url: str, keyed_url: str, source: Source, tmp_path: Path
) -> None:
    program = Program(server_url)
    state = ["--state", str(tmp_path / "state")]
    for address, code, said in [
        ("http://127.0.0.1:1", 5, "does not answer"),
        ("ftp://x", 2, "is not the address"),
        ("nonsense", 2, "is not the address"),
        (server_url, 2, "is the server to copy to"),
        (keyed_url, 4, "missing bearer token"),
    ]:
        ended = program("import", "openfga", address, *state)
        assert (ended.code, said in ended.error) == (code, True), ended
    unknown = program("import", "openfga", source.url, *state, "--store", "default")
    assert (unknown.code, "has no store with the id" in unknown.error) == (4, True)


def test_a_source_with_keys(keyed_url: str, fresh_url: str, tmp_path: Path) -> None:
    program = Program(fresh_url)
    arguments = ["import", "openfga", keyed_url, "--state", str(tmp_path / "state")]
    assert program(*arguments, OPENFGA_TOKEN="boss-secret").code == 0  # noqa: S106
    assert program(*arguments, "--source-token", "wrong").code == 4


def test_a_file_needs_no_name(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "tuples.txt"
    file.write_text("document:a#owner@user:ann\n")
    for arguments in (["import", str(file)], ["import", "file", str(file)]):
        assert "1 tuples imported" in program.ok(*arguments).out
    assert "openfga" in program.ok("import", "--help").out
