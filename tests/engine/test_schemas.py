"""Schemas in use: compiled beside the event loop, once for all, and kept by their size."""

from __future__ import annotations

import asyncio
import sys
from types import CodeType, FrameType

from engine import evolve
from engine.engine import Engine
from engine.store.memory import MemoryStorage
from engine.store.protocol import SchemaRecord
from schema import diff_schemas, lint_schema, parse_schema
from tests.engine.ground import question

TWO = """
definition user {}
definition document { relation viewer: user  relation editor: user  permission view = viewer }
"""


async def test_a_schema_is_read_and_compared_beside_the_event_loop() -> None:
    engine = Engine(MemoryStorage())
    await engine.create_store("acme")
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    sys.setprofile(note)  # of this thread alone
    try:
        await engine.write_schema("acme", TWO, dry_run=True)
        await engine.write_schema("acme", TWO)
    finally:
        sys.setprofile(None)
    slow = (parse_schema, lint_schema, diff_schemas, evolve.removed_shapes)
    assert not called & {function.__code__ for function in slow}


class CountingStorage(MemoryStorage):
    """Counts how often a schema is read to be compiled."""

    loads = 0

    async def schema(self, store_id: str, version: int) -> SchemaRecord:
        self.loads += 1
        return await super().schema(store_id, version)


async def test_a_schema_is_compiled_once_for_all_who_ask_at_once() -> None:
    storage = CountingStorage()
    engine = Engine(storage)
    await engine.create_store("acme")
    await engine.write_schema("acme", TWO)
    storage.loads = 0
    check = question("document:1#view@user:ann")
    impatient = asyncio.create_task(engine.check("acme", check))
    waiting = [asyncio.create_task(engine.check("acme", check)) for _ in range(9)]
    while not storage.loads:
        await asyncio.sleep(0)
    impatient.cancel()
    answers = await asyncio.gather(*waiting)
    assert len({answer.zookie for answer in answers}) == 1
    assert storage.loads == 1


async def test_large_schemas_make_room_for_each_other() -> None:
    storage = CountingStorage()
    engine = Engine(storage)
    text = TWO + "\n// " + "x" * 1_200_000
    for name in ("one", "two", "two", "one", "small", "small", "two"):
        if name not in {store.name for store in (await engine.list_stores())[0]}:
            await engine.create_store(name)
            await engine.write_schema(name, TWO if name == "small" else text)
        await engine.check(name, question("document:1#view@user:ann"))
    assert storage.loads == 5
