"""Every form of the language, and what it is lowered to."""

import pytest

from schema import Schema, SchemaError, SchemaSyntaxError, parse_schema
from schema.model import ParameterType, SubjectType
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    This,
    Union,
)

A, B, C, D = (Computed(name) for name in "abcd")
ANY, ALL = ArrowMode.ANY, ArrowMode.ALL


def _permission(expression: str, use: str = "") -> Rewrite:
    relations = " ".join(f"relation {name}: t" for name in "abcd")
    text = f"{use} definition t {{ {relations} permission p = {expression} }}"
    return parse_schema(text).object_types["t"].permissions["p"].rewrite


@pytest.mark.parametrize(
    ("expression", "rewrite"),
    [
        ("a", A),
        ("nil", Nil()),
        ("a + b + c", Union((A, B, C))),
        ("a & b & c", Intersection((A, B, C))),
        ("a - b - c", Exclusion(Exclusion(A, B), C)),
        ("a + b & c", Intersection((Union((A, B)), C))),
        ("a & b + c", Intersection((A, Union((B, C))))),
        ("a - b + c", Exclusion(A, Union((B, C)))),
        ("a - b & c", Exclusion(A, Intersection((B, C)))),
        ("a + b - c & d", Exclusion(Union((A, B)), Intersection((C, D)))),
        ("(a + b) + c", Union((Union((A, B)), C))),
        ("a-b", Exclusion(A, B)),
        ("a->b", Arrow("a", ANY, B)),
        ("a->b-c", Exclusion(Arrow("a", ANY, B), C)),
        ("a.any(b)", Arrow("a", ANY, B)),
        ("a.all(b)", Arrow("a", ALL, B)),
        ("a->b->c", Arrow("a", ANY, Arrow("b", ANY, C))),
        ("a->b.all(c)", Arrow("a", ANY, Arrow("b", ALL, C))),
        ("a->b.any(c)", Arrow("a", ANY, Arrow("b", ANY, C))),
        ("a.all(b->c)", Arrow("a", ALL, Arrow("b", ANY, C))),
    ],
)
def test_expressions(expression: str, rewrite: Rewrite) -> None:
    assert _permission(expression) == rewrite


def test_self_is_a_keyword_only_with_its_flag() -> None:
    assert _permission("self", "use self") == Self()
    text = "definition t { relation self: t permission p = self }"
    assert parse_schema(text).object_types["t"].permissions["p"].rewrite == Computed("self")


@pytest.mark.parametrize(
    ("written", "subject_type"),
    [
        ("user", SubjectType("user")),
        ("user:*", SubjectType("user", wildcard=True)),
        ("user#...", SubjectType("user")),
        ("acme/team#member", SubjectType("acme/team", "member")),
        ("user with late", SubjectType("user", caveat="late")),
        ("user:* with late", SubjectType("user", wildcard=True, caveat="late")),
        ("user with expiration", SubjectType("user", expiration=True)),
        (
            "acme/team#member with late and expiration",
            SubjectType("acme/team", "member", caveat="late", expiration=True),
        ),
    ],
)
def test_subject_types(written: str, subject_type: SubjectType) -> None:
    text = f"""use expiration
    caveat late(now timestamp) {{ now > now }}
    definition user {{}}
    definition acme/team {{ relation member: user }}
    definition doc {{ relation viewer: {written} }}"""
    relation = parse_schema(text).object_types["doc"].relations["viewer"]
    assert relation.subject_types == (subject_type,)
    assert relation.rewrite == This()
    span = relation.subject_types[0].span
    assert span is not None
    assert text[span.start : span.end] == written


def test_expiration_without_its_flag_is_a_caveat_like_any_other() -> None:
    text = """caveat expiration(x int) { x == 1 }
    definition user { relation r: user with expiration }"""
    (allowed,) = parse_schema(text).object_types["user"].relations["r"].subject_types
    assert (allowed.caveat, allowed.expiration) == ("expiration", False)


def test_names_of_one_character_and_several_statements_on_a_line() -> None:
    schema = parse_schema("definition a {} definition b { relation c: a; permission d = c }")
    assert schema.object_types["b"].names == ("c", "d")


def test_an_expression_may_go_on_on_the_next_line() -> None:
    text = "definition t {\n relation a: t |\n t:*\n permission p = a\n + nil\n - a\n}"
    rewrite = parse_schema(text).object_types["t"].permissions["p"].rewrite
    assert rewrite == Exclusion(Union((A, Nil())), A)


def test_caveats_keep_their_expression_and_its_place() -> None:
    text = """caveat c(
        userIp ipaddress, tags map<list<string>>
    ) { userIp.in_cidr("}") && r'\\' != "{" // not here: }
        && '''}''' != 'it\\'s }' && {'a': {}} != {} }
    definition user {}"""
    caveat = parse_schema(text).caveats["c"]
    assert caveat.expression.startswith('userIp.in_cidr("}")')
    assert caveat.expression.endswith("{'a': {}} != {}")
    assert caveat.expression_span is not None
    start, end = caveat.expression_span.start, caveat.expression_span.end
    assert text[start:end] == caveat.expression
    inner = ParameterType("list", ParameterType("string"))
    assert dict(caveat.parameters) == {
        "userIp": ParameterType("ipaddress"),
        "tags": ParameterType("map", inner),
    }


def test_doc_comments_are_kept_and_others_are_not() -> None:
    text = """
// not this
/** A person. */
definition user {
  /* nor this */
  /**
   * Who may look.
   *
   *   Indented.
   */
  // nor this
  relation viewer: user
  /**/
  permission view = viewer
}
/** Rain. */ caveat wet(rain bool) { rain }"""
    schema = parse_schema(text)
    user = schema.object_types["user"]
    assert user.doc == "A person."
    assert user.relations["viewer"].doc == "Who may look.\n\n  Indented."
    assert user.permissions["view"].doc == ""
    assert schema.caveats["wet"].doc == "Rain."


def test_partials_are_spliced_in_where_they_are_named() -> None:
    text = """use partial
    partial both { ...reading relation editor: user }
    partial reading { relation reader: user permission read = reader }
    definition user {}
    definition doc { ...both permission edit = editor }
    definition folder { ...reading }"""
    schema = parse_schema(text)
    assert schema.object_types["doc"].names == ("reader", "editor", "read", "edit")
    assert schema.object_types["folder"].names == ("reader", "read")
    assert list(schema.object_types) == ["user", "doc", "folder"]


def test_type_annotations() -> None:
    text = """use typechecking
    definition user {}
    definition doc { relation r: user permission p: user | doc = r }"""
    assert parse_schema(text).object_types["doc"].permissions["p"].annotation == ("user", "doc")


def test_flag_words_are_names_without_their_flag() -> None:
    text = """definition partial {} definition import {} definition use {}
    definition typechecking { relation and: use relation expiration: partial | import }"""
    assert list(parse_schema(text).object_types) == ["partial", "import", "use", "typechecking"]


def test_a_flag_may_be_repeated() -> None:
    assert parse_schema("use self\nuse self\n") == Schema()


@pytest.mark.parametrize("text", ["", "  \n", "// only a comment", "\ufeff/* and another */"])
def test_an_empty_schema(text: str) -> None:
    assert parse_schema(text) == Schema()


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(SchemaSyntaxError) as refused:
        parse_schema("", "cobol")
    assert refused.value.problems[0].code == "unknown_language"


def test_spans_say_line_and_column() -> None:
    schema = parse_schema("definition user {}\n\n  definition doc {\n\trelation viewer: user\n}")
    doc = schema.object_types["doc"]
    relation = doc.relations["viewer"]
    assert doc.span is not None
    assert relation.span is not None
    assert (doc.span.line, doc.span.column) == (3, 14)
    assert (relation.span.line, relation.span.column) == (4, 11)


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 5000 + "a" + ")" * 5000,
        "->".join("a" for _ in range(5000)),
        " - ".join("a" for _ in range(5000)),
        "a.all(" * 5000 + "a" + ")" * 5000,
        "(a - " * 5000,
    ],
)
def test_deep_nesting_is_an_error(expression: str) -> None:
    with pytest.raises(SchemaError) as refused:
        _permission(expression)
    assert "too_deep" in {problem.code for problem in refused.value.problems}


@pytest.mark.parametrize("operator", ["+", "&"])
def test_a_broad_expression_is_none(operator: str) -> None:
    rewrite = _permission(operator.join("a" for _ in range(20_000)))
    assert isinstance(rewrite, Union | Intersection)
    assert len(rewrite.children) == 20_000
