"""The grammar of OpenFGA's DSL as data: openfga/language, `OpenFGAParser.g4`.

A part is a token's name, `Rule`, a sequence of parts, or one of the operators below.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """What another rule says."""

    name: str


class Opt(NamedTuple):
    """Once or not at all."""

    part: Part


class Star(NamedTuple):
    """Any number of times."""

    part: Part


class Plus(NamedTuple):
    """Once or more."""

    part: Part


class Alt(NamedTuple):
    """One of several."""

    parts: tuple[Part, ...]


class Not(NamedTuple):
    """Any token but this."""

    kind: str


Part = str | Rule | Opt | Star | Plus | Alt | Not | list["Part"]

_SPACE: Part = Opt("WHITESPACE")
_LINE: Part = Opt("NEWLINE")
_IDENTIFIER = Rule("identifier")


def _partial(word: str) -> list[Part]:
    operand = Alt((Rule("relationDefGrouping"), Rule("relationRecurseNoDirect")))
    return ["WHITESPACE", word, "WHITESPACE", operand]


def _recurse(inner: str) -> list[Part]:
    content = Alt((Rule(inner), Rule("relationRecurseNoDirect")))
    return ["LPAREN", Star("WHITESPACE"), content, Star("WHITESPACE"), "RPAREN"]


def _commented() -> Part:
    return Opt(["NEWLINE", Rule("multiLineComment")])


def _listed(item: Part) -> list[Part]:
    return [_SPACE, item, _SPACE, Star(["COMMA", _SPACE, item, _SPACE])]


GRAMMAR: dict[str, Part] = {
    "main": [
        _SPACE,
        _LINE,
        Alt((Rule("modelHeader"), Rule("moduleHeader"))),
        _LINE,
        Rule("typeDefs"),
        _LINE,
        Rule("conditions"),
        _LINE,
        "<EOF>",
    ],
    "modelHeader": [
        Opt([Rule("multiLineComment"), "NEWLINE"]),
        "MODEL",
        "NEWLINE",
        "SCHEMA",
        "WHITESPACE",
        "SCHEMA_VERSION",
        _SPACE,
    ],
    "moduleHeader": [
        Opt([Rule("multiLineComment"), "NEWLINE"]),
        "MODULE",
        "WHITESPACE",
        _IDENTIFIER,
        _SPACE,
    ],
    "typeDefs": Star(Rule("typeDef")),
    "typeDef": [
        _commented(),
        "NEWLINE",
        Opt(["EXTEND", "WHITESPACE"]),
        "TYPE",
        "WHITESPACE",
        _IDENTIFIER,
        Opt(["NEWLINE", "RELATIONS", Plus(Rule("relationDeclaration"))]),
    ],
    "relationDeclaration": [
        _commented(),
        "NEWLINE",
        "DEFINE",
        "WHITESPACE",
        Rule("relationName"),
        _SPACE,
        "COLON",
        _SPACE,
        Rule("relationDef"),
    ],
    "relationName": _IDENTIFIER,
    "relationDef": [
        Alt(
            (
                Rule("relationDefDirectAssignment"),
                Rule("relationDefGrouping"),
                Rule("relationRecurse"),
            )
        ),
        Opt(Rule("relationDefPartials")),
    ],
    "relationDefNoDirect": [
        Alt((Rule("relationDefGrouping"), Rule("relationRecurseNoDirect"))),
        Opt(Rule("relationDefPartials")),
    ],
    "relationDefPartials": Alt((Plus(_partial("OR")), Plus(_partial("AND")), _partial("BUT_NOT"))),
    "relationDefGrouping": Rule("relationDefRewrite"),
    "relationRecurse": _recurse("relationDef"),
    "relationRecurseNoDirect": _recurse("relationDefNoDirect"),
    "relationDefDirectAssignment": [
        "LBRACKET",
        *_listed(Rule("relationDefTypeRestriction")),
        "RBRACKET",
    ],
    "relationDefRewrite": [
        _IDENTIFIER,
        Opt(["WHITESPACE", "FROM", "WHITESPACE", _IDENTIFIER]),
    ],
    "relationDefTypeRestriction": [
        _LINE,
        Alt(
            (
                Rule("relationDefTypeRestrictionBase"),
                [
                    Rule("relationDefTypeRestrictionBase"),
                    "WHITESPACE",
                    "KEYWORD_WITH",
                    "WHITESPACE",
                    Rule("conditionName"),
                ],
            )
        ),
        _LINE,
    ],
    "relationDefTypeRestrictionBase": [
        _IDENTIFIER,
        Opt(Alt((["COLON", "STAR"], ["HASH", _IDENTIFIER]))),
    ],
    "conditions": Star(Rule("condition")),
    "condition": [
        _commented(),
        "NEWLINE",
        "CONDITION",
        "WHITESPACE",
        Rule("conditionName"),
        _SPACE,
        "LPAREN",
        *_listed(Rule("conditionParameter")),
        _LINE,
        "RPAREN",
        _SPACE,
        "LBRACE",
        _LINE,
        _SPACE,
        Rule("conditionExpression"),
        _LINE,
        "RBRACE",
    ],
    "conditionName": "IDENTIFIER",
    "conditionParameter": [
        _LINE,
        Rule("parameterName"),
        _SPACE,
        "COLON",
        _SPACE,
        Rule("parameterType"),
    ],
    "parameterName": "IDENTIFIER",
    "parameterType": Alt(
        (
            "CONDITION_PARAM_TYPE",
            ["CONDITION_PARAM_CONTAINER", "LESS", "CONDITION_PARAM_TYPE", "GREATER"],
        )
    ),
    "multiLineComment": [
        "HASH",
        Star(Not("NEWLINE")),
        Star(["NEWLINE", "HASH", Star(Not("NEWLINE"))]),
    ],
    "identifier": Alt(
        (
            "MODULE",
            "MODEL",
            "SCHEMA",
            "EXTEND",
            "TYPE",
            "RELATION",
            "IDENTIFIER",
            "EXTENDED_IDENTIFIER",
        )
    ),
    "conditionExpression": Star(Not("RBRACE")),
}
