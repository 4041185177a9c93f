"""`migrate` and `gc` on a real Postgres, and the small commands."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from engine.engine import Engine
from engine.requests import WriteRequest
from engine.store.postgres.storage import PostgresStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import parse_tuple
from tests.cli.program import SCHEMA, Program

program = Program("http://127.0.0.1:9")


async def run(*arguments: str, url: str) -> tuple[int, str, str]:
    """Run the program beside this test's loop: it has a loop of its own."""
    ended = await asyncio.to_thread(program, *arguments, DATABASE_URL=url)
    return ended.code, ended.out, ended.error


async def test_migrate_applies_what_is_pending_once(empty_database: str) -> None:
    code, out, _ = await run("migrate", "--check", "--json", url=empty_database)
    assert (code, len(json.loads(out)["pending"]) > 0) == (1, True)
    code, out, _ = await run("migrate", url=empty_database)
    assert (code, out.startswith("applied 0001_")) == (0, True)
    assert await run("migrate", url=empty_database) == (0, "the tables are up to date\n", "")
    assert (await run("migrate", "--check", url=empty_database))[0] == 0


async def test_gc_gives_up_what_the_window_lets_go(fresh_database: str) -> None:
    storage = await PostgresStorage.connect(fresh_database)
    written = datetime.now(UTC) - timedelta(hours=2)
    engine = Engine(storage, clock=lambda: written)
    try:
        for name in ("default", "other"):
            await engine.create_store(name)
            await engine.write_schema(name, SCHEMA)
            item = parse_tuple("document:a#owner@user:x")
            for op in (UpdateOp.TOUCH, UpdateOp.DELETE):
                await engine.write(name, WriteRequest([Update(op, item)]))
        then = written + timedelta(hours=1)
        item = parse_tuple("document:b#viewer@user:x")._replace(expires_at=then)
        await engine.write("other", WriteRequest([Update(UpdateOp.TOUCH, item)]))
    finally:
        await engine.close()
    code, out, _ = await run("gc", "--window", "off", "--json", url=fresh_database)
    assert (code, json.loads(out)) == (0, {"removed": 1, "store": None})
    code, out, _ = await run("gc", "--window", "0s", "--store", "default", url=fresh_database)
    assert (code, out.endswith(" rows removed from store default\n"), out[0] != "0") == (
        0,
        True,
        True,
    )
    again = await run("gc", "--window", "0s", "--store", "default", "--json", url=fresh_database)
    assert json.loads(again[1]) == {"removed": 0, "store": "default"}
    code, out, _ = await run("gc", "--window", "0s", "--json", url=fresh_database)
    assert json.loads(out)["removed"] > 0
    code, _, error = await run("gc", "--store", "nope", url=fresh_database)
    assert (code, "nope" in error) == (2, True)


@pytest.mark.parametrize("call", ["migrate", "gc"])
def test_databases_that_cannot_be_used(call: str) -> None:
    ended = program(call)
    assert (ended.code, "DATABASE_URL is not set" in ended.error) == (2, True)
    away = program(call, DATABASE_URL="postgresql://u:secret@127.0.0.1:9/d")
    assert (away.code, "DATABASE_URL right" in away.error) == (5, True)
    assert "secret" not in away.error
    for url in ("mysql://u:secret@127.0.0.1:9/d", "postgresql://u:secret@127.0.0.1:port/d"):
        wrong = program(call, DATABASE_URL=url)
        assert (wrong.code in {2, 5}, "DATABASE_URL" in wrong.error) == (True, True)
        assert "secret" not in wrong.error


def test_gc_refuses_a_window_that_is_none() -> None:
    ended = program("gc", "--window", "soon", DATABASE_URL="postgresql://127.0.0.1:9/d")
    assert (ended.code, "--window: expected a duration" in ended.error) == (2, True)


def test_version() -> None:
    assert program.ok("version").out.startswith("stonetown ")
    assert program.ok("version", "--json").json["version"]


def test_usage_errors_end_with_two() -> None:
    for arguments in (["chek"], ["check"], ["read", "--limit", "0"], ["write", "--op", "drop"]):
        ended = program(*arguments)
        assert (ended.code, ended.out, bool(ended.error)) == (2, "", True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell: str) -> None:
    asked = {
        "bash": {"COMP_WORDS": "stonetown ch", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "stonetown ch"},
        "fish": {"_TYPER_COMPLETE_ARGS": "stonetown ch", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    assert "check" in program.ok(_STONETOWN_COMPLETE=f"complete_{shell}", **asked).out
    assert "_STONETOWN_COMPLETE" in program.ok(_STONETOWN_COMPLETE=f"source_{shell}").out
