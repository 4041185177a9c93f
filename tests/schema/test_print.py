"""The printer is the inverse of the parser."""

import pytest
from hypothesis import given, settings

from schema import Schema, SchemaTypeError, format_text, parse_schema, print_schema
from schema.model import ObjectType, Permission, Relation, SubjectType
from schema.rewrite import Computed, This, Union
from schema.typecheck import typecheck
from tests.schema.strategies import schemas


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_parsing_what_is_printed_gives_the_same_schema(schema: Schema) -> None:
    assert typecheck(schema).in_order() == ()
    text = print_schema(schema)
    assert parse_schema(text) == schema
    assert format_text(text) == text


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("a + b + c", "a + b + c"),
        ("(a + b) + c", "(a + b) + c"),
        ("a + b & c", "(a + b) & c"),
        ("a - b + c", "a - (b + c)"),
        ("a & b - c", "(a & b) - c"),
        ("a - b - c", "a - b - c"),
        ("(a - b) - c", "a - b - c"),
        ("a - (b - c)", "a - (b - c)"),
        ("((a))", "a"),
        ("a.any(b)", "a->b"),
        ("a.all(b)", "a.all(b)"),
        ("a->a.all(b)", "a->a.all(b)"),
        ("a.any(a->b)", "a->a->b"),
        ("a.all(a->b)", "a.all(a->b)"),
        ("nil - a", "nil - a"),
    ],
)
def test_parentheses_stand_where_operators_meet(written: str, printed: str) -> None:
    text = f"definition t {{ relation a: t relation b: t relation c: t permission p = {written} }}"
    assert f"permission p = {printed}\n" in print_schema(parse_schema(text))


def test_the_whole_canonical_text() -> None:
    text = """
use self use expiration use typechecking
/** People. */ definition user {}
definition doc {
  permission view: user | doc = reader + self
  /**
   * Who reads.
   *   Also bots.
   */
  relation reader: user:* | user#... with ok and expiration | user with expiration
}
caveat ok(at timestamp, tags map<list<string>>) { at > timestamp("2020-01-01T00:00:00Z")
   && "x" in tags }
"""
    assert (
        print_schema(parse_schema(text))
        == """\
use expiration
use self
use typechecking

caveat ok(at timestamp, tags map<list<string>>) {
    at > timestamp("2020-01-01T00:00:00Z")
   && "x" in tags
}

/** People. */
definition user {}

definition doc {
    /**
     * Who reads.
     *   Also bots.
     */
    relation reader: user:* | user with ok and expiration | user with expiration
    permission view: user | doc = reader + self
}
"""
    )


def test_an_empty_schema_is_an_empty_text() -> None:
    assert print_schema(parse_schema(" // nothing\n")) == ""


def _schema(relation: Relation, permission: Permission | None = None) -> Schema:
    permissions = {permission.name: permission} if permission else {}
    return Schema({"t": ObjectType("t", {relation.name: relation}, permissions)})


@pytest.mark.parametrize(
    "schema",
    [
        _schema(Relation("r", (SubjectType("t"),), Union((This(), Computed("r"))))),
        _schema(Relation("r", (SubjectType("t"),)), Permission("p", This())),
        _schema(Relation("Reader", (SubjectType("t"),))),
        _schema(Relation("relation", (SubjectType("t"),))),
        _schema(Relation("and", (SubjectType("t", expiration=True),))),
    ],
)
def test_what_the_language_cannot_say_is_refused(schema: Schema) -> None:
    with pytest.raises(SchemaTypeError) as refused:
        print_schema(schema)
    assert [problem.code for problem in refused.value.problems] == ["not_in_language"]


def test_a_doc_comment_cannot_end_early() -> None:
    schema = Schema({"t": ObjectType("t", {}, {}, doc="a */ definition b {}")})
    assert list(parse_schema(print_schema(schema)).object_types) == ["t"]
