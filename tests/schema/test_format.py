"""The formatter keeps every word and comment, and is content with its own work."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema import SchemaSyntaxError, format_text, parse_schema
from schema.zed.tokens import tokenize

TEXT = """use   partial
use expiration;


// About all.


// About people.
definition user{}
definition empty {
}
/** Doc.
    * Stars.
*/
partial reading{relation reader:user|user : *   // who
  // own line
  relation editor : user |
user#... with late   and expiration |
// between
      doc # view;;
}
definition   doc {


  ... reading   // spliced
  relation parent:doc

  permission view=(reader+parent -> view)&parent . all( view )-nil /* odd */
  permission p = parent->parent
     + reader

}   // end of doc
caveat late(at timestamp,
  tags  list< map<int> >){ at   >  at
     && '}' != ""   // as it is
}
"""

TIDY = """\
use partial
use expiration

// About all.

// About people.
definition user {}

definition empty {}

/** Doc.
 * Stars.
 */
partial reading {
    relation reader: user | user:* // who
    // own line
    relation editor: user |
        user#... with late and expiration |
        // between
        doc#view
}

definition doc {
    ...reading // spliced
    relation parent: doc

    permission view = (reader + parent->view) & parent.all(view) - nil /* odd */
    permission p = parent->parent
        + reader
} // end of doc

caveat late(at timestamp,
    tags list<map<int>>) {
    at   >  at
     && '}' != ""   // as it is
}
"""


def test_the_whole_layout() -> None:
    assert format_text(TEXT) == TIDY
    assert format_text(TIDY) == TIDY
    assert parse_schema(TIDY) == parse_schema(TEXT)


@pytest.mark.parametrize(
    ("text", "tidy"),
    [
        ("", ""),
        ("  // alone", "// alone\n"),
        ('use import\nimport   "a.zed"', 'use import\nimport "a.zed"\n'),
        ("use partial use self", "use partial\nuse self\n"),
        ("definition a {} // x\n// y\ndefinition b {}", None),
        ("definition a { // x\n}", "definition a { // x\n}\n"),
        ("definition use {}\ndefinition import {}", "definition use {}\n\ndefinition import {}\n"),
        ("\ufeffdefinition a {}\r\ndefinition b {}\r\n", "definition a {}\n\ndefinition b {}\n"),
        ("definition a // c\n{}", "definition a // c\n    {}\n"),
    ],
)
def test_corners(text: str, tidy: str | None) -> None:
    formatted = format_text(text)
    assert tidy is None or formatted == tidy
    assert format_text(formatted) == formatted


def test_a_text_that_does_not_parse_is_refused() -> None:
    with pytest.raises(SchemaSyntaxError):
        format_text("definition a {")


def test_names_need_not_resolve() -> None:
    assert format_text("definition a{relation b:c}") == "definition a {\n    relation b: c\n}\n"


_spaces = st.sampled_from(
    (" ", "\n", "\n\n\n", "\t", " // c\n", "\n// c\n", " /* c */ ", "\n/* c\n * d */\n", ";" + "\n")
)


_TOKENS = tokenize(TIDY).tokens
_STATEMENTS = frozenset({"relation", "permission", "definition", "caveat"})


@settings(max_examples=80, deadline=None)
@given(st.lists(_spaces, min_size=len(_TOKENS), max_size=len(_TOKENS)))
def test_any_spacing_and_comments(spaces: list[str]) -> None:
    """Between any two tokens stands something else; meaning and comments stay."""
    text, previous = "", ""
    for token, space in zip(_TOKENS, spaces, strict=True):
        if "body" not in (token.kind, previous):  # what stands there belongs to the expression
            text += " " if ";" in space and token.text not in _STATEMENTS else space
        text += token.text
        previous = token.kind
    formatted = format_text(text)
    assert format_text(formatted) == formatted
    assert parse_schema(formatted) == parse_schema(TIDY)
    assert _comments(formatted) == _comments(text)


def _comments(text: str) -> list[str]:
    """The comments of a text without their indentation."""
    comments = tokenize(text).comments
    return ["\n".join(line.strip() for line in c.text.split("\n")) for c in comments]
