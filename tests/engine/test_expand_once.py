"""Expand by one step: other relations are named, and not looked into."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.engine import Engine
from engine.errors import UnknownRelation, UnknownType
from engine.pages import Way
from engine.requests import FULLY_CONSISTENT, Overlay, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import Object, parse_tuple
from tests.engine.test_expand import SCHEMA, drawn

STORED = (
    "document:a#parent@folder:f",
    "document:a#parent@folder:e",
    "document:a#viewer@user:ann",
    "document:a#viewer@team:t#member",
    "team:t#member@user:bob",
    "folder:f#viewer@user:cy",
)
FRESH = Way(consistency=FULLY_CONSISTENT)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = Engine(MemoryStorage())
    await made.create_store("acme")
    await made.write_schema("acme", SCHEMA)
    updates = [Update(UpdateOp.TOUCH, parse_tuple(item)) for item in STORED]
    await made.write("acme", WriteRequest(updates))
    yield made
    await made.close()


TREES = {
    "viewer": "leaf document:a#viewer [team:t#member, user:ann]",
    "alias": "computed document:a#viewer",
    "view": "exclusion document:a#view (union document:a#view (computed document:a#viewer;"
    " arrow document:a#parent (computed folder:e#view; computed folder:f#view));"
    " computed document:a#banned)",
    "both": "intersection document:a#both (computed document:a#viewer; computed document:a#banned)",
    "first": "union document:a#first (computed document:a#viewer; computed document:a#second)",
}


@pytest.mark.parametrize("relation", TREES)
async def test_one_step(engine: Engine, relation: str) -> None:
    found = await engine.expand_once("acme", Object("document", "a"), relation, FRESH)
    assert drawn(found.tree) == TREES[relation]


async def test_what_an_overlay_adds_is_shown(engine: Engine) -> None:
    overlay = Overlay(add=[parse_tuple("document:a#viewer@user:dee")])
    way = Way(consistency=FULLY_CONSISTENT, overlay=overlay)
    found = await engine.expand_once("acme", Object("document", "a"), "viewer", way)
    assert drawn(found.tree) == "leaf document:a#viewer [team:t#member, user:ann, user:dee]"


async def test_what_the_schema_lacks_is_refused(engine: Engine) -> None:
    with pytest.raises(UnknownRelation):
        await engine.expand_once("acme", Object("document", "a"), "none_such", FRESH)
    with pytest.raises(UnknownType):
        await engine.expand_once("acme", Object("none_such", "a"), "viewer", FRESH)
