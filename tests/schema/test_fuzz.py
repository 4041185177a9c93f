"""Whatever the text: a schema or a SchemaError, and nothing else."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schema import SchemaError, format_text, lint_schema, parse_schema, print_schema

_WORDS = (
    *("definition", "caveat", "relation", "permission", "nil", "with", "use", "partial", "import"),
    *("expiration", "self", "and", "typechecking", "user", "doc", "viewer", "a", "b", "c", "int"),
    *("list", "map", "any", "all", "string", "{", "}", "(", ")", "<", ">", ":", ";", "|", "&"),
    *("+", "-", "->", "...", ".", ",", "=", "#", "*", "//", "/*", "*/", "/**", "'", '"', "'''"),
    *("\\", "\n", "\t", "1", "é", "\u2028", "\x00", "a/b"),
)

_texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(_WORDS), max_size=60).map(" ".join),
    st.lists(st.sampled_from(_WORDS), max_size=60).map("".join),
)

_VALID = """use expiration
use self
use partial
/** Doc. */
caveat late(at timestamp, by list<string>) { at > at && by == [] }
partial p { relation reader: user | user:* with late | group#member with late and expiration }
definition user {}
definition group { relation member: user | group#member }
definition doc {
  ...p
  relation parent: doc
  permission view = (reader + parent->view) & parent.all(parent->view) - self
}
"""


@st.composite
def _damaged(draw: st.DrawFn) -> str:
    """A valid text with a few stretches taken out or replaced."""
    text = _VALID
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 8))
        text = text[:start] + draw(st.sampled_from(("", *_WORDS))) + text[start + length :]
    return text


@settings(max_examples=300, deadline=None)
@given(_texts | _damaged())
@example(_VALID)
def test_any_text(text: str) -> None:
    try:
        schema = parse_schema(text)
    except SchemaError as error:
        _check_problems(error, text)
        return
    lint_schema(text)
    assert parse_schema(print_schema(schema)) == schema
    formatted = format_text(text)
    assert parse_schema(formatted) == schema
    assert format_text(formatted) == formatted


def _check_problems(error: SchemaError, text: str) -> None:
    assert error.problems
    assert str(error)
    for problem in error.problems:
        assert problem.span is None or 0 <= problem.span.start <= problem.span.end <= len(text)
