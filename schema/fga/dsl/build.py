"""From what was read of a DSL text to a model, with what only the whole text shows to be wrong."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple, TypeVar

from schema.fga.dsl.problems import DslProblem
from schema.fga.dsl.recognize import Recognizer, Tree
from schema.fga.dsl.tokens import Token, TokenStream, without_comments
from schema.fga.model import (
    NOWHERE,
    AuthorizationModel,
    Condition,
    Origin,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    TypeRef,
)
from schema.rewrite import Arrow, ArrowMode, Computed, Exclusion, Intersection, Rewrite, This, Union
from schema.source import Span

T = TypeVar("T")
MAX_NESTING = 40
"""How deep parentheses may stand in each other."""
_CONTENT = ("relationDef", "relationDefNoDirect", "relationRecurseNoDirect")
"""What stands in parentheses."""


class Document(NamedTuple):
    """A text as it was read. With problems, the model has only what could be read.

    `module` is the name of a module, "" for a whole model; `extended` names the types that the
    text extends, which are among the model's.
    """

    text: str
    model: AuthorizationModel
    module: str
    extended: frozenset[str]
    problems: tuple[DslProblem, ...]


def read_document(text: str) -> Document:
    """Read a DSL text; what is wrong with its syntax is among the problems."""
    stream = TokenStream(without_comments(text))
    depth = 0
    for token in stream.tokens:
        depth += (token.kind == "LPAREN") - (token.kind == "RPAREN")
        if depth > MAX_NESTING:
            message = f"parentheses are nested more than {MAX_NESTING} levels deep"
            problem = DslProblem(message, token.place, symbol=token.text)
            return Document(text, AuthorizationModel("", ()), "", frozenset(), (problem,))
    recognizer = Recognizer(stream)
    tree = recognizer.read()
    return _Builder(text, tree, recognizer.problems).document()


class _Builder:
    def __init__(self, text: str, tree: Tree, problems: list[DslProblem]) -> None:
        self._text = text
        self._tree = tree
        self._problems = problems
        self._starts = [0]
        for line in text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._module = ""
        self._extended: set[str] = set()

    def document(self) -> Document:
        header = self._tree.tree("modelHeader")
        version = None if header is None else _first(header.tokens("SCHEMA_VERSION"))
        name = _name(self._tree.tree("moduleHeader"))
        self._module = "" if name is None else name.text
        types = []
        type_defs = self._tree.tree("typeDefs")
        for tree in [] if type_defs is None else type_defs.trees("typeDef"):
            made = self._type(tree)
            if made is not None:
                types.append(made)
        conditions: dict[str, Condition] = {}
        found = self._tree.tree("conditions")
        for tree in [] if found is None else found.trees("condition"):
            self._condition(tree, conditions)
        model = AuthorizationModel(
            schema_version="" if version is None else version.text,
            types=tuple(types),
            conditions=MappingProxyType(conditions),
            version_span=self._span(version),
        )
        extended = frozenset(self._extended)
        return Document(self._text, model, self._module, extended, tuple(self._problems))

    def _span(self, token: Token | None, end: Token | None = None) -> Span | None:
        if token is None:
            return None
        last = end or token
        start = self._starts[token.line] + token.column
        stop = self._starts[last.line] + last.column + len(last.text)
        return Span(start, stop, token.line + 1, token.column + 1)

    def _tell(self, message: str, token: Token) -> None:
        self._problems.append(DslProblem(message, token.place, symbol=token.text))

    # -- types ----------------------------------------------------------------------------------

    def _type(self, tree: Tree) -> TypeDefinition | None:
        name = _name(tree)
        if name is None:
            return None
        extends = bool(tree.tokens("EXTEND"))
        if extends and not self._module:
            self._tell("extend can only be used in a modular model", name)
        relations: dict[str, RelationDefinition] = {}
        for declaration in tree.trees("relationDeclaration"):
            self._relation(declaration, name, relations, extends=extends)
        if extends and self._module:
            if name.text in self._extended:
                self._tell(f"'{name.text}' is already extended in file.", name)
            self._extended.add(name.text)
        return TypeDefinition(
            name.text, MappingProxyType(relations), Origin(self._module), self._span(name)
        )

    def _relation(
        self,
        tree: Tree,
        type_name: Token,
        relations: dict[str, RelationDefinition],
        *,
        extends: bool,
    ) -> None:
        name, body = _name(tree.tree("relationName")), tree.tree("relationDef")
        rewrite = None if body is None else self._rewrite(body)
        if name is None or body is None or rewrite is None:
            return
        if name.text in relations:
            self._tell(f"'{name.text}' is already defined in '{type_name.text}'", name)
        relations[name.text] = RelationDefinition(
            name=name.text,
            rewrite=rewrite,
            restrictions=self._restrictions(body),
            origin=Origin(self._module) if extends and self._module else NOWHERE,
            span=self._span(name),
        )

    def _restrictions(self, body: Tree) -> tuple[Restriction, ...]:
        """Those of the one direct assignment, which is the first of the operands at any depth."""
        tree: Tree | None = body
        while tree is not None:
            direct = tree.tree("relationDefDirectAssignment")
            if direct is not None:
                trees = direct.trees("relationDefTypeRestriction")
                return tuple(item for tree in trees for item in self._restriction(tree))
            tree = _first(tree.trees("relationRecurse", "relationDef"))
        return ()

    def _restriction(self, tree: Tree) -> list[Restriction]:
        base = tree.tree("relationDefTypeRestrictionBase")
        names = [] if base is None else [_token(item) for item in base.trees("identifier")]
        kind = _first(names)
        if base is None or kind is None:
            return []
        relation = names[1] if len(names) > 1 else None
        condition = tree.tree("conditionName")
        return [
            Restriction(
                kind.text,
                "" if relation is None else relation.text,
                wildcard=bool(base.tokens("STAR")),
                condition="" if condition is None else condition.text(),
                span=self._span(kind),
            )
        ]

    def _rewrite(self, tree: Tree) -> Rewrite | None:
        """The rewrite of a `relationDef`, with or without a direct assignment in it."""
        operands = [self._operand(item) for item in tree.children if isinstance(item, Tree)][:1]
        partials = tree.tree("relationDefPartials")
        if partials is not None:
            rest = partials.trees("relationDefGrouping", "relationRecurseNoDirect")
            operands += [self._operand(item) for item in rest]
        known = tuple(item for item in operands if item is not None)
        if len(known) < 2 or partials is None:
            return _first(list(known))
        if partials.tokens("OR"):
            return Union(known)
        if partials.tokens("AND"):
            return Intersection(known)
        return Exclusion(known[0], known[1])

    def _operand(self, tree: Tree) -> Rewrite | None:
        match tree.rule:
            case "relationDefDirectAssignment":
                return This(self._span(_first(tree.tokens("LBRACKET"))))
            case "relationDefGrouping":
                rewrite = tree.tree("relationDefRewrite")
                return None if rewrite is None else self._named(rewrite)
            case "relationRecurse" | "relationRecurseNoDirect":
                inner = _first(tree.trees(*_CONTENT))
                if inner is None:
                    return None
                return self._operand(inner) if inner.rule == _CONTENT[-1] else self._rewrite(inner)
            case _:
                return None

    def _named(self, tree: Tree) -> Rewrite | None:
        names = [_token(item) for item in tree.trees("identifier")]
        first = _first(names)
        if first is None:
            return None
        target = Computed(first.text, self._span(first))
        walked = names[1] if len(names) > 1 else None
        if walked is None:
            return target
        return Arrow(walked.text, ArrowMode.ANY, target, self._span(first, walked))

    # -- conditions -----------------------------------------------------------------------------

    def _condition(self, tree: Tree, conditions: dict[str, Condition]) -> None:
        name = _name(tree.tree("conditionName"))
        if name is None:
            return
        if name.text in conditions:
            self._tell(f"condition '{name.text}' is already defined in the model", name)
        parameters: dict[str, TypeRef] = {}
        for parameter in tree.trees("conditionParameter"):
            self._parameter(parameter, name, parameters)
        body = tree.tree("conditionExpression")
        read = [] if body is None else [item for item in body.children if isinstance(item, Token)]
        solid = [token for token in read if token.kind not in {"WHITESPACE", "NEWLINE"}]
        conditions[name.text] = Condition(
            name=name.text,
            expression="" if body is None else _without_ends(body.text()),
            parameters=MappingProxyType(parameters),
            origin=Origin(self._module),
            span=self._span(name),
            expression_span=self._span(_first(solid), solid[-1] if solid else None),
        )

    def _parameter(self, tree: Tree, condition: Token, parameters: dict[str, TypeRef]) -> None:
        name, kind = _name(tree.tree("parameterName")), tree.tree("parameterType")
        if name is None or kind is None:
            return
        if name.text in parameters:
            owner = condition.text
            self._tell(
                f"parameter '{name.text}' is already defined in the condition '{owner}'", name
            )
        container = _first(kind.tokens("CONDITION_PARAM_CONTAINER"))
        plain = [TypeRef(token.text) for token in kind.tokens("CONDITION_PARAM_TYPE")]
        if container is not None:
            parameters[name.text] = TypeRef(container.text, tuple(plain))
        elif plain:
            parameters[name.text] = plain[0]


def _first(items: list[T]) -> T | None:
    return items[0] if items else None


def _without_ends(text: str) -> str:
    """Without space around it and at the ends of its lines, where comments have stood."""
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def _token(tree: Tree) -> Token:
    return next((item for item in tree.children if isinstance(item, Token)), _NO_TOKEN)


_NO_TOKEN = Token("", "", 0, 0, 0)


def _name(tree: Tree | None) -> Token | None:
    """The identifier that a rule reads, as its own token or by the rule `identifier`."""
    if tree is None:
        return None
    inner = tree.tree("identifier")
    found = _first(tree.tokens("IDENTIFIER")) if inner is None else _token(inner)
    return found if found is not None and found.text else None
