"""From tokens to a `Document`: recursive descent, recovering from errors at the next statement.

    document   = { "use" flag } { definition | partial | caveat | import }
    definition = "definition" type "{" { member } "}"
    partial    = "partial" name "{" { member } "}"
    member     = "relation" name ":" subject { "|" subject }
               | "permission" name [ ":" type { "|" type } ] "=" expression
               | "..." partial
    subject    = type [ ":" "*" | "#" ( relation | "..." ) ] [ "with" trait ]
    trait      = "expiration" | caveat [ "and" "expiration" ]

Every statement begins with a keyword that is never a name, so that line ends and semicolons carry
no meaning: a superset of SpiceDB's rule, by which a statement ends with its line.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from schema.model import SubjectType
from schema.problems import closest, quote
from schema.rewrite import Nil
from schema.source import Lines
from schema.zed.caveats import parse_caveat
from schema.zed.cursor import MAX_RELATION_NAME, MAX_TYPE_NAME, Cursor, Unexpected
from schema.zed.expression import ExpressionParser
from schema.zed.syntax import (
    FLAG_KEYWORDS,
    DefinitionNode,
    Document,
    ImportNode,
    Member,
    PermissionNode,
    RelationNode,
    SpliceNode,
    UseNode,
)
from schema.zed.tokens import Token, tokenize


def parse_document(text: str) -> Document:
    """Parse `text` as far as it can be understood; its syntax problems are in the document."""
    stream = tokenize(text)
    document = Document(text, Lines(text), comments=stream.comments)
    _Parser(Cursor(stream, document), document).parse()
    return document


class _Parser:
    def __init__(self, cursor: Cursor, document: Document) -> None:
        self._cursor = cursor
        self._document = document
        self._statements: dict[str, Callable[[], None]] = {
            "definition": self._definition,
            "caveat": self._caveat,
        }

    def parse(self) -> None:
        cursor = self._cursor
        while not cursor.at("end"):
            if cursor.accept(";"):
                continue
            start = cursor.position
            try:
                self._statement()
            except Unexpected:
                self._document.lost_names = True
                cursor.position = max(cursor.position, start + (not cursor.at("end")))
                self._skip_to_statement()

    def _statement(self) -> None:
        cursor = self._cursor
        parse = self._statements.get(cursor.token.text) if cursor.at("name") else None
        if parse is not None:
            parse()
        elif cursor.at_word("use"):
            self._use()
        elif cursor.at_word("partial", "import"):
            flag = cursor.token.text
            message = f"{quote(flag)} needs `use {flag}` at the top of the schema"
            cursor.problem("flag_missing", message, cursor.span(cursor.token))
            self._enable(flag)
            self._statements[flag]()
        else:
            raise cursor.unexpected(
                "`definition` or `caveat`", ("definition", "caveat", "partial", "import", "use")
            )

    def _skip_to_statement(self) -> None:
        cursor = self._cursor
        while not cursor.at("end") and not cursor.at_word("use", *self._statements):
            cursor.advance()

    # -- use and import -------------------------------------------------------------------------

    def _use(self) -> None:
        cursor, document = self._cursor, self._document
        start = cursor.advance().start
        flag = cursor.expect("name", "the name of a feature")
        if flag.text not in FLAG_KEYWORDS:
            options = ", ".join(sorted(FLAG_KEYWORDS))
            message = f"there is no feature {quote(flag.text)}: there are {options}"
            document.problems.add(
                "unknown_flag", message, cursor.span(flag), word=flag.text, candidates=FLAG_KEYWORDS
            )
            return
        span = cursor.span_from(start)
        if any(not isinstance(statement, UseNode) for statement in document.statements):
            message = "`use` stands before everything else in a schema"
            cursor.problem("misplaced_use", message, span)
        document.statements.append(UseNode(flag.text, span))
        self._enable(flag.text)

    def _enable(self, flag: str) -> None:
        self._cursor.enable(flag)
        if flag == "partial":
            self._statements["partial"] = self._definition
        elif flag == "import":
            self._statements["import"] = self._import

    def _import(self) -> None:
        cursor = self._cursor
        start = cursor.advance().start
        path = cursor.expect("string", "a path in quotes")
        span = cursor.span_from(start)
        try:
            value = str(ast.literal_eval(path.text))
        except (SyntaxError, ValueError):
            message = f"{path.text} is not a text in quotes"
            raise cursor.refuse("syntax", message, cursor.span(path)) from None
        self._document.statements.append(ImportNode(value, span))

    # -- definitions and caveats ----------------------------------------------------------------

    def _caveat(self) -> None:
        self._document.statements.append(parse_caveat(self._cursor))

    def _definition(self) -> None:
        cursor = self._cursor
        doc, partial = cursor.doc(), cursor.at_word("partial")
        cursor.advance()
        what = "a partial" if partial else "an object type"
        name = cursor.declared_name(what, MAX_TYPE_NAME, prefixes=True)
        node = DefinitionNode(name.text, [], doc, cursor.span(name), partial)
        self._document.statements.append(node)
        opening = cursor.expect("{")
        while not cursor.accept("}"):
            if cursor.at("end") or cursor.at_word(*self._statements):
                self._unclosed(opening)
                return
            if cursor.accept(";"):
                continue
            self._recovering_member(node)

    def _unclosed(self, opening: Token) -> None:
        cursor = self._cursor
        if cursor.previous.kind == "bad" and cursor.previous.text.startswith("/*"):
            return  # the comment that never ends has swallowed the brace, and is reported
        before = "the end of the text" if cursor.at("end") else f"this `{cursor.token.text}`"
        message = f"this `{{` is never closed: `}}` is missing before {before}"
        cursor.problem("unclosed_brace", message, cursor.span(opening))

    # -- members --------------------------------------------------------------------------------

    def _recovering_member(self, node: DefinitionNode) -> None:
        cursor = self._cursor
        start = cursor.position
        known = len(node.members)
        try:
            self._member(node)
        except Unexpected:
            if len(node.members) == known:
                self._document.lost_names = True
            if cursor.position == start:
                cursor.advance()
            while not self._at_member_end():
                # Another declaration is swallowed, whose keyword was misspelt, say.
                self._document.lost_names |= cursor.token.kind in {":", "="}
                cursor.advance()
            self._document.broken.append(cursor.span_from(cursor.tokens[start].start))

    def _at_member_end(self) -> bool:
        cursor = self._cursor
        return (
            cursor.token.kind in {"}", ";", "...", "end"}
            or cursor.at_word("relation", "permission", *self._statements)
            or bool(self._misspelt())
        )

    def _misspelt(self) -> str:
        """The keyword meant where a member begins with none, as in `permision view = owner`."""
        cursor = self._cursor
        following = cursor.tokens[cursor.position : cursor.position + 3]
        kinds = [token.kind for token in following]
        if kinds not in (["name", "name", ":"], ["name", "name", "="]):
            return ""
        return closest(following[0].text, ("relation", "permission"))

    def _member(self, node: DefinitionNode) -> None:
        cursor = self._cursor
        if cursor.at("..."):
            self._splice(node.members)
        elif cursor.at_word("relation"):
            self._relation(node.members)
        elif cursor.at_word("permission"):
            self._permission(node.members)
        else:
            keyword = self._misspelt()
            error = cursor.unexpected("`relation`, `permission` or `}`", (keyword,))
            if not keyword:
                raise error
            (self._relation if keyword == "relation" else self._permission)(node.members)
        if not self._at_member_end():
            raise cursor.unexpected("an operator or the next statement", ("relation", "permission"))

    def _splice(self, members: list[Member]) -> None:
        cursor = self._cursor
        start = cursor.advance().start
        name = cursor.expect("name", "the name of a partial")
        if "partial" not in cursor.flags:
            message = "`...` needs `use partial` at the top of the schema"
            cursor.problem("flag_missing", message, cursor.span(name))
        members.append(SpliceNode(name.text, cursor.span_from(start), cursor.span(name)))

    def _relation(self, members: list[Member]) -> None:
        cursor = self._cursor
        doc, start = cursor.doc(), cursor.advance().start
        name = cursor.declared_name("a relation", MAX_RELATION_NAME)
        node = RelationNode(name.text, [], doc, cursor.span(name), cursor.span(name))
        members.append(node)
        cursor.expect(":")
        node.subject_types.append(self._subject_type())
        while cursor.accept("|"):
            node.subject_types.append(self._subject_type())
        node.span = cursor.span_from(start)

    def _permission(self, members: list[Member]) -> None:
        cursor = self._cursor
        doc, start = cursor.doc(), cursor.advance().start
        name = cursor.declared_name("a permission", MAX_RELATION_NAME)
        span = cursor.span(name)
        node = PermissionNode(name.text, Nil(span), (), [], doc, span, span)
        members.append(node)
        if cursor.at(":"):
            node.annotation = self._annotation()
        cursor.expect("=")
        expression = ExpressionParser(cursor)
        node.rewrite = expression.parse()
        node.mixed = expression.mixed
        node.span = cursor.span_from(start)

    def _annotation(self) -> tuple[str, ...]:
        cursor = self._cursor
        colon = cursor.advance()
        if "typechecking" not in cursor.flags:
            message = "the types of a permission need `use typechecking` at the top of the schema"
            cursor.problem("flag_missing", message, cursor.span(colon))
        types = [self._type_name().text]
        while cursor.accept("|"):
            types.append(self._type_name().text)
        return tuple(types)

    def _type_name(self) -> Token:
        cursor = self._cursor
        if not cursor.at("name") or cursor.token.text in cursor.reserved:
            raise cursor.unexpected("an object type")
        return cursor.advance()

    def _subject_type(self) -> SubjectType:
        cursor = self._cursor
        name = self._type_name()
        relation, wildcard = "", False
        if cursor.accept(":"):
            cursor.expect("*", "`*`")
            wildcard = True
        elif cursor.accept("#") and not cursor.accept("..."):
            if not cursor.at("name") or cursor.token.text in cursor.reserved:
                raise cursor.unexpected(f"a relation or permission of {quote(name.text)}")
            relation = cursor.advance().text
        caveat, expiration = self._traits() if cursor.at_word("with") else ("", False)
        span = cursor.span_from(name.start)
        return SubjectType(name.text, relation, wildcard, caveat, expiration, span)

    def _traits(self) -> tuple[str, bool]:
        """`with caveat`, `with expiration` or `with caveat and expiration`."""
        cursor = self._cursor
        cursor.advance()
        expires = "expiration" in cursor.flags
        if expires and cursor.at_word("expiration"):
            cursor.advance()
            if cursor.at_word("and"):
                message = "the caveat comes first: write `with <caveat> and expiration`"
                raise cursor.refuse("trait_order", message, cursor.span(cursor.token))
            return "", True
        if not cursor.at("name") or cursor.token.text in cursor.reserved:
            raise cursor.unexpected("the name of a caveat")
        caveat = cursor.advance().text
        if not cursor.at_word("and"):
            return caveat, False
        conjunction = cursor.advance()
        if not expires:
            message = "`and expiration` needs `use expiration` at the top of the schema"
            cursor.problem("flag_missing", message, cursor.span(conjunction))
        if not cursor.at_word("expiration"):
            raise cursor.unexpected("`expiration`", ("expiration",))
        cursor.advance()
        return caveat, True
