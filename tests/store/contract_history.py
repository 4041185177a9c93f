"""What every storage keeps of the past, for how long, and how it gives it up."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from engine.errors import SnapshotExpired, ZookieUnknown
from engine.store.protocol import (
    Collected,
    RevisionChanges,
    Snapshot,
    Storage,
    TupleFilter,
    UpdateOp,
    Written,
)
from engine.tuples import RelationTuple, parse_tuple
from tests.store.tenant import (
    ANY,
    LATER,
    NOW,
    Tenant,
    delete,
    described,
    edge,
    probe,
    scan,
    touch,
)

ANN = "doc:1#viewer@user:ann"
SUBJECTS = ("user:a", "user:b", "group:a#member", "group:b#member", "user:*")
IDENTITIES = [
    f"doc:{object_}#{relation}@{subject}"
    for object_ in (1, 2)
    for relation in ("editor", "viewer")
    for subject in SUBJECTS
]
SUFFIXES = ("", "[weekday]", '[weekday:{"day":1}]', "[expiration:2040-01-01T00:00:00Z]")


async def random_history(
    tenant: Tenant, seed: int, writes: int
) -> list[tuple[Snapshot, frozenset[str]]]:
    """Write at random; the snapshot after each revision with the tuples it must hold."""
    dice = random.Random(seed)
    living: dict[str, str] = {}
    history = [(await tenant.snapshot(), frozenset[str]())]
    while len(history) <= writes:
        updates = []
        for identity in dice.sample(IDENTITIES, dice.randint(1, 4)):
            if dice.random() < 0.4:
                updates += delete(identity)
                living.pop(identity, None)
            else:
                living[identity] = identity + dice.choice(SUFFIXES)
                updates += touch(living[identity])
        outcome = await tenant.write(updates)
        if outcome.snapshot != history[-1][0]:
            history.append((outcome.snapshot, frozenset(living.values())))
    return history


async def collect(tenant: Tenant, horizon: datetime, batch: int = 1000) -> int:
    """Collect garbage to the end; how many steps it took."""
    for step in range(1, 1000):
        if (await tenant.storage.collect_garbage(tenant.id, horizon, batch)).done:
            return step
    raise AssertionError("garbage collection does not end")


async def moment_after(tenant: Tenant, snapshot: Snapshot) -> datetime:
    """A moment after this snapshot's commit and before the next one's, which is made here."""
    text = f"clock:{snapshot.revision}#ticks@user:ann"
    while True:
        moment = snapshot.committed_at + timedelta(microseconds=1)
        outcome = await tenant.write(touch(text))
        if outcome.snapshot.committed_at > moment:
            return moment
        snapshot = (await tenant.write(delete(text))).snapshot


class SnapshotsContract:
    """Every revision inside the window can be found and read."""

    async def test_a_snapshot_is_what_its_write_returned(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        history = await random_history(tenant, 1, 10)
        for revision, (snapshot, _) in enumerate(history):
            assert snapshot.revision == revision
            assert await storage.snapshot(tenant.id, revision) == snapshot
        assert (await tenant.head()).snapshot == history[-1][0]
        for beyond in (11, 12, 2**40):
            with pytest.raises(ZookieUnknown):
                await storage.snapshot(tenant.id, beyond)

    async def test_every_tuple_knows_what_wrote_it_for_ever(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        history = await random_history(tenant, 3, 12)
        identities = [parse_tuple(identity) for identity in IDENTITIES]
        written: dict[str, Written] = {}
        held: frozenset[str] = frozenset()
        for snapshot, holds in history:
            moment = Written(snapshot.revision, snapshot.committed_at)
            written |= dict.fromkeys(holds - held, moment)
            held = holds
            living = {parse_tuple(text).identity: written[text] for text in holds}
            found = await storage.created(snapshot, identities)
            assert found == [living.get(item.identity) for item in identities]
        assert await storage.created(history[-1][0], []) == []
        await collect(tenant, LATER + timedelta(days=36500))
        assert await storage.created(history[-1][0], identities) == found
        beyond = history[-1][0]._replace(revision=history[-1][0].revision + 1)
        with pytest.raises((SnapshotExpired, ZookieUnknown)):
            await storage.created(beyond, identities)

    async def test_a_snapshot_is_found_by_its_time(self, storage: Storage, tenant: Tenant) -> None:
        history = await random_history(tenant, 2, 10)
        for snapshot, _ in history:
            committed = snapshot.committed_at
            newest = max(s for s, _ in history if s.committed_at <= committed)
            assert await storage.snapshot_at(tenant.id, committed) == newest
        last = history[-1][0]
        assert await storage.snapshot_at(tenant.id, last.committed_at + timedelta(days=1)) == last
        between = await moment_after(tenant, last)
        found = await storage.snapshot_at(tenant.id, between)
        assert found.committed_at < between
        assert found.revision < (await tenant.snapshot()).revision
        before = history[0][0].committed_at - timedelta(microseconds=1)
        with pytest.raises(SnapshotExpired):
            await storage.snapshot_at(tenant.id, before)

    @pytest.mark.parametrize("seed", [3, 4, 5])
    async def test_every_snapshot_reads_as_it_was(
        self, storage: Storage, tenant: Tenant, seed: int
    ) -> None:
        for snapshot, texts in await random_history(tenant, seed, 25):
            await self.require_world(storage, tenant, snapshot, texts)

    async def require_world(
        self, storage: Storage, tenant: Tenant, snapshot: Snapshot, texts: frozenset[str]
    ) -> None:
        """Assert that reads, probes and scans at `snapshot` see exactly the tuples `texts`."""
        assert set(await tenant.texts(snapshot)) == texts
        stored = {parse_tuple(text).identity: edge(text) for text in texts}
        probes = [probe(identity) for identity in IDENTITIES]
        objects = sorted({identity.partition("@")[0] for identity in IDENTITIES})
        scans = [scan(text, only_usersets=only) for text in objects for only in (False, True)]
        found, lists = await storage.reader(snapshot).fetch(probes, scans, 1000)
        for identity, answer in zip(IDENTITIES, found, strict=True):
            assert answer == stored.get(parse_tuple(identity).identity)
        for (kind, id_, relation, only_usersets), edges in zip(scans, lists, strict=True):
            prefix = f"{kind}:{id_}#{relation}@"
            wanted = {edge(text) for text in texts if text.startswith(prefix)}
            assert len(edges) == len(set(edges))
            assert set(edges) == {
                one for one in wanted if one.subject_relation or not only_usersets
            }

    async def test_a_snapshot_beyond_the_head_is_not_read(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        beyond = (await tenant.snapshot())._replace(revision=1)
        with pytest.raises(SnapshotExpired):
            await storage.read(beyond, ANY, after=None, limit=1, now=NOW)
        with pytest.raises(SnapshotExpired):
            await storage.reader(beyond).fetch([probe(ANN)], [scan("doc:1#viewer")], 1)


class ChangesContract:
    """The changelog gives every change once, in revision order."""

    async def test_changes_say_what_each_revision_did(self, tenant: Tenant) -> None:
        await tenant.write(touch("doc:2#v@user:b", "doc:1#v@user:b"), metadata='{"why":"x"}')
        await tenant.put_schema("definition user {}")
        await tenant.write(
            [*delete("doc:1#v@user:b"), *touch("doc:2#v@user:b[weekday]", "doc:1#v@user:a")],
            actor="importer",
        )
        await tenant.delete(TupleFilter(object_type="doc"), limit=1)
        entries = await tenant.changes()
        assert described(entries) == [
            ["touch doc:1#v@user:b", "touch doc:2#v@user:b"],
            [],
            [
                "touch doc:1#v@user:a",
                "delete doc:1#v@user:b",
                "touch doc:2#v@user:b[weekday]",
            ],
            ["delete doc:1#v@user:a"],
        ]
        assert [entry.metadata for entry in entries] == ['{"why":"x"}', "", "", ""]
        assert [entry.actor for entry in entries] == ["", "", "importer", "remover"]
        assert [entry.schema_changed for entry in entries] == [False, True, False, False]
        assert [entry.snapshot.revision for entry in entries] == [1, 2, 3, 4]
        versions = [entry.snapshot.schema_version for entry in entries]
        assert versions == [0, versions[1], versions[1], versions[1]]

    async def test_unchanged_and_absent_are_no_changes(self, tenant: Tenant) -> None:
        await tenant.write(touch(ANN))
        await tenant.write([*touch(ANN, "doc:2#viewer@user:ann"), *delete("doc:3#viewer@user:a")])
        assert described(await tenant.changes(1)) == [["touch doc:2#viewer@user:ann"]]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
    async def test_changes_come_in_whole_revisions(self, tenant: Tenant, limit: int) -> None:
        history = await random_history(tenant, 6, 20)
        await tenant.put_schema("definition user {}")
        whole = await tenant.changes()
        assert [entry.snapshot for entry in whole[:-1]] == [snapshot for snapshot, _ in history[1:]]
        followed: list[RevisionChanges] = []
        while entries := await tenant.changes(len(followed), limit):
            last = followed[-1].snapshot.revision if followed else 0
            assert [entry.snapshot.revision for entry in entries] == list(
                range(last + 1, last + 1 + len(entries))
            )
            assert sum(len(entry.changes) for entry in entries[:-1]) <= limit
            followed += entries
        assert followed == whole

    async def test_revisions_without_tuples_come_in_pages_too(self, tenant: Tenant) -> None:
        for number in range(12):
            await tenant.put_schema(f"// {number}")
        entries = await tenant.changes(limit=3)
        assert 1 <= len(entries) <= 6
        assert all(entry.schema_changed and not entry.changes for entry in entries)

    async def test_following_changes_gives_each_snapshot(self, tenant: Tenant) -> None:
        history = await random_history(tenant, 7, 25)
        living: dict[object, RelationTuple] = {}
        for entry, (snapshot, texts) in zip(await tenant.changes(), history[1:], strict=True):
            for op, tuple_ in entry.changes:
                if op is UpdateOp.TOUCH:
                    living[tuple_.identity] = tuple_
                else:
                    del living[tuple_.identity]
            assert {str(tuple_) for tuple_ in living.values()} == texts
            assert entry.snapshot == snapshot


class GarbageContract:
    """History before the horizon goes; what the window holds does not."""

    @pytest.mark.parametrize("batch", [1, 3, 1000])
    async def test_what_is_inside_the_window_stays(
        self, storage: Storage, tenant: Tenant, batch: int
    ) -> None:
        history = await random_history(tenant, 8, 20)
        whole = await tenant.changes()
        horizon = history[12][0].committed_at
        await collect(tenant, horizon, batch)
        assert await storage.collect_garbage(tenant.id, horizon, 1000) == Collected(0, True)
        oldest = (await tenant.head()).oldest_revision
        # Commits in the same microsecond as the horizon are given up together with it.
        assert oldest >= 12
        assert history[oldest][0].committed_at == history[12][0].committed_at
        for snapshot, texts in history[oldest:]:
            assert set(await tenant.texts(snapshot)) == texts
            assert await storage.snapshot(tenant.id, snapshot.revision) == snapshot
        for snapshot, _ in history[:oldest]:
            with pytest.raises(SnapshotExpired):
                await storage.snapshot(tenant.id, snapshot.revision)
            with pytest.raises(SnapshotExpired):
                await storage.read(snapshot, ANY, after=None, limit=1, now=NOW)
            with pytest.raises(SnapshotExpired):
                await storage.reader(snapshot).fetch([probe(IDENTITIES[0])], [], 1)
            with pytest.raises(SnapshotExpired):
                await storage.reader(snapshot).fetch([], [scan("doc:1#viewer")], 100)
            with pytest.raises(SnapshotExpired):
                await tenant.changes(snapshot.revision)
        assert await tenant.changes(oldest) == whole[oldest:]

    async def test_a_reader_made_before_says_that_its_snapshot_went(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        reader = storage.reader((await tenant.write(touch(ANN))).snapshot)
        await tenant.write(delete(ANN))
        assert list((await reader.fetch([probe(ANN)], [], 1))[0]) == [edge(ANN)]
        await collect(tenant, LATER + timedelta(days=36500))
        with pytest.raises(SnapshotExpired):
            await reader.fetch([probe(ANN)], [], 1)

    async def test_the_window_closes_before_any_row_goes(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        history = await random_history(tenant, 9, 20)
        await storage.collect_garbage(tenant.id, history[-1][0].committed_at, 1)
        assert (await tenant.head()).oldest_revision == 20

    async def test_the_head_is_never_given_up(self, storage: Storage, tenant: Tenant) -> None:
        history = await random_history(tenant, 10, 10)
        head, texts = history[-1]
        await collect(tenant, head.committed_at + timedelta(days=36500))
        assert await tenant.head() == (head, 10)
        assert set(await tenant.texts(head)) == texts
        assert await storage.snapshot_at(tenant.id, head.committed_at) == head
        again = await storage.collect_garbage(tenant.id, LATER + timedelta(days=36500), 1000)
        assert again == Collected(0, True)
        written = await tenant.write(touch("doc:9#viewer@user:ann"))
        assert written.snapshot.revision == 11
        assert described(await tenant.changes(10)) == [["touch doc:9#viewer@user:ann"]]

    async def test_a_horizon_before_the_store_gives_up_nothing(self, tenant: Tenant) -> None:
        history = await random_history(tenant, 11, 10)
        await collect(tenant, history[0][0].committed_at - timedelta(days=1))
        assert (await tenant.head()).oldest_revision == 0
        assert len(await tenant.changes()) == 10

    async def test_an_older_horizon_brings_nothing_back(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        history = await random_history(tenant, 12, 10)
        horizon = history[-1][0].committed_at
        assert not (await storage.collect_garbage(tenant.id, horizon, 1)).done
        await collect(tenant, history[0][0].committed_at)
        assert (await tenant.head()).oldest_revision == 10

    async def test_every_moment_inside_the_window_stays_readable(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        first = (await tenant.write(touch(ANN))).snapshot
        horizon = await moment_after(tenant, first)
        in_force = await storage.snapshot_at(tenant.id, horizon)
        texts = await tenant.texts(in_force)
        await collect(tenant, horizon)
        assert await storage.snapshot_at(tenant.id, horizon) == in_force
        assert await tenant.texts(in_force) == texts
        with pytest.raises(SnapshotExpired):
            await storage.snapshot_at(tenant.id, in_force.committed_at - timedelta(microseconds=1))

    async def test_collecting_in_one_store_leaves_others(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        other = await Tenant.make(storage)
        history = await random_history(other, 13, 10)
        await random_history(tenant, 13, 10)
        await collect(tenant, LATER + timedelta(days=36500))
        assert (await other.head()).oldest_revision == 0
        for snapshot, texts in history:
            assert set(await other.texts(snapshot)) == texts
