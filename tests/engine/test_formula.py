"""The formula's values do not depend on the order in which its leaves are found."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from engine.decision import ALLOWED as YES
from engine.decision import DENIED as NO
from engine.decision import Decision, conditional
from engine.errors import CaveatFailed, EngineError, UnknownCaveat
from engine.formula import (
    ALLOWED,
    DENIED,
    UNKNOWN,
    Formula,
    Node,
    Op,
    Value,
    all_of,
    any_of,
    decision_of,
    minus,
    unknown,
)
from engine.plan import Plans
from schema.model import ObjectType, Permission, Schema
from schema.rewrite import Self

VALUES = (DENIED, ALLOWED, UNKNOWN)
MISSING = frozenset({"x"})
PLAN = (
    Plans(Schema({"user": ObjectType("user", {}, {"self": Permission("self", Self())})}))
    .for_subject("user", "")
    .plan("user", "self")
)


def leaf(value: int) -> Value:
    """A part with this value."""
    return unknown(MISSING) if value == UNKNOWN else value


def goal() -> Node:
    """A goal that nothing is known of."""
    return Node(Op.GOAL)


def kleene(operator: str, values: Sequence[int]) -> int:
    """The three-valued truth tables, as one would write them down."""
    if operator == "minus":
        base, subtracted = values
        flipped = {DENIED: ALLOWED, ALLOWED: DENIED, UNKNOWN: UNKNOWN}[subtracted]
        return kleene("all", (base, flipped))
    wins, loses = (ALLOWED, DENIED) if operator == "any" else (DENIED, ALLOWED)
    return wins if wins in values else UNKNOWN if UNKNOWN in values else loses


def combined(operator: str, parts: Sequence[Value]) -> Value:
    if operator == "minus":
        return minus(*parts)
    return (any_of if operator == "any" else all_of)(parts)


def value_of(part: Value) -> int | None:
    return part if isinstance(part, int) else part.value


@pytest.mark.parametrize("operator", ["any", "all", "minus"])
@pytest.mark.parametrize("later", ["neither", "left", "right", "both", "both, right first"])
def test_two_parts_have_the_value_of_the_truth_table(operator: str, later: str) -> None:
    for left in VALUES:
        for right in VALUES:
            formula, goals = Formula(), (goal(), goal())
            late = [name in later for name in ("left", "right")] if "both" not in later else [1, 1]
            given = (left, right)
            parts = [goals[n] if late[n] else leaf(given[n]) for n in (0, 1)]
            root = goal()
            formula.want(root)
            formula.expand(root, combined(operator, parts))
            for n in (1, 0) if "right first" in later else (0, 1):
                if late[n]:
                    formula.expand(goals[n], leaf(given[n]))
            assert root.value == kleene(operator, given), (left, right)


def test_no_parts() -> None:
    assert any_of([]) == DENIED
    assert all_of([]) == ALLOWED


def test_one_undecided_part_stands_for_itself() -> None:
    part = goal()
    assert any_of([DENIED, part]) is part
    assert all_of([ALLOWED, part]) is part
    assert minus(part, DENIED) is part


def test_a_part_may_stand_twice() -> None:
    for value in VALUES:
        for operator, expected in (("any", value), ("all", value), ("minus", None)):
            part, root, formula = goal(), goal(), Formula()
            formula.want(root)
            formula.expand(root, combined(operator, (part, part)))
            formula.expand(part, leaf(value))
            twice = kleene("minus", (value, value)) if expected is None else expected
            assert root.value == twice


class Grown:
    """A random formula over goals, whose leaves are found in an order of its own."""

    def __init__(self, seed: int, order: int) -> None:
        dice = random.Random(seed)
        self.formula = Formula()
        self.goals = [goal() for _ in range(8)]
        for number, one in enumerate(self.goals):
            assert PLAN is not None
            one.label = (PLAN, str(number))
        bodies = [self._body(dice, number) for number in range(8)]
        self.formula.want(self.goals[0])
        turns = random.Random(order)
        while self.formula.wanted:
            wanted = self.formula.wanted
            turns.shuffle(wanted)
            taken = wanted.pop()
            if taken.value is None and taken.live and taken.op is Op.GOAL:
                number = self.goals.index(taken)
                self.formula.expand(taken, self._build(bodies[number]))
            else:
                taken.queued = False
        self.formula.settle(self.goals[:1])

    def _body(self, dice: random.Random, number: int, depth: int = 2) -> Any:
        if depth == 0 or dice.random() < 0.2:
            if dice.random() < 0.45:
                return dice.choice(VALUES) - 3
            return dice.randrange(8)
        operator = dice.choice(["any", "any", "all", "minus"])
        parts = tuple(self._body(dice, number, depth - 1) for _ in range(2))
        return (operator, *parts)

    def _build(self, body: Any) -> Value:
        if isinstance(body, int):
            return leaf(body + 3) if body < 0 else self.goals[body]
        operator, *parts = body
        return combined(operator, [self._build(part) for part in parts])

    def answer(self) -> Decision | str:
        """The root's decision, or its error's code."""
        try:
            return decision_of(self.goals[0])
        except EngineError as error:
            return error.code


def test_any_order_gives_the_same_answer() -> None:
    seen = set()
    for seed in range(400):
        answers = {Grown(seed, order).answer() for order in range(6)}
        assert len(answers) == 1, (seed, answers)
        seen |= answers
    assert {YES, NO, conditional(MISSING), "cycle_through_exclusion"} == seen


def test_a_goal_that_no_answer_depends_on_any_more_is_released() -> None:
    formula, root, decider, idle = Formula(), goal(), goal(), goal()
    formula.want(root)
    formula.expand(root, any_of([decider, all_of([idle, goal()])]))
    assert idle.live
    formula.expand(decider, ALLOWED)
    assert root.value == ALLOWED
    assert not idle.live


def test_a_released_goal_can_be_wanted_again() -> None:
    formula, first, second, decider, shared = Formula(), goal(), goal(), goal(), goal()
    formula.want(first)
    formula.want(second)
    formula.expand(first, any_of([decider, shared]))
    formula.expand(decider, ALLOWED)
    assert not shared.live
    shared.queued = False  # a round has passed it over
    formula.wanted.clear()
    formula.expand(second, shared)
    assert shared.live
    assert formula.wanted == [shared]
    formula.expand(shared, DENIED)
    assert (first.value, second.value) == (ALLOWED, DENIED)


def test_a_goal_released_with_its_parts_comes_back_with_them() -> None:
    formula, first, second, decider = Formula(), goal(), goal(), goal()
    shared, inner = goal(), goal()
    formula.want(first)
    formula.want(second)
    formula.expand(first, any_of([decider, shared]))
    formula.expand(shared, inner)
    formula.expand(decider, ALLOWED)
    assert (shared.live, inner.live) == (0, 0)
    formula.expand(second, shared)
    assert (shared.live, inner.live) == (1, 1)
    formula.expand(inner, ALLOWED)
    assert second.value == ALLOWED


def test_what_only_supports_itself_is_denied() -> None:
    formula, root, other = Formula(), goal(), goal()
    formula.want(root)
    formula.expand(root, other)
    formula.expand(other, all_of([root, unknown(MISSING)]))
    formula.settle([root])
    assert (root.value, other.value) == (DENIED, DENIED)


def test_settling_decides_exclusions_in_turn() -> None:
    formula = Formula()
    goals = [goal() for _ in range(200)]
    loop = goal()
    formula.want(goals[0])
    for number, one in enumerate(goals[:-1]):
        formula.expand(one, minus(ALLOWED, goals[number + 1]))
    formula.expand(goals[-1], loop)
    formula.expand(loop, loop)
    formula.settle(goals[:1])
    assert [one.value for one in goals] == [ALLOWED, DENIED] * 100


def test_what_depends_on_its_own_absence_keeps_no_value() -> None:
    formula, root = Formula(), goal()
    formula.want(root)
    formula.expand(root, minus(ALLOWED, root))
    formula.settle([root])
    assert root.value is None


def test_an_error_weighs_more_than_a_condition_and_the_same_one_is_told() -> None:
    first, second = CaveatFailed("b"), UnknownCaveat("a")
    orders: list[list[Any]] = [[MISSING, first, second], [second, first, MISSING]]
    for reasons in orders:
        formula, root = Formula(), goal()
        formula.want(root)
        formula.expand(root, any_of(unknown(reason) for reason in reasons))
        with pytest.raises(CaveatFailed):
            decision_of(root)


def test_a_condition_names_what_every_unknown_part_misses() -> None:
    formula, root = Formula(), goal()
    formula.want(root)
    late = goal()
    formula.expand(root, any_of([unknown(MISSING), all_of([late, unknown(frozenset("y"))])]))
    formula.expand(late, ALLOWED)
    assert decision_of(root) == conditional(frozenset("xy"))


def test_a_long_chain_is_decided_and_released_without_the_stack() -> None:
    formula = Formula()
    chain = [goal() for _ in range(50_000)]
    decider, root = goal(), goal()
    formula.want(root)
    formula.expand(root, any_of([decider, chain[0]]))
    for one, following in pairwise(chain):
        formula.expand(one, following)
    formula.expand(decider, ALLOWED)
    assert not chain[-1].live
    formula.expand(chain[-1], ALLOWED)
    assert chain[0].value == ALLOWED
