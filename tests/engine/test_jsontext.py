"""Strict JSON: what is valid is read as `json` reads it, and all else is one kind of error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import jsontext
from engine.errors import InvalidRequest
from engine.jsontext import MAX_DEPTH, canonical_json, parse_json, parse_json_object

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_valid_json_is_read_as_json_reads_it(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert parse_json(text) == value
    assert parse_json(text.encode()) == value


@settings(max_examples=500, deadline=None)
@given(
    st.text('{}[]":,0123456789eE+-. \\utfnsl', max_size=30)
    | st.text(max_size=30)
    | st.binary(max_size=30)
)
def test_anything_else_is_one_kind_of_error(text: str | bytes) -> None:
    refused: InvalidRequest | None = None
    try:
        value = parse_json(text, "context")
    except InvalidRequest as error:
        refused = error
    if refused is None:
        assert value == json.loads(text)
    else:
        assert (refused.code, refused.field) == ("invalid_json", "context")
        refused.message.encode()


def result_of(parse: Any, text: str | bytes) -> Any:
    try:
        return parse(text, "body")
    except InvalidRequest as error:
        return (error.code, error.message)


PIECES = [
    *['{"a":', '"a":', '"b":', "{", "}", "[", "]", ",", '"', '"x"', "1", "null", "true", " "],
    *["18446744073709551616", "-9223372036854775809", "1.5", "1e400", "NaN", "\t", "\x7f", "\\"],
    *['"a\x01"', '"\\u0061"', '"\\ud800"', "é", "\u2028", "[" * 33, "{" * 2000, "]" * 33],
]
ODD_TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@settings(max_examples=1500, deadline=None)
@given(ODD_TEXTS | st.text('{}[]":,01-. \\u', max_size=20) | st.binary(max_size=20))
def test_ordinary_texts_are_read_as_the_careful_parser_reads_them(text: str | bytes) -> None:
    plain = jsontext._plain(text)
    if plain is not None:
        assert repr(plain) == repr(result_of(jsontext._carefully, text))


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 100_000])
@pytest.mark.parametrize("pair", ["[]", ('{"a":', "}")])
def test_ordinary_texts_are_nested_as_deep_as_others(depth: int, pair: Any) -> None:
    text = pair[0] * depth + "1" + pair[1] * depth
    assert (jsontext._plain(text) is not None) == (depth <= MAX_DEPTH)
    assert result_of(parse_json, text) == result_of(jsontext._carefully, text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":{"b":"","b":""}}',
        '[{"":[]},{"":[],"":[]}]',
        "[18446744073709551616]",
        "[1.0]",
        '["\\u0061"]',
    ],
)
def test_what_is_not_ordinary_is_read_carefully(text: str) -> None:
    assert jsontext._plain(text) is None


def test_ordinary_bodies_take_the_short_way() -> None:
    text = '{"type":"document","limit":10,"context":{"ids":[1,-2,true,null,"é"]},"types":[]}'
    assert jsontext._plain(text) == json.loads(text)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_canonical_text_is_read_back_and_does_not_know_the_order(value: dict[str, Any]) -> None:
    text = canonical_json(value)
    turned = dict(reversed(value.items()))
    assert canonical_json(turned) == text
    assert (parse_json_object(text) if text else {}) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nul",
        '{"a":1,"a":1}',
        '{"a":{"b":1,"b":2}}',
        '{"a":1,}',
        "NaN",
        "-Infinity",
        "1e400",
        "18446744073709551616",
        "-9223372036854775809",
        "9" * 5000,
        '"\\ud800"',
        '{"\\udc00":1}',
        b'"\xff"',
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "[" * 200_000,
        '{"a":' * 100_000,
        "1 2",
    ],
)
def test_what_readers_disagree_about_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_json(text, "body")
    assert refused.value.code == "invalid_json"


def test_the_bounds_themselves_are_fine() -> None:
    assert parse_json("18446744073709551615") == 2**64 - 1
    assert parse_json("-9223372036854775808") == -(2**63)
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert parse_json('["' + "[" * 1000 + '"]') == ["[" * 1000]
    assert parse_json('"\\ud83e\\udd9c"') == "🦜"


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true"])
def test_an_object_is_an_object(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_json_object(text, "context")
