"""Nodes of one service over one storage, under one clock that the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from engine import zookie
from engine.cache.announcer import Announcer
from engine.consistency import Freshness
from engine.requests import MINIMIZE_LATENCY, Consistency
from engine.store.memory import MemoryStorage
from engine.store.protocol import Snapshot, Storage, StoreRecord
from engine.tuples import Object
from tests.freshness.clock import ManualClock
from tests.freshness.seam import Seam
from tests.store.tenant import Tenant, touch

BOUND = 1.0
NOW = datetime(2030, 1, 1, tzinfo=UTC)
DOCUMENT = Object("document", "1")


class Node:
    """One node: its freshness, the storage it asks, and writes through it."""

    def __init__(
        self,
        storage: Storage,
        clock: ManualClock,
        *,
        announcer: Announcer | None = None,
        read_your_writes: bool = True,
    ) -> None:
        self.seam = Seam(storage)
        self.clock = clock
        self.freshness = Freshness(
            self.seam.storage,
            announcer=announcer,
            max_staleness=BOUND,
            read_your_writes=read_your_writes,
            clock=clock,
            now=lambda: NOW,
            pause=clock.pause,
        )

    @property
    def reads(self) -> int:
        """How often storage was asked for a head or a snapshot."""
        return self.seam.asked["head"] + self.seam.asked["snapshot"]

    async def write(self, store: StoreRecord, *objects: Object) -> Snapshot:
        """Touch a new tuple on each object and return when the write is acknowledged."""
        updates = touch(*(f"{item}#viewer@user:{uuid4().hex}" for item in objects))
        tenant = Tenant(self.seam.inner, store.id, store.name)
        snapshot = (await tenant.write(updates)).snapshot
        await self.freshness.published(snapshot, objects)
        return snapshot

    async def revision(
        self,
        store: StoreRecord,
        consistency: Consistency = MINIMIZE_LATENCY,
        objects: Sequence[Object] = (),
    ) -> int:
        """The revision that a request is answered at."""
        return (await self.freshness.choose(store, consistency, objects)).snapshot.revision


async def memory_node(*, read_your_writes: bool = False) -> tuple[Node, StoreRecord]:
    """A node over a memory storage with one store."""
    storage = MemoryStorage()
    record = await storage.create_store("acme")
    return Node(storage, ManualClock(), read_your_writes=read_your_writes), record


def forged(snapshot: Snapshot, **parts: int) -> str:
    """The zookie of a snapshot with other parts."""
    return zookie.encode(snapshot._replace(**parts))  # type: ignore[arg-type]  # ints are ints
