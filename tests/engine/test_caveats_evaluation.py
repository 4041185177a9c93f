"""What a caveat decides: true, false, missing names, or an error."""

from __future__ import annotations

from typing import Any

import pytest

from engine.caveats import Bound
from engine.errors import CaveatFailed, InvalidContext, UnknownCaveat
from tests.engine.caveat_schemas import caveat_set

Missing = frozenset


def decide(
    caveat: str, stored: dict[str, Any] | None = None, request: dict[str, Any] | None = None
) -> bool | frozenset[str]:
    caveats = caveat_set(caveat)
    text = caveats.normalize_context("c", stored or {}, "context")
    return caveats.bind(request or {}).evaluate("c", text)


AND = "(a bool, b bool) { a && b }"
OR = "(a bool, b bool) { a || b }"
LIMIT = "(limit int, current int) { current < limit }"
IP = "(ip ipaddress, cidr string) { ip.in_cidr(cidr) }"

TABLE: list[tuple[str, dict[str, Any], dict[str, Any], bool | frozenset[str]]] = [
    (LIMIT, {"limit": 10}, {"current": 9}, True),
    (LIMIT, {"limit": 10}, {"current": 10}, False),
    (LIMIT, {"limit": 10}, {}, Missing({"current"})),
    (LIMIT, {}, {"limit": 3}, Missing({"current"})),
    (LIMIT, {}, {}, Missing({"current", "limit"})),
    (LIMIT, {}, {"current": 1, "limit": 2}, True),
    # a value stored with the tuple wins over the request's, key by key
    (LIMIT, {"limit": 10}, {"current": 50, "limit": 100}, False),
    # names that the caveat does not know are ignored in a request
    (LIMIT, {"limit": 10}, {"current": 1, "other": [1]}, True),
    # Kleene's logic, in both orders
    (AND, {}, {"a": False}, False),
    (AND, {}, {"b": False}, False),
    (AND, {}, {"a": True}, Missing({"b"})),
    (AND, {}, {"b": True}, Missing({"a"})),
    (AND, {}, {"a": True, "b": True}, True),
    (OR, {}, {"a": True}, True),
    (OR, {}, {"b": True}, True),
    (OR, {}, {"a": False}, Missing({"b"})),
    (OR, {}, {"b": False}, Missing({"a"})),
    (OR, {}, {}, Missing({"a", "b"})),
    ("(a bool) { !a }", {}, {}, Missing({"a"})),
    ("(a bool) { !a }", {}, {"a": False}, True),
    ("(a bool, b bool) { a ? b : true }", {}, {"a": False}, True),
    ("(a bool, b bool) { a ? b : true }", {}, {"a": True}, Missing({"b"})),
    ("(a bool, b bool) { a ? b : true }", {}, {"b": True}, Missing({"a"})),
    # C08: a value that looks like a second key is one value
    ("(a string, b string) { a == 'x' && b == 'y' }", {}, {"a": "x", "b": "y"}, True),
    ("(a string, b string) { a == 'x' && b == 'y' }", {}, {"a": "x,'b:'y"}, False),
    ("(a string, b string) { a == 'x' && b == 'y' }", {}, {"a": "y", "b": "\b" * 6 + "x"}, False),
    # lists and macros
    ("(l list<int>) { l.all(i, i >= 42) }", {}, {"l": [42, "43", 44.0]}, True),
    ("(l list<int>) { l.all(i, i >= 42) }", {}, {"l": [1]}, False),
    ("(l list<int>) { l.all(i, i >= 42) }", {}, {"l": []}, True),
    ("(l list<int>) { l.all(i, i >= 42) }", {}, {}, Missing({"l"})),
    ("(l list<string>, s string) { s in l }", {"l": ["a"]}, {"s": "a"}, True),
    ("(l list<string>, s string) { s in l }", {"l": ["a"]}, {}, Missing({"s"})),
    ("(l list<int>, n int) { l.exists(i, i == n) }", {"l": [1]}, {}, Missing({"n"})),
    ("(l list<int>, n int) { l.exists(i, i == n) }", {"l": []}, {}, False),
    ("(l list<int>) { l.exists_one(i, i == 1) }", {"l": [1, 1]}, {}, False),
    ("(l list<int>) { l.map(i, i * 2) == [2, 4] }", {"l": [1, 2]}, {}, True),
    ("(l list<int>) { l.filter(i, i > 1).size() == 1 }", {"l": [1, 2]}, {}, True),
    # a loop variable hides the parameter of its name, inside the loop alone
    ("(x int, l list<int>) { l.all(x, x > 0) && x == 1 }", {"l": [1]}, {}, Missing({"x"})),
    ("(x int, l list<int>) { l.all(x, x > 0) || x == 1 }", {"l": [1]}, {}, True),
    # maps
    ("(m map<any>) { m.a.b == 1 }", {}, {"m": {"a": {"b": 1}}}, True),
    ("(m map<any>) { has(m.a) && m.a == 1 }", {}, {"m": {}}, False),
    ("(m map<any>) { has(m.a) && m.a == 1 }", {}, {}, Missing({"m"})),
    ("(m map<any>) { has(m.a) || true }", {}, {}, True),
    ("(m map<any>) { m.?a.orValue(2) == 2 }", {}, {"m": {}}, True),
    ("(m map<int>) { m['k'] == 1 }", {}, {"m": {"k": "1"}}, True),
    ("(m map<any>, n map<any>) { m.isSubtreeOf(n) }", {"m": {"a": 1}}, {"n": {"a": 1.0}}, True),
    ("(m map<any>, n map<any>) { m.isSubtreeOf(n) }", {"m": {"a": 1}}, {"n": {"a": 2}}, False),
    ("(m map<any>, n map<any>) { m.isSubtreeOf(n) }", {"m": {"a": 1}}, {"n": {}}, False),
    ("(m map<any>, n map<any>) { m.isSubtreeOf(n) }", {"m": {}}, {"n": {"a": 1}}, True),
    (
        "(m map<any>, n map<any>) { m.isSubtreeOf(n) }",
        {"m": {"a": {}}},
        {"n": {"a": {"b": 1}}},
        True,
    ),
    (
        "(m map<any>, n map<any>) { m.isSubtreeOf(n) }",
        {"m": {"a": {"b": 1}}},
        {"n": {"a": 1}},
        False,
    ),
    ("(m map<any>, n map<any>) { m.isSubtreeOf(n) }", {"m": {"a": 1}}, {"n": {"a": True}}, False),
    (
        "(m map<any>, n map<any>) { m.isSubtreeOf(n) }",
        {"m": {"a": [1]}},
        {"n": {"a": [True]}},
        False,
    ),
    ("(m map<any>, n map<any>) { m.isSubtreeOf(n) }", {"m": {}}, {}, Missing({"n"})),
    # addresses; C14
    (IP, {"cidr": "10.0.0.0/8"}, {"ip": "10.1.2.3"}, True),
    (IP, {"cidr": "10.0.0.0/8"}, {"ip": "::ffff:10.1.2.3"}, True),
    (IP, {"cidr": "::ffff:10.0.0.0/104"}, {"ip": "10.1.2.3"}, True),
    (IP, {"cidr": "::ffff:10.0.0.0/104"}, {"ip": "11.1.2.3"}, False),
    (IP, {"cidr": "10.0.0.0/8"}, {"ip": "11.1.2.3"}, False),
    (IP, {"cidr": "10.0.0.0/8"}, {"ip": "2001:db8::1"}, False),
    (IP, {"cidr": "2001:db8::/32"}, {"ip": "2001:DB8::1"}, True),
    (IP, {"cidr": "10.0.0.0/8"}, {}, Missing({"ip"})),
    ("(a ipaddress, b ipaddress) { a == b }", {"a": "::ffff:1.2.3.4"}, {"b": "1.2.3.4"}, True),
    ("(l list<ipaddress>) { l.exists(i, i.in_cidr('10.0.0.0/8')) }", {"l": ["10.0.0.1"]}, {}, True),
    # times
    (
        "(t timestamp) { t < timestamp('2030-01-01T00:00:00Z') }",
        {},
        {"t": "2029-12-31T23:59:59Z"},
        True,
    ),
    (
        "(t timestamp) { t < timestamp('2030-01-01T00:00:00Z') }",
        {},
        {"t": "2030-01-01T01:00:00+01:00"},
        False,
    ),
    (
        "(t timestamp) { t > timestamp('0001-01-01T00:00:00Z') }",
        {},
        {"t": "0001-01-01T00:00:00Z"},
        False,
    ),
    (
        "(t timestamp, u timestamp) { t < u }",
        {"t": "2030-01-01T00:00:00.000000001Z"},
        {"u": "2030-01-01T00:00:00.000000002Z"},
        True,
    ),
    ("(t timestamp) { t.getDayOfWeek() == 2 }", {}, {"t": "2030-01-01T00:00:00Z"}, True),
    ("(d duration) { d == duration('90m') }", {}, {"d": "1h30m"}, True),
    ("(d duration) { d == duration('-1.5s') }", {}, {"d": "-1500ms"}, True),
    ("(d duration) { d > duration('1ns') }", {}, {"d": "0.002us"}, True),
    (
        "(t timestamp, d duration) { t + d == timestamp('2030-01-01T01:00:00Z') }",
        {"d": "1h"},
        {"t": "2030-01-01T00:00:00Z"},
        True,
    ),
    # numbers and text
    ("(n uint) { n > 5 }", {}, {"n": "6"}, True),
    ("(n int) { n == -9223372036854775808 }", {}, {"n": "-9223372036854775808"}, True),
    ("(n double) { n + 0.5 == 2.0 }", {}, {"n": "1.5"}, True),
    ("(n double) { n == 2.0 }", {}, {"n": 2}, True),
    ("(b bytes) { b == b'abc' }", {}, {"b": "YWJj"}, True),
    ("(s string) { s.startsWith('a') && s.matches('^a+$') }", {}, {"s": "aaa"}, True),
    ("(s string) { s.size() == 1 }", {}, {"s": "é"}, True),
    ("(a any) { a == null }", {}, {"a": None}, True),
    ("(a any) { a == 1 }", {}, {"a": 1.0}, True),
    ("(a any) { a == 1 }", {}, {"a": True}, False),
    ("(a any) { a.x[0].y == 'z' }", {}, {"a": {"x": [{"y": "z"}]}}, True),
    ("(a any) { a + 1 == 2 }", {}, {"a": 1.0}, True),
    # names in strings, comments and fields are no references
    ("(a map<any>, b bool) { a.b == 'b' && b // b\n }", {"a": {"b": "b"}}, {}, Missing({"b"})),
    # an error for another reason while a name is missing
    ("(a int, b bool) { 1 / a > 0 || b }", {"a": 0}, {}, Missing({"b"})),
    ("(a int, b bool) { 1 / a > 0 || b }", {"a": 0}, {"b": True}, True),
    ("(a int, b bool) { 1 / a > 0 && b }", {"a": 0}, {"b": False}, False),
]


@pytest.mark.parametrize(("caveat", "stored", "request_", "expected"), TABLE)
def test_a_caveat_decides(
    caveat: str, stored: dict[str, Any], request_: dict[str, Any], expected: bool | frozenset[str]
) -> None:
    outcome = decide(caveat, stored, request_)
    assert outcome == expected
    assert type(outcome) is type(expected)


FAILING: list[tuple[str, dict[str, Any]]] = [
    ("(a int) { 1 / a > 0 }", {"a": 0}),
    ("(a int) { 1 % a > 0 }", {"a": 0}),
    ("(a int) { a + 1 > 0 }", {"a": 2**63 - 1}),
    ("(l list<int>) { l[5] == 1 }", {"l": [1]}),
    ("(m map<int>) { m['k'] == 1 }", {"m": {}}),
    ("(a any) { a.x == 1 }", {"a": 5}),
    ("(a any) { a < 1 }", {"a": "x"}),
    ("(s string) { int(s) == 1 }", {"s": "x"}),
    ("(s string) { '' .matches(s) }", {"s": "("}),
    (IP, {"ip": "10.1.2.3", "cidr": "10.0.0.0/99"}),
    (IP, {"ip": "10.1.2.3", "cidr": "10.0.0.0"}),
    (IP, {"ip": "10.1.2.3", "cidr": "010.0.0.0/8"}),
    (IP, {"ip": "fe80::1", "cidr": "fe80::%eth0/64"}),
]


@pytest.mark.parametrize(("caveat", "request_"), FAILING)
def test_an_error_is_never_a_decision(caveat: str, request_: dict[str, Any]) -> None:
    with pytest.raises(CaveatFailed, match="caveat `c` failed: "):
        decide(caveat, {}, request_)


@pytest.mark.parametrize("left", [True, False, None])
@pytest.mark.parametrize("right", [True, False, None])
def test_and_or_not_are_kleenes(left: bool | None, right: bool | None) -> None:
    given = {name: v for name, v in (("a", left), ("b", right)) if v is not None}

    def kleene(caveat: str) -> bool | None:
        outcome = decide(caveat, {}, given)
        return outcome if isinstance(outcome, bool) else None

    meet = False if False in (left, right) else None if None in (left, right) else True
    join = True if True in (left, right) else None if None in (left, right) else False
    assert kleene(AND) is meet
    assert kleene(OR) is join
    assert kleene("(a bool, b bool) { !(!a || !b) }") is meet
    assert kleene("(a bool, b bool) { !(!a && !b) }") is join


def test_a_wrong_request_value_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidContext) as caught:
        decide(LIMIT, {"limit": 1}, {"current": "many"})
    assert caught.value.field == "context.current"
    assert "integer" in caught.value.expected


def test_a_wrong_request_value_is_not_read_where_a_stored_one_wins() -> None:
    assert decide(LIMIT, {"limit": 5}, {"limit": "many", "current": 1}) is True


def test_an_unknown_caveat_is_an_error() -> None:
    with pytest.raises(UnknownCaveat):
        caveat_set(LIMIT).bind({}).evaluate("other", "")


def test_one_bound_serves_many_caveats_and_contexts() -> None:
    caveats = caveat_set("caveat small(n int) { n < 5 }", "caveat named(n string) { n == '3' }")
    bound: Bound = caveats.bind({"n": "3"})
    for _ in range(2):
        assert bound.evaluate("small", "") is True
        assert bound.evaluate("named", "") is True
        assert bound.evaluate("small", '{"n":7}') is False
    assert caveats.bind({}).evaluate("small", "") == Missing({"n"})


def test_a_stored_context_of_another_schema_is_an_error_not_a_decision() -> None:
    old = caveat_set("(n string) { n == 'x' }").normalize_context("c", {"n": "x"}, "context")
    with pytest.raises(CaveatFailed, match="does not fit"):
        caveat_set("(n int) { n == 1 }").bind({}).evaluate("c", old)


def test_a_stored_name_that_the_caveat_lost_is_ignored() -> None:
    old = caveat_set("(n int, m int) { n == m }").normalize_context(
        "c", {"n": 1, "m": 1}, "context"
    )
    assert caveat_set("(n int) { n == 1 }").bind({}).evaluate("c", old) is True
