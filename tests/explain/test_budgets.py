"""What an explanation cannot tell it says, and the decision stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.engine import Engine
from engine.limits import Limits
from engine.requests import FULLY_CONSISTENT, Check, CheckAnswer, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import parse_object, parse_subject, parse_tuple
from engine.verify import verify
from schema import parse_schema

SCHEMA = """
definition user {}
definition group {
  relation member: user | group#member
}
definition document {
  relation viewer: user | group#member
  relation editor: group#member
  permission view = viewer & editor
}
"""
DEPTH, WIDTH, FAR = 60, 40, 900
TUPLES = [
    *(f"group:{n}#member@group:{n + 1}#member" for n in range(DEPTH)),
    *(f"document:wide#viewer@group:w{n}#member" for n in range(WIDTH)),
    *(f"group:far{n}#member@group:far{n + 1}#member" for n in range(FAR)),
    "document:far#viewer@group:far0#member",
    "document:far#editor@group:far0#member",
    "document:deep#viewer@group:0#member",
    "document:deep#editor@group:0#member",
    f"group:{DEPTH}#member@user:ann",
]


async def explained(object_: str, subject: str, **limits: Any) -> CheckAnswer:
    engine = Engine(MemoryStorage(), limits=replace(Limits(), **limits))
    await engine.create_store("s")
    await engine.write_schema("s", SCHEMA)
    updates = [Update(UpdateOp.TOUCH, parse_tuple(text)) for text in TUPLES]
    await engine.import_batch("s", WriteRequest(updates))
    check = Check(parse_object(object_), "view", parse_subject(subject), explain=True)
    return await engine.check("s", check, FULLY_CONSISTENT, deadline=60)


def problems(proof: Any) -> list[str]:
    return verify(proof, parse_schema(SCHEMA), map(parse_tuple, TUPLES))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"explain_reads": 20}, "the evaluation used up its budget of reads"),
        ({"explain_goals": 5}, "the proof has more than 5 goals or 5000 tuples"),
        ({"explain_tuples": 5}, "the proof has more than 1000 goals or 5 tuples"),
        ({"explain_seconds": 1e-9}, "the evaluation used up its budget of milliseconds"),
    ],
)
@pytest.mark.parametrize("subject", ["user:ann", "user:bob"])
async def test_a_budget_cuts_the_proof_and_not_the_decision(
    limits: dict[str, Any], reason: str, subject: str
) -> None:
    whole = await explained("document:deep", subject)
    cut = await explained("document:deep", subject, **limits)
    assert cut.decision == whole.decision
    assert whole.explanation is not None
    assert cut.explanation is not None
    assert (whole.explanation["complete"], problems(whole.explanation)) == (True, [])
    assert cut.explanation["complete"] is False
    assert cut.explanation["reason"].startswith(reason)
    assert len(cut.explanation["judgements"]) < len(whole.explanation["judgements"])
    assert problems(cut.explanation) == [f"the proof was cut short: {cut.explanation['reason']}"]


async def test_a_search_for_ways_that_is_cut_says_so() -> None:
    answer = await explained("document:wide", "user:bob", explain_trials=1)
    assert answer.explanation is not None
    ways = answer.explanation["ways_to_yes"]
    assert (ways["complete"], ways["reason"]) == (
        False,
        "the evaluation used up its budget of trials",
    )
    assert answer.explanation["complete"] is True
    answer = await explained("document:wide", "user:bob", explain_seconds=60)
    assert answer.explanation is not None
    ways = answer.explanation["ways_to_yes"]
    assert (len(ways["found"]), ways["complete"]) == (5, False)
    assert ways["reason"] == "5 ways are told"


async def test_a_long_chain_is_explained_to_its_end() -> None:
    answer = await explained("document:far", "user:bob", explain_seconds=60)
    proof = answer.explanation
    assert proof is not None
    assert len(proof["judgements"]) == FAR + 3
    assert problems(proof) == []
    assert len(proof["ways_to_yes"]["found"]) == 5


async def test_what_nothing_can_allow_has_no_way_and_is_complete() -> None:
    answer = await explained("document:deep", "document:deep")
    assert answer.explanation is not None
    assert answer.explanation["ways_to_yes"] == {"found": [], "complete": True}
    assert problems(answer.explanation) == []


async def test_without_asking_there_is_no_explanation() -> None:
    engine = Engine(MemoryStorage())
    await engine.create_store("s")
    await engine.write_schema("s", SCHEMA)
    check = Check(parse_object("document:a"), "view", parse_subject("user:ann"))
    assert (await engine.check("s", check)).explanation is None
    assert (await engine.check_batch("s", [check])).explanations == (None,)
