"""The string form of tuples: what is printed is read as the same, and nothing else gets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError, InvalidRequest, InvalidTuple
from engine.jsontext import canonical_json
from engine.tuples import (
    Object,
    RelationTuple,
    Subject,
    check_id,
    check_name,
    make_tuple,
    parse_object,
    parse_subject,
    parse_time,
    parse_tuple,
)

_CHARACTERS = st.characters(
    exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"), exclude_characters="#[]"
)
NAMES = st.text(
    st.characters(
        exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"),
        exclude_characters=":#@[]",
    ),
    min_size=1,
    max_size=12,
).filter(lambda name: name not in {"...", "expiration"})
IDS = st.text(_CHARACTERS, min_size=1, max_size=40).filter(lambda id_: id_ != "*")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text('aé]"\\[{}:, ', max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("k]", max_size=3), inner),
    max_leaves=6,
)
CONTEXTS = st.dictionaries(st.text('xyz]"', max_size=4), VALUES, max_size=3)
MOMENTS = st.none() | st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@st.composite
def tuples(draw: st.DrawFn) -> RelationTuple:
    """Any tuple that has a string form."""
    subject_id = draw(IDS | st.just("*"))
    relation = "" if subject_id == "*" else draw(st.just("") | NAMES)
    caveat = draw(st.just("") | NAMES)
    return RelationTuple(
        Object(draw(NAMES), draw(IDS)),
        draw(NAMES),
        Subject(draw(NAMES), subject_id, relation),
        caveat,
        canonical_json(draw(CONTEXTS)) if caveat else "",
        draw(MOMENTS),
    )


@settings(max_examples=300, deadline=None)
@given(tuples())
def test_what_is_printed_is_read_as_the_same(item: RelationTuple) -> None:
    assert parse_tuple(str(item)) == item


@settings(max_examples=500, deadline=None)
@given(st.text('ab:#@*[]{}"., \\1Zé\u0301\u202e\x00\ud800T-+', max_size=40) | st.text(max_size=60))
def test_any_text_is_a_tuple_or_refused(text: str) -> None:
    for field, parse in (("a", parse_tuple), ("b", parse_object), ("c", parse_subject)):
        refused: EngineError | None = None
        try:
            made = parse(text, field)
        except (InvalidTuple, InvalidRequest) as error:
            refused = error
        if refused is None:
            assert parse(str(made), field) == made
        else:
            assert refused.field == field
            assert refused.expected
            refused.message.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "doc:1",
        "doc:1#viewer",
        "doc:1@user:ann",
        "doc:1#viewer@user",
        "doc#viewer@user:ann",
        ":1#viewer@user:ann",
        "doc:#viewer@user:ann",
        "doc:1#@user:ann",
        "doc:1#viewer@:ann",
        "doc:1#viewer@user:",
        "doc:1#viewer@user:ann#",
        "doc:1#viewer@user:ann#a#b",
        "doc:*#viewer@user:ann",
        "doc:1#viewer@user:*#member",
        "doc:1 #viewer@user:ann",
        "doc:1#viewer@user:a b",
        "doc:1#viewer@user:a\u202eb",
        "doc:1#viewer@user:a\x00",
        "doc:1#viewer@user:ann\n",
        "doc:1#viewer@user:a]b",
        "doc:1#viewer@user:ann[",
        "doc:1#viewer@user:ann[]",
        "doc:1#viewer@user:ann[c:]",
        "doc:1#viewer@user:ann[c]x",
        "doc:1#viewer@user:ann[c][d]",
        "doc:1#viewer@user:ann[expiration:2030-01-01T00:00:00Z][c]",
        "doc:1#viewer@user:ann[expiration:tomorrow]",
        "doc:1#viewer@user:ann[expiration:2030-02-30T00:00:00Z]",
        "doc:1#viewer@user:ann[expiration:2030-01-01T00:00:00]",
        "doc:1#viewer@user:ann[expiration:2030-01-01T00:00:00Z",
    ],
)
def test_what_is_not_a_tuple_is_refused(text: str) -> None:
    with pytest.raises(InvalidTuple) as refused:
        parse_tuple(text, "updates[3].tuple")
    assert refused.value.field == "updates[3].tuple"


def test_a_context_must_be_a_json_object() -> None:
    for context in ("[1]", "{", '{"a":1,"a":2}', '{"a":NaN}'):
        with pytest.raises(InvalidRequest):
            parse_tuple(f"doc:1#viewer@user:ann[c:{context}]")


def test_three_dots_are_no_relation() -> None:
    assert parse_tuple("doc:1#viewer@user:ann#...") == parse_tuple("doc:1#viewer@user:ann")


def test_sizes_are_in_bytes() -> None:
    assert check_name("é" * 32, "relation", 64)
    assert check_id("é" * 512, "object")
    with pytest.raises(InvalidTuple):
        check_name("é" * 33, "relation", 64)
    for id_ in ("é" * 513, "a" * 1025):
        with pytest.raises(InvalidTuple):
            check_id(id_, "object")


def test_the_identity_has_a_size_of_its_own() -> None:
    subject = Subject("user", "a" * 1024, "r" * 64)
    make_tuple(Object("t" * 254, "b" * 1024), "v" * 64, subject)
    with pytest.raises(InvalidTuple) as refused:
        make_tuple(Object("t" * 254, "b" * 1024), "v" * 64, subject._replace(type="u" * 254))
    assert "2500" in refused.value.expected


def test_times_are_read_in_any_zone_and_kept_in_utc() -> None:
    moment = datetime(2030, 1, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    read = parse_time("2030-01-01T12:30:00.123456789+02:00", "at")
    assert read == moment
    assert read.tzinfo is UTC
    assert parse_time("2030-01-01t10:30:00z", "at") == moment.replace(microsecond=0)
    for text in ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2030-01-01T24:00:01Z"):
        with pytest.raises(InvalidTuple):
            parse_time(text, "at")
