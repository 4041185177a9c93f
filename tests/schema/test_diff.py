"""Every kind of change, and how it reads."""

import pytest
from hypothesis import given, settings

from schema import ChangeKind, Schema, diff_schemas, parse_schema
from schema.model import ParameterType, SubjectType
from tests.schema.strategies import schemas

BASE = """use expiration
caveat late(at timestamp, n int) { n == 1 }
definition user {}
definition doc {
  relation reader: user | user with late
  permission view = reader
}
"""

CASES = {
    ChangeKind.DEFINITION_ADDED: (
        "definition user {}",
        "definition user {} definition group {}",
        "object type `group` added",
    ),
    ChangeKind.DEFINITION_REMOVED: (
        "definition user {}",
        "",
        "object type `user` removed",
    ),
    ChangeKind.DEFINITION_DOC_CHANGED: (
        "definition user {}",
        "/** People. */ definition user {}",
        "doc comment of object type `user` changed",
    ),
    ChangeKind.RELATION_ADDED: (
        "permission view",
        "relation owner: user permission view",
        "relation `doc#owner` added",
    ),
    ChangeKind.RELATION_REMOVED: (
        "relation reader: user | user with late\n  permission view = reader",
        "permission view = nil",
        "relation `doc#reader` removed",
    ),
    ChangeKind.RELATION_DOC_CHANGED: (
        "relation reader",
        "/** Reads. */ relation reader",
        "doc comment of relation `doc#reader` changed",
    ),
    ChangeKind.SUBJECT_TYPE_ADDED: (
        "relation reader: user |",
        "relation reader: user | user with expiration |",
        "relation `doc#reader` allows `user with expiration`",
    ),
    ChangeKind.SUBJECT_TYPE_REMOVED: (
        "user | user with late",
        "user",
        "relation `doc#reader` no longer allows `user with late`",
    ),
    ChangeKind.PERMISSION_ADDED: (
        "permission view = reader",
        "permission view = reader permission edit = reader",
        "permission `doc#edit` added",
    ),
    ChangeKind.PERMISSION_REMOVED: (
        "permission view = reader",
        "",
        "permission `doc#view` removed",
    ),
    ChangeKind.PERMISSION_DOC_CHANGED: (
        "permission view",
        "/** See. */ permission view",
        "doc comment of permission `doc#view` changed",
    ),
    ChangeKind.PERMISSION_EXPRESSION_CHANGED: (
        "view = reader",
        "view = reader + nil",
        "expression of `doc#view` changed",
    ),
    ChangeKind.CAVEAT_ADDED: (
        "caveat late",
        "caveat early(x int) { x == 1 } caveat late",
        "caveat `early` added",
    ),
    ChangeKind.CAVEAT_REMOVED: (
        "caveat late(at timestamp, n int) { n == 1 }",
        "",
        "caveat `late` removed",
    ),
    ChangeKind.CAVEAT_DOC_CHANGED: (
        "caveat late",
        "/** Hm. */ caveat late",
        "doc comment of caveat `late` changed",
    ),
    ChangeKind.CAVEAT_EXPRESSION_CHANGED: (
        "n == 1",
        "n == 2",
        "expression of caveat `late` changed",
    ),
    ChangeKind.PARAMETER_ADDED: (
        "n int",
        "n int, m map<any>",
        "parameter `m` of caveat `late` added as `map<any>`",
    ),
    ChangeKind.PARAMETER_REMOVED: (
        "at timestamp, ",
        "",
        "parameter `at` of caveat `late` removed",
    ),
    ChangeKind.PARAMETER_TYPE_CHANGED: (
        "n int",
        "n uint",
        "parameter `n` of caveat `late` changed from `int` to `uint`",
    ),
}


def test_there_are_nineteen_kinds_and_each_has_a_case() -> None:
    assert set(CASES) == set(ChangeKind)
    assert len(CASES) == 19


@pytest.mark.parametrize("kind", CASES)
def test_each_kind(kind: ChangeKind) -> None:
    before, after, sentence = CASES[kind]
    assert BASE.count(before) >= 1
    old = parse_schema(BASE)
    # A removal may take with it what uses the thing removed, so compare by kind.
    text = BASE.replace(before, after, 1)
    if kind is ChangeKind.CAVEAT_REMOVED:
        text = text.replace("user | user with late", "user")
    if kind is ChangeKind.DEFINITION_REMOVED:
        text = BASE[: BASE.index("definition user")]
    changes = {change.kind: str(change) for change in diff_schemas(old, parse_schema(text))}
    if kind is ChangeKind.DEFINITION_REMOVED:
        sentence = "object type `user` removed"
    assert changes[kind] == sentence


def test_what_changed_is_there_as_values() -> None:
    old = parse_schema(BASE)
    new = parse_schema(BASE.replace("user with late", "user:*").replace("n int", "n double"))
    removed, added, changed = diff_schemas(old, new)
    assert (removed.object_type, removed.name) == ("doc", "reader")
    assert removed.subject_type == SubjectType("user", caveat="late")
    assert added.subject_type == SubjectType("user", wildcard=True)
    assert (changed.caveat, changed.parameter) == ("late", "n")
    assert (changed.old_type, changed.new_type) == (ParameterType("int"), ParameterType("double"))


def test_a_relation_that_becomes_a_permission() -> None:
    old = parse_schema("definition a { relation r: a }")
    new = parse_schema("definition a { permission r = nil }")
    assert [change.kind for change in diff_schemas(old, new)] == [
        ChangeKind.RELATION_REMOVED,
        ChangeKind.PERMISSION_ADDED,
    ]


def test_order_and_layout_are_no_change() -> None:
    old = parse_schema("definition a { relation r: a | b } definition b {}")
    new = parse_schema("definition b {}\n\ndefinition a {\n  relation r: b | a\n}")
    assert diff_schemas(old, new) == ()


@settings(max_examples=25, deadline=None)
@given(schemas(), schemas())
def test_there_are_changes_exactly_between_different_schemas(one: Schema, other: Schema) -> None:
    assert diff_schemas(one, one) == ()
    there, back = diff_schemas(one, other), diff_schemas(other, one)
    assert len(there) == len(back)
    for change in there:
        assert str(change)
