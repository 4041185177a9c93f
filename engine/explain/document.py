"""Explanations as JSON: the proof format, version 1 (`docs/explain.md`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.decision import Decision
from engine.explain.steps import ALLOWED, Fact, Goal, Kind, Step
from engine.explain.ways import Way, Ways
from engine.jsontext import parse_json_object
from engine.plan import Planner
from engine.requests import Check
from engine.tuples import RelationTuple, format_time
from schema.model import Schema

VERSION = 1
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Telling:
    """What the facts of a proof are told with: the schema, the check, and for each stored tuple
    the revision that wrote it."""

    schema: Schema
    planner: Planner
    check: Check
    revisions: Mapping[RelationTuple, int | None]
    contextual: Sequence[RelationTuple]

    def judgement(self, goal: Goal, step: Step) -> Json:
        """A goal with its verdict and the step that decides it."""
        told = {"goal": str(goal), "verdict": step.verdict.value}
        return {**told, "step": self._step(step, goal.object.type)}

    def _step(self, step: Step, kind: str) -> Json:
        told: Json = {"kind": step.kind.value, "verdict": step.verdict.value}
        if step.relation:
            told["relation"] = step.relation
        if step.every:
            told["every"] = True
        if step.then is not None:
            told["then"] = str(step.then)
        if step.parts:
            told["parts"] = [
                {"branch": branch, **self._step(part, kind)} for branch, part in step.parts
            ]
        if step.kind is Kind.TUPLES and step.verdict is not ALLOWED:
            told["looked_for"] = self._looked_for(kind, step.relation)
        if step.facts:
            told["tuples"] = [self._fact(fact) for fact in step.facts]
        return told

    def _fact(self, fact: Fact) -> Json:
        item = fact.tuple
        told: Json = {
            "tuple": tuple_json(item),
            "state": fact.state.value,
            "verdict": fact.verdict.value,
        }
        if item in self.contextual:
            told["contextual"] = True
        elif self.revisions.get(item) is not None:
            told["revision"] = self.revisions[item]
        if item.caveat in self.schema.caveats:
            stored = parse_json_object(item.context) if item.context else {}
            parameters = self.schema.caveats[item.caveat].parameters
            given = self.check.context.items()
            told["given"] = {
                key: value for key, value in given if key in parameters and key not in stored
            }
        if fact.missing:
            told["missing"] = sorted(fact.missing)
        if fact.then is not None:
            told["then"] = str(fact.then)
        if fact.walk is not None:
            told["walk"] = self._step(fact.walk, item.subject.type)
        return told

    def _looked_for(self, kind: str, name: str) -> list[str]:
        """The subjects that a relation's tuples could have had to count."""
        relation, subject = self.schema.object_types[kind].relations[name], self.check.subject
        found = []
        for form in relation.subject_types:
            if form.relation and self.planner.reaches(form.type, form.relation):
                found.append(f"{form.type}#{form.relation}")
            elif not form.relation and (form.type, "") == (subject.type, subject.relation):
                found.append(f"{form.type}:*" if form.wildcard else str(subject))
        return sorted(set(found))


def tuple_json(item: RelationTuple) -> Json:
    """A relation tuple in the object form of the API."""
    told: Json = {
        "object": str(item.object),
        "relation": item.relation,
        "subject": str(item.subject),
    }
    if item.caveat:
        context = parse_json_object(item.context) if item.context else {}
        told["caveat"] = {"name": item.caveat, "context": context}
    if item.expires_at is not None:
        told["expires_at"] = format_time(item.expires_at)
    return told


def head(check: Check, decision: Decision) -> Json:
    """What was asked and what was answered."""
    return {
        "version": VERSION,
        "object": str(check.object),
        "relation": check.relation,
        "subject": str(check.subject),
        "context": dict(check.context),
        "decision": decision.verdict.value,
        "missing_context": sorted(decision.missing),
    }


def ways_json(ways: Ways) -> Json:
    """The ways to yes: changes as a write takes them, and whom else each way lets in."""
    told: Json = {
        "found": [
            {
                "updates": [
                    {"op": change.op.value, "tuple": tuple_json(change.tuple)}
                    for change in way.changes
                ],
                "lets_in": _lets_in(way),
            }
            for way in ways.found
        ],
        "complete": not ways.reason,
    }
    return told | ({"reason": ways.reason} if ways.reason else {})


def _lets_in(way: Way) -> Json:
    return {
        "others": way.others.gaining,
        "conditional": way.others.conditional,
        "exact": way.others.exact,
        "everyone": way.everyone,
        "groups": way.cost.groups,
        "distance": way.cost.distance,
    }
