"""A place in the tokens of a text: looking ahead, expecting, and reporting what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable

from schema.problems import quote
from schema.source import Lines, Span
from schema.zed.syntax import FLAG_KEYWORDS, KEYWORDS, Document
from schema.zed.tokens import Comment, Token, TokenStream, doc_text

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_TYPE_NAME = 254
MAX_RELATION_NAME = 64
MAX_CAVEAT_NAME = 256


class Unexpected(Exception):
    """The statement cannot be read further. Its problem is noted; the statement loop catches it."""


class Cursor:
    """Reads tokens one after the other and notes problems in the document."""

    def __init__(self, stream: TokenStream, document: Document) -> None:
        self.tokens = stream.tokens
        self.document = document
        self.lines: Lines = document.lines
        self.flags = document.flags
        self.position = 0
        self.reserved: set[str] = set(KEYWORDS)
        self._docs: dict[int, list[Comment]] = {}
        for comment in stream.comments:
            if comment.kind == "doc":
                self._docs.setdefault(comment.before, []).append(comment)

    @property
    def token(self) -> Token:
        """The token at the cursor."""
        return self.tokens[self.position]

    @property
    def previous(self) -> Token:
        """The token before the cursor."""
        return self.tokens[max(0, self.position - 1)]

    def advance(self) -> Token:
        """Step over the token at the cursor and return it. The last token stays."""
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def at(self, kind: str) -> bool:
        """Whether the token at the cursor is of `kind`."""
        return self.tokens[self.position].kind == kind

    def at_word(self, *words: str) -> bool:
        """Whether the cursor is at a name that is one of `words`."""
        token = self.tokens[self.position]
        return token.kind == "name" and token.text in words

    def accept(self, kind: str) -> bool:
        """Step over a token of `kind`, if it is one."""
        if self.tokens[self.position].kind != kind:
            return False
        self.position += 1
        return True

    def expect(self, kind: str, wanted: str = "") -> Token:
        """Step over a token of `kind`; raises Unexpected at any other."""
        if self.tokens[self.position].kind != kind:
            raise self.unexpected(wanted or f"`{kind}`")
        return self.advance()

    def span(self, token: Token) -> Span:
        """Where `token` stands."""
        return self.lines.span(token.start, token.start + len(token.text))

    def span_from(self, start: int) -> Span:
        """From the offset `start` to the end of the token before the cursor."""
        return self.lines.span(start, max(start, self.previous.end))

    def doc(self) -> str:
        """The doc comments that stand before the token at the cursor."""
        comments = self._docs.get(self.position, ())
        return "\n".join(filter(None, (doc_text(comment.text) for comment in comments)))

    def enable(self, flag: str) -> None:
        """Turn on a `use` flag: its words become keywords."""
        self.flags.add(flag)
        self.reserved |= FLAG_KEYWORDS[flag]

    def problem(self, code: str, message: str, span: Span) -> None:
        """Note a problem and go on."""
        self.document.problems.add(code, message, span)

    def unexpected(self, wanted: str, candidates: Iterable[str] = ()) -> Unexpected:
        """Note that `wanted` was expected at the cursor. To be raised."""
        token = self.token
        message = f"expected {wanted}, found {_describe(token, self.reserved)}"
        word = token.text if token.kind == "name" else ""
        code = "syntax"
        if token.kind == "bad" and token.text.startswith("/*"):
            message, code = "this comment never ends: `*/` is missing", "unterminated_comment"
        elif token.kind == "bad" and token.text[0] in "\"'":
            message, code = "this text in quotes never ends", "unterminated_string"
        elif token.kind == "bad":
            code = "unexpected_character"
        span = self.span(token)
        if token.kind == "bad":
            span = self.lines.span(token.start, token.start + 1)
        self.document.problems.add(code, message, span, word=word, candidates=candidates)
        return Unexpected()

    def refuse(self, code: str, message: str, span: Span) -> Unexpected:
        """Note a problem that ends the statement. To be raised."""
        self.document.problems.add(code, message, span)
        return Unexpected()

    def declared_name(self, what: str, limit: int, *, prefixes: bool = False) -> Token:
        """Step over the name that a statement declares, and check that it may be one."""
        if not self.at("name") or (self.token.text in KEYWORDS):
            raise self.unexpected(f"the name of {what}")
        token = self.advance()
        span = self.span(token)
        parts = token.text.split("/")
        if token.text in self.reserved:
            flag = next(flag for flag, words in FLAG_KEYWORDS.items() if token.text in words)
            message = f"{quote(token.text)} cannot be a name because of `use {flag}`"
            self.problem("reserved_name", message, span)
        elif len(parts) > 1 and not prefixes:
            self.problem("bad_name", f"the name of {what} has no `/`", span)
        elif not all(_NAME.fullmatch(part) for part in parts):
            message = (
                f"{quote(token.text)} is not a name: names are lower-case letters, digits and "
                "`_`, and begin with a letter"
            )
            spelt = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", token.text).lower()
            self._bad_name(message, span, re.sub(r"[^a-z0-9_/]", "_", spelt))
        elif len(token.text) > limit:
            self.problem("bad_name", f"the name of {what} has at most {limit} characters", span)
        return token

    def parameter_name(self) -> Token:
        """Step over the name of a caveat's parameter, which is a CEL identifier."""
        token = self.expect("name", "the name of a parameter")
        if not _CEL_NAME.fullmatch(token.text):
            message = f"{quote(token.text)} is not the name of a parameter"
            self.problem("bad_name", message, self.span(token))
        return token

    def _bad_name(self, message: str, span: Span, better: str) -> None:
        parts = better.split("/")
        usable = len(better) <= MAX_TYPE_NAME and all(_NAME.fullmatch(part) for part in parts)
        self.document.problems.add(
            "bad_name", message, span, word=better + "x", candidates=[better] if usable else []
        )


def _describe(token: Token, reserved: set[str]) -> str:
    if token.kind == "end":
        return "the end of the text"
    if token.kind == "body":
        return "the body of a caveat"
    if token.kind == "name" and token.text in reserved:
        return f"the keyword `{token.text}`"
    return quote(token.text)
