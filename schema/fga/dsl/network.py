"""The grammar as a network of states, and what may come next in it.

This is the augmented transition network of ANTLR 4 (Parr, Harwell and Fisher, "Adaptive LL(*)
Parsing", 2014), as far as the grammar needs it: OpenFGA's tools parse with ANTLR, and a text's
errors are where that parser, with its ways of going on after an error, finds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import NamedTuple

from schema.fga.dsl.grammar import GRAMMAR, Alt, Not, Opt, Part, Plus, Rule, Star
from schema.fga.dsl.tokens import LITERALS

EPSILON = "<EPSILON>"
"""Among the tokens that may come next: the end of the rule."""
_OTHERS = (
    "SCHEMA_VERSION",
    "WHITESPACE",
    "CEL_COMMENT",
    "NUM_FLOAT",
    "NUM_UINT",
    "NUM_INT",
    "STRING",
    "BYTES",
    "IDENTIFIER",
    "EXTENDED_IDENTIFIER",
    "NEWLINE",
    "CONDITION_PARAM_CONTAINER",
    "CONDITION_PARAM_TYPE",
)
_MAX_CONFIGS = 200
"""Where so many readings are open, the grammar's alternatives differ in nothing but names."""
_MAX_READINGS = 5000
KINDS = frozenset((*LITERALS, *_OTHERS))

Stack = tuple["State", "Stack"] | None
"""Where the rules being read go on when they end, the innermost first."""


@dataclass(eq=False)
class State:
    """`tokens` leads on by a token, `rule` by a whole rule, each to `target`; `free` at once.

    `kind` says what is to be done about an unexpected token here: "block" and "loop" begin
    something, "back" is the end of a round of a loop, "stop" the end of a rule.
    """

    kind: str = ""
    free: list[State] = field(default_factory=list)
    tokens: frozenset[str] = frozenset()
    rule: str = ""
    target: State | None = None


class TokenStep(NamedTuple):
    """One token of `state.tokens`."""

    state: State


class RuleStep(NamedTuple):
    """A whole rule."""

    state: State
    name: str


class Choice(NamedTuple):
    """One of `parts`, which begin at `state.free`; the last may be None, for nothing."""

    state: State
    parts: tuple[Step | None, ...]


class Loop(NamedTuple):
    """`part` again and again; `first` comes before the first round, `back` before each other."""

    first: State
    back: State
    part: Step
    once: bool


Step = TokenStep | RuleStep | Choice | Loop | tuple["Step", ...]


class Network(NamedTuple):
    """By rule: its steps, its first and its last state. `callers` are the states after a rule."""

    steps: dict[str, Step]
    starts: dict[str, State]
    stops: dict[str, State]
    callers: dict[State, list[State]]


def _add(made: Network, part: Part, start: State, end: State) -> Step:
    """Lay `part` between two states."""
    match part:
        case str():
            return _token(frozenset((part,)), start, end)
        case Not(kind):
            return _token(KINDS - {kind}, start, end)
        case Alt(parts) if all(isinstance(item, str) for item in parts):
            return _token(frozenset(str(item) for item in parts), start, end)
        case Rule(name):
            state = State(rule=name, target=end)
            start.free.append(state)
            made.callers[made.stops[name]].append(end)
            return RuleStep(state, name)
        case Alt(parts) | Opt(Alt(parts)):
            return _block(made, parts, start, end, optional=isinstance(part, Opt))
        case Opt(inner):
            return _block(made, (inner,), start, end, optional=True)
        case Star(inner) | Plus(inner):
            return _loop(made, inner, start, end, once=isinstance(part, Plus))
        case _:
            return _sequence(made, part, start, end)


def _sequence(made: Network, parts: list[Part], start: State, end: State) -> Step:
    steps = []
    for index, item in enumerate(parts):
        following = end if index == len(parts) - 1 else State()
        steps.append(_add(made, item, start, following))
        start = following
    return tuple(steps)


def _token(kinds: frozenset[str], start: State, end: State) -> Step:
    state = State(tokens=kinds, target=end)
    start.free.append(state)
    return TokenStep(state)


def _block(
    made: Network, parts: tuple[Part, ...], start: State, end: State, *, optional: bool
) -> Step:
    block = State("block")
    start.free.append(block)
    steps: list[Step | None] = []
    for part in parts:
        inner = State()
        block.free.append(inner)
        steps.append(_add(made, part, inner, end))
    if optional:
        block.free.append(end)
        steps.append(None)
    return Choice(block, tuple(steps))


def _loop(made: Network, part: Part, start: State, end: State, *, once: bool) -> Step:
    """Of both the states before a round, the first free step is another round, the second out."""
    first, back, inner = State("loop"), State("back"), State()
    start.free.append(first)
    step = _add(made, part, inner, back)
    first.free.append(inner)
    if not once:
        first.free.append(end)
    back.free += [inner, end]
    return Loop(first, back, step, once)


def _network() -> Network:
    """The network of the whole grammar."""
    starts = {name: State() for name in GRAMMAR}
    stops = {name: State("stop") for name in GRAMMAR}
    made = Network({}, starts, stops, {stop: [] for stop in stops.values()})
    for name, part in GRAMMAR.items():
        made.steps[name] = _add(made, part, starts[name], stops[name])
    return made


NETWORK = _network()


def look(state: State, stack: Stack = None, *, outside: bool = False) -> frozenset[str]:
    """The tokens that may come next at `state`.

    Where the innermost rule of `stack` ends there is EPSILON or, with `outside`, whatever may come
    after that rule anywhere in the grammar.
    """
    found: set[str] = set()
    callers = NETWORK.callers
    seen: set[tuple[State, Stack]] = set()
    pending: list[tuple[State, Stack]] = [(state, stack)]
    while pending:
        at = pending.pop()
        if at in seen:
            continue
        seen.add(at)
        here, below = at
        if here.kind == "stop":
            if below is not None:
                pending.append(below)
            elif outside:
                pending += [(caller, None) for caller in callers[here]]
            else:
                found.add(EPSILON)
        found |= here.tokens
        if here.rule and here.target is not None:
            pending.append((NETWORK.starts[here.rule], (here.target, below)))
        pending += [(free, below) for free in here.free]
    return frozenset(found)


@cache
def next_tokens(state: State) -> frozenset[str]:
    """`look` without a stack, remembered."""
    return look(state)


@cache
def choices(state: State) -> dict[str, frozenset[int]]:
    """By token: which of the free steps of `state` it may begin, whatever comes outside."""
    found: dict[str, set[int]] = {}
    for index, free in enumerate(state.free):
        for kind in look(free, outside=True):
            found.setdefault(kind, set()).add(index)
    return {kind: frozenset(indices) for kind, indices in found.items()}


@cache
def is_simple(state: State) -> bool:
    """Whether one token always tells which free step of `state` to take."""
    return all(len(indices) == 1 for indices in choices(state).values())


class Config(NamedTuple):
    """One way in which the tokens ahead may be read: for which step, and where it has come."""

    state: State
    step: int
    stack: Stack
    outside: bool


def closure(configs: Iterable[Config]) -> list[Config]:
    """Those that can be reached without a token, of which only they matter that wait for one."""
    callers, starts = NETWORK.callers, NETWORK.starts
    seen: dict[Config, None] = {}
    pending = list(configs)
    while pending:
        config = pending.pop()
        if config in seen:
            continue
        seen[config] = None
        here, step, stack, outside = config
        if here.kind == "stop":
            if stack is not None:
                pending.append(Config(stack[0], step, stack[1], outside))
            else:
                pending += [Config(caller, step, None, True) for caller in callers[here]]
        if here.rule and here.target is not None:
            pending.append(Config(starts[here.rule], step, (here.target, stack), outside))
        pending += [Config(free, step, stack, outside) for free in here.free]
    return [
        config
        for config in seen
        if config.state.tokens or (config.state.kind == "stop" and config.stack is None)
    ]


@dataclass(eq=False)
class Reading:
    """All ways in which the tokens so far may be read. What each token makes of it is remembered
    up to a bound, for nested parentheses have readings without end."""

    configs: list[Config]
    moves: dict[str, Reading] = field(default_factory=dict)

    def after(self, kind: str) -> Reading:
        """The reading when a token of this kind comes next."""
        found = self.moves.get(kind)
        if found is None:
            following = closure(
                Config(config.state.target, config.step, config.stack, config.outside)
                for config in self.configs
                if kind in config.state.tokens and config.state.target is not None
            )
            key = frozenset(following)
            found = _READINGS.get(key) or Reading(following)
            if len(_READINGS) < _MAX_READINGS:
                _READINGS[key] = self.moves[kind] = found
        return found

    @cached_property
    def decided(self) -> int | None:
        """The free step that is left, or of several that differ in nothing any more the first."""
        steps = {config.step for config in self.configs}
        if len(steps) == 1 or len(self.configs) > _MAX_CONFIGS:
            return min(steps)
        groups: dict[tuple[State, Stack], int] = {}
        for config in self.configs:
            key = (config.state, config.stack)
            groups[key] = min(config.step, groups.get(key, config.step))
        firsts = set(groups.values())
        return firsts.pop() if len(firsts) == 1 else None

    def left(self, *, ended: bool) -> int | None:
        """The first free step of those left, or with `ended` of those whose rule has ended."""
        steps = [
            config.step
            for config in self.configs
            if not ended or config.outside or config.state.kind == "stop"
        ]
        return min(steps, default=None)


_READINGS: dict[frozenset[Config], Reading] = {}


@cache
def reading(state: State) -> Reading:
    """All free steps of `state`, before the first token."""
    return Reading(closure(Config(free, i, None, False) for i, free in enumerate(state.free)))
