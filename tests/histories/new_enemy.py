"""Trials of the new-enemy problem (Zanzibar paper §2.2): access is removed, then content is added.

One client removes alice's access to a folder and is told so; another one, which learns of that,
puts a document into the folder. Whoever asks at a revision that holds the removal must find alice
outside, and nobody may ever see her reach the document.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
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
# Forms whose removal is a write to the folder itself, which a check of it must see.
_OWN_TUPLES = (FORMS.index("direct"), FORMS.index("banned"))
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


async def run_trials(
    cluster: Cluster,
    numbers: Sequence[int],
    seed: int,
    disturb: Callable[[], Awaitable[object]] | None = None,
) -> list[str]:
    """Run trials, `WRITERS` of them at a time; every violation, in words.

    `disturb` is called every 50 trials, in the middle of others.
    """
    for start in range(0, len(numbers), _BATCH):
        batch = numbers[start : start + _BATCH]
        await cluster.nodes[0].write(*(update for number in batch for update in standing(number)))
    waiting = list(reversed(numbers))
    violations: list[str] = []

    async def worker(dice: random.Random) -> None:
        while waiting:
            number = waiting.pop()
            if disturb is not None and number % 50 == 0:
                await disturb()
            violations.extend(await _trial(cluster, number, dice))

    async with asyncio.TaskGroup() as group:
        for index in range(WRITERS):
            group.create_task(worker(random.Random(seed + index)))
    return violations


async def _trial(cluster: Cluster, number: int, dice: random.Random) -> list[str]:
    remover, publisher, reader = dice.sample(cluster.nodes, 3)
    anyone = dice.choice(cluster.nodes)
    folder, document = Object("folder", f"{number}"), Object("document", f"{number}")
    removing = asyncio.create_task(remover.write(*removal(number)))
    racing = await _ask_until_done(removing, dice.choice((publisher, reader)), folder)
    removed = removing.result()
    own = number % len(FORMS) in _OWN_TUPLES
    later = await reader.ask(ALICE, "view", folder, MINIMIZE_LATENCY)
    added = await publisher.write(*touch(f"document:{number}#parent@folder:{number}"))
    first, then = revision_of(removed), revision_of(added)
    asked = [
        (later, first if own else 0),
        (await reader.ask(ALICE, "view", document, AtLeastAsFresh(added)), then),
        (await anyone.ask(ALICE, "view", document, AtExactSnapshot(added)), then),
        (await anyone.ask(ALICE, "view", document, MINIMIZE_LATENCY), then),
        (await reader.ask(ALICE, "view", folder, AtLeastAsFresh(removed)), first),
        (await remover.ask(ALICE, "view", folder, FULLY_CONSISTENT), then),
    ]
    seen = [*racing, *(one for one, _ in asked)]
    wrong = [f"wrong: {one}" for one in seen if not _holds(one, first)]
    wrong += [f"staler than {floor}: {one}" for one, floor in asked if one.revision < floor]
    if first >= then:
        wrong.append(f"removed at {first}, then added at {then}")
    if asked[2][0].revision != then:
        wrong.append(f"not the exact snapshot {then}: {asked[2][0]}")
    return [f"trial {number}: {what}" for what in wrong]


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
