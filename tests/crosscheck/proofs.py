"""Explanations against the truth: the decision, the proof, what it rests on, and the ways to yes.

A proof is right if `engine.verify` has nothing to say against it. It must not say more than it
needs, nor less. What is a premise, and what must happen when one is removed:

- A tuple that the proof tells of: without it in the store, the proof does not verify.
- A fact that counts (it allows, waits, or leads to a goal): without it in the proof, the proof does
  not verify, for then something is left out that could change the answer. A fact that allows, in a
  step for which one is enough, is needed even where the tuple is gone from the store, too.
- A branch of a step, and the judgement of a goal: without it in the proof, it does not verify.
- What a denial rests on beside these is that tuples are absent: with the changes of a way to yes
  made, the proof of the denial does not verify.

And the tuples that a proof tells of are all that it takes to verify it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import chain, combinations
from typing import Any

from engine.decision import Decision, Verdict
from engine.errors import EngineError
from engine.requests import Check
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple
from engine.verify import verify
from engine.verify.claims import tuple_of
from tests.crosscheck.layout import Laid
from tests.crosscheck.truth import Answer
from tests.engine.agreement import simplified

Json = dict[str, Any]
_TO_YES = 5


async def compare_explanation(
    laid: Laid, check: Check, is_: Answer, tally: Counter[str], most: int
) -> list[str]:
    """What is wrong with the explanation of a check that is true as `is_` says; `most` premises of
    each kind are removed."""
    asked = Check(check.object, check.relation, check.subject, check.context, explain=True)
    question = f"why {check.object}#{check.relation}@{check.subject}"
    try:
        answer = await laid.engine.check(laid.store, asked, overlay=laid.overlay)
    except EngineError as error:
        return [] if is_ == "error" else [f"{question}: {error!r}, it is {is_}"]
    proof: Json = json.loads(json.dumps(answer.explanation))
    told = simplified(answer.decision)
    stands = frozenset(proof["missing_context"]) or proof["decision"]
    if not told == is_ == (frozenset() if stands == "conditional" else stands):
        return [f"{question}: it is {is_}, answered {told}, and the proof says {stands}"]
    tally[f"proofs of {answer.decision.verdict}"] += 1
    wrong = verify(proof, laid.case.world.schema, laid.tuples)
    if not wrong:
        wrong = _needless(laid, proof, tally, most)
        wrong += await _not_ways(laid, check, answer.decision, proof, tally)
    return [f"{question}: {one}" for one in wrong]


def _verifies(laid: Laid, proof: Json, tuples: Sequence[RelationTuple]) -> bool:
    return not verify(proof, laid.case.world.schema, tuples)


def _needless(laid: Laid, proof: Json, tally: Counter[str], most: int) -> list[str]:
    """Premises of a proof without which it verifies."""
    told = [tuple_of(fact["tuple"]) for _, _, fact in _facts(proof)]
    wrong = [] if _verifies(laid, proof, told) else ["the tuples told are not enough"]
    for item in spread(told, most):
        tally["tuples taken away"] += 1
        if _verifies(laid, proof, [one for one in laid.tuples if one != item]):
            wrong.append(f"`{item}` is not needed")
    for place, less in _less(proof, most):
        tally["premises taken away"] += 1
        if _verifies(laid, less, laid.tuples):
            wrong.append(f"{place} is not needed")
    for item, less in _without_grants(proof, most):
        tally["grants taken away"] += 1
        if _verifies(laid, less, [one for one in laid.tuples if one != item]):
            wrong.append(f"`{item}` is not needed to allow")
    return wrong


def _steps(proof: Json) -> Iterator[Json]:
    """Every step of a proof, those inside others too."""
    waiting = [judgement["step"] for judgement in proof["judgements"]]
    while waiting:
        step = waiting.pop()
        yield step
        waiting += step.get("parts", [])
        waiting += [fact["walk"] for fact in step.get("tuples", []) if "walk" in fact]


def _facts(proof: Json) -> Iterator[tuple[Json, int, Json]]:
    """Every fact with the step that it stands in and its place there."""
    for step in _steps(proof):
        for place, fact in enumerate(step.get("tuples", [])):
            yield step, place, fact


def _counts(fact: Json) -> bool:
    return fact["verdict"] != "denied" or "then" in fact or "walk" in fact


def _less(proof: Json, most: int) -> Iterator[tuple[str, Json]]:
    """The proof without one fact that counts, one branch, or one judgement."""
    facts = [(n, i) for n, (_, i, fact) in enumerate(_facts(proof)) if _counts(fact)]
    for number, place in spread(facts, most):
        less = deepcopy(proof)
        step = list(_facts(less))[number][0]
        fact = step["tuples"].pop(place)
        yield f"the fact `{fact['tuple']}`", less
    branches = [(n, i) for n, s in enumerate(_steps(proof)) for i in range(len(s.get("parts", ())))]
    for number, place in spread(branches, most):
        less = deepcopy(proof)
        step = list(_steps(less))[number]
        part = step["parts"].pop(place)
        yield f"branch {part['branch']} of {step['kind']}", less
    for number in spread(range(len(proof["judgements"])), most):
        less = deepcopy(proof)
        goal = less["judgements"].pop(number)["goal"]
        yield f"the judgement of {goal}", less


def _without_grants(proof: Json, most: int) -> Iterator[tuple[RelationTuple, Json]]:
    """The proof without a fact that allows where one is enough, and the fact's tuple."""
    grants = [
        (number, place)
        for number, (step, place, fact) in enumerate(_facts(proof))
        if fact["verdict"] == step["verdict"] == "allowed" and not step.get("every")
    ]
    for number, place in spread(grants, most):
        less = deepcopy(proof)
        step = list(_facts(less))[number][0]
        yield tuple_of(step["tuples"].pop(place)["tuple"]), less


async def _not_ways(
    laid: Laid, check: Check, decision: Decision, proof: Json, tally: Counter[str]
) -> list[str]:
    """Ways to yes that are none, or do more than it takes, or leave the proof of no standing."""
    if decision.verdict is not Verdict.DENIED:
        return ["there are ways to yes"] if "ways_to_yes" in proof else []
    ways = proof["ways_to_yes"]["found"]
    wrong = [] if len(ways) <= _TO_YES else [f"there are {len(ways)} ways"]
    tally["denials with ways" if ways else "denials without ways"] += 1
    for way in ways:
        updates = [Update(UpdateOp(u["op"]), tuple_of(u["tuple"])) for u in way["updates"]]
        tally[f"ways of {len(updates)}"] += 1
        sizes = range(1, len(updates) + 1)
        wrong += [
            f"of the way {updates}, {part} should not do as it does"
            for part in chain.from_iterable(combinations(updates, size) for size in sizes)
            if await _flips(laid, check, part) != (len(part) == len(updates))
        ]
        touched = {update.tuple.identity for update in updates}
        changed = [item for item in laid.tuples if item.identity not in touched]
        changed += [update.tuple for update in updates if update.op is UpdateOp.TOUCH]
        if _verifies(laid, proof, changed):
            wrong.append(f"the proof of no stands after the way {updates}")
    if len({json.dumps(way["updates"], sort_keys=True) for way in ways}) < len(ways):
        wrong.append("a way is told twice")
    return wrong


async def _flips(laid: Laid, check: Check, updates: Sequence[Update]) -> bool:
    """Whether the changes, as an overlay, allow the check."""
    overlay = laid.with_changes(updates)
    try:
        answer = await laid.engine.check(laid.store, check, overlay=overlay)
    except EngineError:
        return False
    return answer.decision.verdict is Verdict.ALLOWED


def spread(items: Sequence[Any], most: int) -> Sequence[Any]:
    """At most `most` of the items, evenly."""
    return items[:: -(-len(items) // most)] if items else items
