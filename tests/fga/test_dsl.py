"""Reading and printing the DSL: what it says, where it is wrong, and that nothing breaks it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import parse_schema
from schema.errors import SchemaSyntaxError
from schema.fga.decode import decode_model
from schema.fga.dsl.build import MAX_NESTING, read_document
from schema.fga.dsl.check import Kind, check_model
from schema.fga.dsl.print import print_model
from schema.fga.dsl.problems import DslProblem, Place
from schema.fga.dsl.tokens import TokenStream
from schema.fga.encode import encode_model
from schema.fga.language import parse_dsl
from schema.fga.model import AuthorizationModel, Restriction, TypeRef
from schema.fga.validate import validate
from schema.rewrite import Arrow, ArrowMode, Computed, Exclusion, Intersection, This, Union
from tests.fga.strategies import BUSY, models

TEXT = """\
# a comment
model
  schema 1.1

type user # people
type folder
  relations
    define parent: [folder]
    define viewer: [user, user:*, folder#viewer with near] or (viewer from parent but not banned)

    # another comment
    define banned: [
      user,
      user:* with near
    ]
    define a.b/c: ((viewer and banned) or banned)

condition near(at: ipaddress, seen: list<string>, n: map<int>,
  left: duration) {
  at.in_cidr("10.0.0.0/8") && // inside
  "}" in seen && n["a"] > 1 && left < duration("1h")
}
"""


def test_a_text_says_its_model() -> None:
    model = parse_dsl(TEXT)
    assert model.schema_version == "1.1"
    assert [kind.name for kind in model.types] == ["user", "folder"]
    relations = model.types[1].relations
    assert relations["viewer"].restrictions == (
        Restriction("user"),
        Restriction("user", wildcard=True),
        Restriction("folder", "viewer", condition="near"),
    )
    parent = Arrow("parent", ArrowMode.ANY, Computed("viewer"))
    assert relations["viewer"].rewrite == Union((This(), Exclusion(parent, Computed("banned"))))
    assert relations["banned"].restrictions[1] == Restriction("user", "", True, "near")
    assert relations["a.b/c"].rewrite == Union(
        (Intersection((Computed("viewer"), Computed("banned"))), Computed("banned"))
    )
    condition = model.conditions["near"]
    assert condition.parameters == {
        "at": TypeRef("ipaddress"),
        "seen": TypeRef("list", (TypeRef("string"),)),
        "n": TypeRef("map", (TypeRef("int"),)),
        "left": TypeRef("duration"),
    }
    assert condition.expression.startswith('at.in_cidr("10.0.0.0/8") &&\n  "}" in seen')


def test_parts_know_where_they_stand() -> None:
    model = parse_dsl(TEXT)
    folder = model.types[1]
    viewer = folder.relations["viewer"]
    spans = [folder.span, viewer.span, model.conditions["near"].span]
    spans += [viewer.restrictions[2].span, model.version_span]
    words = [TEXT[span.start : span.end] for span in spans if span is not None]
    assert words == ["folder", "viewer", "near", "folder", "1.1"]
    assert viewer.span is not None
    assert (viewer.span.line, viewer.span.column) == (9, 12)


WRONG = [
    ("model\n  schema 1.1\ntype user\n  relations\n    define a [user]", (5, 14), "missing ':'"),
    ("model\n  schema 1.1\ntype user\ntype", (4, 5), "mismatched input"),
    ("model\n  schema 1.1\ntype a$", (3, 7), "token recognition error"),
    ("model\n  schema 1.1\nextend type a", (3, 13), "extend can only be used in a modular model"),
    (
        "model\n  schema 1.1\ntype a\n  relations\n    define b: [a]\n    define b: [a]",
        (6, 12),
        "'b' is already defined in 'a'",
    ),
    (
        "model\n  schema 1.1\ntype a\ncondition c(x: int, x: int) {\n  x > 1\n}",
        (4, 21),
        "parameter 'x' is already defined in the condition 'c'",
    ),
    ("module a\nextend type b\nextend type b", (3, 13), "'b' is already extended in file."),
]


@pytest.mark.parametrize(("text", "place", "message"), WRONG)
def test_a_wrong_text_is_told_by_place(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(SchemaSyntaxError) as caught:
        parse_schema(text, "fga")
    problem = caught.value.problems[0]
    assert problem.message.startswith(message)
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == place


LOST = [
    ("a ^ b", ["^"], "a  b"),
    ("a & b", ["& "], "a b"),
    ("a = b", ["= "], "a b"),
    ('"ab\ncd', ['"ab\\n'], "cd"),
    ('"a\\q" b', ['"a\\q', '" b'], ""),
    ('"""ab', ['"ab'], '""'),
    ("'\\x4' b", ["'\\x4'"], " b"),
    ('condition c("x', ['"'], "condition c(x"),
]


@pytest.mark.parametrize(("text", "lost", "kept"), LOST)
def test_characters_that_begin_no_token_are_passed_over(
    text: str, lost: list[str], kept: str
) -> None:
    stream = TokenStream(text)
    shown = [problem.message for problem in stream.problems]
    assert shown == [f"token recognition error at: '{item}'" for item in lost]
    assert "".join(token.text for token in stream.tokens[:-1]) == kept


VERSIONS = [
    ("1.0", Kind.SCHEMA_VERSION_UNSUPPORTED, "schema version no longer supported"),
    ("2.0", Kind.INVALID_SCHEMA, "invalid schema 2.0"),
]


@pytest.mark.parametrize(("version", "kind", "message"), VERSIONS)
def test_a_version_that_there_is_not_is_told(version: str, kind: Kind, message: str) -> None:
    model = parse_dsl(f"model\n  schema {version}\ntype user\n")
    place = Place(1, 1, 9, 12)
    assert check_model(model) == [DslProblem(message, place, kind, version)]


def test_a_module_alone_is_no_model() -> None:
    with pytest.raises(SchemaSyntaxError, match=r"fga\.mod"):
        parse_schema("module a\n\ntype user\n", "fga")


@pytest.mark.parametrize(("depth", "right"), [(MAX_NESTING, True), (MAX_NESTING + 1, False)])
def test_parentheses_nest_so_deep(depth: int, *, right: bool) -> None:
    expression = "a" + " or a)" * depth
    text = f"model\n  schema 1.1\ntype t\n  relations\n    define b: {'(' * depth}{expression}\n"
    assert (read_document(text).problems == ()) is right


@BUSY
@given(models())
def test_models_survive_both_forms(model: AuthorizationModel) -> None:
    assert validate(model) is None
    assert decode_model(json.loads(json.dumps(encode_model(model)))) == model
    assert decode_model(encode_model(model, defaults=True)) == model
    text = print_model(model)
    read = parse_dsl(text)
    assert read == model
    assert print_model(read) == text


_PIECES = (
    "model", "\n", "  ", "schema", " ", "1.1", "type", "relations", "define", "a", "b:", "[", "]",
    "(", ")", " or ", " and ", " but not ", " from ", "condition", "{", "}", '"', "'''", "#", ":*",
    "with", "module", "extend", "map<", "list", "int", "==", "é", "\r", "\t", ",",
)  # fmt: skip


@BUSY
@given(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join))
def test_no_text_breaks_the_reader(text: str) -> None:
    _holds(text)


@BUSY
@given(st.data())
def test_no_damage_breaks_the_reader(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT)))
    cut = data.draw(st.integers(0, 5))
    _holds(TEXT[:at] + data.draw(st.sampled_from(("", *_PIECES))) + TEXT[at + cut :])


def _holds(text: str) -> None:
    """Every problem is somewhere in the text; without one, the text can be printed and read."""
    document = read_document(text)
    lines = text.split("\n")
    for problem in document.problems:
        assert problem.place is not None
        assert 0 <= problem.place.line_start < len(lines)
    if not document.problems and not document.module:
        assert parse_dsl(print_model(document.model)) == document.model
