"""Large and twisted graphs: right answers, few reads, few rounds, and turns for others."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest

from engine.asking import answer_one
from engine.requests import Check
from engine.tuples import Object, RelationTuple, Subject, parse_tuple
from tests.engine.ground import link, nest, question, setting

FOLDERS = """
definition user {}
definition folder {
  relation parent: folder
  relation viewer: user
  permission view = viewer + parent->view
}
"""
GROUPS = """
definition user {}
definition group { relation member: user | group#member }
definition document {
  relation viewer: user | group#member
  relation banned: user
  permission view = viewer - banned
}
"""


async def test_a_chain_of_ten_thousand_folders() -> None:
    chain = [link("folder", n, "parent", "folder", n + 1) for n in range(10_000)]
    world = await setting(FOLDERS, [*chain, link("folder", 10_000, "viewer", "user", "ann")])
    asked = ["folder:0#view@user:ann", "folder:0#view@user:bob", "folder:5000#view@user:ann"]
    assert await world.says(*asked) == ["allowed", "denied", "allowed"]


async def test_a_ring_of_a_thousand_groups() -> None:
    ring = [nest(n, (n + 1) % 1000) for n in range(1000)]
    world = await setting(GROUPS, [*ring, "group:500#member@user:ann"])
    everywhere = [f"group:{n}#member@user:{who}" for n in range(1000) for who in ("ann", "bob")]
    assert await world.says(*everywhere) == ["allowed", "denied"] * 1000


async def test_a_chain_of_exclusions_is_as_deep_as_it_likes() -> None:
    schema = """
    definition user {}
    definition room {
      relation open: user:*
      relation below: room
      permission shut = open - below->shut
    }
    """
    chain = [link("room", n, "below", "room", n + 1) for n in range(3000)]
    opened = [link("room", n, "open", "user", "*") for n in range(3001)]
    world = await setting(schema, [*chain, *opened])
    assert await world.says("room:0#shut@user:ann", "room:1#shut@user:ann") == ["allowed", "denied"]


async def test_many_subjects_of_one_object_are_not_read_for_one_of_them() -> None:
    crowd = [link("document", 1, "viewer", "user", n) for n in range(65_537)]
    world = await setting(GROUPS, [*crowd, "document:1#viewer@group:eng#member"])
    asked = ["document:1#view@user:65536", "document:1#view@user:65537"]
    assert await world.says(*asked, reads=20) == ["allowed", "denied"]
    assert world.reader.found <= 3


async def test_many_groups_on_one_document() -> None:
    groups = [
        RelationTuple(Object("document", "1"), "viewer", Subject("group", str(n), "member"))
        for n in range(10_000)
    ]
    world = await setting(GROUPS, [*groups, "group:9999#member@user:ann"])
    asked = ["document:1#view@user:ann", "document:1#view@user:bob"]
    assert await world.says(*asked) == ["allowed", "denied"]


async def test_what_many_paths_lead_to_is_read_once() -> None:
    layers = 30
    diamonds = [
        nest(f"{layer}-{here}", f"{layer + 1}-{there}")
        for layer in range(layers)
        for here in "ab"
        for there in "ab"
    ]
    world = await setting(GROUPS, diamonds)
    assert await world.says("group:0-a#member@user:ann") == ["denied"]
    asked = world.reader.asked
    assert len(asked) == len(set(asked))
    assert len({one.object_id for one in asked}) == 2 * layers + 1


@pytest.mark.parametrize("width", [1, 30])
async def test_rounds_grow_with_depth_and_not_with_width(width: int) -> None:
    tuples = [parse_tuple("document:1#viewer@group:top#member")]
    tuples += [nest("top", n) for n in range(width)]
    tuples += [nest(n, f"{n}-{m}") for n in range(width) for m in range(width)]
    world = await setting(GROUPS, tuples)
    assert await world.says("document:1#view@user:ann") == ["denied"]
    assert len(world.reader.rounds) == 4


async def test_a_batch_of_a_thousand_subjects_shares_its_rounds() -> None:
    world = await setting(GROUPS, ["document:1#viewer@group:eng#member", "group:eng#member@user:7"])
    answers = await world.says(*(f"document:1#view@user:{n}" for n in range(1000)))
    assert answers.index("allowed") == 7
    assert answers.count("denied") == 999
    assert len(world.reader.rounds) == 2


async def test_relations_that_cannot_hold_the_subject_are_not_read() -> None:
    schema = """
    definition user {}
    definition robot {}
    definition fleet { relation unit: robot | fleet#unit }
    definition document {
      relation operator: robot | fleet#unit
      relation home: fleet
      relation viewer: user
      relation banned: robot
      permission view = (viewer + operator + home->unit) - banned
      permission never = viewer & operator
    }
    """
    world = await setting(schema, ["document:1#viewer@user:ann"])
    asked = ["document:1#view@user:ann", "document:1#operator@user:ann"]
    assert await world.says(*asked, "document:1#never@user:ann") == ["allowed", "denied", "denied"]
    assert world.reader.relations == {"document#viewer"}


async def test_a_yes_ends_the_search() -> None:
    deep = [nest(n, n + 1) for n in range(100)]
    world = await setting(
        GROUPS, [*deep, "document:1#viewer@user:ann", "document:1#viewer@group:0#member"]
    )
    assert await world.says("document:1#view@user:ann") == ["allowed"]
    assert len(world.reader.rounds) == 1


async def test_a_no_ends_the_search() -> None:
    schema = """
    definition user {}
    definition group { relation member: user | group#member }
    definition document {
      relation needed: user
      relation viewer: group#member
      permission view = viewer & needed
      permission seen = needed - viewer
    }
    """
    deep = [nest(n, n + 1) for n in range(100)]
    world = await setting(schema, [*deep, parse_tuple("document:1#viewer@group:0#member")])
    assert await world.says("document:1#view@user:ann", "document:1#seen@user:ann") == [
        "denied",
        "denied",
    ]
    assert len(world.reader.rounds) == 1


async def test_one_check_decided_does_not_end_the_search_for_another() -> None:
    tuples = [nest(n, n + 1) for n in range(20)]
    tuples += map(
        parse_tuple,
        (
            "group:20#member@user:ann",
            "document:1#viewer@user:ann",
            "document:1#viewer@group:0#member",
            "document:2#viewer@group:0#member",
        ),
    )
    world = await setting(GROUPS, tuples)
    asked = [f"document:{n}#view@user:ann" for n in (1, 2, 3)]
    assert await world.says(*asked) == ["allowed", "allowed", "denied"]
    assert await world.says(*asked[::-1]) == ["denied", "allowed", "allowed"]


async def test_others_get_turns_during_a_large_check() -> None:
    width = 50_000
    tuples = [nest("top", n) for n in range(width)]
    world = await setting(GROUPS, tuples)
    task = asyncio.ensure_future(world.says("group:top#member@user:ann"))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert await task == ["denied"]
    assert turns > 10


async def test_contextual_tuples_are_for_their_own_check() -> None:
    world = await setting(GROUPS, ["document:1#viewer@group:eng#member"])
    plain = question("document:1#view@user:ann")
    ann = parse_tuple("group:eng#member@user:ann")
    assert await world.ask(plain, replace(plain, contextual_tuples=[ann]), plain) == [
        "denied",
        "allowed",
        "denied",
    ]


async def test_contextual_tuples_in_any_order_are_one_evaluation() -> None:
    world = await setting(GROUPS, [])
    given = [
        parse_tuple("document:1#viewer@group:eng#member"),
        parse_tuple("group:eng#member@user:ann"),
    ]
    plain = question("document:1#view@user:ann")
    asked = [replace(plain, contextual_tuples=order) for order in (given, given[::-1])]
    assert await world.ask(*asked) == ["allowed", "allowed"]
    both = len(world.reader.rounds)
    await world.ask(asked[0])
    assert len(world.reader.rounds) == 2 * both


async def test_a_contextual_tuple_replaces_the_stored_one() -> None:
    schema = """
    use expiration
    caveat inside(place string) { place == "office" }
    definition user {}
    definition document { relation viewer: user | user with inside | user with expiration }
    """
    world = await setting(schema, ["document:1#viewer@user:ann", "document:1#viewer@user:bob"])
    expired = parse_tuple("document:1#viewer@user:ann[expiration:2029-12-31T23:59:59Z]")
    ann, bob = (question(f"document:1#viewer@user:{who}") for who in ("ann", "bob"))
    assert await world.ask(ann, replace(ann, contextual_tuples=[expired])) == ["allowed", "denied"]
    caveated = parse_tuple("document:1#viewer@user:bob[inside]")
    asked = Check(bob.object, bob.relation, bob.subject, {"place": "home"}, [caveated])
    assert await world.ask(replace(asked, context={}), asked) == ["conditional", "denied"]


async def test_what_no_answer_depends_on_any_more_is_not_read() -> None:
    early, late = (
        [
            RelationTuple(Object("group", f"{name}{n}"), "member", Subject("group", to, "member"))
            for n, to in enumerate(f"{name}{n + 1}" for n in range(20))
        ]
        for name in "az"
    )
    viewers = ["a0", "m", "z0"]
    tuples = [parse_tuple(f"document:1#viewer@group:{name}#member") for name in viewers]
    tuples += [parse_tuple("group:m#member@user:ann"), *early, *late]
    tuples += [parse_tuple("document:2#viewer@group:0#member"), *(nest(n, n + 1) for n in range(9))]
    world = await setting(GROUPS, tuples)
    asked = ["document:1#view@user:ann", "document:2#view@user:ann"]
    assert await world.says(*asked) == ["allowed", "denied"]
    assert len(world.reader.rounds) > 9
    assert not {"a1", "z1"} & {one.object_id for one in world.reader.asked}


async def test_a_check_leaves_nothing_to_the_collector() -> None:
    """Whether the search went to its end or was cut short. The collector stops all that a process
    does, the longer the more there is for it to look through."""
    schema = """
    definition user {}
    definition group { relation member: user | group#member }
    definition folder {
      relation parent: folder
      relation viewer: user | group#member
      relation closed: user | group#member
      permission view = (viewer + parent->view) - closed
      permission both = view & parent->view
    }
    """
    ring = [nest(n, (n + 1) % 5) for n in range(5)]
    tuples = [link("folder", n, "parent", "folder", n // 2) for n in range(1, 9)]
    shut = [f"folder:{n}#closed@group:1#member" for n in range(9)]
    seen = [f"folder:{n}#viewer@group:{n}#member" for n in range(1, 9)]
    members = [f"group:{n}#member@user:ann" for n in (5, 7)]
    world = await setting(schema, [*tuples, *seen, *shut, *ring, *members])
    names = ("view", "both")
    asked = [question(f"folder:{n}#{name}@user:ann") for n in range(9) for name in names]
    answers = await world.ask(*asked)
    assert set(answers) == {"allowed", "denied"}
    gc.collect()
    gc.disable()
    try:
        for check in asked:
            await answer_one(world.ground, check, world.budget())
        await world.ask(*asked)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [type(item).__name__ for item in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert "Node" not in left
