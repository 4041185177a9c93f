"""The table of errors covers every error there is, and the documents show it as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from api.errors import (
    NARROWER_CODES,
    TABLE,
    UNKNOWN_OUTCOME,
    MethodNotAllowed,
    Unauthorized,
    describe,
    render_problem,
)
from engine.errors import (
    BudgetExceeded,
    EngineError,
    InvalidRequest,
    OutcomeUnknown,
    SchemaRefused,
    Unavailable,
)
from schema.errors import Problem
from schema.source import Span

ROOT = Path(__file__).resolve().parents[2]


def leaves(root: type[EngineError]) -> Iterator[type[EngineError]]:
    below = root.__subclasses__()
    for kind in below:
        yield from leaves(kind)
    if not below:
        yield root


def code_of(kind: type[EngineError]) -> str:
    return "invalid_request" if kind is InvalidRequest else kind.code


def test_every_leaf_has_a_row_and_no_row_is_left_over() -> None:
    assert set(leaves(EngineError)) == set(TABLE)


@pytest.mark.parametrize("kind", TABLE)
def test_a_row_agrees_with_its_error(kind: type[EngineError]) -> None:
    row = TABLE[kind]
    assert row.status == kind.status
    assert re.fullmatch(r"[a-z_]+", code_of(kind))
    assert row.title[0].isupper()
    assert not row.title.endswith(".")
    assert (kind.retry_after is not None) == (
        row.status in {429, 503} and code_of(kind) != "internal"
    )


def test_server_errors_with_an_outcome_are_only_those_of_writes() -> None:
    assert {kind for kind, row in TABLE.items() if row.status in {500, 504}} == UNKNOWN_OUTCOME
    told = describe(OutcomeUnknown("the connection was lost"))
    assert told["outcome"] == "unknown"


def test_every_narrower_code_of_the_sources_is_listed() -> None:
    found: set[str] = set()
    for package in ("engine", "api"):
        for path in (ROOT / package).rglob("*.py"):
            if {"cli", "servers", "openfga"} & set(path.parts):  # which have their own words
                continue
            found |= set(re.findall(r'\bcode="([a-z_]+)"', path.read_text()))
            found |= set(re.findall(r'problems\.add\(\s*"([a-z_]+)"', path.read_text()))
    assert found - {"invalid_request", "limit_exceeded"} == set(NARROWER_CODES)


def test_the_documents_table_every_code() -> None:
    page = (ROOT / "docs" / "http-api.md").read_text()
    shown = re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \| (.+) \|$", page, re.MULTILINE)
    expected = {(str(row.status), code_of(kind), row.title) for kind, row in TABLE.items()}
    expected |= {("400", code, TABLE[InvalidRequest].title) for code in NARROWER_CODES}
    titles = {(status, code) for status, code, _ in shown}
    assert titles == {(status, code) for status, code, _ in expected}
    assert len(shown) == len(titles)
    for status, code, meaning in expected:
        if code not in NARROWER_CODES:
            assert any(item == (status, code, meaning) for item in shown), (status, code, meaning)


def test_a_problem_is_told_in_full() -> None:
    error = BudgetExceeded("too many reads", field="object", expected="less", budget="reads")
    problem = render_problem(error, "id-1")
    assert (problem.status, dict(problem.headers)) == (
        422,
        {b"content-type": b"application/problem+json"},
    )
    assert msgspec.json.decode(problem.body) == {
        "type": "urn:stonetown:error:budget_exceeded",
        "title": TABLE[BudgetExceeded].title,
        "status": 422,
        "code": "budget_exceeded",
        "detail": "too many reads",
        "field": "object",
        "expected": "less",
        "budget": "reads",
        "request_id": "id-1",
    }


def test_extras_that_are_not_for_the_wire_stay_inside() -> None:
    told = describe(Unavailable("away", dsn="postgres://secret"))
    assert "secret" not in str(told)


def test_headers_go_with_their_errors() -> None:
    unauthorized = dict(render_problem(Unauthorized("no valid key"), "x").headers)
    assert unauthorized[b"www-authenticate"].startswith(b"Bearer")
    away = dict(render_problem(Unavailable("away"), "x").headers)
    assert away[b"retry-after"] == b"1"
    method = dict(render_problem(MethodNotAllowed("no", allow=["GET", "PUT"]), "x").headers)
    assert method[b"allow"] == b"GET, PUT"


def test_schema_problems_have_line_column_caret_and_suggestion() -> None:
    text = "definition doc {\n  relation v: usr\n}"
    span = Span(31, 34, 2, 15)
    problem = Problem("unknown_type", "there is no object type `usr`", span, "user")
    told = describe(SchemaRefused("1 problem", problems=(problem,), text=text))
    (listed,) = told["errors"]
    assert (listed["line"], listed["column"], listed["suggestion"]) == (2, 15, "user")
    assert listed["caret"] == "  relation v: usr\n              ^^^"
