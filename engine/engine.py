"""The façade: what the HTTP API and an embedding program call. One method per question.

Each method names a store, chooses one snapshot (`engine.consistency`), takes the schema of that
snapshot (`engine.schemas`), and hands over to the module of its question. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from engine import asking, depth, lists, tending, watch
from engine.accesses import Accesses
from engine.budget import Budget
from engine.changelog import Changelog, Changes, ChangesPage
from engine.consistency import Freshness, utcnow
from engine.cursor import Cursors
from engine.documents import Documents, check_title
from engine.errors import EngineError, InvalidRequest
from engine.expand import expand
from engine.explain import Source, explain_each
from engine.inflight import InFlight
from engine.limits import Limits
from engine.moments import Moments
from engine.naming import by_name
from engine.pages import Pages
from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    BatchAnswer,
    Check,
    CheckAnswer,
    Consistency,
    DeleteAnswer,
    DeleteRequest,
    ExpandAnswer,
    FullyConsistent,
    Overlay,
    ReadAnswer,
    SchemaAnswer,
    SchemaRequest,
    SchemaWritten,
    WatchEvent,
    WriteAnswer,
    WriteRequest,
)
from engine.schemas import Schemas
from engine.store.protocol import STORE_NAME, Snapshot, Storage, StoreRecord, TupleFilter
from engine.telling import Telling
from engine.together import Together
from engine.tuples import Object, RelationTuple
from engine.versions import Versions, check_name
from engine.write import check_count, check_filter
from engine.writing import Turn, Writing, at_once
from engine.zookie import encode


class Engine(Accesses, Documents):
    """Answers every question about the stores in one storage.

    `clock` gives the `now` of writes; checks take theirs from `freshness`.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        limits: Limits | None = None,
        freshness: Freshness | None = None,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self.storage = storage
        self.limits = limits or Limits()
        self.freshness = freshness or Freshness(storage, now=clock)
        self._schemas = Schemas(storage)
        self.freshness.on_new_lineage(self._schemas.forget)
        self._cursors = Cursors(storage)
        self._changelog = Changelog(storage, self.freshness, self.limits)
        self._versions = Versions(
            storage, self.freshness, self._schemas, self._cursors, self.limits
        )
        self._pages = Pages(storage, self.freshness, self._schemas, self._cursors, self.limits)
        super().__init__(self._pages, storage, self._cursors)
        self._reading = lists.Reading(
            storage, self.freshness, self._cursors, self.limits, self._pages.grounds
        )
        self._writing = Writing(storage, self.freshness, self._schemas, self.limits, clock)
        self._clock = clock
        self._in_flight = InFlight()
        self._moments = Moments(self.freshness, self._pages.grounds)
        self.read_from = self._pages.read_from
        """How many checks, batches, trees and pages of lists were read from the node's `index`, and
        from `storage`."""
        self.together: Telling = Together(
            self.freshness, self._moments, self.limits, self.read_from
        )

    async def create_store(self, name: str, title: str = "") -> StoreRecord:
        """A new, empty store; `title` is free text for people. Raises InvalidRequest for a bad
        name or title, and StoreExists."""
        if not STORE_NAME.fullmatch(name):
            raise InvalidRequest(
                "not a store name", field="name", expected="`[a-z][a-z0-9-]{0,62}`"
            )
        check_title(title)
        self.freshness.forget_store(name)
        return await self.storage.create_store(name, title)

    async def get_store(self, name: str) -> StoreRecord:
        """The store of this name, straight from storage. Raises StoreNotFound."""
        return await self.storage.get_store(name)

    async def list_stores(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        prefix: str = "",
        title: str | None = None,
        names: Collection[str] | None = None,
    ) -> tuple[list[StoreRecord], str | None]:
        """A page of the stores whose names begin with `prefix`, of one title if it is given, and
        of no others than `names` if they are given, by name; and the cursor of the next page or
        None."""
        wanted = lists.StoresWanted(prefix, title or None, names)
        return await lists.stores(self.storage, self._cursors, self.limits, limit, cursor, wanted)

    async def delete_store(self, name: str) -> None:
        """Delete a store and everything in it. Raises StoreNotFound."""
        await self.storage.delete_store(name)
        self.freshness.forget_store(name)

    @by_name
    async def write_schema(
        self,
        store: str,
        text: str,
        language: str = "zed",
        *,
        dry_run: bool = False,
        actor: str = "",
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str = "",
        name: str = "",
    ) -> SchemaWritten:
        """Put a schema in force, or say what that would do. With a `name` it can be asked for as
        long as the store lives. One in `fga` orphans nothing: tuples that it does not allow stay
        and are not followed.

        Raises SchemaRefused with every problem of the text, SchemaInUse when stored tuples would
        be orphaned, SchemaExists when the name is taken, and InvalidRequest for a bad name.
        """
        check_name(name)
        request = SchemaRequest(text, language, metadata or {}, actor, idempotency_key, name)
        record = await self.freshness.store(store)
        if dry_run:
            return await self._writing.preview_schema(record, request)
        return await self._writing.write_schema(record, request)

    @by_name
    async def read_schema(
        self, store: str, consistency: Consistency = FULLY_CONSISTENT
    ) -> SchemaAnswer:
        """The schema in force. Raises SchemaNotFound when there is none yet."""
        record = await self._store(store, consistency)
        return await self._versions.in_force(record, consistency)

    @by_name
    async def schema_named(self, store: str, name: str) -> SchemaAnswer:
        """The version of the schema that was written by this name. Raises UnknownSchema."""
        return await self._versions.named(await self.freshness.store(store), name)

    @by_name
    async def schemas(
        self, store: str, *, limit: int | None = None, cursor: str | None = None
    ) -> tuple[list[SchemaAnswer], str | None]:
        """A page of the versions of the schema that have names, the newest first, and the cursor
        of the next page or None."""
        return await self._versions.page(await self.freshness.store(store), limit, cursor)

    @by_name
    async def write(self, store: str, request: WriteRequest) -> WriteAnswer:
        """Apply updates, all or nothing, as one revision.

        Raises what `engine.write.checked_updates` raises, PreconditionFailed, TupleExists,
        TupleAbsent, UnknownSchema, IdempotencyConflict, OutcomeUnknown.
        """
        record = await self.freshness.store(store)
        return await self._writing.write(record, request, self.limits.updates)

    async def import_batch(
        self, store: str, request: WriteRequest, *, after: Turn = at_once
    ) -> WriteAnswer:
        """As `write`, for the larger batches of an import. It is validated at once, and written
        when `after` returns: until then the batch before it may be under way. Raises what `after`
        raises."""
        record = await self.freshness.store(store)
        return await self._writing.write(record, request, self.limits.import_batch, after)

    @by_name
    async def delete(self, store: str, request: DeleteRequest) -> DeleteAnswer:
        """Delete by filter, as one revision. Raises as `write`, InvalidRequest for an empty
        filter and LimitExceeded for a limit over the maximum."""
        record = await self.freshness.store(store)
        return await self._writing.delete(record, request)

    @by_name
    async def read(
        self,
        store: str,
        filter: TupleFilter | None,  # noqa: A002 - the API's word
        *,
        limit: int | None = None,
        cursor: str | None = None,
        consistency: Consistency = MINIMIZE_LATENCY,
        overlay: Overlay | None = None,
        written: bool = False,
    ) -> ReadAnswer:
        """A page of tuples in identity order, of all if `filter` is None; rewrites are not
        applied, and `overlay` counts as written. With `written` it tells of each tuple when it was
        written as it stands."""
        if filter is not None:
            check_filter(filter, "filter")
        record = await self._store(store, consistency)
        how = (limit, cursor, consistency, overlay)
        return await self._reading.page(record, filter or TupleFilter(), *how, written=written)

    async def export(
        self,
        store: str,
        *,
        filter: TupleFilter | None = None,  # noqa: A002 - the API's word
        consistency: Consistency = MINIMIZE_LATENCY,
        after: RelationTuple | None = None,
        overlay: Overlay | None = None,
    ) -> AsyncGenerator[ReadAnswer, None]:
        """Every matching tuple of one snapshot, in pages; the last page has no cursor, and
        `overlay` counts as written."""
        record = await self._store(store, consistency)
        wanted = filter or TupleFilter()
        async for page in self._reading.every_page(record, wanted, consistency, after, overlay):
            yield page

    @by_name
    async def check(
        self,
        store: str,
        check: Check,
        consistency: Consistency = MINIMIZE_LATENCY,
        *,
        deadline: float | None = None,
        overlay: Overlay | None = None,
    ) -> CheckAnswer:
        """Whether the subject is a member; `deadline` is in seconds from now, and `overlay` counts
        as written.

        Raises UnknownType, UnknownRelation, InvalidRequest, BudgetExceeded, CaveatFailed,
        InvalidContext, CycleThroughExclusion, and what choosing the snapshot and `Grounds.at`
        raise.
        """
        deep = self.limits.depth
        if consistency is MINIMIZE_LATENCY and not check.explain and not deep:
            budget = self._budget(deadline)
            moment = await self._moments.of(store, check.object, overlay)
            if moment is not None:
                self.read_from["index"] += 1
                decision, _ = await asking.answer_one(moment.ground, check, budget)
                return CheckAnswer(decision, moment.zookie, None, moment.ground.compiled.name)
        how = (consistency, deadline, overlay)
        ground, snapshot, budget = await self._ground(store, (check.object,), *how)
        if deep:
            (result,) = await depth.answer(ground, (check,), budget, deep)
            if isinstance(result, EngineError):
                raise result
            decision = result
        else:
            decision = await self._in_flight.decide(ground, snapshot, check, budget)
        zookie, name = encode(snapshot), ground.compiled.name
        if not check.explain:
            return CheckAnswer(decision, zookie, None, name)
        source = Source(self.storage, snapshot)
        (why,) = await explain_each(ground, (check,), (decision,), source, budget.deadline)
        return CheckAnswer(decision, zookie, why, name)

    @by_name
    async def check_batch(
        self,
        store: str,
        checks: Sequence[Check],
        consistency: Consistency = MINIMIZE_LATENCY,
        *,
        deadline: float | None = None,
        overlay: Overlay | None = None,
    ) -> BatchAnswer:
        """Many checks at one snapshot; an error of one leaves the others standing."""
        check_count(len(checks), self.limits.checks, "checks")
        if not checks:
            raise InvalidRequest("there is nothing to check", field="checks", expected="a check")
        objects = tuple({check.object for check in checks})
        explained = sum(check.explain for check in checks)
        check_count(explained, self.limits.explained_checks, "checks")
        how = (consistency, deadline, overlay)
        ground, snapshot, budget = await self._ground(store, objects, *how)
        if self.limits.depth:
            results = await depth.answer(ground, checks, budget, self.limits.depth, "checks")
        else:
            results = await asking.answer(ground, checks, budget, "checks")
        source = Source(self.storage, snapshot)
        why = await explain_each(ground, checks, results, source, budget.deadline)
        return BatchAnswer(tuple(results), encode(snapshot), why, ground.compiled.name)

    async def expand(
        self,
        store: str,
        object: Object,  # noqa: A002 - the API's word
        relation: str,
        consistency: Consistency = MINIMIZE_LATENCY,
        *,
        deadline: float | None = None,
        overlay: Overlay | None = None,
    ) -> ExpandAnswer:
        """The userset tree of `object#relation`. Raises as `check` does."""
        how = (consistency, deadline, overlay)
        ground, snapshot, budget = await self._ground(store, (object,), *how)
        budget.nodes = self.limits.expand_nodes
        ground.compiled.require(object.type, relation, "object", "relation")
        tree = await expand(
            ground.compiled.schema, ground.reader, object, relation, ground.now, budget
        )
        return ExpandAnswer(tree, encode(snapshot), ground.compiled.name)

    async def _store(self, name: str, consistency: Consistency) -> StoreRecord:
        return await self.freshness.store(name, fresh=isinstance(consistency, FullyConsistent))

    def _budget(self, deadline: float | None) -> Budget:
        limits = self.limits
        seconds = limits.deadline if deadline is None else deadline
        return Budget(limits.evaluation_reads, limits.evaluation_nodes, perf_counter() + seconds)

    async def _ground(
        self,
        store: str,
        objects: tuple[Object, ...],
        consistency: Consistency,
        deadline: float | None,
        overlay: Overlay | None,
    ) -> tuple[asking.Ground, Snapshot, Budget]:
        budget = self._budget(deadline)
        record = await self._store(store, consistency)
        snapshot, now = await self.freshness.choose(record, consistency, objects)
        ground, _ = await self._pages.grounds.at(snapshot, now, overlay)
        self._pages.count(ground)
        return ground, snapshot, budget

    @by_name
    async def changes(self, store: str, asked: Changes) -> ChangesPage:
        """A page of the changelog, in the order of revisions. Raises as `Changelog.page` says."""
        return await self._changelog.page(await self.freshness.store(store), asked)

    async def watch(
        self,
        store: str,
        *,
        after: str | None = None,
        object_types: Collection[str] = (),
        relations: Collection[str] = (),
        heartbeat: float = 5.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Every change after the zookie (None: from now on), in revision order, for ever.

        Ends with SnapshotExpired, ZookieUnknown, StoreNotFound or Unavailable.
        """
        record = await self.freshness.store(store)
        events = watch.watch(
            self.storage,
            self.freshness,
            record,
            after,
            object_types=object_types,
            relations=relations,
            heartbeat=heartbeat,
        )
        async for event in events:
            yield event

    async def collect_garbage(self, store: str | None = None, *, window: timedelta) -> int:
        """Remove expired tuples and give up history older than `window`; the rows removed."""
        return await tending.collect(
            self.storage, self.freshness, store, self._clock(), window, self.limits
        )

    async def close(self) -> None:
        """Let go of Redis and of the storage."""
        await self.freshness.close()
        await self.storage.close()
