"""The type rules, one by one."""

import pytest

from schema import SchemaTypeError, parse_schema

BASE = """
definition user {}
definition group {
  relation member: user | group#member
  relation anyone: user:*
  relation nested: group#member
  permission all = member + anyone
}
"""


def _codes(text: str) -> list[str]:
    try:
        parse_schema(text)
    except SchemaTypeError as error:
        return [problem.code for problem in error.problems]
    return []


def _doc(members: str, use: str = "") -> list[str]:
    return _codes(f"{use}{BASE}definition doc {{ {members} }}")


@pytest.mark.parametrize(
    ("members", "codes"),
    [
        ("relation r: user | group#member | group#all", []),
        ("relation r: nobody", ["unknown_type"]),
        ("relation r: nobody#member", ["unknown_type"]),
        ("relation r: group#members", ["unknown_relation"]),
        ("relation r: user with c", ["unknown_caveat"]),
        ("relation r: user | user:* | user", ["duplicate_subject_type"]),
        ("relation r: user | user#...", ["duplicate_subject_type"]),
        ("relation r: user relation r: group", ["duplicate_name"]),
        ("relation r: user permission r = r", ["duplicate_name"]),
        ("relation r: group#anyone", ["transitive_wildcard"]),
        # As in SpiceDB, a wildcard behind a permission is allowed.
        ("relation r: group#all permission p = r->member", []),
        ("permission p = q", ["unknown_relation"]),
        ("relation r: user permission p = r & (x - y)", ["unknown_relation", "unknown_relation"]),
        ("permission p = r->member", ["unknown_relation"]),
        ("permission q = nil + nil permission p = q->member", ["arrow_on_permission"]),
        ("relation r: user | user:* permission p = r->x", ["arrow_over_wildcard"]),
        ("relation r: user permission p = r->nowhere", []),
        ("relation r: group permission p = r->nested->member", []),
        ("relation r: user | group permission p = r->nested->member", []),
        ("relation r: group permission p = r->all->member", ["unknown_relation"]),
        ("relation r: user permission p = r->nested->member", ["unknown_relation"]),
        ("relation r: group permission p = r->anyone->x", ["arrow_over_wildcard"]),
        ("relation r: group permission p = r->nested.all(nested->member)", []),
        ("permission p = p", ["alias_cycle"]),
        ("permission a = b permission b = c permission c = a", ["alias_cycle"]),
        ("permission a = b permission b = a + nil", []),
        ("relation r: doc permission a = r->a", []),
    ],
)
def test_rules(members: str, codes: list[str]) -> None:
    assert _doc(members) == codes


def test_a_wildcard_is_found_through_many_usersets() -> None:
    text = """definition user {}
    definition a { relation r: user:* }
    definition b { relation r: a#r }
    definition c { relation r: b#r relation o: c permission p = o->x }
    definition d { relation r: c#r permission p = r->p }"""
    assert _codes(text) == [
        "transitive_wildcard",
        "transitive_wildcard",
        "transitive_wildcard",
        "arrow_over_wildcard",
    ]


@pytest.mark.parametrize(
    ("annotation", "expression", "codes"),
    [
        ("user", "r", []),
        ("user | group", "r", []),
        ("group", "r", ["annotation_too_narrow"]),
        ("user | nobody", "r", ["unknown_type"]),
        ("user", "owner->all", []),
        ("user", "r + owner", ["annotation_too_narrow"]),
        ("user", "r - owner", []),
        ("user", "r + self", ["annotation_too_narrow"]),
        ("group", "owner & r", []),
    ],
)
def test_annotations(annotation: str, expression: str, codes: list[str]) -> None:
    members = f"relation r: user | group#all relation owner: group \
        permission p: {annotation} = {expression}"
    assert _doc(members, "use typechecking use self") == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("definition a {} definition a {}", ["duplicate_name"]),
        ("definition a {} caveat a(x int) { x == 1 }", ["duplicate_name"]),
        ("use partial partial a {} definition a {}", ["duplicate_name"]),
        ("caveat c() { true }", ["no_parameter"]),
        ("caveat c(x int, x int) { x == 1 }", ["duplicate_name"]),
        ("use partial definition a { ...b }", ["unknown_partial"]),
        ("use partial partial b { ...b } definition a { ...b }", ["partial_cycle"]),
        (
            "use partial partial b { ...c } partial c { ...b } definition a { ...b }",
            ["partial_cycle", "partial_cycle"],
        ),
        (
            "use partial partial b { relation r: a } definition a { relation r: a ...b }",
            ["duplicate_name"],
        ),
    ],
)
def test_declarations(text: str, codes: list[str]) -> None:
    assert _codes(text) == codes


def test_splicing_is_bounded() -> None:
    levels = "".join(f"partial p{i} {{ ...p{i - 1} relation r{i}: u }}\n" for i in range(1, 600))
    text = f"use partial\ndefinition u {{}}\npartial p0 {{ relation r0: u }}\n{levels}"
    assert _codes(text + "definition d { ...p599 }") == ["too_large"]
