"""Expand says what Check says: membership worked out of the trees alone, for everything in a file.

SpiceDB's consistency suite does the same with its recursive expansion. A tree ends at usersets, so
each is looked up in its own tree; caveats are evaluated with the context that the check has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from engine.caveats import Bound, CaveatSet
from engine.decision import Decision
from engine.engine import Engine
from engine.requests import AtExactSnapshot, Check, ExpandNode, ExpandSubject
from engine.tuples import Object, Subject
from schema import parse_schema
from schema.model import Schema
from tests.conformance.data import cases
from tests.conformance.systems import System, touches
from tests.conformance.validation_files import ValidationFile, every_file, goals

FILES = cases(every_file, lambda file: file.name)
BATCH = 1000

Goal = tuple[Object, str]
Value = bool | None
"""None: conditional."""


def any_of(values: Iterable[Value]) -> Value:
    found = list(values)
    return True if True in found else None if None in found else False


def all_of(values: Iterable[Value]) -> Value:
    found = list(values)
    return False if False in found else None if None in found else True


class Members:
    """Membership of one subject, from trees alone."""

    def __init__(self, trees: Mapping[Goal, ExpandNode], subject: Subject, bound: Bound) -> None:
        self._trees, self._subject, self._bound = trees, subject, bound
        self._under_way: set[Goal] = set()

    def holds(self, goal: Goal) -> Value:
        """Whether the subject is a member of a goal; one that leads to itself adds nothing."""
        object_, relation = goal
        if self._subject == Subject(object_.type, object_.id, relation):
            return True
        if goal in self._under_way or goal not in self._trees:
            return False
        self._under_way.add(goal)
        try:
            return self._node(self._trees[goal])
        finally:
            self._under_way.discard(goal)

    def _node(self, node: ExpandNode) -> Value:
        if self._subject == Subject(node.object.type, node.object.id, node.relation):
            inner: Value = True
        elif node.kind == "recursion":
            inner = False
        elif node.kind == "leaf":
            inner = any_of(self._subject_holds(each) for each in node.subjects)
        elif node.kind == "union":
            inner = any_of(map(self._node, node.children))
        elif node.kind == "intersection":
            inner = all_of(map(self._node, node.children))
        elif node.kind == "all":
            inner = bool(node.children) and all_of(map(self._node, node.children))
        else:
            assert node.kind == "exclusion"
            base, subtracted = map(self._node, node.children)
            inner = all_of([base, None if subtracted is None else not subtracted])
        return inner if node.via is None else all_of([self._says(node.via), inner])

    def _subject_holds(self, stored: ExpandSubject) -> Value:
        kind, id_, relation = stored.subject
        if relation:
            granted = self.holds((Object(kind, id_), relation))
        else:
            granted = stored.subject == self._subject or (
                id_ == "*" and kind == self._subject.type and not self._subject.relation
            )
        return all_of([self._says(stored), granted])

    def _says(self, stored: ExpandSubject) -> Value:
        if not stored.caveat:
            return True
        outcome = self._bound.evaluate(stored.caveat, stored.context)
        return outcome if isinstance(outcome, bool) else None


def every_goal(schema: Schema, objects: Iterable[Object]) -> list[Goal]:
    return [
        (each, name)
        for each in sorted(objects)
        if each.type in schema.object_types
        for name in schema.object_types[each.type].names
    ]


async def verdicts(engine: Engine, store: str, checks: list[Check], zookie: str) -> list[str]:
    found: list[str] = []
    for start in range(0, len(checks), BATCH):
        part = checks[start : start + BATCH]
        answer = await engine.check_batch(store, part, AtExactSnapshot(zookie))
        for result in answer.results:
            assert isinstance(result, Decision), result
            found.append(result.verdict.value)
    return found


@pytest.mark.parametrize("file", FILES)
async def test_expand_and_check_agree_on_everything(engine: Engine, file: ValidationFile) -> None:
    tenant = await System(engine).tenant()
    await tenant.put_schema(file.schema)
    zookie = await tenant.write(touches(file.tuples))
    schema = parse_schema(file.schema)
    objects, subjects = goals(file)
    wanted = every_goal(schema, objects)
    trees = {
        goal: (await engine.expand(tenant.name, *goal, AtExactSnapshot(zookie))).tree
        for goal in wanted
    }
    contexts: list[Mapping[str, Any]] = [{}]
    contexts += [a.check.context for a in file.assertions if a.check.context not in contexts]
    caveats = CaveatSet(schema)
    names: dict[Value, str] = {True: "allowed", False: "denied", None: "conditional"}
    for context in contexts:
        for subject in sorted(subjects):
            members = Members(trees, subject, caveats.bind(context))
            checks = [Check(*goal, subject, context) for goal in wanted]
            found = await verdicts(engine, tenant.name, checks, zookie)
            expected = [names[members.holds(goal)] for goal in wanted]
            wrong = [
                (str(check.object), check.relation, str(subject), dict(context), got, told)
                for check, got, told in zip(checks, found, expected, strict=True)
                if got != told
            ]
            assert not wrong
