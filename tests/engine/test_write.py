"""What may be written: every form a schema allows, and each way to miss it, told with its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.errors import EngineError
from engine.limits import Limits
from engine.schemas import compile_schema
from engine.store.protocol import Precondition, PreconditionOp, TupleFilter, Update, UpdateOp
from engine.tuples import RelationTuple, parse_tuple
from engine.write import (
    check_filter,
    check_preconditions,
    checked_metadata,
    checked_tuple,
    checked_updates,
)

SCHEMA = compile_schema(
    """
    use expiration
    caveat small(x int, names list<string>) { x < 5 && "a" in names }
    caveat other(y string) { y == "y" }
    definition user {}
    definition robot {}
    definition group { relation member: user  permission all = member }
    definition document {
      relation plain: user
      relation public: user:*
      relation userset: group#member | group#all
      relation caveated: user with small
      relation expiring: user with expiration
      relation both: user with small and expiration
      relation wide: user:* with other
      permission view = plain
    }
    """
)
UNTIL = "[expiration:2030-01-01T00:00:00Z]"
LIMITS = Limits()


@pytest.mark.parametrize(
    "text",
    [
        "document:1#plain@user:ann",
        "document:1#public@user:*",
        "document:1#userset@group:eng#member",
        "document:1#userset@group:eng#all",
        "document:1#caveated@user:ann[small]",
        'document:1#caveated@user:ann[small:{"x":1}]',
        f"document:1#expiring@user:ann{UNTIL}",
        f'document:1#both@user:ann[small:{{"names":["a"]}}]{UNTIL}',
        'document:1#wide@user:*[other:{"y":"z"}]',
    ],
)
def test_each_allowed_form_is_written_as_it_is(text: str) -> None:
    item = parse_tuple(text)
    assert checked_tuple(SCHEMA, item, LIMITS, "tuple") == item


def refusal(item: RelationTuple, limits: Limits = LIMITS) -> tuple[str, str, str]:
    """The code, field and words of what a tuple is refused with."""
    with pytest.raises(EngineError) as refused:
        checked_tuple(SCHEMA, item, limits, "t")
    assert refused.value.status == 400
    assert refused.value.message
    return refused.value.code, refused.value.field, refused.value.expected


@pytest.mark.parametrize(
    ("text", "code", "field", "expected"),
    [
        ("documnt:1#plain@user:ann", "unknown_type", "t.object", "did you mean `document`?"),
        ("zzz:1#plain@user:ann", "unknown_type", "t.object", "one of the object types `user`"),
        ("document:1#plane@user:ann", "unknown_relation", "t.relation", "did you mean `plain`?"),
        ("document:1#view@user:ann", "not_writable", "t.relation", "one of the relations"),
        ("document:1#plain@usr:ann", "unknown_type", "t.subject", "did you mean `user`?"),
        ("document:1#userset@group:g#membr", "unknown_relation", "t.subject", "`member`"),
        ("document:1#plain@robot:r", "subject_not_allowed", "t.subject", "`user`"),
        ("document:1#plain@user:*", "subject_not_allowed", "t.subject", "`user`"),
        ("document:1#public@user:ann", "subject_not_allowed", "t.subject", "`user:*`"),
        ("document:1#userset@group:g", "subject_not_allowed", "t.subject", "`group#member"),
        ("document:1#plain@user:ann[small]", "subject_not_allowed", "t.subject", "`user`"),
        ("document:1#caveated@user:ann", "subject_not_allowed", "t.subject", "with small"),
        ("document:1#caveated@user:ann[other]", "subject_not_allowed", "t.subject", "with small"),
        ("document:1#caveated@user:ann[smal]", "unknown_caveat", "t.caveat", "did you mean"),
        (f"document:1#plain@user:ann{UNTIL}", "subject_not_allowed", "t.subject", "`user`"),
        ("document:1#expiring@user:ann", "subject_not_allowed", "t.subject", "with expiration"),
        ("document:1#both@user:ann[small]", "subject_not_allowed", "t.subject", "expiration"),
        (f"document:1#both@user:ann{UNTIL}", "subject_not_allowed", "t.subject", "small"),
    ],
)
def test_each_other_form_is_refused_with_its_place(
    text: str, code: str, field: str, expected: str
) -> None:
    found = refusal(parse_tuple(text))
    assert found[:2] == (code, field)
    assert expected in found[2]


@pytest.mark.parametrize("context", ['{"x":"one"}', '{"z":1}', '{"names":[1]}', '{"x":1.5}'])
def test_a_context_has_the_types_of_its_caveat(context: str) -> None:
    code, field, _ = refusal(parse_tuple(f"document:1#caveated@user:ann[small:{context}]"))
    assert code == "invalid_context"
    assert field.startswith("t.caveat.context")


def test_a_context_is_bounded_and_needs_a_caveat() -> None:
    long = parse_tuple('document:1#caveated@user:ann[small:{"names":["aaaaaaaaaaaaaaaaaaaaaaaa"]}]')
    assert refusal(long, replace(LIMITS, tuple_context_bytes=20))[:2] == (
        "limit_exceeded",
        "t.caveat.context",
    )
    bare = parse_tuple("document:1#plain@user:ann")._replace(context='{"x":1}')
    assert refusal(bare)[:2] == ("invalid_tuple", "t.caveat")


def updates(*texts: str, op: UpdateOp = UpdateOp.TOUCH) -> list[Update]:
    return [Update(op, parse_tuple(text)) for text in texts]


ANN = "document:1#plain@user:ann"


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (updates(), "invalid_request", "updates"),
        (updates(ANN, ANN), "duplicate_update", "updates[1].tuple"),
        (updates(ANN) + updates(ANN, op=UpdateOp.DELETE), "duplicate_update", "updates[1].tuple"),
        (updates(*(f"document:{n}#plain@user:a" for n in range(4))), "limit_exceeded", "updates"),
        (updates(ANN, "document:1#plan@user:b"), "unknown_relation", "updates[1].tuple.relation"),
    ],
)
def test_a_write_is_refused_with_the_update_that_is_wrong(
    given: list[Update], code: str, field: str
) -> None:
    with pytest.raises(EngineError) as refused:
        checked_updates(SCHEMA, given, LIMITS, 3)
    assert (refused.value.code, refused.value.field) == (code, field)


@pytest.mark.parametrize(
    "text", ["ghost:1#x@user:ann", "document:1#view@robot:r#x", "document:1#plain@user:*[gone]"]
)
def test_what_the_schema_no_longer_allows_may_be_deleted(text: str) -> None:
    for op in (UpdateOp.DELETE, UpdateOp.REMOVE):
        asked = updates(text, op=op)
        assert checked_updates(SCHEMA, asked, LIMITS, 3) == asked
    for op in (UpdateOp.TOUCH, UpdateOp.CREATE, UpdateOp.ENSURE):
        with pytest.raises(EngineError):
            checked_updates(SCHEMA, updates(text, op=op), LIMITS, 3)


def test_filters_and_preconditions_say_something() -> None:
    check_filter(TupleFilter(subject_relation=""), "filter")
    empty = Precondition(PreconditionOp.MUST_MATCH, TupleFilter())
    full = Precondition(PreconditionOp.MUST_MATCH, TupleFilter(object_type="document"))
    wrong: list[tuple[Any, str, str]] = [
        ([full, empty], "empty_filter", "preconditions[1].filter"),
        ([full] * 3, "limit_exceeded", "preconditions"),
    ]
    for given, code, field in wrong:
        with pytest.raises(EngineError) as refused:
            check_preconditions(given, replace(LIMITS, preconditions=2))
        assert (refused.value.code, refused.value.field) == (code, field)
    with pytest.raises(EngineError) as refused:
        checked_metadata({"why": "é" * 50}, replace(LIMITS, metadata_bytes=100))
    assert (refused.value.code, refused.value.field) == ("limit_exceeded", "metadata")
