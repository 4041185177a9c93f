"""Lists of objects on Postgres while others write: every page is of the first one's snapshot."""

from __future__ import annotations

import asyncio
import random

import pytest

from engine.decision import Decision
from engine.engine import Engine
from engine.pages import Way
from engine.requests import FULLY_CONSISTENT, AtExactSnapshot, Check, LookupObjects, WriteRequest
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, Subject, parse_tuple

SCHEMA = """definition user {}

definition group {
  relation member: user | group#member
}

definition doc {
  relation parent: doc
  relation viewer: user | group#member
  relation banned: user
  permission view = viewer + parent->view
  permission read = view - banned
}
"""
ANN = Subject("user", "ann")
DOCS = [f"{n:02}" for n in range(60)]


def some_update(dice: random.Random) -> Update:
    doc = dice.choice(DOCS)
    text = dice.choice(
        [
            f"doc:{doc}#viewer@user:ann",
            f"doc:{doc}#viewer@group:{dice.randrange(4)}#member",
            f"doc:{doc}#parent@doc:{dice.choice(DOCS)}",
            f"doc:{doc}#banned@user:ann",
            f"group:{dice.randrange(4)}#member@user:ann",
            f"group:{dice.randrange(4)}#member@group:{dice.randrange(4)}#member",
        ]
    )
    op = UpdateOp.DELETE if dice.random() < 0.5 else UpdateOp.TOUCH
    return Update(op, parse_tuple(text))


async def keep_writing(engine: Engine, seed: int, written: asyncio.Event) -> None:
    """Write one thing after the other until cancelled, and tell of each."""
    dice = random.Random(seed)
    while True:
        updates = {one.tuple.identity: one for one in (some_update(dice) for _ in range(5))}
        await engine.write("acme", WriteRequest(list(updates.values())))
        written.set()


@pytest.mark.parametrize("relation", ["view", "read"])
async def test_pages_while_writers_run(fresh_database: str, relation: str) -> None:
    engine = Engine(await PostgresStorage.connect(fresh_database))
    await engine.create_store("acme")
    await engine.write_schema("acme", SCHEMA)
    first = [f"doc:{doc}#viewer@user:ann" for doc in DOCS[::2]]
    first += [f"doc:{doc}#parent@doc:{DOCS[0]}" for doc in DOCS[1::4]]
    await engine.write(
        "acme", WriteRequest([Update(UpdateOp.TOUCH, parse_tuple(text)) for text in first])
    )
    written = asyncio.Event()
    writers = [asyncio.create_task(keep_writing(engine, seed, written)) for seed in range(2)]
    try:
        zookies: set[str] = set()
        while len(zookies) < 5:
            zookies.add(await list_and_compare(engine, relation))
            written.clear()
            await asyncio.wait(
                [asyncio.create_task(written.wait()), *writers],
                return_when=asyncio.FIRST_COMPLETED,
            )
            assert not any(writer.done() for writer in writers)
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await engine.close()


async def list_and_compare(engine: Engine, relation: str) -> str:
    """Read a list in pages of four and compare it with checks at its snapshot; the zookie."""
    asked = LookupObjects(("doc",), relation, ANN)
    answer = await engine.lookup_objects("acme", asked, Way(4, consistency=FULLY_CONSISTENT))
    found, zookie = list(answer.objects), answer.zookie
    while answer.cursor is not None:
        answer = await engine.lookup_objects("acme", asked, Way(4, answer.cursor))
        assert (answer.zookie, answer.gaps) == (zookie, ())
        found += answer.objects
    checks = [Check(Object("doc", doc), relation, ANN) for doc in DOCS]
    batch = await engine.check_batch("acme", checks, AtExactSnapshot(zookie))
    allowed = [
        check.object
        for check, result in zip(checks, batch.results, strict=True)
        if isinstance(result, Decision) and result.allowed
    ]
    assert [item.object for item in found] == allowed
    return zookie
