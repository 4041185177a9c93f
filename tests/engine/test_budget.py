"""A budget that runs out is an error that names it, and never a decision."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import BudgetExceeded
from engine.tuples import parse_tuple
from tests.engine.ground import Setting, link, nest, question, setting

SCHEMA = """
definition user {}
definition group { relation member: user | group#member }
definition document {
  relation viewer: user | group#member
  relation parent: group
  permission view = viewer - parent->member
}
"""


async def deep() -> Setting:
    """A document whose only viewer is fifty groups away, another that is banned there."""
    chain = [nest(n, n + 1) for n in range(50)]
    return await setting(
        SCHEMA,
        [
            *chain,
            "group:50#member@user:ann",
            "document:1#viewer@group:0#member",
            "document:2#viewer@user:ann",
            "document:2#parent@group:0",
            "document:3#viewer@user:ann",
        ],
    )


def named(result: Any) -> Any:
    """The budget that an error names; anything else as it is."""
    return result.extra["budget"] if isinstance(result, BudgetExceeded) else result


@pytest.mark.parametrize("subject", ["ann", "bob"])
@pytest.mark.parametrize(
    ("budget", "enough"), [("reads", 200), ("nodes", 60), ("deadline", math.inf)]
)
async def test_the_error_names_the_budget(budget: str, enough: float, subject: str) -> None:
    world = await deep()
    name = "milliseconds" if budget == "deadline" else budget
    little = 0 if budget == "deadline" else 20
    asked = f"document:1#view@user:{subject}"
    (stopped,) = await world.says(asked, **{budget: little})
    assert named(stopped) == name
    assert name in stopped.message
    expected = "allowed" if subject == "ann" else "denied"
    assert await world.says(asked, **{budget: enough}) == [expected]


async def test_doubt_about_an_exclusion_is_not_a_yes() -> None:
    world = await deep()
    (stopped,) = await world.says("document:2#view@user:ann", reads=20)
    assert named(stopped) == "reads"
    assert await world.says("document:2#view@user:ann", reads=200) == ["denied"]


@pytest.mark.parametrize("turned", [False, True])
async def test_in_a_batch_what_is_decided_stands(turned: bool) -> None:
    world = await deep()
    asked = [f"document:{n}#view@user:ann" for n in (3, 1, 4)]
    answers = await world.says(*(asked[::-1] if turned else asked), reads=40)
    decided = [named(answer) for answer in (answers[::-1] if turned else answers)]
    assert decided == ["allowed", "reads", "denied"]


async def test_a_batch_has_one_budget() -> None:
    world = await setting(SCHEMA, [])
    asked = [f"document:{n}#view@user:{n}" for n in range(10)]
    assert await world.says(*asked, reads=30) == ["denied"] * 10
    stopped = await world.says(*asked, reads=5)
    assert [named(answer) for answer in stopped] == ["reads"] * 10


async def test_one_object_alone_can_use_up_the_reads() -> None:
    crowd = [link("document", 1, "parent", "group", n) for n in range(1000)]
    world = await setting(SCHEMA, [*crowd, "document:1#viewer@user:ann"])
    (stopped,) = await world.says("document:1#view@user:ann", reads=999)
    assert named(stopped) == "reads"
    assert await world.says("document:1#view@user:ann", reads=9999) == ["allowed"]


async def test_a_past_deadline_stops_what_shares_nothing_too() -> None:
    world = await deep()
    check = question("document:1#view@user:ann")
    own = replace(check, contextual_tuples=[parse_tuple("group:0#member@user:ann")])
    answers = await world.ask(check, own, budget=world.budget(deadline=0.0))
    assert [named(answer) for answer in answers] == ["milliseconds", "milliseconds"]
    assert world.reader.rounds == []


async def test_contextual_tuples_cost_reads() -> None:
    world = await setting(SCHEMA, [])
    given = [parse_tuple(f"document:1#viewer@group:{n}#member") for n in range(50)]
    check = replace(question("document:1#view@user:ann"), contextual_tuples=given)
    (stopped,) = await world.ask(check, budget=world.budget(reads=40))
    assert named(stopped) == "reads"
    assert await world.ask(check, budget=world.budget(reads=400)) == ["denied"]
