"""What a person reads who made a mistake, in full; and that all mistakes are told at once."""

import pytest

from schema import SchemaError, SchemaSyntaxError, SchemaTypeError, parse_schema
from schema.problems import MAX_PROBLEMS

CAVEAT = "caveat c(x int) { x == 1 }"
USER = "definition user {}\n"

GOLDEN = {
    "operator twice": (
        USER + "definition doc {\n  relation owner: user\n  permission edit = owner + + owner\n}",
        SchemaSyntaxError,
        """\
schema:4:29: expected a relation or permission, found `+`
  permission edit = owner + + owner
                            ^""",
    ),
    "misspelt keyword": (
        USER + "definition doc {\n  relation owner: user\n  permision edit = owner\n}",
        SchemaSyntaxError,
        """\
schema:4:3: expected `relation`, `permission` or `}`, found `permision`
  permision edit = owner
  ^^^^^^^^^
did you mean `permission`?""",
    ),
    "misspelt statement": (
        "definiton user {}",
        SchemaSyntaxError,
        """\
schema:1:1: expected `definition` or `caveat`, found `definiton`
definiton user {}
^^^^^^^^^
did you mean `definition`?""",
    ),
    "unknown type": (
        "definition user {}\ndefinition doc {\n\trelation owner: usr\n}",
        SchemaTypeError,
        """\
schema:3:18: there is no object type `usr`
 relation owner: usr
                 ^^^
did you mean `user`?""",
    ),
    "several of both kinds": (
        USER
        + """definition doc {
  relation owner: user | group
  permission edit = (owner
  permission view = onwer
}
caveat c(x strin) { x == "" }""",
        SchemaSyntaxError,
        """\
schema:3:26: there is no object type `group`
  relation owner: user | group
                         ^^^^^
schema:5:3: expected `)` or an operator, found the keyword `permission`
  permission view = onwer
  ^^^^^^^^^^
schema:5:21: there is no relation or permission `onwer` in `doc`
  permission view = onwer
                    ^^^^^
did you mean `owner`?
schema:7:12: there is no parameter type `strin`: there are any, bool, bytes, double, duration, \
int, ipaddress, string, timestamp, uint, list, map
caveat c(x strin) { x == "" }
           ^^^^^
did you mean `string`?""",
    ),
    "upper case": (
        "definition docFolder {}",
        SchemaSyntaxError,
        """\
schema:1:12: `docFolder` is not a name: names are lower-case letters, digits and `_`, \
and begin with a letter
definition docFolder {}
           ^^^^^^^^^
did you mean `doc_folder`?""",
    ),
    "missing brace": (
        "definition user {\n  relation r: user\ndefinition doc {}",
        SchemaSyntaxError,
        """\
schema:1:17: this `{` is never closed: `}` is missing before this `definition`
definition user {
                ^""",
    ),
    "arrow after a call": (
        "definition t {\n  relation a: t\n  permission p = a.all(a)->p\n}",
        SchemaSyntaxError,
        """\
schema:3:26: no arrow may follow `.all(…)`: walk on inside of it, as in `a.all(a->…)`
  permission p = a.all(a)->p
                         ^^""",
    ),
    "flag missing": (
        "definition user {\n  relation r: user with expiration\n}",
        SchemaTypeError,
        """\
schema:2:15: there is no caveat `expiration`: to let tuples expire, \
write `use expiration` at the top of the schema
  relation r: user with expiration
              ^^^^^^^^^^^^^^^^^^^^""",
    ),
    "unknown flag": (
        "use expirations\ndefinition user {}",
        SchemaSyntaxError,
        """\
schema:1:5: there is no feature `expirations`: there are expiration, import, partial, self, \
typechecking
use expirations
    ^^^^^^^^^^^
did you mean `expiration`?""",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    text, error, expected = GOLDEN[name]
    with pytest.raises(error) as refused:
        parse_schema(text)
    assert str(refused.value) == expected
    assert refused.value.text == text


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("definition", ["syntax"]),
        ("definition user", ["syntax"]),
        ("definition user {", ["unclosed_brace"]),
        ("definition user { relation }", ["syntax"]),
        ("definition user { relation r }", ["syntax"]),
        ("definition user { relation r: }", ["syntax"]),
        ("definition user { relation r: user | }", ["syntax"]),
        ("definition user { relation r: user:x }", ["syntax"]),
        ("definition user { relation r: user# }", ["syntax"]),
        ("definition user { relation r: user with }", ["syntax"]),
        ("definition user { relation a/b: user }", ["bad_name"]),
        ("definition user { relation ñ: user }", ["bad_name"]),
        (f"definition user {{ relation {'r' * 65}: user }}", ["bad_name"]),
        (f"definition {'r' * 255} {{}}", ["bad_name"]),
        ("definition nil {}", ["syntax"]),
        ("definition user {} }", ["syntax"]),
        ("definition user { permission p = (nil)->x }", ["arrow_left_side"]),
        ("definition user { permission p = nil->x }", ["arrow_left_side"]),
        ("use self definition user { permission p = self.all(x) }", ["arrow_left_side"]),
        ("definition user { permission p = a.some(b) }", ["syntax"]),
        ("definition user { permission p: user = nil }", ["flag_missing"]),
        ("definition user { ...x }", ["unknown_partial", "flag_missing"]),
        ("partial x {}", ["flag_missing"]),
        ('import "x.zed"', ["import_refused", "flag_missing"]),
        ('use import import "x.zed"', ["import_refused"]),
        ("use import import x", ["syntax"]),
        ("definition user {} use self", ["misplaced_use"]),
        ("use self definition self {}", ["reserved_name"]),
        ("use expiration definition and {}", ["reserved_name"]),
        (
            f"use expiration {CAVEAT} definition user {{ relation r: user with expiration and c }}",
            ["trait_order"],
        ),
        (
            "caveat c(x int) { x == 1 } definition user { relation r: user with c and expiration }",
            ["flag_missing"],
        ),
        ("definition user { /* relation", ["unterminated_comment"]),
        ("definition user { relation r: $ }", ["unexpected_character"]),
        ('use import import "x', ["unterminated_string"]),
        ("caveat c(x int) { }", ["empty_caveat"]),
        ("caveat c(x int) { x", ["unclosed_brace"]),
        ("caveat c(x) { x }", ["syntax"]),
        ("caveat c(x list) { x }", ["syntax"]),
        ("caveat c(x int<int>) { x }", ["syntax"]),
        (f"caveat c(x {'list<' * 20}int{'>' * 20}) {{ x }}", ["too_deep"]),
        ("caveat c(1x int) { x }", ["bad_name"]),
    ],
)
def test_syntax_problems(text: str, codes: list[str]) -> None:
    with pytest.raises(SchemaError) as refused:
        parse_schema(text)
    assert sorted(problem.code for problem in refused.value.problems) == sorted(codes)


def test_a_name_that_could_not_be_read_is_not_reported_again_where_it_is_used() -> None:
    text = "definition user {} definition doc { relation : user permission p = viewer + p2 }"
    with pytest.raises(SchemaSyntaxError) as refused:
        parse_schema(text)
    assert [problem.code for problem in refused.value.problems] == ["syntax"]


def test_the_list_of_problems_is_bounded_and_says_so() -> None:
    text = "".join(f"definition d{i} {{ relation r: nowhere{i} }}\n" for i in range(1000))
    with pytest.raises(SchemaTypeError) as refused:
        parse_schema(text)
    *shown, last = refused.value.problems
    assert len(shown) == MAX_PROBLEMS
    assert last.message == "900 more problems are not shown"


def test_a_long_line_is_shown_around_the_problem() -> None:
    text = "definition user { " + "relation r: user " * 5000 + "}"
    with pytest.raises(SchemaTypeError) as refused:
        parse_schema(text)
    assert max(len(line) for line in str(refused.value).splitlines()) < 200


@pytest.mark.parametrize(
    "text",
    ['"\\' * 100_000, "/*" * 100_000, "caveat c(x int) { " + "'\\" * 100_000, "'''" * 99_999],
)
def test_what_never_ends_is_read_once(text: str) -> None:
    with pytest.raises(SchemaSyntaxError):
        parse_schema(text)
