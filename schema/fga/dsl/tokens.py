"""The tokens of OpenFGA's DSL. Lines and columns count from 0, as OpenFGA's tools count them.

The rules are those of the published lexer (openfga/language, `OpenFGALexer.g4`): the longest match
wins, and of equals the first. After the word `condition`, and up to its closing parenthesis, other
rules hold.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from schema.fga.dsl.problems import DslProblem, Place

EOF = "<EOF>"

_KEYWORDS = {
    "and": "AND",
    "or": "OR",
    "but not": "BUT_NOT",
    "from": "FROM",
    "module": "MODULE",
    "model": "MODEL",
    "schema": "SCHEMA",
    "extend": "EXTEND",
    "type": "TYPE",
    "condition": "CONDITION",
    "relations": "RELATIONS",
    "relation": "RELATION",
    "define": "DEFINE",
    "with": "KEYWORD_WITH",
    "in": "IN",
    "true": "CEL_TRUE",
    "false": "CEL_FALSE",
    "null": "NUL",
}
_SYMBOLS = {
    "#": "HASH",
    ":": "COLON",
    ",": "COMMA",
    "==": "EQUALS",
    "!=": "NOT_EQUALS",
    "<": "LESS",
    "<=": "LESS_EQUALS",
    ">=": "GREATER_EQUALS",
    ">": "GREATER",
    "&&": "LOGICAL_AND",
    "||": "LOGICAL_OR",
    "[": "LBRACKET",
    "]": "RBRACKET",
    "{": "LBRACE",
    "}": "RBRACE",
    "(": "LPAREN",
    ")": "RPAREN",
    ".": "DOT",
    "-": "MINUS",
    "!": "EXCLAM",
    "?": "QUESTIONMARK",
    "+": "PLUS",
    "*": "STAR",
    "/": "SLASH",
    "%": "PERCENT",
}
LITERALS = {name: word for word, name in (_KEYWORDS | _SYMBOLS).items()}
"""How tokens that are always the same text are written."""

_ESCAPE = (
    r"\\(?:[abfnrtv\"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
)
_STRING = (
    rf'"""(?:{_ESCAPE}|[^\\])*?"""|\'\'\'(?:{_ESCAPE}|[^\\])*?\'\'\''
    rf'|"(?:{_ESCAPE}|[^\\"\n\r])*"|\'(?:{_ESCAPE}|[^\\\'\n\r])*\''
    r'|[rR]"""(?:.|\n)*?"""|[rR]\'\'\'(?:.|\n)*?\'\'\''
    r'|[rR]"[^"\n\r]*"|[rR]\'[^\'\n\r]*\''
)
_NEWLINE = r"(?:[ \t\f]*(?:\r?\n|\r|\f)[ \t\f]*)+"
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_-]*"
_ORDINARY = [
    ("KEYWORD", "|".join(sorted(_KEYWORDS, key=len, reverse=True))),
    ("SYMBOL", "|".join(re.escape(word) for word in sorted(_SYMBOLS, key=len, reverse=True))),
    ("SCHEMA_VERSION", r"[0-9]+\.[0-9]+"),
    ("WHITESPACE", r"[ \t\f]+"),
    ("CEL_COMMENT", r"//[^\n]*"),
    ("NUM_FLOAT", r"[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+"),
    ("NUM_UINT", r"0x[0-9a-fA-F]+[uU]|[0-9]+[uU]"),
    ("NUM_INT", r"0x[0-9a-fA-F]+|[0-9]+"),
    ("STRING", _STRING),
    ("BYTES", rf"[bB](?:{_STRING})"),
    ("IDENTIFIER", _IDENTIFIER),
    ("EXTENDED_IDENTIFIER", r"[A-Za-z_](?:[/.-]?[A-Za-z0-9_]+)*"),
    ("NEWLINE", _NEWLINE),
]
_IN_CONDITION = [
    ("SYMBOL", r"[<>():,]"),
    ("CONDITION_PARAM_CONTAINER", "map|list"),
    ("CONDITION_PARAM_TYPE", "bool|string|int|uint|double|duration|timestamp|ipaddress"),
    ("WHITESPACE", r"[ \t\f]+"),
    ("IDENTIFIER", _IDENTIFIER),
    ("NEWLINE", _NEWLINE),
]
_LEXERS = [
    [(name, re.compile(pattern)) for name, pattern in rules] for rules in (_ORDINARY, _IN_CONDITION)
]
_PART = r"\\(?:[xX][0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}|[0-3][0-7]?)?"
_BEGUN = re.compile(
    rf"[&|=]|\"(?:{_ESCAPE}|[^\\\"\n\r])*(?:{_PART})?|'(?:{_ESCAPE}|[^\\'\n\r])*(?:{_PART})?"
)
"""What a token may begin with that does not become one."""


class Token(NamedTuple):
    """A stretch of the text: its kind, its characters, and where it begins."""

    kind: str
    text: str
    start: int
    line: int
    column: int

    @property
    def place(self) -> Place:
        """Where it stands; a token is told by the line it begins in."""
        return Place(self.line, self.line, self.column, self.column + len(self.text))


def without_comments(text: str) -> str:
    """The text without comments and without space at the ends of lines; no place moves.

    A comment is a line that begins with `#`, or what follows a `#` after a space.
    """
    return "\n".join(
        "" if line.strip().startswith("#") else line.split(" #")[0].rstrip()
        for line in text.split("\n")
    )


class TokenStream:
    """The tokens of a text, comments of CEL left out, ended by `EOF` without end."""

    def __init__(self, text: str) -> None:
        self.problems: list[DslProblem] = []
        self.tokens: list[Token] = []
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.tokens.extend(self._read(text))
        self.index = 0

    def ahead(self, distance: int = 1) -> Token:
        """The token so many further; 1 is the next one to be consumed."""
        return self.tokens[min(self.index + distance, len(self.tokens)) - 1]

    def consume(self) -> Token:
        """Take the next token; the last one, `EOF`, is never used up."""
        token = self.ahead()
        if token.kind != EOF:
            self.index += 1
        return token

    def _token(self, kind: str, text: str, start: int) -> Token:
        line = bisect_right(self._starts, start) - 1
        return Token(kind, text, start, line, start - self._starts[line])

    def _read(self, text: str) -> Iterator[Token]:
        position, mode = 0, 0
        while position < len(text):
            kind, end = _longest(text, position, mode)
            if end == position:
                end = self._lost(text, position, in_condition=mode == 1)
            elif kind != "CEL_COMMENT":
                yield self._token(kind, text[position:end], position)
                if kind == "CONDITION":
                    mode = 1
                elif kind == "RPAREN":
                    mode = 0
            position = end
        yield self._token(EOF, EOF, len(text))

    def _lost(self, text: str, position: int, *, in_condition: bool) -> int:
        """Tell of characters that begin no token, up to the one that shows it; returns where to
        go on."""
        begun = None if in_condition else _BEGUN.match(text, position)
        end = min(len(text), (position if begun is None else begun.end()) + 1)
        message = f"token recognition error at: '{escaped(text[position:end])}'"
        self.problems.append(DslProblem(message, self._token("", "", position).place))
        return end


def escaped(text: str) -> str:
    """Text on one line, as ANTLR shows it."""
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _longest(text: str, position: int, mode: int) -> tuple[str, int]:
    kind, end = "", position
    for name, pattern in _LEXERS[mode]:
        match = pattern.match(text, position)
        if match is not None and match.end() > end:
            kind, end = name, match.end()
    if kind in {"KEYWORD", "SYMBOL"}:
        word = text[position:end]
        kind = _KEYWORDS.get(word) or _SYMBOLS[word]
    return kind, end
