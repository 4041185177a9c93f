"""What every storage does with the updates that some dialects know: ensure and remove."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import EngineError, TupleAbsent, TupleExists
from engine.store.protocol import Storage, Update, UpdateOp, WriteCommand
from engine.tuples import parse_tuple
from tests.store.tenant import LATER, NOW, Tenant, create, delete, described, key, touch

ANN = "doc:1#viewer@user:ann"
BEN = "doc:1#viewer@user:ben"
WEEKDAY = f'{ANN}[weekday:{{"day":"friday"}}]'
SHORT = f"{ANN}[expiration:2030-01-01T00:30:00Z]"


def ensure(*texts: str) -> list[Update]:
    return [Update(UpdateOp.ENSURE, parse_tuple(text)) for text in texts]


def remove(*texts: str) -> list[Update]:
    return [Update(UpdateOp.REMOVE, parse_tuple(text)) for text in texts]


class EnsuringContract:
    """Ensure is refused where a tuple stands otherwise, remove where there is none."""

    async def test_ensure_creates_and_then_changes_nothing(self, tenant: Tenant) -> None:
        assert (await tenant.write(ensure(WEEKDAY, BEN))).results == ("created", "created")
        before = await tenant.snapshot()
        assert (await tenant.write(ensure(WEEKDAY, BEN))).results == ("unchanged", "unchanged")
        assert await tenant.snapshot() == before
        assert described(await tenant.changes()) == [[f"touch {WEEKDAY}", f"touch {BEN}"]]

    @pytest.mark.parametrize(
        "other", [ANN, f"{ANN}[weekday]", f'{ANN}[weekend:{{"day":"friday"}}]', SHORT]
    )
    async def test_ensure_leaves_what_stands_otherwise(self, tenant: Tenant, other: str) -> None:
        before = (await tenant.write(touch(WEEKDAY))).snapshot
        with pytest.raises(TupleExists) as refused:
            await tenant.write([*create(BEN), *ensure(other)])
        assert refused.value.extra == {"tuple": str(parse_tuple(other)), "op": "ensure"}
        assert refused.value.field == "updates[1].tuple"
        assert await tenant.snapshot() == before
        assert await tenant.texts() == [WEEKDAY]
        with pytest.raises(TupleExists) as refused:
            await tenant.write(create(other))
        assert refused.value.extra["op"] == "create"

    async def test_what_is_expired_is_not_there(self, tenant: Tenant) -> None:
        await tenant.write(touch(SHORT))
        with pytest.raises(TupleExists):
            await tenant.write(ensure(ANN))
        with pytest.raises(TupleAbsent):
            await tenant.write(remove(ANN), now=LATER)
        assert (await tenant.write(ensure(ANN), now=LATER)).results == ("created",)
        assert await tenant.texts() == [ANN]

    async def test_remove_deletes_what_is_there(self, tenant: Tenant) -> None:
        await tenant.write(touch(WEEKDAY, BEN))
        assert (await tenant.write(remove(ANN))).results == ("deleted",)
        assert await tenant.texts() == [BEN]
        assert described(await tenant.changes(1)) == [[f"delete {ANN}"]]
        (change,) = (await tenant.changes(1))[0].changes
        assert (change.op, str(change.tuple)) == (UpdateOp.DELETE, WEEKDAY)

    async def test_remove_wants_its_tuple(self, tenant: Tenant) -> None:
        before = (await tenant.write(touch(BEN))).snapshot
        with pytest.raises(TupleAbsent) as refused:
            await tenant.write([*remove(BEN), *create(WEEKDAY), *remove("doc:2#viewer@user:ann")])
        assert refused.value.extra == {"tuple": "doc:2#viewer@user:ann"}
        assert refused.value.field == "updates[2].tuple"
        assert await tenant.snapshot() == before
        assert await tenant.texts() == [BEN]

    async def test_all_kinds_are_one_revision(self, tenant: Tenant) -> None:
        await tenant.write(touch("a:1#r@u:1", "a:2#r@u:1", "a:3#r@u:1"))
        updates = [
            *remove("a:1#r@u:1"),
            *ensure("a:2#r@u:1", "a:4#r@u:1"),
            *delete("a:3#r@u:1", "a:9#r@u:1"),
            *create("a:5#r@u:1"),
        ]
        outcome = await tenant.write(updates)
        wanted = ("deleted", "unchanged", "created", "deleted", "absent", "created")
        assert outcome.results == wanted
        assert described(await tenant.changes(1)) == [
            ["delete a:1#r@u:1", "delete a:3#r@u:1", "touch a:4#r@u:1", "touch a:5#r@u:1"]
        ]

    async def test_a_repeated_request_gets_the_first_answer(self, tenant: Tenant) -> None:
        first = await tenant.write([*ensure(ANN), *create(BEN)], idempotency=key("k"))
        again = await tenant.write([*ensure(ANN), *create(BEN)], idempotency=key("k"))
        assert again == first._replace(replayed=True)

    async def test_writes_at_once_see_each_other(self, storage: Storage, tenant: Tenant) -> None:
        """Each as if those before it had been committed, though they share a transaction."""

        async def write(updates: list[Update]) -> str:
            command = WriteCommand(updates, (), None, NOW)
            try:
                return str((await storage.write(tenant.id, command)).results[0])
            except EngineError as error:
                return error.code

        told = await asyncio.gather(
            *map(write, [create("x:0#r@u:1"), ensure(ANN), ensure(ANN), ensure(f"{ANN}[weekday]")]),
            *map(write, [remove(ANN), remove(ANN), ensure(f"{ANN}[weekday]"), create(ANN)]),
        )
        assert told[1:] == [
            *("created", "unchanged", "tuple_exists"),
            *("deleted", "tuple_absent", "created", "tuple_exists"),
        ]
        assert described(await tenant.changes(1)) == [
            [f"touch {ANN}"],
            [f"delete {ANN}"],
            [f"touch {ANN}[weekday]"],
        ]
