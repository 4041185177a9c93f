"""From `.zed` text to tokens, with one regular expression.

The body of a caveat is CEL, not `.zed`: it becomes one token, whose end is found by balancing
braces outside of CEL's strings and comments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

# What never ends is one `bad` token to the end of its line or of the text, so that no text makes
# the expression try again and again from every character.
_TOKEN = re.compile(
    r"""
      (?P<name>\w+(?:/\w+)*)
    | (?P<comment>//[^\r\n]*)
    | (?P<doc>/\*\*(?!/).*?\*/)
    | (?P<block>/\*.*?\*/)
    | (?P<string>"(?:[^"\\\r\n]|\\[^\r\n])*"|'(?:[^'\\\r\n]|\\[^\r\n])*')
    | (?P<symbol>->|\.\.\.|[{}()<>:;|&+\-\#*.,=])
    | (?P<space>[\s\ufeff]+)
    | (?P<bad>/\*.*|["'][^\r\n]*|.)
    """,
    re.VERBOSE | re.DOTALL,
)

_BODY = re.compile(
    r"""
      (?P<skip>
          [rR][bB]?(?:'{3}.*?'{3}|"{3}.*?"{3}|'[^'\n]*'|"[^"\n]*")
        | [bB][rR](?:'{3}.*?'{3}|"{3}.*?"{3}|'[^'\n]*'|"[^"\n]*")
        | '{3}(?:[^\\]|\\.)*?'{3}   | "{3}(?:[^\\]|\\.)*?"{3}
        | '{3}.*                    | "{3}.*
        | '(?:[^'\\\n]|\\[^\n])*'   | "(?:[^"\\\n]|\\[^\n])*"
        | ['"][^\n]*
        | //[^\n]* | \w+ )
    | (?P<open>\{)
    | (?P<close>\})
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of the text. `kind` is name, string, body, bad, end, or the symbol itself."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset after the last character."""
        return self.start + len(self.text)


class Comment(NamedTuple):
    """A comment. `kind` is comment (to the end of the line), block or doc; `before` is the index
    of the token that follows it."""

    kind: str
    text: str
    start: int
    before: int

    @property
    def end(self) -> int:
        """The offset after the last character."""
        return self.start + len(self.text)


@dataclass(slots=True)
class TokenStream:
    """All of a text: tokens ended by one of kind `end`, and the comments between them."""

    tokens: list[Token] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)


def tokenize(text: str) -> TokenStream:
    """Split `text` into tokens. Never fails: what is no token is one of kind `bad`."""
    stream = TokenStream()
    tokens, comments = stream.tokens, stream.comments
    position, in_caveat = 0, False
    while position < len(text):
        for match in _TOKEN.finditer(text, position):
            kind = match.lastgroup or "bad"
            if kind == "space":
                continue
            found, start = match.group(), match.start()
            if kind == "name":
                tokens.append(Token("name", found, start))
                if found in {"caveat", "definition"}:
                    in_caveat = found == "caveat"
            elif kind == "symbol":
                tokens.append(Token(found, found, start))
                if in_caveat and found == "{":
                    break
            elif kind in {"comment", "block", "doc"}:
                comments.append(Comment(kind, found, start, len(tokens)))
            else:
                tokens.append(Token(kind, found, start))
        else:
            break
        in_caveat = False
        end = _end_of_body(text, match.end())
        tokens.append(Token("body", text[match.end() : end], match.end()))
        position = end
    tokens.append(Token("end", "", len(text)))
    return stream


def _end_of_body(text: str, start: int) -> int:
    """The offset of the brace that closes the one before `start`, or the end of the text."""
    depth = 1
    for match in _BODY.finditer(text, start):
        if match.lastgroup == "open":
            depth += 1
        elif match.lastgroup == "close":
            depth -= 1
            if depth == 0:
                return match.start()
    return len(text)


def doc_text(comment: str) -> str:
    """What a doc comment says, without its stars and the indentation before them."""
    first, *rest = comment[3:-2].split("\n")
    lines = [first.strip()]
    for line in rest:
        stripped = line.strip()
        lines.append(
            stripped[1:].removeprefix(" ").rstrip() if stripped.startswith("*") else stripped
        )
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines[0].strip() if len(lines) == 1 else "\n".join(lines)
