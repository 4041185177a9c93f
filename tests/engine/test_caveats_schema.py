"""What a caveat may not be, and where the problem is shown."""

from __future__ import annotations

import pytest

from schema.errors import Problem, SchemaTypeError
from tests.engine.caveat_schemas import caveat_set


def problems_of(*texts: str) -> tuple[Problem, ...]:
    with pytest.raises(SchemaTypeError) as caught:
        caveat_set(*texts)
    return caught.value.problems


def test_every_problem_of_every_caveat_is_named_at_once() -> None:
    found = problems_of(
        "caveat one(a int) { a == 'x' || b }",
        "caveat two(a int) { a }",
        "caveat fine(a int) { a == 1 }",
    )
    assert [problem.code for problem in found] == [
        "caveat_invalid",
        "caveat_invalid",
        "caveat_not_boolean",
    ]
    assert "caveat `one`" in found[0].message
    assert "caveat `two`" in found[2].message


@pytest.mark.parametrize(
    ("text", "line", "column", "shown"),
    [
        ("caveat c(a int) { a + }", 1, 23, "}"),
        ("caveat c(a int) { b == 1 }", 1, 19, "b"),
        ("caveat c(a int) {\n  a == 1 &&\n  'x' == a\n}", 3, 7, "=="),
        ("caveat c(a string) { a == 'é𝒳' && 1 }", 1, 32, "&&"),
        ("\n\n  caveat c(a int) { a.b == 1 }", 3, 22, "."),
        ("caveat c(a ipaddress) { a.text == 'x' }", 1, 26, "."),
    ],
)
def test_a_problem_stands_where_cel_found_it(text: str, line: int, column: int, shown: str) -> None:
    (problem, *_) = problems_of(text)
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (line, column)
    assert text[problem.span.start :].startswith(shown)
    assert text.splitlines()[line - 1][column - 1 :].startswith(shown)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("(a int, b int) { a == 1 }", "caveat_unused_parameter"),
        ("(a int, b int) { a == 1 && 'b' != '' // b\n }", "caveat_unused_parameter"),
        ("(a int, b list<int>) { b.all(a, a == 1) }", "caveat_unused_parameter"),
        ("(a map<int>, b int) { a.b == 1 }", "caveat_unused_parameter"),
        ("(a int) { a + 1 }", "caveat_not_boolean"),
        ("(a any) { a }", "caveat_not_boolean"),
        ("(a ipaddress) { a == '10.1.2.3' }", "caveat_invalid"),
        ("(a string) { a.in_cidr('10.0.0.0/8') }", "caveat_invalid"),
        ("(a ipaddress) { a == stonetown.IPAddress{text: 'x'} }", "caveat_invalid"),
        ("(type string) { type == 'x' }", "caveat_invalid"),
        ("(a int) { " + "(" * 400 + "a" + ")" * 400 + " == 1 }", "caveat_invalid"),
        ("(a int) { a" + " + 1" * 400 + " == 1 }", "caveat_invalid"),
        ("(a string) { a == '" + "x" * 100_000 + "' }", "caveat_too_long"),
    ],
)
def test_what_a_caveat_may_not_be(text: str, code: str) -> None:
    assert code in [problem.code for problem in problems_of(text)]


def test_a_schema_without_caveats_compiles() -> None:
    assert caveat_set().bind({}) is not None
