"""Several nodes over one Postgres, and the log of what clients were told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg

from engine import zookie
from engine.cache.redis import RedisAnnouncer
from engine.consistency import Freshness
from engine.engine import Engine
from engine.requests import Check, Consistency, WriteRequest
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Update
from engine.tuples import Object, Subject
from tests.histories.sequence_storage import CREATE_SEQUENCE

STORE = "acme"
SCHEMA = """
definition user {}

definition group {
    relation member: user | group#member
}

definition folder {
    relation viewer: user | group#member
    relation banned: user
    permission view = viewer - banned
}

definition document {
    relation parent: folder
    permission view = parent->view
}

definition room {
    relation open_to: group#member
    permission enter = open_to
}
"""


class Seen(NamedTuple):
    """One answer: who asked what, at which revision it was answered, and how."""

    object: Object
    subject: Subject
    revision: int
    allowed: bool


class Node:
    """One node of the service."""

    def __init__(self, engine: Engine, seen: list[Seen]) -> None:
        self.engine = engine
        self._seen = seen

    async def write(self, *updates: Update) -> str:
        """Write in one request; the zookie of the acknowledged write."""
        return (await self.engine.write(STORE, WriteRequest(updates))).zookie

    async def ask(
        self, subject: Subject, permission: str, object_: Object, consistency: Consistency
    ) -> Seen:
        """Check, and log what was answered."""
        check = Check(object_, permission, subject)
        answer = await self.engine.check(STORE, check, consistency, deadline=60)
        seen = Seen(object_, subject, revision_of(answer.zookie), answer.decision.allowed)
        self._seen.append(seen)
        return seen


class Cluster(NamedTuple):
    """Nodes over one Postgres with `SCHEMA` in the store `STORE`, and all that they answered."""

    nodes: Sequence[Node]
    seen: list[Seen]


def revision_of(text: str) -> int:
    """The revision that a zookie names."""
    return zookie.decode(text).revision


@asynccontextmanager
async def cluster(
    dsn: str,
    storage: type[PostgresStorage] = PostgresStorage,
    *,
    valkey_url: str = "",
    size: int = 3,
) -> AsyncIterator[Cluster]:
    """A cluster on an empty, migrated database, whose nodes are of one kind of storage and
    announce their writes through Valkey if there is one."""
    seen: list[Seen] = []
    nodes = []
    for _ in range(size):
        opened = await storage.connect(
            dsn, pool_size=8, acquire_timeout=60, connect_timeout=60, statement_timeout=60
        )
        announcer = RedisAnnouncer(valkey_url, prefix="histories") if valkey_url else None
        engine = Engine(opened, freshness=Freshness(opened, announcer=announcer))
        nodes.append(Node(engine, seen))
    try:
        await nodes[0].engine.create_store(STORE)
        await nodes[0].engine.write_schema(STORE, SCHEMA)
        await _execute(dsn, CREATE_SEQUENCE.format(start=2))
        yield Cluster(nodes, seen)
    finally:
        for node in nodes:
            await node.engine.close()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
