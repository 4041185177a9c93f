"""Is a proof right? A checker of derivations that knows nothing of how they are found.

Three things make a proof: every step is one that the schema has there and the tuples bear out
(`engine.verify.reading`); every goal's claim follows from its step and the claims it rests on;
and no claim rests on itself, except that goals may be denied together because nothing but one
another could allow them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import networkx as nx

from engine.decision import Verdict
from engine.errors import EngineError
from engine.tuples import RelationTuple, parse_subject, parse_time
from engine.verify.claims import (
    AllOf,
    AnyOf,
    Claimed,
    Constant,
    Goal,
    Json,
    MalformedError,
    Minus,
    Term,
    goal_of,
    leaves,
    member,
    objects,
    refuse,
    value,
    verdict_of,
)
from engine.verify.reading import Ground, Reader
from schema.model import Schema

VERSION = 1


def verify(
    proof: Any,
    schema: Schema,
    tuples: Iterable[RelationTuple],
    *,
    now: datetime | None = None,
    context: Mapping[str, Any] | None = None,
) -> list[str]:
    """What is wrong with a proof, given every tuple of the store; nothing if it is right.

    `now` and `context` are the proof's own when None. Contextual tuples of the check must be
    among the tuples. A proof that was cut short is a problem. Raises SchemaTypeError for a
    schema whose caveats do not compile; nothing that a proof holds makes it raise.
    """
    try:
        return _verify(proof, schema, tuples, now, context)
    except MalformedError as error:
        return [f"the proof is malformed: {error}"]
    except EngineError as error:
        return [f"the proof is malformed: {error.message}"]


def _verify(
    proof: Any,
    schema: Schema,
    tuples: Iterable[RelationTuple],
    now: datetime | None,
    context: Mapping[str, Any] | None,
) -> list[str]:
    if type(proof) is not dict or proof.get("version") != VERSION:
        refuse(f"it is not a proof of version {VERSION}")
    if proof.get("complete") is not True:
        return [f"the proof was cut short: {proof.get('reason', 'it does not say why')}"]
    subject = parse_subject(member(proof, "subject", str))
    moment = parse_time(member(proof, "now", str), "now") if now is None else now
    given = member(proof, "context", dict) if context is None else context
    claims, steps = _claims(objects(proof, "judgements"))
    root = goal_of(f"{member(proof, 'object', str)}#{member(proof, 'relation', str)}")
    reader = Reader(Ground(schema, tuples, subject, moment, given), claims)
    if root not in claims or claims[root] != proof.get("decision"):
        reader.problems.append("the decision is not what the proof claims of its first goal")
        return reader.problems
    terms = {goal: reader.judgement(goal, step) for goal, step in steps.items()}
    for goal, term in terms.items():
        if value(term, claims) is not claims[goal]:
            reader.problems.append(f"`{goal}` is claimed to be {claims[goal]}; it does not follow")
    reader.problems += _circular(terms, claims)
    if sorted(_missing(root, terms, claims)) != proof.get("missing_context"):
        reader.problems.append("the missing context is not what the conditions wait for")
    return list(dict.fromkeys(reader.problems))


def _claims(judgements: list[Json]) -> tuple[dict[Goal, Verdict], dict[Goal, Json]]:
    claims: dict[Goal, Verdict] = {}
    steps: dict[Goal, Json] = {}
    for judgement in judgements:
        goal = goal_of(judgement.get("goal"))
        if goal in claims:
            refuse(f"`{goal}` is judged twice")
        claims[goal] = verdict_of(judgement)
        steps[goal] = member(judgement, "step", dict)
    return claims, steps


def _circular(terms: dict[Goal, Term], claims: Mapping[Goal, Verdict]) -> list[str]:
    """Goals that rest on themselves in a way that proves nothing."""
    rests: set[tuple[Goal, Goal]] = set()
    on_absence: set[tuple[Goal, Goal]] = set()
    for goal, term in terms.items():
        for leaf, subtracted in leaves(term):
            if isinstance(leaf, Claimed) and leaf.goal in claims:
                rests.add((goal, leaf.goal))
                if subtracted:
                    on_absence.add((goal, leaf.goal))
    graph: nx.DiGraph[Goal] = nx.DiGraph(rests)
    component = {
        goal: number
        for number, goals in enumerate(nx.strongly_connected_components(graph))
        for goal in goals
    }
    problems = [
        f"`{goal}` rests on its own absence through `{other}`"
        for goal, other in sorted(on_absence)
        if component[goal] == component[other]
    ]
    problems += [f"nothing but itself supports `{goal}`" for goal in _unsupported(terms, claims)]
    return problems


def _unsupported(terms: dict[Goal, Term], claims: Mapping[Goal, Verdict]) -> list[Goal]:
    """The goals that are not denied and yet would be, did they not support one another."""
    doubted = [goal for goal in reversed(terms) if claims[goal] is not Verdict.DENIED]
    so_far = {**claims, **dict.fromkeys(doubted, Verdict.DENIED)}
    while True:
        found = []
        for goal in doubted:
            if value(terms[goal], so_far, claims) is claims[goal]:
                so_far[goal] = claims[goal]
                found.append(goal)
        if not found:
            return doubted
        doubted = [goal for goal in doubted if so_far[goal] is Verdict.DENIED]


def _missing(
    root: Goal, terms: Mapping[Goal, Term], claims: Mapping[Goal, Verdict]
) -> frozenset[str]:
    """The parameters that the conditional goals under the root wait for."""
    found: frozenset[str] = frozenset()
    seen = {root}
    stack: list[Term] = [terms[root]]
    while stack:
        term = stack.pop()
        if value(term, claims) is not Verdict.CONDITIONAL:
            continue
        match term:
            case Constant(missing=missing):
                found |= missing
            case Claimed(goal=goal):
                if goal not in seen and goal in terms:
                    seen.add(goal)
                    stack.append(terms[goal])
            case AnyOf(terms=parts) | AllOf(terms=parts):
                stack.extend(parts)
            case Minus(base=base, subtracted=subtracted):
                stack += [base, subtracted]
    return found
