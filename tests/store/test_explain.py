"""Every SQL statement is used, and is answered through the indexes that it names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import asyncpg
import pytest

from engine.store.postgres.pool import _PLANNING
from engine.store.postgres.sql import Statement, statements

# The settings under which writes run (`begin_write`) beside those of every connection.
_SETTINGS = {**_PLANNING, "enable_hashjoin": "off", "enable_mergejoin": "off"}
_PLANNED = {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}
# It has a row a migration, and no index would serve it.
_TINY = {"schema_migration"}

# Three stores, 100,000 tuples of 1,000 subjects; a tenth of the rows are closed, a few expire.
_FILL = """
INSERT INTO store SELECT gen_random_uuid(), 's' || n, now(), 100000, 0, 1, 0, now()
    FROM generate_series(1, 3) n;
INSERT INTO revision SELECT id, n, 1, 0, now(), false, '', ''
    FROM store, generate_series(1, 10000) n;
INSERT INTO schema_version SELECT id, n, '', 'zed', n FROM store, generate_series(1, 1000) n;
INSERT INTO idempotency SELECT id, n, '', '', 1, 1, 1, now(), now()
    FROM store, generate_series(1, 10000) n;
INSERT INTO document SELECT id, 'kind', n, '' FROM store, generate_series(1, 10000) n;
INSERT INTO relation_tuple
    SELECT id, 'doc', 'd' || n, 'viewer', CASE n % 3 WHEN 0 THEN 'group' ELSE 'user' END,
        'u' || n % 1000, CASE n % 3 WHEN 0 THEN 'member' ELSE '' END, '', '',
        CASE n % 50 WHEN 0 THEN now() END, n,
        CASE n % 10 WHEN 0 THEN n + 5 ELSE 9223372036854775807 END
    FROM store, generate_series(1, 33334) n;
ANALYZE;
"""


async def plan_of(connection: asyncpg.Connection, statement: Statement) -> dict[str, Any]:
    """The generic plan, the one that a connection keeps for its prepared statement."""
    await connection.execute(f"PREPARE stated AS {statement.text}")
    try:
        count = await connection.fetchval(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'stated'"
        )
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE stated{values}")
    finally:
        await connection.execute("DEALLOCATE stated")
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize("filled", [False, True], ids=["new table", "100,000 tuples"])
async def test_every_statement_uses_its_indexes(fresh_database: str, filled: bool) -> None:
    connection = await asyncpg.connect(fresh_database, server_settings=_SETTINGS)
    try:
        if filled:
            await connection.execute(_FILL)
            assert await connection.fetchval("SELECT count(*) FROM relation_tuple") > 100_000
        wrong = {}
        for statement in statements().values():
            if statement.text.split()[0] not in _PLANNED:
                continue
            found = list(nodes(await plan_of(connection, statement)))
            used = {node["Index Name"] for node in found if "Index Name" in node}
            used |= {name for node in found for name in node.get("Conflict Arbiter Indexes", [])}
            scanned = {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"}
            if used != set(statement.indexes) or scanned - _TINY:
                wrong[statement.name] = (used, scanned)
        assert wrong == {}
    finally:
        await connection.close()


async def plans_on_a_new_table(database: str) -> dict[str, list[dict[str, Any]]]:
    """The nodes of each statement's plan. A plan that is bad for many rows costs nothing there yet,
    and is kept; and a table is new to the planner until it is analysed, however full it is."""
    connection = await asyncpg.connect(database, server_settings=_SETTINGS)
    try:
        return {
            statement.name: list(nodes(await plan_of(connection, statement)))
            for statement in statements().values()
            if statement.text.split()[0] in _PLANNED
        }
    finally:
        await connection.close()


async def test_no_statement_walks_a_whole_store(fresh_database: str) -> None:
    walking = set()
    for name, plan in (await plans_on_a_new_table(fresh_database)).items():
        for node in plan:
            narrowed = set(re.findall(r"\((\w+) [=<>]", node.get("Index Cond", "")))
            if "store_id" in narrowed <= {"store_id", "deleted_revision"}:
                walking.add((name, node["Relation Name"]))
    # A page of the store; a precondition that names neither object type nor subject; closed
    # rows; the remains of a deleted store.
    assert walking == {
        ("read_store", "relation_tuple"),
        ("preconditions", "relation_tuple"),
        ("collect_tuples", "relation_tuple"),
        ("changes", "relation_tuple"),
        ("purge_tuples", "relation_tuple"),
        ("purge_revisions", "revision"),
        ("purge_schemas", "schema_version"),
        ("purge_keys", "idempotency"),
        ("purge_documents", "document"),
    }


async def test_no_page_is_picked_from_all_that_might_be_in_it(fresh_database: str) -> None:
    picking = {
        name
        for name, plan in (await plans_on_a_new_table(fresh_database)).items()
        if any(node["Node Type"] == "Sort" or "Bitmap" in node["Node Type"] for node in plan)
    }
    # What one object or subject had; all of one subject id; one page of revisions.
    assert picking == {
        "history_of_object",
        "history_of_subject",
        "read_subject_id",
        "revisions_after",
    }


async def test_no_statement_starts_processes(fresh_database: str) -> None:
    """For a page of a large store Postgres would, where it costs as little as is pretended here."""
    cheap = {
        "parallel_setup_cost": "0",
        "parallel_tuple_cost": "0",
        "min_parallel_index_scan_size": "0",
        "min_parallel_table_scan_size": "0",
    }
    connection = await asyncpg.connect(fresh_database, server_settings=cheap | _SETTINGS)
    try:
        await connection.execute(_FILL)
        parallel = {
            statement.name
            for statement in statements().values()
            if statement.text.split()[0] in _PLANNED
            for node in nodes(await plan_of(connection, statement))
            if "Gather" in node["Node Type"]
        }
        assert parallel == set()
    finally:
        await connection.close()


async def test_a_missing_index_is_noticed(fresh_database: str) -> None:
    connection = await asyncpg.connect(fresh_database, server_settings=_SETTINGS)
    try:
        await connection.execute("DROP INDEX relation_tuple_subject")
        found = list(nodes(await plan_of(connection, statements()["read_subject"])))
        assert "relation_tuple_subject" not in {node.get("Index Name") for node in found}
    finally:
        await connection.close()


def test_every_statement_is_used() -> None:
    package = resources.files("engine.store.postgres")
    texts = {
        node.value
        for file in package.iterdir()
        if file.name.endswith(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert statements().keys() - texts == set()


def test_every_statement_says_what_it_is_for() -> None:
    for statement in statements().values():
        assert len(statement.purpose) > 10, statement.name
        assert not statement.text.endswith(";")
        assert "--" not in statement.text.splitlines()[0]


def test_no_statement_is_put_together_from_values() -> None:
    """Statements are whole texts: no `%s`, no braces, only numbered parameters."""
    for statement in statements().values():
        assert "{" not in statement.text, statement.name
        assert "%" not in statement.text, statement.name
