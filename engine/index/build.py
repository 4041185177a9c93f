"""Build an index from nothing: every tuple of one snapshot, in the order of the keys."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from itertools import groupby, zip_longest
from typing import Any, NamedTuple, Protocol

from engine.index.apply import identity_of
from engine.index.encoding import (
    CONDITIONAL,
    LONGEST,
    MOST_FORMS,
    MOST_RELATIONS,
    USERSET,
    Condition,
    Form,
    Names,
    TooManyNamesError,
    code_of,
    digest_of,
    pack_condition,
    packed,
)
from engine.index.files import (
    Held,
    IndexDamagedError,
    Tables,
    pack_snapshot,
    revision_key,
    write_held,
    write_names,
)
from engine.store.protocol import Head, Snapshot
from engine.tuples import RelationTuple

_ROWS_PER_COMMIT = 500_000
_AHEAD = 2
"""Streams that are begun before their turn, so that the source sorts meanwhile."""


class StoredShape(NamedTuple):
    """A form of tuples of which there are some: relation, form of subject, and whether they have
    a caveat or an expiry."""

    object_type: str
    relation: str
    subject_type: str
    subject_relation: str
    conditional: bool

    @property
    def by_code(self) -> tuple[bool, bool, str, str]:
        """What forms are sorted by: usersets come last, and conditional tuples after plain ones."""
        return bool(self.subject_relation), self.conditional, *self[2:4]


Rows = Sequence[Sequence[bytes]]


class Source(Protocol):
    """Where indexes get the tuples of one snapshot from, as bytes in UTF-8 and in the order of
    bytes. Every method that takes a snapshot raises SnapshotExpired if it went meanwhile."""

    async def heads(self, store_ids: Sequence[str]) -> Mapping[str, Head]:
        """The heads of those of these stores that there are, all read at once."""
        ...

    async def shapes(self, snapshot: Snapshot) -> Mapping[StoredShape, int]:
        """Every form that a tuple of the snapshot has, and how many have it."""
        ...

    def by_object(self, snapshot: Snapshot, shapes: Sequence[StoredShape]) -> AsyncIterator[Rows]:
        """Every tuple of one relation, all of whose shapes are given: object id, subject id, and
        the place of its shape, by object id, shape, subject id."""
        ...

    def by_subject(self, snapshot: Snapshot, shape: StoredShape) -> AsyncIterator[Rows]:
        """Every tuple of one shape: subject id and object id, in that order."""
        ...

    def conditional(self, snapshot: Snapshot) -> AsyncIterator[Sequence[RelationTuple]]:
        """The tuples that have a caveat or an expiry, in any order."""
        ...


Progress = Callable[[int, int], None]
"""Takes how many rows are done, of how many."""


async def build(tables: Tables, source: Source, snapshot: Snapshot, progress: Progress) -> Held:
    """Fill empty tables with a snapshot. A build that is not finished leaves tables that hold
    nothing.

    Raises TooManyNamesError, IndexDamagedError if the source gave not all, lmdb.Error and what the
    source raises.
    """
    shapes = await source.shapes(snapshot)
    names = _names(shapes)
    done, total = 0, 2 * sum(shapes.values())
    filling = _Filling(tables)
    try:
        async with aclosing(_ahead(_parts(names, source, snapshot, sorted(shapes)))) as batches:
            async for part, rows in batches:
                filling.add(part.table(tables), part.pairs(rows))
                done += len(rows)
                progress(done, total)
    except BaseException:
        filling.abort()
        raise
    filling.finish()
    if done != total:
        raise IndexDamagedError(f"{done} rows came, and {total} were counted")
    if any(shape.conditional for shape in shapes):
        async for tuples in source.conditional(snapshot):
            _condition(tables, names, tuples)
    held = Held(snapshot, snapshot.revision, names.version)
    with tables.env.begin(write=True) as transaction:
        key = revision_key(snapshot.revision)
        transaction.put(key, pack_snapshot(snapshot), db=tables.revisions)
        write_names(transaction, names)
        write_held(transaction, held)
    return held


def _names(shapes: Collection[StoredShape]) -> Names:
    """Names numbered in their order, so that keys come in the order of the source."""
    relations = sorted({(shape.object_type, shape.relation) for shape in shapes})
    forms = sorted({Form(shape.subject_type, shape.subject_relation) for shape in shapes})
    if len(relations) > MOST_RELATIONS or len(forms) > MOST_FORMS:
        raise TooManyNamesError
    names = Names(relations, forms)
    for shape in shapes:
        names.seen.add((names.relations[shape.object_type, shape.relation], _code(names, shape)))
    return names


def _code(names: Names, shape: StoredShape) -> int:
    code = names.forms[Form(shape.subject_type, shape.subject_relation)]
    code |= USERSET if shape.subject_relation else 0
    return code | (CONDITIONAL if shape.conditional else 0)


Pair = tuple[bytes, bytes]


class _Part(NamedTuple):
    """A stretch of one table: where its rows come from, and what they become."""

    rows: AsyncIterator[Rows]
    reverse: bool
    pairs: Callable[[Rows], list[Pair]]

    def table(self, tables: Tables) -> Any:
        return tables.reverse if self.reverse else tables.forward


def _parts(
    names: Names, source: Source, snapshot: Snapshot, shapes: Sequence[StoredShape]
) -> list[_Part]:
    """Every part, those of each table in its order. The tables take turns, so that their rows are
    sorted at the same time."""
    forward, reverse = [], []
    for relation, group in groupby(shapes, key=lambda shape: shape[:2]):
        found = sorted(group, key=lambda shape: shape.by_code)
        code = code_of(names.relations[relation])
        forms = [code_of(_code(names, shape)) for shape in found]
        forward.append(_Part(source.by_object(snapshot, found), False, _by_object(code, forms)))
    for shape in sorted(shapes, key=lambda shape: (shape.by_code, shape[:2])):
        prefix = code_of(_code(names, shape))
        prefix += code_of(names.relations[shape[:2]])
        reverse.append(_Part(source.by_subject(snapshot, shape), True, _by_subject(prefix)))
    taken = (part for pair in zip_longest(forward, reverse) for part in pair)
    return [part for part in taken if part is not None]


def _by_object(relation: bytes, forms: Sequence[bytes]) -> Callable[[Rows], list[Pair]]:
    by_number = {str(number).encode(): form for number, form in enumerate(forms)}

    def pairs(rows: Rows) -> list[Pair]:
        return [
            (relation + object_id, by_number[number] + subject_id)
            for object_id, subject_id, number in rows
        ]

    return pairs


def _by_subject(prefix: bytes) -> Callable[[Rows], list[Pair]]:
    def pairs(rows: Rows) -> list[Pair]:
        return [(prefix + subject_id, object_id) for subject_id, object_id in rows]

    return pairs


async def _ahead(parts: Sequence[_Part]) -> AsyncGenerator[tuple[_Part, Rows], None]:
    """The batches of every part, in order; those of the next parts are asked for early."""
    firsts: deque[asyncio.Task[Rows | None]] = deque()
    try:
        for number, part in enumerate(parts):
            while len(firsts) <= _AHEAD and number + len(firsts) < len(parts):
                coming = parts[number + len(firsts)].rows
                firsts.append(asyncio.create_task(_next(coming)))
            rows = await firsts.popleft()
            while rows is not None:
                yield part, rows
                rows = await _next(part.rows)
    finally:
        for first in firsts:
            first.cancel()
        await asyncio.gather(*firsts, return_exceptions=True)
        for part in parts:
            if isinstance(part.rows, AsyncGenerator):
                await part.rows.aclose()


async def _next(rows: AsyncIterator[Rows]) -> Rows | None:
    return await anext(rows, None)


class _Filling:
    """Appends sorted pairs to tables.

    A long id, cut, stands after the ids that sort before it and before those that sort after it;
    only others that begin like it may stand on the wrong side. So it is put where it belongs, and
    what follows can be appended again.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows = 0
        self._transaction = tables.env.begin(write=True)

    def add(self, table: Any, pairs: list[Pair]) -> None:
        if any(len(key) > LONGEST or len(value) > LONGEST for key, value in pairs):
            self._put(table, pairs)
        else:
            self._transaction.cursor(table).putmulti(pairs, dupdata=True, append=True)
        self._rows += len(pairs)
        if self._rows >= _ROWS_PER_COMMIT:
            self._transaction.commit()
            self._transaction = self._tables.env.begin(write=True)
            self._rows = 0

    def abort(self) -> None:
        self._transaction.abort()

    def finish(self) -> None:
        self._transaction.commit()

    def _put(self, table: Any, pairs: list[Pair]) -> None:
        # A key begins with one code or two, a value with one or none.
        heads = (4, 0) if table is self._tables.reverse else (2, 2)
        for pair in pairs:
            key, value = (
                item[:head] + self._short(item[head:])
                for item, head in zip(pair, heads, strict=True)
            )
            self._transaction.put(key, value, db=table)

    def _short(self, raw: bytes) -> bytes:
        if len(raw) <= LONGEST:
            return raw
        digest = digest_of(raw)
        self._transaction.put(digest, raw, db=self._tables.texts)
        return raw[:LONGEST] + digest


def _condition(tables: Tables, names: Names, tuples: Iterable[RelationTuple]) -> None:
    with tables.env.begin(write=True) as transaction:
        for item in tuples:
            relation, plain = names.number(item)
            key = relation + packed(item.object.id)
            identity = identity_of(key, code_of(plain), packed(item.subject.id))
            condition = pack_condition(Condition(*item[3:]))
            transaction.put(identity, condition, db=tables.conditions)
