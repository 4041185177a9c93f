"""An index that turns out to be damaged in the middle of an answer: storage finishes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import lmdb
import pytest

from engine import asking
from engine.asking import Ground
from engine.decision import Decision
from engine.errors import EngineError
from engine.index.files import Tables
from engine.index.local import LocalIndexes, NodeReader
from engine.index.status import refused
from engine.limits import Limits
from engine.requests import Check
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot
from tests.engine.agreement import simplified
from tests.index.indexed import SIZE
from tests.index.test_agreement import Node, one, plenty

SEEDS = 12
PLACES = 6
"""After how many reads at most the damage is met."""
LEAST = 10
"""How often it was met at least, in each world."""


class Damaged:
    """What LMDB gives, each read of which may raise."""

    def __init__(self, inner: Any, read: Callable[[], None]) -> None:
        self._inner = inner
        self._read = read

    def __getattr__(self, name: str) -> Any:
        self._read()
        return getattr(self._inner, name)


class Environment:
    """An environment whose transactions read well a number of times."""

    def __init__(self, inner: Any, reads: int) -> None:
        self._inner = inner
        self._left = reads
        self.met = False

    def begin(self) -> Any:
        return Transaction(self._inner.begin(), self._spend)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.met = True
            raise lmdb.CorruptedError("planted")


class Transaction:
    """A transaction; what is looked up of the index as a whole does not count."""

    def __init__(self, inner: Any, read: Callable[[], None]) -> None:
        self._inner = inner
        self._spend = read

    def id(self) -> int:
        return int(self._inner.id())

    def get(self, key: bytes, **how: Any) -> Any:
        return self._inner.get(key, **how)

    def cursor(self, *table: Any) -> Any:
        return Damaged(self._inner.cursor(*table), self._spend)


class Broken:
    """The index of a node's store, damaged where `reads` reads are past."""

    def __init__(self, node: Node, snapshot: Snapshot, reads: int) -> None:
        self._node = node
        self._snapshot = snapshot
        self._reads = reads
        self.environment: Environment | None = None
        self._local: LocalIndexes | None = None

    def _opened(self, path: Path) -> Tables:
        tables = self._node.storage._opened(path)
        shown = Tables.__new__(Tables)
        shown.__dict__.update(tables.__dict__)
        self.environment = shown.env = Environment(tables.env, self._reads)
        return shown

    def ground(self) -> Ground:
        """What questions stand on; each time nothing is known of the damage."""
        self.close()
        storage, snapshot = self._node.storage, self._snapshot
        for path in (storage.root / snapshot.store_id).iterdir():
            if path.name.isdecimal():
                refused(path.parent, int(path.name)).unlink(missing_ok=True)
        self._local = LocalIndexes(storage.root, size=SIZE, opened=self._opened)
        reader: NodeReader = self._local.reader(snapshot, MemoryStorage.reader(storage, snapshot))
        return Ground(self._node.compiled, reader, self._node.world.now, Limits())

    def close(self) -> None:
        """Let go of what the last question stood on."""
        if self._local is not None:
            self._local.close()


def places(node: Node, snapshot: Snapshot) -> Iterator[Broken]:
    """The index, damaged at one place after the other."""
    for reads in range(PLACES):
        broken = Broken(node, snapshot, reads)
        yield broken
        broken.close()


def now(ground: Ground, check: Check) -> Decision | EngineError | None:
    """The result of a check that is asked without waiting, None where that cannot be."""
    try:
        return asking.answer_now(ground, check, plenty(), inf)
    except EngineError as error:
        return error


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_storage_finishes_what_a_damaged_index_began(seed: int) -> None:
    node = Node(seed)
    met = 0
    try:
        await node.begin()
        assert node.snapshot is not None
        for check in node.checks:
            expected = simplified(await one(node.ground(node.snapshot), check))
            for broken in places(node, node.snapshot):
                assert simplified(await one(broken.ground(), check)) == expected
                met += broken.environment is not None and broken.environment.met
                at_once = now(broken.ground(), check)
                assert at_once is None or simplified(at_once) == expected
                together = await asking.answer(broken.ground(), [check, *node.checks[:3]], plenty())
                assert simplified(together[0]) == expected
    finally:
        await node.storage.close()
    assert met > LEAST
