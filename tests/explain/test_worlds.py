"""Explanations in random worlds: proofs verify, premises are needed, ways to yes work.

`tests/crosscheck` holds more of them to it, with overlays and on Postgres, and takes away more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any

import pytest

from engine.decision import Verdict
from engine.store.protocol import UpdateOp
from engine.tuples import RelationTuple
from engine.verify import verify
from engine.verify.claims import tuple_of
from engine.write import checked_tuple
from tests.explain.asking import GENEROUS, PROOFS_ONLY, Explained, decide, explained, prepared

SEEDS = [range(start, start + 50) for start in (0, 50)]


def problems_of(one: Explained, tuples: list[RelationTuple] | None = None) -> list[str]:
    proof = json.loads(json.dumps(one.proof))
    return verify(proof, one.world.schema, one.world.tuples if tuples is None else tuples)


def told_tuples(proof: dict[str, Any]) -> set[RelationTuple]:
    """Every tuple that a proof tells of."""

    def steps(step: dict[str, Any]) -> Iterator[RelationTuple]:
        for part in step.get("parts", ()):
            yield from steps(part)
        for fact in step.get("tuples", ()):
            yield tuple_of(fact["tuple"])
            if "walk" in fact:
                yield from steps(fact["walk"])

    return set(chain.from_iterable(steps(item["step"]) for item in proof["judgements"]))


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
async def test_every_proof_verifies_and_needs_its_premises(seeds: range) -> None:
    tally: Counter[str] = Counter()
    wrong = []
    for one in [one for seed in seeds for one in await explained(seed, PROOFS_ONLY)]:
        tally[one.decision.verdict] += 1
        if problems := problems_of(one):
            wrong.append((one.question, problems))
        if one.proof["decision"] != one.decision.verdict:
            wrong.append((one.question, ["another decision"]))
        if one.decision.verdict is Verdict.ALLOWED:
            for premise in told_tuples(one.proof):
                tally["premises"] += 1
                left = [item for item in one.world.tuples if item != premise]
                if not problems_of(one, left):
                    wrong.append((one.question, [f"`{premise}` is not needed"]))
    assert wrong == []
    assert min(tally[verdict] for verdict in Verdict) > 5, tally
    assert tally["premises"] > 20


async def test_goals_that_are_denied_together_rest_on_no_absence_of_each_other() -> None:
    """In this world a cycle of denied goals passes an exclusion inside an exclusion."""
    for one in await explained(346, PROOFS_ONLY, each=20):
        assert problems_of(one) == [], one.question


@pytest.mark.parametrize("seeds", SEEDS[:1], ids=str)
async def test_every_way_to_yes_is_one_and_none_of_its_parts(seeds: range) -> None:
    tally: Counter[str] = Counter()
    wrong = []
    for one in [one for seed in seeds for one in await explained(seed, each=2)]:
        if one.decision.verdict is not Verdict.DENIED:
            assert "ways_to_yes" not in one.proof
            continue
        ways = one.proof["ways_to_yes"]["found"]
        tally["with" if ways else "without"] += 1
        for way in ways:
            updates = [(UpdateOp(u["op"]), tuple_of(u["tuple"])) for u in way["updates"]]
            tally[f"of {len(updates)}"] += 1
            for part in parts(updates):
                (answer,) = await decide(one.world, [one.check], changed(one, part))
                flips = getattr(answer, "verdict", None) is Verdict.ALLOWED
                if flips != (len(part) == len(updates)):
                    wrong.append((one.question, [str(item) for _, item in part], answer))
    assert wrong == []
    assert tally["with"] > 40, tally
    assert tally["of 2"] > 5, tally


def parts(updates: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Every subset that is not empty, the whole last."""
    sizes = range(1, len(updates) + 1)
    return chain.from_iterable(combinations(updates, size) for size in sizes)


def changed(one: Explained, updates: tuple[tuple[UpdateOp, RelationTuple], ...]) -> Any:
    touched = {item.identity for _, item in updates}
    kept = [item for item in one.world.tuples if item.identity not in touched]
    return kept + [item for op, item in updates if op is UpdateOp.TOUCH]


async def test_no_way_proposes_what_the_schema_forbids() -> None:
    proposed = 0
    for one in [one for seed in range(100, 120) for one in await explained(seed)]:
        ground, _ = await prepared(one.world, ())
        for way in one.proof.get("ways_to_yes", {"found": ()})["found"]:
            for update in way["updates"]:
                if update["op"] == "touch":
                    item = tuple_of(update["tuple"])
                    assert checked_tuple(ground.compiled, item, GENEROUS, "tuple") == item
                    proposed += 1
    assert proposed > 100


async def test_ways_that_let_in_the_fewest_come_first_and_there_are_five_at_most() -> None:
    most = 0
    for one in [one for seed in range(120, 140) for one in await explained(seed)]:
        ways = one.proof.get("ways_to_yes", {"found": ()})["found"]
        told = [way["lets_in"] for way in ways]
        order = [(way["everyone"] > 0, not way["exact"], way["others"]) for way in told]
        assert order == sorted(order), one.question
        most = max(most, len(ways))
    assert most == GENEROUS.explain_ways
