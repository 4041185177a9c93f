"""What `verify` accepts is true: under other tuples, of forged proofs, and of any JSON."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.decision import Decision, Verdict
from engine.tuples import RelationTuple, parse_tuple
from engine.verify import verify
from schema import parse_schema
from tests.explain.asking import PROOFS_ONLY, Explained, decide, explained

NOW = datetime(2030, 1, 1, tzinfo=UTC)
VERDICTS = [verdict.value for verdict in Verdict]


async def some(seeds: range) -> list[Explained]:
    return [one for seed in seeds for one in await explained(seed, PROOFS_ONLY)]


def varied(dice: random.Random, tuples: list[RelationTuple]) -> list[RelationTuple]:
    """Some tuples taken away, and some given the subject of another."""
    kept = [item for item in tuples if dice.random() > 0.15]
    for _ in range(dice.randint(0, 2)):
        one, other = dice.choice(tuples), dice.choice(tuples)
        kept.append(one._replace(subject=other.subject, caveat=other.caveat, context=other.context))
    return list({item.identity: item for item in kept}.values())


@pytest.mark.parametrize("seeds", [range(200, 225), range(240, 265)], ids=str)
async def test_a_proof_that_verifies_under_other_tuples_is_true_there(seeds: range) -> None:
    dice = random.Random(seeds.start)
    tally: Counter[tuple[str, bool]] = Counter()
    wrong = []
    for one in await some(seeds):
        for _ in range(3):
            tuples = varied(dice, list(one.world.tuples))
            accepted = not verify(one.proof, one.world.schema, tuples)
            (answer,) = await decide(one.world, [one.check], tuples)
            holds = isinstance(answer, Decision) and answer == one.decision
            tally["accepted" if accepted else "refused", holds] += 1
            if accepted and not holds:
                wrong.append((one.question, one.decision, answer))
    assert wrong == []
    assert tally["accepted", True] > 50, tally
    assert tally["refused", False] > 20, tally


def places(value: Any, key: str) -> Iterator[dict[str, Any]]:
    """Every object inside a document that has this key."""
    if isinstance(value, dict):
        if key in value:
            yield value
        for item in value.values():
            yield from places(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from places(item, key)


def forged(dice: random.Random, proof: dict[str, Any]) -> dict[str, Any]:
    """Another decision, and here and there other verdicts and fewer parts, to make it fit."""
    made: dict[str, Any] = json.loads(json.dumps(proof))
    made["decision"] = dice.choice([v for v in VERDICTS if v != made["decision"]])
    made["missing_context"] = []
    made["judgements"][0]["verdict"] = made["judgements"][0]["step"]["verdict"] = made["decision"]
    for place in places(made["judgements"], "verdict"):
        if dice.random() < 0.5:
            place["verdict"] = made["decision"]
    for key in ("parts", "tuples"):
        for place in places(made["judgements"], key):
            place[key] = [item for item in place[key] if dice.random() > 0.2]
    return made


async def test_no_forged_proof_verifies() -> None:
    dice = random.Random(1)
    accepted = [
        one.question
        for one in await some(range(280, 320))
        for _ in range(10)
        if not verify(forged(dice, one.proof), one.world.schema, one.world.tuples)
    ]
    assert accepted == []


async def test_no_json_makes_it_raise() -> None:
    dice = random.Random(2)
    junk: list[Any] = [None, True, -1, 1.5, "", "x", "a:b#c", [], {}, [[]], {"kind": "tuples"}]
    for one in await some(range(320, 340)):
        for _ in range(20):
            proof = json.loads(json.dumps(one.proof))
            keys = ("kind", "goal", "tuple", "object")
            place = dice.choice([place for key in keys for place in places(proof, key)])
            place[dice.choice(list(place))] = dice.choice(junk)
            assert isinstance(verify(proof, one.world.schema, one.world.tuples), list)
    for value in [*junk, {"version": 1}, {"version": 1, "complete": True, "subject": "user:a"}]:
        assert verify(value, one.world.schema, one.world.tuples)


CYCLIC = parse_schema("""
definition user {}
definition group {
  relation member: user | group#member
  relation banned: group#in
  permission in = member - barred
  permission barred = banned
}
""")


def proof(goals: dict[str, tuple[str, dict[str, Any]]], decision: str) -> dict[str, Any]:
    """A proof by hand about the first goal."""
    object_, _, relation = next(iter(goals)).partition("#")
    judgements = [
        {"goal": goal, "verdict": verdict, "step": {"verdict": verdict, **step}}
        for goal, (verdict, step) in goals.items()
    ]
    return {
        "version": 1,
        "object": object_,
        "relation": relation,
        "subject": "user:ann",
        "context": {},
        "decision": decision,
        "missing_context": [],
        "now": "2030-01-01T00:00:00Z",
        "complete": True,
        "judgements": judgements,
    }


def by_tuple(text: str, verdict: str, then: str) -> dict[str, Any]:
    object_, _, rest = text.partition("#")
    relation, _, subject = rest.partition("@")
    told = {"object": object_, "relation": relation, "subject": subject}
    fact = {"tuple": told, "state": "holds", "verdict": verdict, "then": then}
    return {"kind": "tuples", "relation": relation, "tuples": [fact]}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_groups_in_a_circle_are_denied_and_nothing_else(verdict: str) -> None:
    texts = ("group:a#member@group:b#member", "group:b#member@group:a#member")
    circle = {
        "group:a#member": (verdict, by_tuple(texts[0], verdict, "group:b#member")),
        "group:b#member": (verdict, by_tuple(texts[1], verdict, "group:a#member")),
    }
    problems = verify(proof(circle, verdict), CYCLIC, map(parse_tuple, texts))
    if verdict == "denied":
        assert problems == []
    else:
        assert "nothing but itself supports `group:a#member`" in problems


def test_nothing_is_proved_by_its_own_absence() -> None:
    texts = ("group:a#member@user:ann", "group:a#banned@group:a#in")
    told = {"object": "group:a", "relation": "member", "subject": "user:ann"}
    member = {"tuple": told, "state": "holds", "verdict": "allowed"}
    for inside, outside in (("allowed", "denied"), ("denied", "allowed")):
        parts = [
            {"branch": 0, "kind": "computed", "verdict": "allowed", "then": "group:a#member"},
            {"branch": 1, "kind": "computed", "verdict": outside, "then": "group:a#barred"},
        ]
        goals: dict[str, tuple[str, dict[str, Any]]] = {
            "group:a#in": (inside, {"kind": "exclusion", "parts": parts}),
            "group:a#member": ("allowed", {"kind": "tuples", "tuples": [member]}),
            "group:a#barred": (outside, {"kind": "computed", "then": "group:a#banned"}),
            "group:a#banned": (outside, by_tuple(texts[1], outside, "group:a#in")),
        }
        problems = verify(proof(goals, inside), CYCLIC, map(parse_tuple, texts))
        assert any("its own absence" in problem for problem in problems), problems
