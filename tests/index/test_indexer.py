"""The indexer: which stores it keeps, what it says, and what it does when something is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import SnapshotExpired
from engine.index.build import StoredShape
from engine.index.files import Tables
from engine.index.local import LocalIndexes
from engine.index.status import Status, refuse_all
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot, Update, UpdateOp, WriteCommand
from engine.tuples import Object, RelationTuple, Subject
from tests.index.indexed import StorageSource
from tests.index.running import BOUNDS, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def viewer(number: int, user: str = "ann") -> RelationTuple:
    return RelationTuple(Object("doc", str(number)), "viewer", Subject("user", user, ""))


async def filled(storage: MemoryStorage, name: str, count: int = 20) -> tuple[str, int]:
    """A store with `count` tuples: its id and its head."""
    store_id = (await storage.create_store(name)).id
    return store_id, await write(storage, store_id, [viewer(number) for number in range(count)])


async def write(storage: MemoryStorage, store_id: str, tuples: Sequence[RelationTuple]) -> int:
    updates = [Update(UpdateOp.TOUCH, item) for item in tuples]
    outcome = await storage.write(store_id, WriteCommand(updates, (), 0, NOW))
    return outcome.snapshot.revision


def generation(root: Path, store_id: str) -> int:
    """The index that workers are told to use, 0 for none."""
    status = Status(root / store_id / "status")
    found = status.generation
    status.close()
    return found


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


async def test_it_builds_what_is_wanted_and_follows(storage: MemoryStorage, tmp_path: Path) -> None:
    store_id, head = await filled(storage, "a")
    unwanted, _ = await filled(storage, "b")
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        line = await indexer.follows(store_id, head)
        assert (line.total, line.done) == (40, 40)
        head = await write(storage, store_id, [viewer(99)])
        line = await indexer.follows(store_id, head)
        assert line.generation == 1
        assert indexer.builds() == {"first": 1}
        assert not (tmp_path / unwanted).exists()


async def test_it_drops_what_nobody_wants(storage: MemoryStorage, tmp_path: Path) -> None:
    store_id, head = await filled(storage, "a")
    async with running(storage, StorageSource(storage), tmp_path, unused=600.0) as indexer:
        await indexer.follows(store_id, head)
        indexer.want(store_id, ago=601.0)
        await indexer.until(lambda: indexer.line(store_id) is None)
        await indexer.until(
            lambda: [path.name for path in (tmp_path / store_id).iterdir()] == ["status"]
        )
        assert not (tmp_path / "wanted" / store_id).exists()
        line = await indexer.follows(store_id, head)
        assert line.generation == 2


async def test_it_keeps_no_more_stores_than_it_may(storage: MemoryStorage, tmp_path: Path) -> None:
    stores = [await filled(storage, name) for name in ("a", "b", "c")]
    async with running(storage, StorageSource(storage), tmp_path, stores=2) as indexer:
        for store_id, head in stores[:2]:
            await indexer.follows(store_id, head)
        third, head = stores[2]
        indexer.want(third)
        await write(storage, stores[0][0], [viewer(50)])
        await indexer.follows(stores[0][0], 2)
        assert indexer.line(third) is None
        indexer.want(stores[1][0], ago=100.0)
        await indexer.follows(third, head)
        assert indexer.line(stores[1][0]) is None


async def test_it_forgets_a_store_that_is_deleted(storage: MemoryStorage, tmp_path: Path) -> None:
    store_id, head = await filled(storage, "a")
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        await indexer.follows(store_id, head)
        await storage.delete_store("a")
        await indexer.until(lambda: not (tmp_path / store_id).exists())
        await indexer.until(lambda: not (tmp_path / "wanted" / store_id).exists())


class Failing(StorageSource):
    """It cannot give the tuples of one store."""

    def __init__(self, storage: MemoryStorage, refused: str) -> None:
        super().__init__(storage)
        self._refused = refused

    async def shapes(self, snapshot: Snapshot) -> Counter[StoredShape]:
        if snapshot.store_id == self._refused:
            raise SnapshotExpired("gone")
        return await super().shapes(snapshot)


async def test_one_store_does_not_stop_another(storage: MemoryStorage, tmp_path: Path) -> None:
    bad, _ = await filled(storage, "a")
    good, head = await filled(storage, "b")
    async with running(storage, Failing(storage, bad), tmp_path) as indexer:
        indexer.want(bad)
        await indexer.follows(good, head)
        await indexer.until(lambda: getattr(indexer.line(bad), "state", "") == "waiting")
        line = indexer.line(bad)
        assert line is not None
        assert "SnapshotExpired" in line.trouble
        assert line.generation == 0


async def test_a_store_that_does_not_fit_is_given_up_until_it_does(
    storage: MemoryStorage, tmp_path: Path
) -> None:
    store_id, head = await filled(storage, "a")
    async with running(storage, StorageSource(storage), tmp_path, size=1 << 19) as indexer:
        await indexer.follows(store_id, head)
        assert generation(tmp_path, store_id) == 1
        many = [viewer(number, "x" * 200) for number in range(3_000)]
        head = await write(storage, store_id, many)
        await indexer.until(lambda: getattr(indexer.line(store_id), "state", "") == "waiting")
        line = indexer.line(store_id)
        assert line is not None
        assert "MapFullError" in line.trouble
        assert generation(tmp_path, store_id) == 0
        updates = [Update(UpdateOp.DELETE, item) for item in many]
        await storage.write(store_id, WriteCommand(updates, (), 0, NOW))
        line = await indexer.follows(store_id, head + 1)
        assert indexer.builds()["full"] >= 1
        assert generation(tmp_path, store_id) == line.generation > 1


async def test_what_was_sealed_is_resumed(storage: MemoryStorage, tmp_path: Path) -> None:
    store_id, head = await filled(storage, "a")
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        await indexer.follows(store_id, head)
    assert (tmp_path / store_id / "1" / "seal").exists()
    head = await write(storage, store_id, [viewer(50)])
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        line = await indexer.follows(store_id, head)
        assert line.generation == 1
        assert indexer.builds() == {}
        assert not (tmp_path / store_id / "1" / "seal").exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "seal"])
async def test_damage_after_a_clean_stop_is_noticed(
    storage: MemoryStorage, tmp_path: Path, damage: str
) -> None:
    store_id, head = await filled(storage, "a", 500)
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        await indexer.follows(store_id, head)
    path = tmp_path / store_id / "1" / ("seal" if damage == "seal" else "data.mdb")
    raw = bytearray(path.read_bytes())
    if damage == "truncated":
        del raw[-4096:]
    else:
        raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        line = await indexer.follows(store_id, head)
        assert line.generation == 2
        assert indexer.builds() == {"damaged": 1}


async def test_after_another_boot_only_a_seal_is_believed(
    storage: MemoryStorage, tmp_path: Path
) -> None:
    store_id, head = await filled(storage, "a")
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        await indexer.follows(store_id, head)
    (tmp_path / store_id / "1" / "seal").unlink()
    path = tmp_path / store_id / "status"
    raw = bytearray(path.read_bytes())
    raw[0] ^= 2  # the word that names the boot
    path.write_bytes(raw)
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        line = await indexer.follows(store_id, head)
        assert line.generation == 2
        assert indexer.builds() == {"unsealed": 1}


async def test_another_history_is_built_anew(storage: MemoryStorage, tmp_path: Path) -> None:
    store_id, head = await filled(storage, "a")
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        await indexer.follows(store_id, head)
        Tables(tmp_path / "x", size=BOUNDS.size, write=True).close()
    refuse_all(tmp_path)  # nothing is offered now, so nothing is refused
    other = MemoryStorage()
    other_id, _ = await filled(other, "a", 3)
    head = await write(other, other_id, [viewer(7, "bob")])
    (tmp_path / store_id).rename(tmp_path / other_id)
    async with running(other, StorageSource(other), tmp_path) as indexer:
        line = await indexer.follows(other_id, head)
        assert line.generation == 2
        assert indexer.builds() == {"history": 1}
        await indexer.until(lambda: getattr(indexer.line(other_id), "swept", 0) > 0)


async def test_a_refused_index_is_built_anew(storage: MemoryStorage, tmp_path: Path) -> None:
    store_id, head = await filled(storage, "a")
    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        await indexer.follows(store_id, head)
        refuse_all(tmp_path)
        await indexer.until(lambda: indexer.builds() == {"first": 1, "refused": 1})
        line = await indexer.follows(store_id, head)
        assert line.generation == generation(tmp_path, store_id) == 2


async def test_a_worker_does_not_open_what_is_refused(
    storage: MemoryStorage, tmp_path: Path
) -> None:
    store_id, head = await filled(storage, "a")
    asked: list[Path] = []

    def opened(path: Path) -> Tables:
        asked.append(path)
        raise OSError

    async with running(storage, StorageSource(storage), tmp_path) as indexer:
        await indexer.follows(store_id, head)
    status = Status(tmp_path / store_id / "status", write=True)
    for number, expected in ((7, []), (8, [tmp_path / store_id / "8"])):
        (tmp_path / store_id / "refused-7").touch()
        status.offer(number)
        local = LocalIndexes(tmp_path, size=BOUNDS.size, opened=opened)
        assert local.shown(store_id) is None
        assert asked == expected
        local.close()
