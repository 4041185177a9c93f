"""Impacts of changes that are worth a name, and what they cost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.engine import Engine
from engine.errors import InvalidRequest, SchemaNotFound
from engine.impact import Counts, Impact, ImpactAnswer
from engine.limits import Limits
from engine.pages import Way
from engine.requests import FULLY_CONSISTENT, Overlay, WriteRequest
from engine.store.memory import MemoryStorage
from engine.tuples import parse_tuple
from tests.store.tenant import touch

SCHEMA = """use expiration
definition user {}
definition group { relation member: user | group#member }
caveat below(x int, top int) { x < top }
definition folder {
  relation parent: folder
  relation viewer: user | user:* | group#member
  permission view = viewer + parent->view
}
definition document {
  relation home: folder
  relation viewer: user | user with below | user with expiration
  relation banned: user | user with below
  permission view = (viewer + home->view) - banned
  permission above = home->parent->view
}"""

_CROSSED = (
    'document:b#viewer@user:ann[below:{"top":3}]',
    'document:b#banned@user:ann[below:{"top":9}]',
)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """An engine with a store that has the schema."""
    made = Engine(MemoryStorage())
    await made.create_store("acme")
    await made.write_schema("acme", SCHEMA)
    yield made
    await made.close()


async def stored(engine: Engine, *tuples: str) -> None:
    await engine.write("acme", WriteRequest(touch(*tuples)))


def change(*added: str, gone: tuple[str, ...] = (), schema: str | None = None) -> Impact:
    return Impact(Overlay([parse_tuple(a) for a in added], [parse_tuple(g) for g in gone], schema))


async def ask(engine: Engine, asked: Impact) -> ImpactAnswer:
    answer = await engine.impact("acme", asked, Way(1000, consistency=FULLY_CONSISTENT))
    assert answer.cursor is None
    return answer


async def told(engine: Engine, asked: Impact) -> list[str]:
    answer = await ask(engine, asked)
    assert answer.gaps == ()
    return [
        f"{one.kind} {one.object}#{row.permission}@{one.subject}"
        for row in answer.rows
        for one in row.sample
    ]


async def test_a_change_is_felt_through_arrows(engine: Engine) -> None:
    await stored(engine, "folder:top#viewer@user:x", "folder:sub#parent@folder:top")
    await stored(engine, "document:a#home@folder:sub", "document:b#home@folder:other")
    assert await told(engine, change("folder:top#viewer@user:ann")) == [
        "gained document:a#above@user:ann",
        "gained document:a#view@user:ann",
        "gained folder:sub#view@user:ann",
        "gained folder:top#view@user:ann",
    ]
    assert await told(engine, change(gone=("folder:sub#parent@folder:top",))) == [
        "lost document:a#above@user:x",
        "lost document:a#view@user:x",
        "lost folder:sub#view@user:x",
    ]
    moved = change("document:b#home@folder:sub", gone=("document:a#home@folder:sub",))
    assert await told(engine, moved) == [
        "lost document:a#above@user:x",
        "gained document:b#above@user:x",
        "lost document:a#view@user:x",
        "gained document:b#view@user:x",
    ]


async def test_what_stands_between_two_arrows_has_no_name_and_is_found(engine: Engine) -> None:
    """Only the documents depend on the changed permission; a room leads there."""
    schema = """definition user {}
    definition building { relation guard: user permission enter = guard }
    definition room { relation building: building }
    definition document { relation room: room permission view = room->building->enter }"""
    await engine.create_store("rooms")
    await engine.write_schema("rooms", schema)
    updates = touch("document:a#room@room:1", "room:1#building@building:b")
    await engine.write("rooms", WriteRequest(updates))
    asked = change("building:b#guard@user:ann")
    answer = await engine.impact("rooms", asked, Way(consistency=FULLY_CONSISTENT))
    assert [(row.type, row.permission) for row in answer.rows] == [
        ("building", "enter"),
        ("document", "view"),
    ]


async def test_taking_away_can_give(engine: Engine) -> None:
    await stored(engine, "document:a#viewer@user:ann", "document:a#banned@user:ann")
    gone = change(gone=("document:a#banned@user:ann",))
    assert await told(engine, gone) == ["gained document:a#view@user:ann"]


async def test_everyone_is_one_entry(engine: Engine) -> None:
    await stored(engine, "document:a#home@folder:f", "document:a#banned@user:eve")
    await stored(engine, "folder:f#viewer@user:ann")
    assert await told(engine, change("folder:f#viewer@user:*")) == [
        "gained document:a#view@user:*",
        "gained folder:f#view@user:*",
    ]


async def test_a_change_that_changes_nothing(engine: Engine) -> None:
    await stored(engine, "document:a#viewer@user:ann", 'document:a#viewer@user:bo[below:{"top":3}]')
    same = ("document:a#viewer@user:ann", 'document:a#viewer@user:bo[below:{"top":3}]')
    assert await told(engine, change(*same, gone=("document:b#viewer@user:ann",))) == []
    assert await told(engine, change(schema=SCHEMA.replace("home->view", "(home->view)"))) == []
    expired = "document:a#viewer@user:cy[expiration:2000-01-01T00:00:00Z]"
    assert await told(engine, change(expired)) == []
    with pytest.raises(InvalidRequest):
        await ask(engine, Impact(Overlay()))


async def test_conditions(engine: Engine) -> None:
    before = 'document:a#viewer@user:%s[below:{"top":3}]'
    await stored(engine, before % "ann", before % "bo", before % "cy", "document:a#viewer@user:di")
    asked = change(
        'document:a#viewer@user:ann[below:{"top":9}]',
        "document:a#viewer@user:bo",
        before % "di",
        'document:a#viewer@user:eve[below:{"top":3}]',
    )
    answer = await ask(engine, asked)
    assert answer.total == Counts(gained=1, changed=3, new_access=3)
    assert await told(engine, asked) == [
        "changed document:a#view@user:ann",
        "changed document:a#view@user:bo",
        "changed document:a#view@user:di",
        "gained document:a#view@user:eve",
    ]
    wider = change(schema=SCHEMA.replace("x < top", "x <= top"))
    assert (await ask(engine, wider)).total == Counts(changed=3, new_access=3)
    await stored(engine, *_CROSSED)
    back = [item.replace("3", "?").replace("9", "3").replace("?", "9") for item in _CROSSED]
    assert (await ask(engine, change(*back))).total == Counts(changed=1, new_access=1)
    spelled = change(schema=SCHEMA.replace("(viewer + home->view)", "(home->view + viewer)"))
    assert (await ask(engine, spelled)).total == Counts()


async def test_the_first_schema_and_one_without_the_type(engine: Engine) -> None:
    await engine.create_store("empty")
    with pytest.raises(SchemaNotFound):
        await engine.impact("empty", change("document:a#viewer@user:ann"))
    both = Impact(Overlay([parse_tuple("document:a#viewer@user:ann")], schema=SCHEMA))
    answer = await engine.impact("empty", both, Way(consistency=FULLY_CONSISTENT))
    assert [(row.permission, row.counts.gained) for row in answer.rows] == [("view", 1)]
    await stored(engine, "document:a#viewer@user:ann", "folder:f#viewer@user:ann")
    kept = "definition user {} definition folder { relation viewer: user permission view = viewer }"
    assert await told(engine, change(schema=kept)) == ["lost document:a#view@user:ann"]


async def test_usersets_are_counted_where_they_are_asked_for(engine: Engine) -> None:
    await stored(engine, "folder:f#viewer@group:eng#member")
    asked = change("group:eng#member@group:ops#member", "group:ops#member@user:ann")
    assert await told(engine, asked) == ["gained folder:f#view@user:ann"]
    usersets = Impact(asked.overlay, subjects=[("group", "member")])
    assert await told(engine, usersets) == ["gained folder:f#view@group:ops#member"]


async def test_the_sample_is_bounded_and_the_numbers_are_not(engine: Engine) -> None:
    await stored(engine, *(f"document:{n:02}#home@folder:f" for n in range(30)))
    asked = change("folder:f#viewer@user:ann")
    answer = await engine.impact("acme", asked, Way(2, consistency=FULLY_CONSISTENT))
    sizes = [(row.permission, row.counts.gained, len(row.sample)) for row in answer.rows]
    assert sizes == [("view", 30, 2), ("view", 1, 1)]


async def test_the_cost_follows_the_change_and_not_the_store(engine: Engine) -> None:
    """A store of 600 documents with readers of their own, of which one is asked about."""
    for part in range(3):
        rows = (f"document:{part}-{n}#viewer@user:{n}" for n in range(200))
        await stored(engine, *rows)
    await stored(engine, "document:a#home@folder:f")
    small = Engine(engine.storage, limits=Limits(evaluation_reads=10, evaluation_nodes=10))
    asked = change("folder:f#viewer@user:ann", gone=("document:a#banned@user:ann",))
    answer = await small.impact("acme", asked, Way(consistency=FULLY_CONSISTENT))
    assert answer.gaps == ()
    assert answer.total.gained == 2


async def test_what_is_stored_already_costs_nothing(engine: Engine) -> None:
    await stored(engine, *(f"folder:f#viewer@user:{n}" for n in range(50)))
    await stored(engine, "folder:f#viewer@group:eng#member")
    small = Engine(engine.storage, limits=Limits(evaluation_reads=10))
    asked = change("folder:f#viewer@group:eng#member")
    answer = await small.impact("acme", asked, Way(consistency=FULLY_CONSISTENT))
    assert (answer.rows, answer.gaps) == ((), ())


async def test_a_userset_concerns_those_who_may_be_in_it(engine: Engine) -> None:
    """The folder's 60 readers are more than the budget allows to look at; of the group's, one."""
    await stored(engine, *(f"folder:f#viewer@user:{n}" for n in range(60)))
    await stored(engine, "group:eng#member@user:ann", "document:a#home@folder:f")
    small = Engine(engine.storage, limits=Limits(evaluation_reads=30))
    asked = change("folder:f#viewer@group:eng#member")
    answer = await small.impact("acme", asked, Way(consistency=FULLY_CONSISTENT))
    assert (answer.total, answer.gaps) == (Counts(gained=2, new_access=2), ())
