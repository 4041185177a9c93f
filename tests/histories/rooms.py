"""Rooms whose ways in are swapped in one revision, so that only a torn check sees a change.

A room is open to its left or its right group. In every revision bob is a member of the group that
it is open to, and alice of the other one; each swap turns all of this around at once. At no
revision may alice enter, and at every one bob may. A check that mixes two revisions is wrong.
"""

from __future__ import annotations

import asyncio
from itertools import cycle

from engine.requests import FULLY_CONSISTENT, MINIMIZE_LATENCY, Consistency
from engine.store.protocol import Update
from engine.tuples import Object, Subject
from tests.histories.nodes import Cluster, Node, Seen
from tests.store.tenant import delete, touch

ALICE, BOB = Subject("user", "alice"), Subject("user", "bob")
ROOMS = 6
SIDES = ("left", "right")


def ways_in(number: int, side: str) -> list[str]:
    """The tuples of a room that is open to the group on `side`."""
    other = SIDES[side == SIDES[0]]
    return [
        f"room:{number}#open_to@group:{number}-{side}#member",
        f"group:{number}-{side}-staff#member@user:bob",
        f"group:{number}-{other}-staff#member@user:alice",
    ]


async def swap_rooms(cluster: Cluster, swaps: int) -> list[Seen]:
    """Swap every room `swaps` times while others check; the answers that were wrong."""
    nodes = cluster.nodes
    for number in range(ROOMS):
        staff = [
            f"group:{number}-{side}#member@group:{number}-{side}-staff#member" for side in SIDES
        ]
        await nodes[0].write(*touch(*staff, *ways_in(number, SIDES[0])))
    wrong: list[Seen] = []
    async with asyncio.TaskGroup() as group:
        for number in range(ROOMS):
            swapper = group.create_task(_swap(nodes[number % len(nodes)], number, swaps))
            for offset, person in enumerate((ALICE, BOB), start=1):
                node = nodes[(number + offset) % len(nodes)]
                group.create_task(_ask(node, person, number, swapper, wrong))
    return wrong


async def _swap(node: Node, number: int, swaps: int) -> None:
    for turn in range(swaps):
        closed, opened = ways_in(number, SIDES[turn % 2]), ways_in(number, SIDES[1 - turn % 2])
        updates: list[Update] = [*delete(*closed), *touch(*opened)]
        await node.write(*updates)


async def _ask(
    node: Node, person: Subject, number: int, swapper: asyncio.Task[None], wrong: list[Seen]
) -> None:
    ways: tuple[Consistency, ...] = (FULLY_CONSISTENT, MINIMIZE_LATENCY)
    for consistency in cycle(ways):
        seen = await node.ask(person, "enter", Object("room", f"{number}"), consistency)
        if seen.allowed != (person is BOB):
            wrong.append(seen)
        if swapper.done():
            return
