"""What each parameter type takes, how it is kept, and what is refused with which field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError, InvalidContext, UnknownCaveat
from engine.jsontext import canonical_json, parse_json_object
from tests.engine.caveat_schemas import caveat_set

USES = {
    "any": "p == p",
    "bool": "p",
    "string": "p != ''",
    "int": "p > 0",
    "uint": "p > 0",
    "double": "p > 0.0",
    "bytes": "p != b''",
    "duration": "p > duration('0s')",
    "timestamp": "p > timestamp('2020-01-01T00:00:00Z')",
    "ipaddress": "p.in_cidr('0.0.0.0/0')",
}


def caveats_of(type_: str) -> Any:
    return caveat_set(f"(p {type_}) {{ {USES.get(type_, 'p.size() >= 0')} }}")


GOOD: list[tuple[str, Any, Any]] = [
    ("bool", True, True),
    ("string", "", ""),
    ("string", "é\n\u0000", "é\n\u0000"),
    ("int", 1, 1),
    ("int", "1", 1),
    ("int", 1.0, 1),
    ("int", "-0", 0),
    ("int", "+7", 7),
    ("int", 1e18, 10**18),
    ("int", 2**63 - 1, 2**63 - 1),
    ("int", "9223372036854775807", 2**63 - 1),
    ("int", -(2**63), -(2**63)),
    ("uint", "5", 5),
    ("uint", 0, 0),
    ("double", 1, 1.0),
    ("double", "1.50", 1.5),
    ("double", "-1e3", -1000.0),
    ("bytes", "YWJj", "YWJj"),
    ("bytes", "", ""),
    ("duration", "1h30m", "1h30m"),
    ("duration", "-1.5s", "-1.5s"),
    ("duration", "0", "0"),
    ("duration", "1us2µs3μs", "1us2µs3μs"),
    ("duration", "2562047h47m16.854775807s", "2562047h47m16.854775807s"),
    ("timestamp", "2030-01-31T12:00:00Z", "2030-01-31T12:00:00Z"),
    ("timestamp", "2030-01-31T12:00:00.123456789+02:00", "2030-01-31T12:00:00.123456789+02:00"),
    ("timestamp", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ("ipaddress", "10.1.2.3", "10.1.2.3"),
    ("ipaddress", "::FFFF:10.1.2.3", "10.1.2.3"),
    ("ipaddress", "2001:DB8:0::1", "2001:db8::1"),
    ("any", None, None),
    ("any", 1.0, 1),
    ("any", 1.5, 1.5),
    ("any", {"b": [1.0, True, None, "1"], "a": {}}, {"a": {}, "b": [1, True, None, "1"]}),
    ("list<int>", ["1", 2.0, 3], [1, 2, 3]),
    ("list<list<bool>>", [[True], []], [[True], []]),
    ("map<double>", {"x": 1}, {"x": 1.0}),
    ("map<list<ipaddress>>", {"x": ["::ffff:1.2.3.4"]}, {"x": ["1.2.3.4"]}),
]


@pytest.mark.parametrize(("type_", "value", "kept"), GOOD)
def test_a_good_value_is_kept_in_one_form(type_: str, value: Any, kept: Any) -> None:
    caveats = caveats_of(type_)
    text = caveats.normalize_context("c", {"p": value}, "context")
    assert text == canonical_json({"p": kept})
    again = caveats.normalize_context("c", parse_json_object(text), "context")
    assert again == text
    assert isinstance(caveats.bind({"p": value}).evaluate("c", ""), bool)
    assert caveats.bind({}).evaluate("c", text) == caveats.bind({"p": value}).evaluate("c", "")


BAD: list[tuple[str, Any]] = [
    *((type_, None) for type_ in USES if type_ != "any"),
    *((type_, {"a": 1}) for type_ in USES if type_ != "any"),
    *((type_, [1]) for type_ in USES if type_ != "any"),
    ("bool", 1),
    ("bool", "true"),
    ("string", 1),
    ("string", "\ud800"),
    ("int", True),
    ("int", 1.5),
    ("int", "1.5"),
    ("int", ""),
    ("int", "1\n"),
    ("int", "١"),
    ("int", " 1"),
    ("int", "0x10"),
    ("int", 2**63),
    ("int", "9223372036854775808"),
    ("int", "9" * 400),
    ("int", 1e300),
    ("int", float("inf")),
    ("int", float("nan")),
    ("uint", -1),
    ("uint", "-1"),
    ("uint", 2**63),
    ("uint", False),
    ("double", True),
    ("double", "inf"),
    ("double", "nan"),
    ("double", "1e999"),
    ("double", 10**400),
    ("double", ""),
    ("bytes", "YWJ"),
    ("bytes", "YW J"),
    ("bytes", "é==="),
    ("bytes", b"abc"),
    ("duration", ""),
    ("duration", "1"),
    ("duration", "1d"),
    ("duration", "1h "),
    ("duration", "1h-1m"),
    ("duration", ".s"),
    ("duration", "9223372037s"),
    ("duration", "9" * 200 + "s"),
    ("duration", 60),
    ("timestamp", "2030-01-31"),
    ("timestamp", "2030-01-31T12:00:00"),
    ("timestamp", "2030-02-31T12:00:00Z"),
    ("timestamp", "0001-01-01T00:00:00+23:00"),
    ("timestamp", "2030-01-31T12:00:00Z\n"),
    ("timestamp", 1),
    ("ipaddress", "010.1.2.3"),
    ("ipaddress", "10.1"),
    ("ipaddress", "10.1.2.3.4"),
    ("ipaddress", "10.1.2.3/8"),
    ("ipaddress", "fe80::1%eth0"),
    ("ipaddress", " 10.1.2.3"),
    ("ipaddress", "１0.1.2.3"),
    ("ipaddress", ""),
    ("ipaddress", 167838211),
    ("any", 2**63),
    ("any", float("inf")),
    ("any", {1: 2}),
    ("any", {"a": "\ud800"}),
    ("any", {"\ud800": 1}),
    ("any", object()),
    ("list<int>", {}),
    ("list<int>", "12"),
    ("map<int>", []),
    ("map<int>", {1: 1}),
]


@pytest.mark.parametrize(("type_", "value"), BAD)
def test_a_bad_value_is_refused_with_its_field_and_what_was_expected(
    type_: str, value: Any
) -> None:
    caveats = caveats_of(type_)
    with pytest.raises(InvalidContext) as caught:
        caveats.normalize_context("c", {"p": value}, "updates.3.caveat.context")
    assert caught.value.field.startswith("updates.3.caveat.context.p")
    assert caught.value.expected
    with pytest.raises(InvalidContext) as caught:
        caveats.bind({"p": value}).evaluate("c", "")
    assert caught.value.field.startswith("context.p")


@pytest.mark.parametrize(
    ("type_", "value", "field"),
    [
        ("list<int>", [1, "x"], "context.p.1"),
        ("map<list<int>>", {"k": [1, 2, True]}, "context.p.k.2"),
        ("any", {"k": [{"deep": float("nan")}]}, "context.p.k.0.deep"),
    ],
)
def test_a_nested_bad_value_is_named_by_its_place(type_: str, value: Any, field: str) -> None:
    with pytest.raises(InvalidContext) as caught:
        caveats_of(type_).normalize_context("c", {"p": value}, "context")
    assert caught.value.field == field


def test_nesting_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidContext):
        caveats_of("any").normalize_context("c", {"p": endless}, "context")


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    caveats = caveat_set("(limit int, current int) { current < limit }")
    with pytest.raises(InvalidContext) as caught:
        caveats.normalize_context("c", {"limt": 1}, "context")
    assert caught.value.field == "context.limt"
    assert caught.value.expected == "one of `limit`, `current`"


def test_an_unknown_caveat_is_refused() -> None:
    with pytest.raises(UnknownCaveat):
        caveats_of("int").normalize_context("other", {}, "tuple.caveat")


TYPES = st.sampled_from([*USES, "list<any>", "map<any>", "list<int>", "map<timestamp>"])
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["1h", "10.0.0.1", "::1", "YWJj", "1", "1.5", "2030-01-01T00:00:00Z"]),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXTS,
    st.text(st.characters(), max_size=3),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
FUZZED = caveat_set(
    *(f"caveat {name}(p {name}, q any) {{ {use} || q == 1 }}" for name, use in USES.items()),
    "caveat nested(p map<list<any>>, q any) { p.all(k, p[k].exists(v, v == q)) || q.a.b > 1 }",
    "caveat subtree(p map<any>, q map<any>) { p.isSubtreeOf(q) || q.isSubtreeOf(p) }",
)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from([*USES, "nested", "subtree", "absent"]),
    stored=st.dictionaries(st.sampled_from(["p", "q", "r"]), VALUES, max_size=2),
    request=st.dictionaries(st.sampled_from(["p", "q", "r"]), VALUES, max_size=3),
)
def test_no_context_ends_in_anything_but_an_answer_or_a_named_error(
    name: str, stored: dict[str, Any], request: dict[str, Any]
) -> None:
    try:
        text = FUZZED.normalize_context(name, stored, "context")
    except EngineError:
        text = ""
    try:
        outcome = FUZZED.bind(request).evaluate(name, text)
    except EngineError:
        return
    if not isinstance(outcome, bool):
        assert outcome <= {"p", "q"}
        assert not outcome & request.keys()


@settings(max_examples=200, deadline=None)
@given(p=st.integers(-(2**63), 2**63 - 1))
def test_every_way_to_write_a_number_is_the_same_text(p: int) -> None:
    caveats = FUZZED
    texts = {caveats.normalize_context("int", {"p": way}, "context") for way in (p, str(p))}
    if abs(p) <= 2**53:
        texts.add(caveats.normalize_context("int", {"p": float(p)}, "context"))
    assert texts == {f'{{"p":{p}}}'}
