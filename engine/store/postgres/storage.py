"""`Storage` on Postgres: every call of the protocol, and where it is carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import asyncpg

from engine.errors import Unavailable
from engine.index.local import LocalIndexes
from engine.reader import ReverseReader
from engine.store.postgres import (
    documents,
    garbage,
    history,
    read,
    schemas,
    stores,
    tuple_history,
    write,
)
from engine.store.postgres.migrate import MigrationRefusedError, compare
from engine.store.postgres.notifying import Notifier
from engine.store.postgres.pool import Pool
from engine.store.postgres.queue import WriteQueues
from engine.store.postgres.rows import known
from engine.store.postgres.sql import statement
from engine.store.postgres.waiting import HeadWatch
from engine.store.protocol import (
    Collected,
    DeleteCommand,
    DeleteOutcome,
    Head,
    RevisionChanges,
    SchemaCommand,
    SchemaRecord,
    Shape,
    Snapshot,
    Standing,
    StoreRecord,
    TupleEvent,
    TupleFilter,
    WriteCommand,
    WriteOutcome,
    Written,
)
from engine.tuples import RelationTuple

_APPLIED_MIGRATIONS = statement("applied_migrations")


class PostgresStorage:
    """See `engine.store.protocol.Storage`. Safe to share among the tasks of one event loop."""

    def __init__(
        self,
        pool: Pool,
        *,
        poll_interval: float = 0.1,
        index: LocalIndexes | None = None,
        notifies: bool = False,
    ) -> None:
        self._pool = pool
        self._notifier = Notifier(pool) if notifies else None
        self._index = index
        self._watch = HeadWatch(pool, poll_interval)
        self._queues = WriteQueues(partial(write.write, pool))

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        pool_size: int = 10,
        prepared_statements: bool = True,
        acquire_timeout: float = 1.0,
        connect_timeout: float = 1.0,
        statement_timeout: float = 2.5,
        poll_interval: float = 0.1,
        index: LocalIndexes | None = None,
        notifies: bool = False,
    ) -> PostgresStorage:
        """A storage on the database `dsn`, which need not be up yet: `ping` says whether it is.

        All times are seconds: `acquire_timeout` to wait for one of `pool_size` connections,
        `connect_timeout` to open one, `statement_timeout` for a read, for a write up to its
        commit and for the commit, and `poll_interval` between two looks of `wait_for_change`.
        Behind PgBouncer in transaction mode `prepared_statements` must be False. Snapshots that
        `index` shows are read there; whoever gives it closes it. With `notifies` the indexers of
        other nodes are told of commits by NOTIFY.
        """
        pool = await Pool.open(
            dsn,
            size=pool_size,
            patience=acquire_timeout,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
            prepared_statements=prepared_statements,
        )
        return cls(pool, poll_interval=poll_interval, index=index, notifies=notifies)

    async def create_store(self, name: str, title: str = "") -> StoreRecord:
        return await stores.create_store(self._pool, name, title)

    async def get_store(self, name: str) -> StoreRecord:
        return await stores.get_store(self._pool, name)

    async def list_stores(
        self, after: str, limit: int, *, prefix: str = "", title: str | None = None
    ) -> list[StoreRecord]:
        return await stores.list_stores(self._pool, after, limit, prefix, title)

    async def retitle_store(self, name: str, title: str) -> StoreRecord:
        return await stores.retitle_store(self._pool, name, title)

    async def delete_store(self, name: str) -> None:
        await stores.delete_store(self._pool, name)

    async def head(self, store_id: str) -> Head:
        return await read.head(self._pool, known(store_id))

    async def snapshot(self, store_id: str, revision: int) -> Snapshot:
        return await history.snapshot(self._pool, known(store_id), revision)

    async def snapshot_at(self, store_id: str, moment: datetime) -> Snapshot:
        return await history.snapshot_at(self._pool, known(store_id), moment)

    async def schema(self, store_id: str, version: int) -> SchemaRecord:
        return await schemas.schema(self._pool, known(store_id), version)

    async def named_schema(self, store_id: str, name: str) -> SchemaRecord:
        return await schemas.named_schema(self._pool, known(store_id), name)

    async def named_schemas(self, store_id: str, before: int, limit: int) -> list[SchemaRecord]:
        return await schemas.named_schemas(self._pool, known(store_id), before, limit)

    async def put_schema(self, store_id: str, command: SchemaCommand) -> Snapshot:
        snapshot = await schemas.put_schema(self._pool, known(store_id), command)
        self._announce(store_id, snapshot.revision)
        return snapshot

    def _announce(self, store_id: str, revision: int) -> None:
        self._watch.announce(store_id, revision)
        if self._notifier is not None:
            self._notifier.tell(store_id)

    async def tuples_of_shapes(
        self, store_id: str, shapes: Sequence[Shape], now: datetime, limit: int
    ) -> list[RelationTuple]:
        return await schemas.tuples_of_shapes(self._pool, known(store_id), shapes, now, limit)

    def reader(self, snapshot: Snapshot) -> ReverseReader:
        reader = read.PostgresReader(self._pool, snapshot)
        return reader if self._index is None else self._index.reader(snapshot, reader)

    async def read(
        self,
        snapshot: Snapshot,
        filter_: TupleFilter,
        *,
        after: RelationTuple | None,
        limit: int,
        now: datetime,
    ) -> list[RelationTuple]:
        known(snapshot.store_id)
        return await read.page(self._pool.fetch, snapshot, filter_, after, limit, now)

    async def created(
        self, snapshot: Snapshot, tuples: Sequence[RelationTuple]
    ) -> list[Written | None]:
        known(snapshot.store_id)
        return await read.created(self._pool.fetch, snapshot, tuples)

    async def standing(
        self, snapshot: Snapshot, after: tuple[int, RelationTuple] | None, limit: int
    ) -> list[Standing]:
        known(snapshot.store_id)
        return await read.standing(self._pool.fetch, snapshot, after, limit)

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        outcome = await self._queues.write(known(store_id), command)
        self._announce(store_id, outcome.snapshot.revision)
        return outcome

    async def delete(self, store_id: str, command: DeleteCommand) -> DeleteOutcome:
        outcome = await write.delete(self._pool, known(store_id), command)
        self._announce(store_id, outcome.snapshot.revision)
        return outcome

    async def remove_expired(self, store_id: str, now: datetime, limit: int) -> DeleteOutcome:
        outcome = await write.remove_expired(self._pool, known(store_id), now, limit)
        self._announce(store_id, outcome.snapshot.revision)
        return outcome

    async def changes(
        self, store_id: str, after_revision: int, limit: int
    ) -> list[RevisionChanges]:
        return await history.changes(self._pool, known(store_id), after_revision, limit)

    async def tuple_history(
        self,
        snapshot: Snapshot,
        filter_: TupleFilter,
        *,
        after: tuple[int, RelationTuple] | None,
        newest_first: bool,
        limit: int,
        most: int,
    ) -> list[TupleEvent]:
        known(snapshot.store_id)
        return await tuple_history.tuple_history(
            self._pool,
            snapshot,
            filter_,
            after,
            newest_first=newest_first,
            limit=limit,
            most=most,
        )

    async def put_document(self, store_id: str, kind: str, name: str, text: str) -> None:
        await documents.put_document(self._pool, known(store_id), kind, name, text)

    async def document(self, store_id: str, kind: str, name: str) -> str | None:
        return await documents.document(self._pool, known(store_id), kind, name)

    async def wait_for_change(self, store_id: str, after_revision: int, within: float) -> None:
        await self._watch.wait(known(store_id), after_revision, within)

    async def collect_garbage(self, store_id: str, horizon: datetime, batch: int) -> Collected:
        return await garbage.collect(self._pool, known(store_id), horizon, batch)

    async def secrets(self) -> list[bytes]:
        return await stores.secrets(self._pool)

    async def rotate_secret(self) -> None:
        await stores.rotate_secret(self._pool)

    async def ping(self) -> None:
        try:
            rows = await self._pool.fetch(_APPLIED_MIGRATIONS)
            missing = compare({row["name"]: row["checksum"] for row in rows})
        except asyncpg.UndefinedTableError:
            raise Unavailable("the database has no tables yet: run `stonetown migrate`") from None
        except MigrationRefusedError as error:
            raise Unavailable(str(error)) from error
        if missing:
            raise Unavailable(f"migration {missing[0].name} is pending: run `stonetown migrate`")

    async def close(self) -> None:
        await self._watch.close()
        if self._notifier is not None:
            await self._notifier.close()
        # Together, for the pool ends what takes too long.
        await asyncio.gather(self._queues.close(), self._pool.close())
