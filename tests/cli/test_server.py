"""Servers that are away, slow, strange or locked, and the commands about stores and keys."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from api.auth import Right, parse_keys
from tests.cli.program import Program, Proxy

CHECK = ("check", "document:a", "view", "user:x")


def test_no_server_says_how_to_start_one() -> None:
    program = Program("http://127.0.0.1:9")
    ended = program(*CHECK)
    assert (ended.code, ended.out) == (5, "")
    assert "no server answers at http://127.0.0.1:9" in ended.error
    assert "make serve" in ended.error
    assert json.loads(program(*CHECK, "--json").error)["error"]["code"] == "no_server"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", ""])
def test_an_address_must_be_one(url: str) -> None:
    ended = Program("unused")("--url", url or "//", *CHECK)
    assert (ended.code, "is not a server's address" in ended.error) == (2, True)


def test_a_slow_server_is_given_up(program: Program) -> None:
    with Proxy(program.url) as proxy:
        proxy.hold_after = 1
        there = Program(proxy.url, program.store)
        ended = there(*CHECK, "--timeout", "0.3")
        assert (ended.code, "gave no answer in 0.3 s" in ended.error) == (5, True)
        ended = there("write", "document:a#owner@user:x", "--timeout", "2", "--json")
    error = json.loads(ended.error)["error"]
    assert (ended.code, error["code"]) == (5, "timeout")
    assert f"--idempotency-key {error['idempotency_key']}" in error["hint"]
    again = ("write", "document:a#owner@user:x", "--json")
    key = ("--idempotency-key", error["idempotency_key"])
    # It was done though its answer was lost: asked again under its key, it tells what it did.
    assert program.ok(*again, *key).json["results"] == ["created"]
    assert program.ok(*again).json["results"] == ["unchanged"]


class Strange(BaseHTTPRequestHandler):
    """Another program on the port."""

    def do_POST(self) -> None:
        wrong = self.path.startswith("/v1/stores/broken")
        self.send_response(502 if wrong else 200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing."""


@pytest.fixture
def strange_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_another_program_on_the_port_is_told_apart(strange_url: str) -> None:
    ended = Program(strange_url)(*CHECK)
    assert (ended.code, "not a Stonetown server" in ended.error) == (5, True)
    ended = Program(strange_url, "broken")(*CHECK)
    assert (ended.code, "answered 502" in ended.error) == (5, True)


def token(secret: str) -> dict[str, str]:
    return {"STONETOWN_TOKEN": secret}


def test_keys_are_asked_for_and_obeyed(keyed_url: str) -> None:
    program = Program(keyed_url)
    ended = program("store", "list")
    assert (ended.code, "STONETOWN_TOKEN" in ended.error) == (4, True)
    ended = program("store", "list", **token("read-secret"))
    assert (ended.code, "stonetown key new" in ended.error) == (4, True)
    program.ok("store", "list", **token("boss-secret"))
    ended = program("--token", "boss-secret", "store", "list", **token("wrong"))
    assert ended.code == 0
    ended = program("store", "list", **token("no\ntoken"))
    assert (ended.code, "no key has" in ended.error, "no\ntoken" in ended.error) == (2, True, False)


def test_a_new_key_is_taken_by_the_server() -> None:
    program = Program("unused")
    made = program.ok("key", "new", "app", "--store", "acme", "--right", "check", "--json").json
    principal = parse_keys(made["entry"]).find(made["secret"].encode())
    assert principal is not None
    assert (principal.name, principal.stores) == ("app", frozenset({"acme"}))
    assert principal.rights == {Right.CHECK}
    shown = program.ok("key", "new", "app").out.splitlines()
    assert [line.split()[0] for line in shown] == ["secret", "entry"]
    assert program("key", "new", "a b").code == 2
    assert program("key", "new", "app", "--right", "fly").code == 2


def test_stores_are_made_listed_and_deleted(bare: Program) -> None:
    assert bare.store in [
        item["name"] for item in bare.ok("store", "list", "--json").json["stores"]
    ]
    assert any(
        line.startswith(f"{bare.store} ") for line in bare.ok("store", "list").out.split("\n")
    )
    made = httpx.post(f"{bare.url}/stores", json={"name": "Our docs"})
    assert made.status_code == 201
    listed = bare.ok("store", "list").out
    assert ("TITLE" in listed.split("\n")[0], "Our docs" in listed) == (True, True)
    again = bare("store", "create", bare.store)
    assert (again.code, "exists already" in again.error) == (4, True)
    assert bare("store", "create", "Bad Name").code == 2
    refused = bare("store", "delete", bare.store, input_="something else\n")
    assert (refused.code, "nothing was deleted" in refused.error) == (2, True)
    assert bare("store", "delete", bare.store, "--json").code == 2
    assert bare.ok("store", "delete", bare.store, input_=f"{bare.store}\n").out
    assert bare("store", "delete", bare.store, "--yes").code == 4


def test_a_server_without_a_schema_says_how_to_write_one(bare: Program) -> None:
    ended = bare(*CHECK)
    assert (ended.code, "stonetown schema write FILE" in ended.error) == (4, True)


def test_watch_prints_every_change_once(program: Program) -> None:
    start = program.ok("write", "document:a#owner@user:x", "--json").json["zookie"]
    program.ok("write", "document:b#owner@user:x", "group:g#member@user:x")
    program.ok("delete", "document:a")
    events = program.ok("watch", "--after", start, "--limit", "2", "--json").out.splitlines()
    assert [len(json.loads(event)["updates"]) for event in events] == [2, 1]
    shown = program.ok("watch", "--after", start, "--limit", "2").out.splitlines()
    assert shown == [
        "touch   document:b#owner@user:x",
        "touch   group:g#member@user:x",
        "delete  document:a#owner@user:x",
    ]
    only = program.ok("watch", "--after", start, "--limit", "1", "--type", "group")
    assert only.out == "touch   group:g#member@user:x\n"
    assert program("watch", "--after", "").code == 2
    assert program("watch", "--after", "forged").code == 2
    lost = Program("http://127.0.0.1:9")("watch")
    assert lost.code == 5


def test_watch_goes_on_after_a_lost_connection(program: Program) -> None:
    start = program.ok("write", "document:a#owner@user:x", "--json").json["zookie"]
    for number in range(20):
        program.ok("write", f"document:b{number}#owner@user:x")
    with Proxy(program.url) as proxy:
        proxy.cut_after = 1500
        ended = program.ok("watch", "--after", start, "--limit", "20", "--url", proxy.url)
        assert proxy.connections == 2
    assert ended.out.splitlines() == [
        f"touch   document:b{number}#owner@user:x" for number in range(20)
    ]


def test_watch_ends_at_ctrl_c(program: Program) -> None:
    start = program.ok("write", "document:a#owner@user:x", "--json").json["zookie"]
    program.ok("write", "document:b#owner@user:x")
    with program.started("watch", "--after", start, "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["updates"]
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, b"")


@pytest.mark.parametrize("no_color", [False, True])
def test_colours_are_for_terminals_that_want_them(program: Program, no_color: bool) -> None:
    controller, terminal = pty.openpty()
    program.environment |= {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    with program.started(*CHECK, stdout=terminal, stderr=subprocess.DEVNULL) as process:
        assert process.wait(timeout=30) == 1
        os.close(terminal)
        shown = os.read(controller, 1000)
    os.close(controller)
    assert b"denied" in shown
    assert (b"\x1b[31m" in shown) is not no_color


def test_control_characters_never_reach_a_terminal(bare: Program) -> None:
    schema = "definition user {} // \x1b]0;title\x07\n"
    bare.ok("schema", "write", "-", input_=schema)
    controller, terminal = pty.openpty()
    with bare.started("schema", "read", stdout=terminal, stderr=subprocess.DEVNULL) as process:
        assert process.wait(timeout=30) == 0
        os.close(terminal)
        shown = os.read(controller, 1000)
    os.close(controller)
    assert b"definition user" in shown
    assert b"\x1b" not in shown
    assert bare.ok("schema", "read").out == schema
