"""A denial tells every side that fails, beside the one that proves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine.decision import Decision, Verdict
from engine.verify import verify
from engine.verify.claims import Goal, goal_of
from schema import rewrite as rw
from tests.explain.asking import PROOFS_ONLY, Explained, decide, explained
from tests.explain.test_others import ways

Json = dict[str, Any]


def judged(proof: Json) -> dict[Goal, Json]:
    """All judgements for the reader: those beside the proof count first."""
    beside = proof.get("also_denied", {"judgements": []})["judgements"]
    return {goal_of(each["goal"]): each for each in (*proof["judgements"], *beside)}


def lacking(rewrite: rw.Rewrite, goal: Goal, step: Json) -> Iterator[tuple[Goal, bool, bool]]:
    """Of each intersection and exclusion of a denied goal, what fails if it has this verdict:
    another goal of the object, whether denied, and whether the step tells that side."""
    parts = {part["branch"]: part for part in step.get("parts", ())}
    children: tuple[rw.Rewrite, ...] = ()
    match rewrite:
        case rw.Union(children=children) | rw.Intersection(children=children):
            pass
        case rw.Exclusion(base=base, subtracted=subtracted):
            children = (base, subtracted)
    for branch, child in enumerate(children):
        if isinstance(child, rw.Computed) and not isinstance(rewrite, rw.Union):
            denied = not (isinstance(rewrite, rw.Exclusion) and branch == 1)
            yield Goal(goal.object, child.relation), denied, branch in parts
        if branch in parts and parts[branch]["verdict"] == "denied":
            yield from lacking(child, goal, parts[branch])


async def missed(one: Explained, tally: Counter[str]) -> list[str]:
    """The failing sides that the judgements of a denial do not tell, and what they tell wrongly."""
    told = judged(one.proof)
    found = []
    for goal, judgement in told.items():
        check = replace(one.check, object=goal.object, relation=goal.relation)
        (answer,) = await decide(one.world, [check], one.world.tuples)
        if not isinstance(answer, Decision) or answer.verdict != judgement["verdict"]:
            found.append(f"{goal} is {answer}")
        rewrite = one.world.schema.object_types[goal.object.type].rewrite_of(goal.relation)
        if rewrite is None or judgement["verdict"] != "denied":
            continue
        if judgement["step"]["kind"] == "unreachable":
            continue
        for other, denied, is_told in lacking(rewrite, goal, judgement["step"]):
            check = replace(one.check, object=other.object, relation=other.relation)
            (answer,) = await decide(one.world, [check], one.world.tuples)
            fails = Verdict.DENIED if denied else Verdict.ALLOWED
            if isinstance(answer, Decision) and (answer.verdict is fails) != is_told:
                found.append(f"{goal}: {other} is {answer.verdict}")
            tally["sides"] += is_told
    return found


@pytest.mark.parametrize("seeds", [range(500, 525), range(525, 550)], ids=str)
async def test_every_failing_side_is_told_and_the_proof_stays_right(seeds: range) -> None:
    tally: Counter[str] = Counter()
    wrong = []
    for one in [one for seed in seeds for one in await explained(seed, PROOFS_ONLY, each=6)]:
        beside = one.proof.get("also_denied")
        if one.decision.verdict is not Verdict.DENIED:
            assert beside is None
            continue
        assert verify(one.proof, one.world.schema, one.world.tuples) == [], one.question
        tally["more"] += beside is not None
        tally["cut"] += beside is not None and not beside["complete"]
        if problems := await missed(one, tally):
            wrong.append((one.question, problems))
    assert wrong == []
    assert (tally["more"] > 5, tally["sides"] > 25, tally["cut"]) == (True, True, 0), tally


async def test_both_sides_of_an_intersection_are_told() -> None:
    tuples = ["document:d#viewer@group:a#member", "document:d#editor@group:b#member"]
    _, proof = await ways(tuples, "document:d#both@user:zoe")
    assert len(proof["judgements"][0]["step"]["parts"]) == 1
    beside = proof["also_denied"]
    assert beside["complete"] is True
    (root, *_) = beside["judgements"]
    assert [part["then"] for part in root["step"]["parts"]] == [
        "document:d#viewer",
        "document:d#editor",
    ]
    assert {str(goal) for goal in judged(proof)} == {
        "document:d#both",
        "document:d#viewer",
        "document:d#editor",
        "group:a#member",
        "group:b#member",
    }


async def test_a_banned_stranger_hears_of_the_ban_and_of_the_missing_grant() -> None:
    _, proof = await ways(["document:d#banned@user:zoe"], "document:d#view@user:zoe")
    step = judged(proof)[goal_of("document:d#view")]["step"]
    assert {part["branch"]: part["verdict"] for part in step["parts"]} == {
        0: "denied",
        1: "allowed",
    }


async def test_sides_that_are_too_much_to_tell_are_cut_and_said() -> None:
    wide = [f"document:d#editor@group:{n}#member" for n in range(30)]
    _, proof = await ways(wide, "document:d#both@user:zoe", explain_goals=20)
    assert proof["complete"] is True
    beside = proof["also_denied"]
    assert (len(beside["judgements"]), beside["complete"]) == (20, False)
    assert beside["reason"] == "more than 20 goals have other sides that fail"
