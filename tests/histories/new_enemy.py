"""Trials of the new-enemy problem (Zanzibar paper §2.2): access is removed, then content is added.

One client removes alice's access to a folder and is told so; another one, which learns of that,
puts a document into the folder. Whoever asks at a revision that holds the removal must find alice
outside, and nobody may ever see her reach the document.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import cycle

from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    AtExactSnapshot,
    AtLeastAsFresh,
    Consistency,
)
from engine.store.protocol import Update
from engine.tuples import Object, Subject
from tests.histories.nodes import Cluster, Node, Seen, revision_of
from tests.store.tenant import delete, touch

ALICE = Subject("user", "alice")
FORMS = ("direct", "group", "nested", "banned")
WRITERS = 12
_BATCH = 250


def standing(number: int) -> list[Update]:
    """What lets alice see the folder of this trial."""
    match FORMS[number % len(FORMS)]:
        case "direct" | "banned":
            return touch(f"folder:{number}#viewer@user:alice")
        case "group":
            return touch(
                f"folder:{number}#viewer@group:{number}#member",
                f"group:{number}#member@user:alice",
            )
        case _:
            return touch(
                f"folder:{number}#viewer@group:{number}#member",
                f"group:{number}#member@group:{number}-staff#member",
                f"group:{number}-staff#member@user:alice",
            )


def removal(number: int) -> list[Update]:
    """What ends that."""
    match FORMS[number % len(FORMS)]:
        case "direct":
            return delete(f"folder:{number}#viewer@user:alice")
        case "banned":
            return touch(f"folder:{number}#banned@user:alice")
        case "group":
            return delete(f"group:{number}#member@user:alice")
        case _:
            return delete(f"group:{number}-staff#member@user:alice")


async def run_trials(cluster: Cluster, numbers: Sequence[int], seed: int) -> list[str]:
    """Run trials, `WRITERS` of them at a time; every violation, in words."""
    for start in range(0, len(numbers), _BATCH):
        batch = numbers[start : start + _BATCH]
        await cluster.nodes[0].write(*(update for number in batch for update in standing(number)))
    waiting = list(reversed(numbers))
    violations: list[str] = []

    async def worker(dice: random.Random) -> None:
        while waiting:
            violations.extend(await _trial(cluster, waiting.pop(), dice))

    async with asyncio.TaskGroup() as group:
        for index in range(WRITERS):
            group.create_task(worker(random.Random(seed + index)))
    return violations


async def _trial(cluster: Cluster, number: int, dice: random.Random) -> list[str]:
    remover, publisher, reader = dice.sample(cluster.nodes, 3)
    folder, document = Object("folder", f"{number}"), Object("document", f"{number}")
    removing = asyncio.create_task(remover.write(*removal(number)))
    racing = await _ask_until_done(removing, dice.choice((publisher, reader)), folder)
    removed = removing.result()
    added, early = await asyncio.gather(
        publisher.write(*touch(f"document:{number}#parent@folder:{number}")),
        reader.ask(ALICE, "view", document, MINIMIZE_LATENCY),
    )
    exact = dice.choice((remover, publisher, reader))
    after = await asyncio.gather(
        reader.ask(ALICE, "view", document, AtLeastAsFresh(added)),
        exact.ask(ALICE, "view", document, AtExactSnapshot(added)),
        reader.ask(ALICE, "view", folder, AtLeastAsFresh(removed)),
    )
    violations = [
        f"trial {number}: {one}"
        for one in (*racing, early, *after)
        if not _holds(one, revision_of(removed))
    ]
    asked = (revision_of(added), revision_of(added), revision_of(removed))
    if asked[2] >= asked[0]:
        violations.append(f"trial {number}: removed at {asked[2]}, then added at {asked[0]}")
    if any(one.revision < at_least for one, at_least in zip(after, asked, strict=True)):
        violations.append(f"trial {number}: staler than asked for, {asked}: {after}")
    if after[1].revision != asked[1]:
        violations.append(f"trial {number}: not the exact snapshot {asked[1]}: {after[1]}")
    return violations


async def _ask_until_done(removing: asyncio.Task[str], node: Node, folder: Object) -> list[Seen]:
    """Check again and again while access is being removed, and once after."""
    seen = []
    ways: tuple[Consistency, ...] = (FULLY_CONSISTENT, MINIMIZE_LATENCY)
    for consistency in cycle(ways):
        done = removing.done()
        seen.append(await node.ask(ALICE, "view", folder, consistency))
        if done:
            await removing
            return seen
    raise AssertionError("a cycle does not end")


def _holds(seen: Seen, removed: int) -> bool:
    """Whether an answer is what the history says at its revision."""
    if seen.object.type == "document":
        return not seen.allowed
    return seen.allowed == (seen.revision < removed)
