"""Tidies a `.zed` text and keeps every word and comment of it.

Works on tokens, not on the schema: what a person wrote stays as it was said, with partials, imports
and comments; only spaces, line ends and semicolons change. A line break within a statement stays.
"""

from __future__ import annotations

from schema.errors import SchemaSyntaxError
from schema.source import Lines
from schema.zed.parse import parse_document
from schema.zed.print import INDENT
from schema.zed.tokens import Comment, Token, tokenize

_BLOCKS = frozenset({"definition", "caveat", "partial"})
_TOP = _BLOCKS | {"use", "import"}
_TIGHT_BEFORE = frozenset({",", ":", ")", ">", ".", "#", "<", "->"})
_TIGHT_AFTER = frozenset({"(", "<", "->", ".", "#"})


def format_text(text: str) -> str:
    """`text` with canonical spacing; formatting it again changes nothing.

    Raises SchemaSyntaxError for a text that does not parse. Names and types are not checked.
    """
    document = parse_document(text)
    if len(document.problems):
        raise SchemaSyntaxError(document.problems.in_order(), text)
    stream = tokenize(text)
    items: list[Token | Comment] = [*stream.tokens[:-1], *stream.comments]
    items.sort(key=lambda item: item.start)
    writer = _Writer(document.lines, stream.tokens)
    for item in items:
        writer.write(item)
    return writer.finish()


class _Writer:
    """Lays out tokens and comments one after the other."""

    def __init__(self, lines: Lines, tokens: list[Token]) -> None:
        self._lines = lines
        self._tokens = tokens
        self._done: list[str] = []
        self._line = ""
        self._depth = 0
        self._parentheses = 0
        self._previous: Token | Comment | None = None
        self._previous_token: Token | None = None
        self._declaring = False
        self._must_break = False

    def finish(self) -> str:
        """The whole text."""
        self._flush()
        return "\n".join(self._done) + "\n" if self._done else ""

    def write(self, item: Token | Comment) -> None:
        """Lay out the next token or comment."""
        if isinstance(item, Comment):
            self._comment(item)
        elif item.kind != ";":
            self._token(item)
            self._previous_token = item
        self._previous = item

    # -- comments -------------------------------------------------------------------------------

    def _comment(self, comment: Comment) -> None:
        alone = self._line_breaks(comment) > 0 or self._previous is None or self._must_break
        if alone:
            self._new_line(comment, self._depth + self._inside_statement(comment))
        elif self._line:
            self._line += " "
        self._line += self._reindented(comment) if alone else comment.text.rstrip()
        self._must_break = comment.kind == "comment"

    def _inside_statement(self, comment: Comment) -> bool:
        """Whether the statement that `comment` stands in goes on after it."""
        following = self._tokens[comment.before]
        return following.kind not in {"}", ";", "end"} and not self._starts_statement(following)

    def _reindented(self, comment: Comment) -> str:
        """The lines of a block comment with their stars one below the other."""
        first, *rest = comment.text.split("\n")
        indent = INDENT * self._depth
        lines = [first.rstrip()]
        for line in rest:
            stripped = line.strip()
            lines.append(f"{indent} {stripped}" if stripped.startswith("*") else line.rstrip())
        return "\n".join(lines)

    # -- tokens ---------------------------------------------------------------------------------

    def _token(self, token: Token) -> None:
        if token.kind == "body":
            self._flush()
            self._done.append(f"{INDENT}{token.text.strip()}")
            return
        if token.kind == "}":
            self._closing_brace()
            return
        starts = self._starts_statement(token)
        self._declaring = starts and self._depth == 0
        if starts:
            self._new_line(token, self._depth)
        elif self._must_break or (self._line_breaks(token) > 0 and token.kind != "{"):
            self._new_line(token, self._depth + 1, blank_lines=False)
        elif self._line.strip() and self._spaced(token):
            self._line += " "
        self._line += token.text
        self._must_break = False
        if token.kind == "{":
            self._depth += 1
        elif token.kind in {"(", ")"}:
            self._parentheses += 1 if token.kind == "(" else -1

    def _closing_brace(self) -> None:
        self._depth -= 1
        if self._previous is not None and self._previous.kind == "{":
            self._line += "}"
        else:
            self._flush()
            self._line = "}"
        self._must_break = False

    def _starts_statement(self, token: Token) -> bool:
        if self._depth == 0:
            return token.text in _TOP and not self._declaring and self._parentheses == 0
        after_hash = self._previous_token is not None and self._previous_token.kind == "#"
        return token.text in {"relation", "permission"} or (token.kind == "..." and not after_hash)

    def _spaced(self, token: Token) -> bool:
        previous = self._previous
        if isinstance(previous, Comment) or previous is None:
            return True
        if previous.kind in _TIGHT_AFTER or token.kind in _TIGHT_BEFORE:
            return False
        if previous.kind == "...":
            return token.kind != "name" or token.text == "with"
        if token.kind == "*":
            return previous.kind != ":"
        return not (token.kind == "(" and previous.kind == "name")

    # -- lines ----------------------------------------------------------------------------------

    def _line_breaks(self, item: Token | Comment) -> int:
        """How many lines `item` begins below the end of the item before it."""
        if self._previous is None:
            return 0
        return self._lines.line_of(item.start) - self._lines.line_of(self._previous.end)

    def _new_line(self, item: Token | Comment, depth: int, *, blank_lines: bool = True) -> None:
        """Begin a line for `item`, after one blank line where there were some or one is due."""
        after_brace = self._line.endswith("{")
        after_comment = self._line.lstrip().startswith(("//", "/*"))
        after_block = self._previous_token is not None and self._previous_token.kind == "}"
        self._flush()
        due = self._depth == 0 and not after_comment and (after_block or item.text in _BLOCKS)
        wanted = blank_lines and not after_brace and self._line_breaks(item) > 1
        if (due or wanted) and self._done:
            self._done.append("")
        self._line = INDENT * depth

    def _flush(self) -> None:
        if self._line.strip():
            self._done.append(self._line.rstrip())
        self._line = ""
