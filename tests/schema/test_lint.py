"""Each warning, where it is due and where it is not, and how it is silenced."""

import pytest

from schema import SchemaSyntaxError, SchemaTypeError, lint_schema
from schema.lint import WARNINGS

BASE = """
definition user {}
definition group {
  relation member: user
  relation owner: group
  permission all = member
}
"""


def _warnings(members: str) -> list[tuple[str, str]]:
    text = f"{BASE}definition document {{\n{members}\n}}"
    return [(warning.code, warning.message) for warning in lint_schema(text)]


def _names(members: str) -> list[str]:
    return [code for code, _ in _warnings(members)]


CASES = {
    "mixed-operators": "relation a: user permission p = a & a + a",
    "relation-name-references-parent": "relation owner_document: user",
    "permission-references-itself": "relation a: user permission p = a + p",
    "arrow-references-unreachable-relation": "relation a: user permission p = a->all",
    "arrow-walks-subject-relation": "relation a: group#member permission p = a->all",
    "arrow-references-relation": "relation a: group permission p = a->member",
}


def test_every_warning_has_a_case() -> None:
    assert set(CASES) == set(WARNINGS)


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_is_given_once(name: str) -> None:
    assert _names(CASES[name]) == [name]


@pytest.mark.parametrize("prefix", ["spicedb-ignore-warning", "ignore-warning"])
@pytest.mark.parametrize("name", WARNINGS)
def test_a_comment_silences_it(name: str, prefix: str) -> None:
    before, keyword, statement = CASES[name].rpartition(
        "permission" if "permission" in CASES[name] else "relation"
    )
    comment = f"// {prefix}: {name}"
    assert _names(f"{before}\n// why\n{comment}\n{keyword}{statement}") == []
    assert _names(f"{before}\n{keyword}{statement} {comment}") == []
    assert _names(f"{before}\n{comment}\n/** Doc. */\n{keyword}{statement}") == []
    assert _names(f"{before}\n// {prefix}: other-warning\n{keyword}{statement}") == [name]
    assert _names(f"{before}\n{keyword}{statement}\n{comment}") == [name]
    assert _names(f"{comment}\nrelation other: user\n{before}\n{keyword}{statement}") == [name]


def test_one_comment_may_silence_several() -> None:
    comment = "// ignore-warning: arrow-references-relation, arrow-walks-subject-relation"
    assert _names(f"relation a: group#member\n{comment}\npermission p = a->member") == []


@pytest.mark.parametrize(
    ("expression", "ours", "conventional"),
    [
        ("a + b & c", "(a + b) & c", "a + (b & c)"),
        ("a & b + c", "a & (b + c)", "(a & b) + c"),
        ("a - b + c", "a - (b + c)", "(a - b) + c"),
        ("a - b & c + a", "a - (b & (c + a))", "(a - (b & c)) + a"),
        ("a + b - c + a", "(a + b) - (c + a)", "((a + b) - c) + a"),
    ],
)
def test_mixed_operators_show_both_readings(expression: str, ours: str, conventional: str) -> None:
    members = f"relation a: user relation b: user relation c: user permission p = {expression}"
    message = (
        f"operators are mixed: this reads as `{ours}`, since `+` binds tightest, then `&`, "
        f"then `-`; where `&` binds tightest it would read as `{conventional}`"
    )
    assert _warnings(members) == [("mixed-operators", message)]


@pytest.mark.parametrize("expression", ["a + b - c", "a & b - c"])
def test_mixed_operators_with_one_reading(expression: str) -> None:
    members = f"relation a: user relation b: user relation c: user permission p = {expression}"
    written = f"({expression[:5]}) - c"
    message = f"operators are mixed: write `{written}` with its parentheses"
    assert _warnings(members) == [("mixed-operators", message)]


@pytest.mark.parametrize(
    "members",
    [
        "relation a: user permission p = (a + a) & a",
        "relation a: user permission p = a + a + a",
        "relation a: user permission p = a - a - a",
        "relation documents: user",
        "relation a: group permission p = a->all",
        "relation a: user | group permission p = a->all",
        "relation a: group permission p = a->owner->all",
        "relation a: document permission p = a->p",
    ],
)
def test_no_warning(members: str) -> None:
    assert _names(members) == []


def test_the_last_step_of_nested_arrows_is_checked() -> None:
    assert _names("relation a: group permission p = a->owner->member") == [
        "arrow-references-relation"
    ]


def test_a_prefix_of_the_type_is_no_part_of_its_name() -> None:
    text = "definition acme/team { relation lead_team: acme/team }"
    assert [warning.code for warning in lint_schema(text)] == ["relation-name-references-parent"]


def test_a_partial_is_warned_of_once() -> None:
    text = """use partial
    partial p { relation a: d permission p = a & a + a }
    definition d { ...p } definition e { ...p }"""
    assert [warning.code for warning in lint_schema(text)] == ["mixed-operators"]


def test_warnings_come_in_the_order_of_the_text_and_with_its_place() -> None:
    text = BASE + "definition document {\n  relation a: group#member\n  permission p = a->member\n}"
    warnings = lint_schema(text)
    assert [warning.code for warning in warnings] == [
        "arrow-walks-subject-relation",
        "arrow-references-relation",
    ]
    assert (
        warnings[0].render(text)
        == """\
schema:10:18: `document#a` allows `group#member`, but an arrow walks to the `group` and ignores \
the subject relation
  permission p = a->member
                 ^"""
    )


def test_a_text_with_errors_is_refused() -> None:
    with pytest.raises(SchemaSyntaxError):
        lint_schema("definition")
    with pytest.raises(SchemaTypeError):
        lint_schema("definition a { relation b: c }")
