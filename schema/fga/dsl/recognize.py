"""Reads tokens by the grammar, and goes on after an error as ANTLR's parsers do.

Source: `DefaultErrorStrategy` and `ParserATNSimulator` of antlr4, whose behaviour decides where
OpenFGA's tools see errors: one token too many is passed over, one missing is made up, and after
anything else the rule is given up and tokens are passed over until one that may follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schema.fga.dsl.network import (
    EPSILON,
    NETWORK,
    Choice,
    Loop,
    RuleStep,
    Stack,
    State,
    Step,
    TokenStep,
    choices,
    is_simple,
    look,
    next_tokens,
    reading,
)
from schema.fga.dsl.problems import DslProblem
from schema.fga.dsl.tokens import EOF, LITERALS, Token, TokenStream, escaped

_MAX_SHOWN = 8


@dataclass
class Tree:
    """What was read by one rule: its tokens and the rules within it, in order."""

    rule: str
    children: list[Tree | Token] = field(default_factory=list)

    def trees(self, *rules: str) -> list[Tree]:
        """The children read by any of these rules."""
        return [item for item in self.children if isinstance(item, Tree) and item.rule in rules]

    def tree(self, rule: str) -> Tree | None:
        """The first child read by this rule."""
        return next(iter(self.trees(rule)), None)

    def tokens(self, *kinds: str) -> list[Token]:
        """The child tokens of any of these kinds."""
        return [item for item in self.children if isinstance(item, Token) and item.kind in kinds]

    def text(self) -> str:
        """All that was read."""
        return "".join(
            item.text if isinstance(item, Token) else item.text() for item in self.children
        )


class _WrongInput(Exception):
    """The rule being read cannot be read on; `token` is why."""

    def __init__(self, token: Token, message: str) -> None:
        super().__init__(message)
        self.token = token
        self.message = message


class Recognizer:
    """Reads one text. `problems` are told in the order in which they are found."""

    def __init__(self, stream: TokenStream) -> None:
        self.problems = list(stream.problems)
        self._stream = stream
        self._recovering = False
        self._last_error: tuple[int, set[State]] = (-1, set())
        self._stack: Stack = None
        self._state = State()

    def read(self) -> Tree:
        """The whole text."""
        return self._rule("main")

    # -- rules and steps ------------------------------------------------------------------------

    def _rule(self, name: str) -> Tree:
        tree = Tree(name)
        try:
            self._step(NETWORK.steps[name], tree)
        except _WrongInput as error:
            self._report(error.token, error.message)
            self._recover()
        return tree

    def _step(self, step: Step, tree: Tree) -> None:
        match step:
            case TokenStep(state):
                self._state = state
                self._token(state, tree)
            case RuleStep(state, name):
                self._state = state
                outer = self._stack
                if state.target is not None:
                    self._stack = (state.target, outer)
                tree.children.append(self._rule(name))
                self._stack = outer
            case Choice(state, parts):
                part = parts[self._choose(state, optional=parts[-1] is None)]
                if part is not None:
                    self._step(part, tree)
            case Loop():
                self._loop(step, tree)
            case _:
                for item in step:
                    self._step(item, tree)

    def _loop(self, loop: Loop, tree: Tree) -> None:
        if loop.once:
            self._state = loop.first
            self._sync()
        elif self._choose(loop.first, optional=True) != 0:
            return
        while True:
            before = self._stream.index
            self._step(loop.part, tree)
            again = self._choose(loop.back, optional=True) == 0
            if not again or (self._stream.index == before and self._at_end()):
                return

    def _at_end(self) -> bool:
        return self._stream.ahead().kind == EOF

    def _token(self, state: State, tree: Tree) -> None:
        token = self._stream.ahead()
        if token.kind in state.tokens:
            self._matched()
            tree.children.append(self._stream.consume())
            return
        if self._delete_one() is not None:
            tree.children.append(self._stream.consume())
            return
        following = state.target
        if following is not None and token.kind in self._after(following):
            expected = _shown(self._expected())
            self._report(token, f"missing {expected} at {_quoted(token.text)}")
            return
        raise self._mismatch()

    def _after(self, state: State) -> frozenset[str]:
        """The tokens that may come next at `state`, the end of the text among them."""
        found = look(state, self._stack)
        return found - {EPSILON} | {EOF} if EPSILON in found else found

    # -- decisions ------------------------------------------------------------------------------

    def _choose(self, state: State, *, optional: bool) -> int:
        """Which free step of `state` to take."""
        self._state = state
        self._sync()
        kind = self._stream.ahead().kind
        possible = choices(state).get(kind, frozenset())
        if len(possible) == 1:
            return next(iter(possible))
        if is_simple(state):
            if optional:
                return len(state.free) - 1
            raise self._no_viable(self._stream.ahead(), 1)
        return self._predict(state)

    def _predict(self, state: State) -> int:
        """Read ahead in all ways at once until one free step is left, or none differ any more."""
        now, distance = reading(state), 1
        while True:
            token = self._stream.ahead(distance)
            following = now.after(token.kind)
            if not following.configs:
                ended = now.left(ended=True)
                if ended is None:
                    raise self._no_viable(token, distance)
                return ended
            decided = following.decided
            if decided is None and token.kind == EOF:
                decided = following.left(ended=False)
            if decided is not None:
                return decided
            now, distance = following, distance + 1

    # -- errors ---------------------------------------------------------------------------------

    def _no_viable(self, token: Token, distance: int) -> _WrongInput:
        texts = (self._stream.ahead(i).text for i in range(1, distance + 1))
        return _WrongInput(token, f"no viable alternative at input {_quoted(''.join(texts))}")

    def _mismatch(self) -> _WrongInput:
        token = self._stream.ahead()
        expected = _shown(self._expected())
        return _WrongInput(token, f"mismatched input {_quoted(token.text)} expecting {expected}")

    def _expected(self) -> frozenset[str]:
        """The tokens that may come next, in the rules that are being read."""
        found = next_tokens(self._state)
        expected = found - {EPSILON}
        stack = self._stack
        while stack is not None and EPSILON in found:
            found = next_tokens(stack[0])
            expected |= found - {EPSILON}
            stack = stack[1]
        return expected | {EOF} if EPSILON in found else expected

    def _sync(self) -> None:
        """Before a decision: pass over one token too many, or in a loop over all that cannot be."""
        if self._recovering:
            return
        kind, following = self._stream.ahead().kind, next_tokens(self._state)
        if kind in following or EPSILON in following:
            return
        if self._state.kind == "back":
            self._unwanted()
            self._consume_until(self._expected() | self._recovery_set())
        elif self._delete_one() is None:
            raise self._mismatch()

    def _delete_one(self) -> Token | None:
        """Pass over the next token if the one after it is expected, and return that one."""
        if self._stream.ahead(2).kind not in self._expected():
            return None
        self._unwanted()
        self._stream.consume()
        self._matched()
        return self._stream.ahead()

    def _unwanted(self) -> None:
        token = self._stream.ahead()
        expected = _shown(self._expected())
        self._report(token, f"extraneous input {_quoted(token.text)} expecting {expected}")

    def _report(self, token: Token, message: str) -> None:
        """Tell a problem, unless the last one told has not been overcome."""
        if not self._recovering:
            self._recovering = True
            self.problems.append(DslProblem(message, token.place, symbol=token.text))

    def _matched(self) -> None:
        self._recovering = False
        self._last_error = (-1, set())

    def _recover(self) -> None:
        index, states = self._last_error
        if index == self._stream.index and self._state in states:
            self._stream.consume()  # twice at one place: go on at least by one token
        self._last_error = (self._stream.index, states | {self._state})
        self._consume_until(self._recovery_set())

    def _recovery_set(self) -> frozenset[str]:
        """What may follow any of the rules that are being read."""
        found: frozenset[str] = frozenset()
        stack = self._stack
        while stack is not None:
            found |= next_tokens(stack[0]) - {EPSILON}
            stack = stack[1]
        return found

    def _consume_until(self, kinds: frozenset[str]) -> None:
        while self._stream.ahead().kind not in kinds and not self._at_end():
            self._stream.consume()


def _quoted(text: str) -> str:
    return f"'{escaped(text)}'"


def _shown(kinds: frozenset[str]) -> str:
    names = sorted(f"'{LITERALS[kind]}'" if kind in LITERALS else kind for kind in kinds)
    if len(names) == 1:
        return names[0]
    more = ", …" if len(names) > _MAX_SHOWN else ""
    return f"{{{', '.join(names[:_MAX_SHOWN])}{more}}}"
