"""No caveat hangs a check: it is refused with its schema, or with a context that it cannot bear.

What was measured to take seconds in cel-cpp stands here: lists built in loops, lists compared in
loops, regular expressions compiled in loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.caveats.evaluate import MAX_CAVEATS
from engine.caveats.regex import regex_weight
from engine.errors import CaveatFailed, InvalidContext
from schema.errors import SchemaTypeError
from tests.engine.caveat_schemas import caveat_set

LARGE = 25_000

Context = dict[str, Any]


def numbers(size: int) -> list[int]:
    """A list whose JSON takes about `size` bytes."""
    return list(range(size // 6))


REFUSED_WITH_THE_SCHEMA = [
    "(s string) { s.matches('(\\\\pL{30}){30}') }",
    "(l list<int>) { [l, l]" + ".map(x, x + x)" * 6 + ".size() > 0 }",
    "(s string) { [s]" + ".map(x, x + x)" * 10 + "[0].size() > 0 }",
    "(l list<int>) { l.all(a, l.all(b, l.all(c, l.all(d, l.all(e, true))))) }",
    "(p string, s string) { s.matches(p + p) }",
    "(l list<string>, s string) { l.map(x, x + '|' + x).exists(p, s.matches(p)) }",
]


@pytest.mark.parametrize("text", REFUSED_WITH_THE_SCHEMA)
def test_an_expression_that_no_context_can_save_is_refused_with_the_schema(text: str) -> None:
    with pytest.raises(SchemaTypeError) as caught:
        caveat_set(text)
    assert {problem.code for problem in caught.value.problems} <= {
        "caveat_too_costly",
        "caveat_invalid",
    }


TOO_LARGE: list[tuple[str, Callable[[int], Context]]] = [
    ("(l list<int>) { l.map(x, x + 1).size() > 0 }", lambda n: {"l": numbers(n)}),
    ("(l list<int>) { l.filter(x, x > 0).size() > 0 }", lambda n: {"l": numbers(n)}),
    ("(l list<int>) { l.all(x, (l + l).size() > 0) }", lambda n: {"l": numbers(n)}),
    ("(l list<int>) { l.all(x, x in l) }", lambda n: {"l": numbers(n)}),
    ("(l list<int>) { l.all(x, l.exists(y, y == x)) }", lambda n: {"l": numbers(n)}),
    ("(l list<int>) { l.all(x, l == l) }", lambda n: {"l": numbers(n)}),
    ("(d any) { d.all(x, x in d) }", lambda n: {"d": [[i] for i in range(n // 8)]}),
    (
        "(l list<int>, s string) { l.all(x, !s.matches('[0-9]{9}x')) }",
        lambda n: {"l": numbers(n // 2), "s": "1" * (n // 2)},
    ),
    ("(p string, s string) { s.matches(p) }", lambda n: {"p": "(.*)" * (n // 4), "s": "x"}),
    ("(p string, s string) { s.matches(p) }", lambda n: {"p": "\\pL{1000}", "s": "x" * n}),
    (
        "(m map<string>, s string) { m.exists(k, s.matches(m[k])) }",
        lambda n: {"m": {"a": "(\\pL{30}){30}"}, "s": "x" * n},
    ),
    ("(l list<int>) { l.map(x, x + 1).size() > 0 }", lambda n: {"l": [1] * (n // 8)}),
    (  # one element holds both the long list and the long text
        "(d any) { d.all(x, x.l.all(y, (x.s + x.s + x.s + x.s).size() > 0)) }",
        lambda n: {
            "d": [{"l": [1] * (n // 8), "s": "x" * (n // 2)}] + [{"l": [], "s": ""}] * (n // 100)
        },
    ),
    (
        "(m map<any>, n map<any>) { m.all(k, m.isSubtreeOf(n)) }",
        lambda n: {"m": {str(i): i for i in range(n // 24)}, "n": {}},
    ),
]


@pytest.mark.parametrize(("text", "make"), TOO_LARGE)
def test_a_context_that_an_expression_cannot_bear_is_an_error(
    text: str, make: Callable[[int], Context]
) -> None:
    caveats = caveat_set(text)
    assert caveats.normalize_context("c", {}, "context") == ""
    with pytest.raises(CaveatFailed, match=r"too long|budget"):
        caveats.bind(make(LARGE)).evaluate("c", "")


def test_a_stored_context_that_an_expression_cannot_bear_is_refused_at_the_write() -> None:
    caveats = caveat_set("(l list<int>) { l.map(x, x + 1).size() > 0 }")
    with pytest.raises(InvalidContext, match="too long"):
        caveats.normalize_context("c", {"l": numbers(LARGE)}, "context")


BEARABLE: list[tuple[str, Context]] = [
    ("(l list<string>, s string) { s in l }", {"l": ["s"] * 6000, "s": "s"}),
    ("(l list<int>) { l.all(x, x >= 0 && x < 10000000) }", {"l": numbers(LARGE)}),
    (
        "(l list<string>, i ipaddress) { l.exists(c, i.in_cidr(c)) }",
        {"l": [f"10.{n}.0.0/16" for n in range(250)], "i": "10.249.1.1"},
    ),
    ("(l list<string>) { l.all(x, x.matches('^[a-z]+@corp$')) }", {"l": ["ann@corp"] * 900}),
    ("(p string, s string) { s.matches(p) }", {"p": "^[0-9]{3}-[0-9]{4}$", "s": "555-1234"}),
    (
        "(s string) { s.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$') }",
        {"s": "0123abcd-0123-0123-0123456789ab"},
    ),
    (
        "(a list<string>, b list<string>) { a.all(x, x in b) }",
        {"a": [f"role{i}" for i in range(500)], "b": [f"role{i}" for i in range(500)]},
    ),
]


@pytest.mark.parametrize(("text", "context"), BEARABLE)
def test_ordinary_caveats_bear_large_contexts(text: str, context: Context) -> None:
    assert caveat_set(text).bind(context).evaluate("c", "") is True


@pytest.mark.parametrize(
    ("light", "heavy"),
    [
        ("a", "ab"),
        ("a{10}", "a{100}"),
        ("a{10}b{10}", "(a{10}b){10}"),
        ("(a{10}){10}", "((a{10}){10}){10}"),
        ("[a-z]", "[^a-z]"),
        ("[a-z]", "\\pL"),
        ("a", "(?i)a"),
        ("\\pL", "\\pL{5}"),
        ("(a", "(a{2,9}"),
        ("a)", "a{7,})"),
    ],
)
def test_a_pattern_weighs_as_much_as_its_program(light: str, heavy: str) -> None:
    assert 0 < regex_weight(light) < regex_weight(heavy)


def test_repeats_side_by_side_add_up_and_nested_ones_multiply() -> None:
    assert regex_weight("a{100}" * 10) == 1000
    assert regex_weight("(a{100}){10}") >= 1000


def test_a_schema_has_as_many_caveats_as_memory_bears() -> None:
    texts = [f"caveat c{number}(x int) {{ x > {number} }}" for number in range(MAX_CAVEATS + 1)]
    caveat_set(*texts[:-1])
    with pytest.raises(SchemaTypeError) as caught:
        caveat_set(*texts)
    assert [problem.code for problem in caught.value.problems] == ["too_many_caveats"]
    assert str(MAX_CAVEATS) in caught.value.problems[0].message
