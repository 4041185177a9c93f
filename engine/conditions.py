"""Is what a conditional answer hangs on still the same?

Two conditional answers may miss the same names and still be different conditions: another bound in
the caveat, another stored context. So the formulas that are left open are compared, with every
caveat in its place. Equal formulas are the same condition; different ones may be two ways to say
it.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.asking import Ground
from engine.budget import Budget
from engine.caveats import Bound
from engine.check import Evaluation, evaluate
from engine.digest import digest
from engine.formula import ALLOWED, DENIED, Node, Op
from engine.tuples import Object, Subject

_LARGEST = 2_000
"""Nodes of a formula that are compared; beyond, it counts as different."""


class _Tagged(Bound):
    """Says, in place of the names that are missing, what they are missing for."""

    __slots__ = ("_ground",)

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground.compiled.caveats, {}, "context")
        self._ground = ground

    def evaluate(self, name: str, stored: str) -> bool | frozenset[str]:
        """As `Bound.evaluate`, but one tag for what is missing."""
        outcome = super().evaluate(name, stored)
        if isinstance(outcome, bool):
            return outcome
        caveat = self._ground.compiled.schema.caveats[name]
        parameters = sorted((key, str(type_)) for key, type_ in caveat.parameters.items())
        told = digest(caveat.expression, parameters, caveat.strict, stored)
        return frozenset((told.hex(),))


async def conditions(
    ground: Ground, pairs: Sequence[tuple[Object, Subject]], relation: str, budget: Budget
) -> list[object | None]:
    """What each pair's conditional membership hangs on, to be compared; None if it is too large.

    Raises BudgetExceeded, and what the reader raises.
    """
    evaluations, roots = [], []
    for object_, subject in pairs:
        evaluation = Evaluation(subject, _Tagged(ground), ground.now)
        plan = ground.compiled.plans.for_subject(subject.type, subject.relation).plan(
            object_.type, relation
        )
        assert plan is not None  # a conditional answer has a plan
        roots.append(evaluation.ask(plan, object_.id))
        evaluations.append(evaluation)
    await evaluate(evaluations, ground.reader, budget)
    return [_Open().shape(root) for root in roots]


class _TooLargeError(Exception):
    pass


class _Open:
    """Writes down one open formula. A goal within itself adds nothing to a least fixpoint, so it
    is left out there."""

    def __init__(self) -> None:
        self._seen = 0
        self._inside: set[Node] = set()

    def shape(self, root: Node) -> object | None:
        """The formula as a value that equals those of the same formula."""
        try:
            return self._shape(root)
        except (_TooLargeError, RecursionError):
            return None

    def _shape(self, node: Node) -> object:
        if node.value in (ALLOWED, DENIED):
            return node.value == ALLOWED
        self._seen += 1
        if self._seen > _LARGEST:
            raise _TooLargeError
        if node.op is Op.LEAF:
            return node.reason
        if node in self._inside:
            return False
        self._inside.add(node)
        parts = [self._shape(child) for child in node.children]
        self._inside.discard(node)
        if node.op is Op.MINUS:
            return ("minus", *parts)
        return _joined("all" if node.op is Op.ALL else "any", parts)


def _joined(op: str, parts: Sequence[object]) -> object:
    """A union or an intersection, without the parts that do not matter and as little nested as
    may be."""
    decisive = op == "any"
    found: set[object] = set()
    for part in parts:
        if part is decisive:
            return decisive
        if isinstance(part, tuple) and part[0] == op:
            found |= part[1]
        elif not isinstance(part, bool):
            found.add(part)
    if len(found) == 1:
        return found.pop()
    return (op, frozenset(found)) if found else not decisive
