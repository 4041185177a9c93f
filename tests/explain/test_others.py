"""Whom else a way to yes lets in: counted, against checks of everybody before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from engine.decision import Decision, Verdict
from engine.engine import Engine
from engine.limits import Limits
from engine.requests import FULLY_CONSISTENT, Check, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple, Subject, parse_object, parse_subject, parse_tuple
from engine.verify.claims import tuple_of
from tests.explain.asking import Explained, decide, explained

STRANGER = "nobody-by-this-name"
RANK = {Verdict.DENIED: 0, Verdict.CONDITIONAL: 1, Verdict.ALLOWED: 2}
SCHEMA = """
definition user {}
caveat on_day(day string, wanted string) {
  day == wanted
}
definition group {
  relation member: user | group#member
}
definition document {
  relation viewer: user | user:* | group#member
  relation editor: user | user with on_day | group#member
  relation owner: user with on_day
  relation banned: user
  permission view = viewer - banned
  permission both = viewer & editor
  permission hard = viewer & owner
}
"""


def written(one: Explained, updates: Sequence[tuple[str, RelationTuple]]) -> list[RelationTuple]:
    touched = {item.identity for _, item in updates}
    kept = [item for item in one.world.tuples if item.identity not in touched]
    return kept + [item for op, item in updates if op == "touch"]


async def gaining(one: Explained, way: dict[str, Any]) -> tuple[int, int, int] | None:
    """By checks of all that the tuples name: others, conditional ones, and whether a stranger
    gains; None if a check fails."""
    updates = [(update["op"], tuple_of(update["tuple"])) for update in way["updates"]]
    asked = one.check.subject
    after = written(one, updates)
    named = {item.subject for item in (*one.world.tuples, *after)}
    named |= {Subject(*item.object, asked.relation) for item in (*one.world.tuples, *after)}
    form = (asked.type, asked.relation)
    ids = {subject.id for subject in named if (subject.type, subject.relation) == form}
    subjects = [Subject(form[0], id_, form[1]) for id_ in sorted(ids - {"*", asked.id})]
    stranger = Subject(form[0], STRANGER, form[1])
    checks = [replace(one.check, subject=each) for each in (*subjects, stranger)]
    found: list[list[Decision]] = []
    for tuples in (list(one.world.tuples), after):
        results = await decide(one.world, checks, tuples)
        decisions = [result for result in results if isinstance(result, Decision)]
        if len(decisions) < len(results):
            return None
        found.append(decisions)
    rises = [
        second.verdict if RANK[second.verdict] > RANK[first.verdict] else None
        for first, second in zip(*found, strict=True)
    ]
    everyone = rises.pop() is not None
    risen = [verdict for verdict in rises if verdict is not None]
    return len(risen), risen.count(Verdict.CONDITIONAL), int(everyone)


async def test_counts_are_those_of_checks() -> None:
    tally: Counter[str] = Counter()
    wrong = []
    for one in [one for seed in range(400, 430) for one in await explained(seed, each=2)]:
        for way in one.proof.get("ways_to_yes", {"found": ()})["found"]:
            truth = await gaining(one, way)
            told = way["lets_in"]
            tally["exact" if told["exact"] else "not"] += 1
            if not told["exact"]:
                continue
            # Those that the data below the object do not name are everyone's.
            counted = (told["others"], told["conditional"], told["everyone"])
            if truth != counted and not (truth and counted[2] == truth[2] == 1):
                wrong.append((one.question, way, truth))
            tally["others"] += bool(told["others"])
            tally["conditional"] += bool(told["conditional"])
            tally["everyone"] += told["everyone"]
    assert wrong == []
    assert tally["exact"] > 5 * tally["not"], tally
    assert min(tally[key] for key in ("others", "conditional", "everyone")) > 3, tally


async def ways(
    tuples: Sequence[str], question: str, **limits: Any
) -> tuple[list[tuple[str, dict[str, Any]]], Any]:
    """The ways of one check, as text with whom they let in, and the whole explanation."""
    engine = Engine(MemoryStorage(), limits=replace(Limits(), explain_seconds=60.0, **limits))
    await engine.create_store("s")
    await engine.write_schema("s", SCHEMA)
    updates = [Update(UpdateOp.TOUCH, parse_tuple(text)) for text in tuples]
    for start in range(0, len(updates), 1000):
        await engine.import_batch("s", WriteRequest(updates[start : start + 1000]))
    object_, _, subject = question.partition("@")
    object_, _, relation = object_.partition("#")
    check = Check(parse_object(object_), relation, parse_subject(subject), explain=True)
    answer = await engine.check("s", check, FULLY_CONSISTENT, deadline=60)
    assert answer.explanation is not None
    found = answer.explanation["ways_to_yes"]["found"]
    told = [
        (" ".join(f"{u['op']} {tuple_of(u['tuple'])}" for u in way["updates"]), way["lets_in"])
        for way in found
    ]
    return told, answer.explanation


async def test_the_fewest_others_come_first_and_a_wildcard_last() -> None:
    tuples = [
        *(f"group:big#member@user:{n}" for n in range(7)),
        "group:small#member@user:ann",
        "group:small#member@user:zoe",
        "group:big#member@user:zoe",
    ]
    told, _ = await ways(tuples, "document:d#viewer@user:zoe")
    assert [(text, way["others"], way["everyone"]) for text, way in told] == [
        ("touch document:d#viewer@user:zoe", 0, 0),
        ("touch document:d#viewer@group:small#member", 1, 0),
        ("touch document:d#viewer@group:big#member", 7, 0),
        ("touch document:d#viewer@user:*", 0, 1),
    ]
    assert all(way["exact"] for _, way in told)


async def test_a_wildcard_that_does_not_let_everyone_in_is_counted() -> None:
    tuples = ["document:d#editor@user:ann", "document:d#editor@user:zoe"]
    told, _ = await ways(tuples, "document:d#both@user:zoe")
    counts = {text: (way["others"], way["everyone"]) for text, way in told}
    assert counts["touch document:d#viewer@user:*"] == (1, 0)
    assert counts["touch document:d#viewer@user:zoe"] == (0, 0)


async def test_a_set_that_leaves_a_condition_is_looked_past() -> None:
    tuples = [
        'document:d#editor@user:zoe[on_day:{"wanted":"monday"}]',
        'document:d#owner@user:zoe[on_day:{"wanted":"monday"}]',
    ]
    told, _ = await ways(tuples, "document:d#both@user:zoe")
    assert told[0][0] == "touch document:d#editor@user:zoe touch document:d#viewer@user:zoe"
    told, _ = await ways(tuples, "document:d#hard@user:zoe")
    assert told == []


@pytest.mark.parametrize("reads", [400, 700])
async def test_what_is_too_much_to_count_is_a_lower_bound(reads: int) -> None:
    """Some 300 members fit into the smaller budget, some 600 more only into the larger one."""
    tuples = [
        *(f"document:d#viewer@user:v{n}" for n in range(300)),
        *(f"group:big#member@user:g{n}" for n in range(600)),
        "group:big#member@user:zoe",
    ]
    told, proof = await ways(tuples, "document:d#view@user:zoe", explain_reads=reads)
    counts = {text: (way["others"], way["exact"]) for text, way in told}
    assert counts["touch document:d#viewer@user:zoe"] == (0, True)
    assert counts["touch document:d#viewer@group:big#member"] == (0, False)
    assert [way["exact"] for _, way in told] == [True, False, True]
    assert told[-1][1]["everyone"] == 1
    assert proof["complete"] is True
