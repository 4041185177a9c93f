"""Build an index from nothing: every tuple of one snapshot, in the order of the keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from engine.index.apply import identity_of
from engine.index.encoding import (
    CONDITIONAL,
    LONGEST,
    USERSET,
    Condition,
    Form,
    Names,
    code_of,
    digest_of,
    pack_condition,
    packed,
)
from engine.index.files import (
    Held,
    Tables,
    pack_snapshot,
    revision_key,
    write_held,
    write_names,
)
from engine.store.protocol import Snapshot
from engine.tuples import RelationTuple

_ROWS_PER_COMMIT = 500_000


class StoredShape(NamedTuple):
    """A form of tuples of which there are some: relation, form of subject, and whether they have
    a caveat or an expiry."""

    object_type: str
    relation: str
    subject_type: str
    subject_relation: str
    conditional: bool


class Row(NamedTuple):
    """A tuple as bytes in UTF-8; `conditional` is `b"t"` if it has a caveat or an expiry."""

    object_type: bytes
    object_id: bytes
    relation: bytes
    subject_type: bytes
    subject_id: bytes
    subject_relation: bytes
    conditional: bytes


class Source(Protocol):
    """The tuples of one snapshot. Every method raises SnapshotExpired if it went meanwhile.

    Orders are by bytes; usersets come after other subjects, and conditional tuples after plain
    ones of the same kind.
    """

    async def shapes(self, snapshot: Snapshot) -> list[StoredShape]:
        """Every form that a tuple of the snapshot has."""
        ...

    def by_object(self, snapshot: Snapshot) -> AsyncIterator[Sequence[Sequence[bytes]]]:
        """Rows by object type, relation, object id; then userset, conditional, subject type,
        subject relation, subject id."""
        ...

    def by_subject(self, snapshot: Snapshot) -> AsyncIterator[Sequence[Sequence[bytes]]]:
        """Rows by userset, conditional, subject type, subject relation; then object type,
        relation, subject id, object id."""
        ...

    def conditional(self, snapshot: Snapshot) -> AsyncIterator[Sequence[RelationTuple]]:
        """The tuples that have a caveat or an expiry, in any order."""
        ...


async def build(
    tables: Tables, source: Source, snapshot: Snapshot, progress: Callable[[int], None]
) -> Held:
    """Fill empty tables with a snapshot, telling `progress` how many rows of both directions are
    done. A build that is not finished leaves tables that hold nothing.

    Raises TooManyNamesError, lmdb.Error and what the source raises.
    """
    shapes = await source.shapes(snapshot)
    names = _names(shapes)
    done = 0
    for rows, table, pairs in (
        (source.by_object(snapshot), tables.forward, _by_object(names)),
        (source.by_subject(snapshot), tables.reverse, _by_subject(names)),
    ):
        filling = _Filling(tables, table)
        try:
            async for batch in rows:
                filling.add(pairs(batch))
                done += len(batch)
                progress(done)
        except BaseException:
            filling.abort()
            raise
        filling.finish()
    async for tuples in source.conditional(snapshot):
        _condition(tables, names, tuples)
    held = Held(snapshot, snapshot.revision, names.version)
    with tables.env.begin(write=True) as transaction:
        key = revision_key(snapshot.revision)
        transaction.put(key, pack_snapshot(snapshot), db=tables.revisions)
        write_names(transaction, names)
        write_held(transaction, held)
    return held


def _names(shapes: Sequence[StoredShape]) -> Names:
    """Names numbered in their order, so that keys come in the order of the source."""
    relations = sorted({(shape.object_type, shape.relation) for shape in shapes})
    forms = sorted({Form(shape.subject_type, shape.subject_relation) for shape in shapes})
    names = Names(relations, forms)
    for shape in shapes:
        code = names.forms[Form(shape.subject_type, shape.subject_relation)]
        code |= USERSET if shape.subject_relation else 0
        code |= CONDITIONAL if shape.conditional else 0
        names.seen.add((names.relations[shape.object_type, shape.relation], code))
    return names


Pair = tuple[bytes, bytes]
_Pairs = Callable[[Sequence[Sequence[bytes]]], list[Pair]]
_Codes = dict[tuple[bytes, bytes], bytes]


def _codes(names: Names) -> tuple[_Codes, dict[tuple[bytes, bytes, bytes], bytes]]:
    """The codes of relations and of forms, by their names as bytes."""
    relations = {
        (type_.encode(), name.encode()): code_of(number)
        for (type_, name), number in names.relations.items()
    }
    forms: dict[tuple[bytes, bytes, bytes], bytes] = {}
    for (type_, name), number in names.forms.items():
        plain = number | (USERSET if name else 0)
        forms[type_.encode(), name.encode(), b"f"] = code_of(plain)
        forms[type_.encode(), name.encode(), b"t"] = code_of(plain | CONDITIONAL)
    return relations, forms


def _by_object(names: Names) -> _Pairs:
    relations, forms = _codes(names)

    def pairs(rows: Sequence[Sequence[bytes]]) -> list[Pair]:
        return [
            (relations[type_, name] + object_id, forms[kind, sub, conditional] + subject_id)
            for type_, object_id, name, kind, subject_id, sub, conditional in rows
        ]

    return pairs


def _by_subject(names: Names) -> _Pairs:
    relations, forms = _codes(names)

    def pairs(rows: Sequence[Sequence[bytes]]) -> list[Pair]:
        return [
            (forms[kind, sub, conditional] + relations[type_, name] + subject_id, object_id)
            for type_, object_id, name, kind, subject_id, sub, conditional in rows
        ]

    return pairs


class _Filling:
    """Appends sorted pairs to one table; those with long ids are put in their place at the end."""

    def __init__(self, tables: Tables, table: Any) -> None:
        self._tables = tables
        self._table = table
        self._long: list[Pair] = []
        self._rows = 0
        self._transaction = tables.env.begin(write=True)

    def add(self, pairs: list[Pair]) -> None:
        if any(len(key) > LONGEST or len(value) > LONGEST for key, value in pairs):
            short = [pair for pair in pairs if max(map(len, pair)) <= LONGEST]
            self._long += [pair for pair in pairs if max(map(len, pair)) > LONGEST]
            pairs = short
        self._transaction.cursor(self._table).putmulti(pairs, dupdata=True, append=True)
        self._rows += len(pairs)
        if self._rows >= _ROWS_PER_COMMIT:
            self._transaction.commit()
            self._transaction = self._tables.env.begin(write=True)
            self._rows = 0

    def abort(self) -> None:
        self._transaction.abort()

    def finish(self) -> None:
        """Put what is long, and commit."""
        reverse = self._table is self._tables.reverse
        # A key begins with one code or two, a value with one or none.
        heads = (4, 0) if reverse else (2, 2)
        for pair in self._long:
            key, value = (
                item[:head] + self._short(item[head:])
                for item, head in zip(pair, heads, strict=True)
            )
            self._transaction.put(key, value, db=self._table)
        self._transaction.commit()

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
