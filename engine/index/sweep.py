"""Compare an index with the store that it is of, a stretch at a time, round and round.

Three walks meet: every stored tuple must lie in the index both ways and as it is stored; every
entry by object must be stored; every entry by subject must have its entry by object. What they find
between them is every difference at the snapshots that they look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import lmdb

from engine.index.apply import Writer
from engine.index.encoding import (
    DIGEST,
    Condition,
    Names,
    is_conditional,
    is_cut,
    packed,
)
from engine.index.files import Held, IndexDamagedError, Tables, read_held
from engine.index.reader import View
from engine.reader import Edge, Probe
from engine.store.protocol import Snapshot, Storage, TupleFilter
from engine.tuples import RelationTuple

_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""A time at which nothing is expired yet."""
DAMAGE = (lmdb.Error, IndexDamagedError, KeyError, IndexError, ValueError)
"""What reading a damaged index may raise. A Unicode error is a ValueError."""

_Place = tuple[bytes, bytes]


class Difference(Exception):
    """The index is not what is stored; the message says where."""


class Sweep:
    """The walks through the index of one store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._after: RelationTuple | None = None
        self._forward: _Place | None = None
        self._reverse: _Place | None = None
        self.rounds = 0
        """How often each of the stored tuples has been looked at."""

    async def step(self, tables: Tables, writer: Writer, count: int) -> None:
        """Look at the next `count` tuples of each walk, at the snapshot that the index holds.

        Raises Difference, one of DAMAGE, and EngineError when the store cannot be read.
        """
        store_id = writer.held.head.store_id
        transaction = tables.env.begin()
        try:
            held = read_held(transaction, store_id)
            if held is None:
                raise IndexDamagedError("it holds nothing")
            state = _State(tables, transaction, writer.names, held)
            await self._stored(state, held.head, count)
            await self._by_object(state, held.head, count)
            self._by_subject(state, count)
        finally:
            transaction.abort()

    async def _stored(self, state: _State, snapshot: Snapshot, count: int) -> None:
        page = await self._storage.read(
            snapshot, TupleFilter(), after=self._after, limit=count, now=_ALWAYS
        )
        for item in page:
            probe = Probe(*item.object, item.relation, *item.subject)
            if state.view.edge(probe) != Edge(*item.subject, *item[3:]):
                raise Difference(f"stored, and not in the index as it is: {item}")
            state.require_reverse(probe, conditional=bool(item.caveat) or item[5] is not None)
        self._after = page[-1] if len(page) == count else None
        self.rounds += self._after is None

    async def _by_object(self, state: _State, snapshot: Snapshot, count: int) -> None:
        places = list(islice(state.walk(state.tables.forward, self._forward), count))
        probes = [state.probe(*place) for place in places]
        found, _ = await self._storage.reader(snapshot).fetch(probes, [], 0)
        for probe, stored, (_, value) in zip(probes, found, places, strict=True):
            if stored is None or is_conditional(value) != (Condition(*stored[3:]) != _PLAIN):
                raise Difference(f"in the index, and not stored so: {probe}")
        self._forward = places[-1] if len(places) == count else None

    def _by_subject(self, state: _State, count: int) -> None:
        places = list(islice(state.walk(state.tables.reverse, self._reverse), count))
        for key, object_id in places:
            form, relation, subject_id = key[:2], key[2:4], key[4:]
            if not state.forward.set_key_dup(relation + object_id, form + subject_id):
                raise Difference("by subject in the index, and not by object")
        self._reverse = places[-1] if len(places) == count else None


_PLAIN = Condition("", "", None)


class _State:
    """An index as one transaction shows it."""

    def __init__(self, tables: Tables, transaction: Any, names: Names, held: Held) -> None:
        self.tables = tables
        self.view = View(tables, transaction, names, held, None)
        self.forward = transaction.cursor(tables.forward)
        self._reverse = transaction.cursor(tables.reverse)
        self._transaction = transaction
        self._names = names
        self._relations = list(names.relations)

    def walk(self, table: Any, after: _Place | None) -> Iterator[_Place]:
        """The entries of a table behind one that need not be there any more."""
        cursor = self._transaction.cursor(table)
        if after is None:
            there = cursor.first()
        elif cursor.set_range_dup(*after):
            there = cursor.item() != after or cursor.next()
        else:
            there = cursor.set_range(after[0] + b"\0")
        return iter(cursor.iternext(keys=True, values=True) if there else ())

    def probe(self, key: bytes, value: bytes) -> Probe:
        """The tuple of an entry by object."""
        object_type, relation = self._relations[int.from_bytes(key[:2], "big")]
        form = self._names.form_of[value[:2]]
        ids = self._text(key[2:]), self._text(value[2:])
        return Probe(object_type, ids[0], relation, form.type, ids[1], form.relation)

    def require_reverse(self, probe: Probe, *, conditional: bool) -> None:
        """Raises Difference if the tuple has no entry by subject."""
        object_type, object_id, relation, type_, subject_id, name = probe
        access = self._names.access(object_type, relation, type_, name)
        code = access and (access.conditional if conditional else access.plain)
        if not (
            access
            and code
            and self._reverse.set_key_dup(
                code + access.relation + packed(subject_id), packed(object_id)
            )
        ):
            raise Difference(f"stored, and not by subject in the index: {probe}")

    def _text(self, raw: bytes) -> str:
        if not is_cut(raw):
            return raw.decode()
        text = self._transaction.get(raw[-DIGEST:], db=self.tables.texts)
        if text is None or packed(str(text, "utf-8")) != raw:
            raise IndexDamagedError("the text of a long id is not there")
        return str(text, "utf-8")
