"""Lists of tuples under an overlay are those of a store in which its changes were really made."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from engine.engine import Engine
from engine.errors import InvalidCursor
from engine.requests import FULLY_CONSISTENT, Overlay, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Storage, TupleFilter, Update, UpdateOp
from engine.tuples import Object, RelationTuple, Subject, parse_tuple
from tests.store.tenant import touch
from tests.whatif.cases import LIMITS, Case, case, planted
from tests.worlds import NOW

SIZES = (1, 2, 3, 1000)
EXPIRING = """use expiration
definition user {}
definition document { relation viewer: user | user with expiration }
"""


def parts(item: RelationTuple) -> tuple[str, ...]:
    return (*item.object, item.relation, *item.subject)


def expected(made: Case, filter_: TupleFilter) -> list[RelationTuple]:
    """What a list holds, from all tuples one by one."""
    return sorted(
        (
            item
            for item in made.seen
            if (item.expires_at is None or item.expires_at > NOW)
            and not any(
                want is not None and want != part
                for want, part in zip(filter_, parts(item), strict=True)
            )
        ),
        key=parts,
    )


def filters(made: Case, dice: random.Random) -> list[TupleFilter]:
    """Filters that match something that is stored, added or removed."""
    known = [*made.seen, *made.overlay.remove]
    chosen = []
    for item in dice.sample(known, min(len(known), 12)):
        kept = [part if dice.random() < 0.3 else None for part in parts(item)]
        filter_ = TupleFilter(*kept)
        chosen.append(filter_ if filter_ != TupleFilter() else TupleFilter(item.object.type))
    return chosen


async def paged(
    engine: Engine, store: str, filter_: TupleFilter, overlay: Overlay, size: int
) -> list[RelationTuple]:
    """Every page of a read."""
    found: list[RelationTuple] = []
    cursor = None
    while True:
        page = await engine.read(
            store,
            filter_,
            limit=size,
            cursor=cursor,
            consistency=FULLY_CONSISTENT,
            overlay=overlay,
        )
        found += page.tuples
        cursor = page.cursor
        if cursor is None:
            assert len(page.tuples) <= size
            return found
        assert len(page.tuples) == size


async def exported(
    engine: Engine, store: str, overlay: Overlay, after: RelationTuple | None
) -> list[RelationTuple]:
    pages = engine.export(store, consistency=FULLY_CONSISTENT, after=after, overlay=overlay)
    return [item async for page in pages for item in page.tuples]


async def compare(storage: Storage, seed: int, tally: Counter[str]) -> None:
    """Reads at every size of page, and exports from every place."""
    engine = Engine(storage, limits=LIMITS, clock=lambda: NOW)
    made, dice, store = case(seed), random.Random(seed), f"read-{seed}"
    await planted(engine, store, made.schema, made.tuples)
    for filter_ in filters(made, dice):
        is_ = expected(made, filter_)
        for size in SIZES:
            assert await paged(engine, store, filter_, made.overlay, size) == is_, (seed, filter_)
        tally["read"] += len(is_)
    everything = expected(made, TupleFilter())
    for after in (None, *dice.sample([*made.seen, *made.overlay.remove], 5)):
        rest = [item for item in everything if after is None or parts(item) > parts(after)]
        assert await exported(engine, store, made.overlay, after) == rest, (seed, after)
        tally["exported"] += len(rest)
    stored = {item.identity: item for item in made.tuples}
    tally["replaced"] += sum(stored.get(one.identity, one) != one for one in made.overlay.add)
    tally["removed"] += sum(one.identity in stored for one in made.overlay.remove)
    tally["expired"] += sum(
        one.expires_at is not None and one.expires_at <= NOW for one in made.overlay.add
    )


@pytest.mark.parametrize("first", range(0, 60, 20))
async def test_lists_are_as_if_written(first: int) -> None:
    storage, tally = MemoryStorage(lambda: NOW), Counter[str]()
    for seed in range(first, first + 20):
        await compare(storage, seed, tally)
    names = ("read", "exported", "replaced", "removed", "expired")
    assert min(tally[name] for name in names) > 3, tally


async def test_lists_over_postgres_are_as_if_written(fresh_database: str) -> None:
    storage, tally = await PostgresStorage.connect(fresh_database), Counter[str]()
    for seed in range(300, 312):
        await compare(storage, seed, tally)
    await storage.close()
    assert min(tally[name] for name in ("replaced", "removed", "expired")) > 0, tally


async def documents(engine: Engine, *tuples: str) -> None:
    """A store `docs` with these tuples."""
    await engine.create_store("docs")
    await engine.write_schema("docs", EXPIRING)
    await engine.write("docs", WriteRequest(touch(*tuples)))


def overlay_of(add: Sequence[str] = (), remove: Sequence[str] = ()) -> Overlay:
    return Overlay([parse_tuple(one) for one in add], [parse_tuple(one) for one in remove])


DOCUMENTS = TupleFilter(object_type="document")


async def test_an_export_in_many_pages_is_whole() -> None:
    """With as much removed before the end of each page as an overlay may hold."""
    engine = Engine(MemoryStorage(lambda: NOW), clock=lambda: NOW)
    await engine.create_store("docs")
    await engine.write_schema("docs", EXPIRING)
    names = [f"document:{number:04}#viewer@user:ann" for number in range(2_500)]
    for start in range(0, len(names), 500):
        await engine.write("docs", WriteRequest(touch(*names[start : start + 500])))
    gone = [*names[980:1010], *names[2000:2020]]
    come = [f"{name[:13]}x#viewer@user:ann" for name in (names[1000], names[1999], names[2499])]
    left = sorted((set(names) | set(come)) - set(gone))
    found = await exported(engine, "docs", overlay_of(come, gone), None)
    assert [str(item) for item in found] == left


async def test_the_pages_of_a_list_are_of_one_snapshot_and_of_one_overlay() -> None:
    engine = Engine(MemoryStorage(lambda: NOW), clock=lambda: NOW)
    await documents(engine, *(f"document:{name}#viewer@user:ann" for name in "bdf"))
    laid = overlay_of(["document:c#viewer@user:bo"], ["document:d#viewer@user:ann"])
    first = await engine.read("docs", DOCUMENTS, limit=1, overlay=laid)
    await engine.write("docs", WriteRequest(touch("document:e#viewer@user:ann")))
    gone = Update(UpdateOp.DELETE, parse_tuple("document:f#viewer@user:ann"))
    await engine.write("docs", WriteRequest([gone]))
    second = await engine.read("docs", DOCUMENTS, cursor=first.cursor, overlay=laid)
    told = [item.object.id for item in (*first.tuples, *second.tuples)]
    assert (told, first.zookie) == (["b", "c", "f"], second.zookie)
    for other in (None, overlay_of(["document:c#viewer@user:bo"]), overlay_of()):
        with pytest.raises(InvalidCursor):
            await engine.read("docs", DOCUMENTS, cursor=first.cursor, overlay=other)


async def test_an_added_tuple_that_has_expired_hides_the_stored_one() -> None:
    engine = Engine(MemoryStorage(lambda: NOW), clock=lambda: NOW)
    await documents(engine, "document:a#viewer@user:ann", "document:b#viewer@user:ann")
    then = parse_tuple("document:a#viewer@user:ann[expiration:2001-01-01T00:00:00Z]")
    page = await engine.read("docs", DOCUMENTS, overlay=Overlay([then]))
    kept = RelationTuple(Object("document", "b"), "viewer", Subject("user", "ann"))
    assert page.tuples == (kept,)
