"""Watch: every change of a store once, in revision order, from a zookie on (Zanzibar paper §2.4.3).

A watcher pulls: nothing is buffered beyond the one batch that is being delivered, so a slow reader
costs no memory, and one too slow for the history window ends with SnapshotExpired.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack

from engine.consistency import Freshness
from engine.errors import ZookieUnknown
from engine.jsontext import parse_json_object
from engine.requests import WatchEvent
from engine.store.protocol import RevisionChanges, Snapshot, Storage, StoreRecord
from engine.zookie import encode

_BATCH = 1_000
_HEARTBEAT_SECONDS = 5.0


async def watch(
    storage: Storage,
    freshness: Freshness,
    store: StoreRecord,
    after: str | None,
    *,
    object_types: Collection[str] = (),
    relations: Collection[str] = (),
    heartbeat: float = _HEARTBEAT_SECONDS,
    batch: int = _BATCH,
) -> AsyncGenerator[WatchEvent, None]:
    """The changes of `store` after the zookie `after`, or from now on.

    `object_types` and `relations` hide the tuples of others (empty: hide none); a revision of which
    nothing is left is not delivered, unless it changed the schema. The first event is a heartbeat
    with the zookie of the start; another one comes whenever `heartbeat` seconds went by without an
    event, with the zookie of the revision that was reached. `batch` bounds how many changes are
    read at a time.

    Raises InvalidZookie, ZookieUnknown (also when the store is restored under the watcher),
    SnapshotExpired, StoreNotFound (also when the store is deleted under it) and Unavailable.
    """
    if after is None:
        reached = (await storage.head(store.id)).snapshot
    else:
        reached = await freshness.resume(store, after, "after")
    yield _heartbeat(reached)
    spoken = freshness.clock()
    async with AsyncExitStack() as listening:
        news = None
        if freshness.announcer is not None:
            news = await listening.enter_async_context(freshness.announcer.listen(store.id))
        while True:
            if news is not None:
                # Before the read: what is announced during it must wake the wait after it.
                news.clear()
            revisions = await storage.changes(store.id, reached.revision, batch)
            if revisions:
                await _require_same_lineage(storage, reached)
            for revision in revisions:
                reached = revision.snapshot
                event = _event(revision, object_types, relations)
                if event is not None:
                    yield event
                    spoken = freshness.clock()
            silence = freshness.clock() - spoken
            if silence >= heartbeat:
                await _require_same_lineage(storage, reached)
                yield _heartbeat(reached)
                spoken = freshness.clock()
            elif not revisions:
                patience = heartbeat - silence
                if news is None:
                    await storage.wait_for_change(store.id, reached.revision, patience)
                else:
                    # News may be lost: storage is asked as often as for any other reader.
                    await news.wait(min(patience, freshness.max_staleness))


async def _require_same_lineage(storage: Storage, reached: Snapshot) -> None:
    """Raises ZookieUnknown when the history that was delivered is no longer the store's."""
    try:
        there = await storage.snapshot(reached.store_id, reached.revision)
    except ZookieUnknown:
        there = None
    if there is None or there.stamp != reached.stamp:
        raise ZookieUnknown(
            "the store was restored to a history without the changes that were delivered",
            field="after",
            expected="to read the store anew and to watch from there",
        )


def _event(
    revision: RevisionChanges, object_types: Collection[str], relations: Collection[str]
) -> WatchEvent | None:
    """What a watcher sees of a revision; None if its filters hide all of it."""
    changes = tuple(
        (str(change.op), change.tuple)
        for change in revision.changes
        if (not object_types or change.tuple.object.type in object_types)
        and (not relations or change.tuple.relation in relations)
    )
    if not changes and not revision.schema_changed:
        return None
    metadata = parse_json_object(revision.metadata, "metadata") if revision.metadata else {}
    return WatchEvent(encode(revision.snapshot), changes, metadata, revision.schema_changed)


def _heartbeat(reached: Snapshot) -> WatchEvent:
    return WatchEvent(encode(reached), heartbeat=True)
