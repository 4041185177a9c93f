"""Reads the tuples of one snapshot from an index; see `engine.reader` for what is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from engine.errors import BudgetExceeded
from engine.index.apply import ABSENT, CONDITIONED, FORWARD, PLAIN, REVERSE, identity_of, is_userset
from engine.index.encoding import (
    DIGEST,
    LONGEST,
    USERSET,
    Access,
    Condition,
    Names,
    Places,
    code_of,
    is_conditional,
    is_cut,
    packed,
    plain_of,
    unpack_condition,
)
from engine.index.files import Held, IndexDamagedError, Tables, revision_key
from engine.plan import Plan
from engine.reader import Edge, PlainEdges, Probe, ReverseEdge, ReverseScan, Scan
from engine.sight import Sights
from engine.tuples import WILDCARD, Subject

_USERSETS = code_of(USERSET)
_REVISION = 8


class View:
    """One state of an index: a read transaction, held for as long as this is.

    `undo` is the revision to read at if it is older than what the transaction shows, else None.
    """

    def __init__(
        self, tables: Tables, transaction: Any, names: Names, held: Held, undo: int | None
    ) -> None:
        self.names = names
        self.held = held
        self._tables = tables
        self._transaction = transaction
        self._forward = transaction.cursor(tables.forward)
        self._reverse = transaction.cursor(tables.reverse)
        self._undo = None if undo is None else transaction.cursor(tables.undo)
        self._since = b"" if undo is None else revision_key(undo + 1)

    def edge(self, probe: Probe) -> Edge | None:
        """The tuple that a probe asks for."""
        object_type, object_id, relation, *subject = probe
        access = self.names.access(object_type, relation, probe.subject_type, subject[2])
        if access is None:
            return None
        return self.edge_at(access, packed(object_id), packed(probe.subject_id), subject)

    def edge_at(
        self, access: Access, object_id: bytes, subject_id: bytes, subject: Sequence[str]
    ) -> Edge | None:
        """The tuple of two packed ids; `subject` is the subject that `subject_id` packs."""
        key = access.relation + object_id
        if self._undo is not None:
            form = access.form
            noted = self._noted(FORWARD + key).get(form + subject_id)
            if noted is not None:
                return self._as_before(noted, key, form, subject_id, subject)
        if access.plain is not None and self._forward.set_key_dup(key, access.plain + subject_id):
            return Edge(subject[0], subject[1], subject[2])
        if access.conditional is not None:
            code = access.conditional
            if self._forward.set_key_dup(key, code + subject_id):
                identity = identity_of(key, plain_of(code), subject_id)
                return Edge(subject[0], subject[1], subject[2], *self._condition(identity))
        return None

    def edges(self, scan: Scan, most: int) -> list[Edge]:
        """The tuples that a scan asks for, but no more than `most` and one."""
        code = self.names.relation_code(scan.object_type, scan.relation)
        if code is None:
            return []
        return self.edges_at(code + packed(scan.object_id), scan.only_usersets, most)

    def edges_at(self, key: bytes, only_usersets: bool, most: int) -> list[Edge]:
        """The tuples under a key of `forward`, but no more than `most` and one."""
        values = self._values(key, only_usersets, most)
        if self._undo is None:
            return [self._edge(key, value) for value in values]
        noted = self._noted(FORWARD + key)
        found = [
            self._edge(key, value)
            for value in values
            if plain_of(value[:2]) + value[2:] not in noted
        ]
        for value, note in noted.items():
            form, subject_id = value[:2], value[2:]
            if only_usersets and not is_userset(form):
                continue
            subject = self._subject(form, subject_id)
            edge = self._as_before(note, key, form, subject_id, subject)
            if edge is not None:
                found.append(edge)
        return found

    def objects(self, scan: ReverseScan, most: int) -> Sequence[ReverseEdge]:
        """The first `most` tuples that a reverse scan asks for, in the order of object ids."""
        access = self.names.access(
            scan.object_type, scan.relation, scan.subject_type, scan.subject_relation
        )
        if access is None:
            return ()
        subject_id = packed(scan.subject_id)
        form = access.form
        noted: dict[bytes, bytes] = {}
        if self._undo is not None:
            noted = self._noted(REVERSE + form + access.relation + subject_id)
        if not noted:
            plain = self._plain_objects(access, subject_id, scan.after, most)
            if plain is not None:
                return plain
        # What was changed since may hide as many, and an id may stand anywhere in its cluster.
        wanted = most + len(noted)
        found: dict[bytes, ReverseEdge] = {}
        for code in (access.plain, access.conditional):
            if code is None:
                continue
            for value in self._object_ids(code + access.relation + subject_id, scan.after, wanted):
                if value in noted:
                    continue
                rest: tuple[Any, ...] = ()
                if is_conditional(code):
                    key = access.relation + value
                    rest = self._condition(identity_of(key, form, subject_id))
                found[value] = ReverseEdge(self._text(value), *rest)
        for value, note in noted.items():
            key = access.relation + value
            edge = self._as_before(note, key, form, subject_id, ("", "", ""))
            if edge is not None:
                found[value] = ReverseEdge(self._text(value), *edge[3:])
        edges = [edge for edge in found.values() if edge.object_id > scan.after]
        edges.sort()
        return edges[:most]

    def count(self, key: bytes) -> int:
        """About how many tuples there are under a key of `forward`."""
        return self._forward.count() if self._forward.set_key(key) else 0

    def _plain_objects(
        self, access: Access, subject_id: bytes, after: str, most: int
    ) -> PlainEdges | None:
        """The first `most` tuples of a subject if none of them is conditional and no id is long,
        so that they lie as they are asked for; else None."""
        cursor, rest = self._reverse, access.relation + subject_id
        if access.conditional is not None and cursor.set_key(access.conditional + rest):
            return None
        if access.plain is None:
            return PlainEdges([])
        key = access.plain + rest
        if not after:
            there, start = cursor.set_key(key), b""
        else:
            start = packed(after)
            there = cursor.set_range_dup(key, start)
        if not there:
            return PlainEdges([])
        values = list(islice(cursor.iternext_dup(), most + 1))
        if values[0] == start:
            del values[0]
        if is_cut(start) or (values and max(map(len, values)) > LONGEST):
            return None
        return PlainEdges(list(map(bytes.decode, values[:most])))

    def reached_from(self, access: Access, subject_id: bytes, most: int) -> tuple[list[str], bool]:
        """The objects of up to `most` and one plain tuples of a subject, by a packed id; and
        whether there are conditional ones. Only of the newest revision."""
        assert self._undo is None  # the notes are not looked at
        rest = access.relation + subject_id
        cursor = self._reverse
        found: list[str] = []
        if access.plain is not None and cursor.set_key(access.plain + rest):
            found = [self._text(value) for value in islice(cursor.iternext_dup(), most + 1)]
        others = access.conditional is not None and cursor.set_key(access.conditional + rest)
        return found, others

    @property
    def transaction(self) -> Any:
        """What this reads in."""
        return self._transaction

    @property
    def is_newest(self) -> bool:
        """Whether this shows the newest revision of the index."""
        return self._undo is None

    def _values(self, key: bytes, only_usersets: bool, most: int) -> Sequence[bytes]:
        cursor = self._forward
        there = cursor.set_range_dup(key, _USERSETS) if only_usersets else cursor.set_key(key)
        return list(islice(cursor.iternext_dup(), most + 1)) if there else ()

    def _object_ids(self, key: bytes, after: str, most: int) -> Iterator[bytes]:
        """Ids from the cluster of `after` on, to the end of the cluster of the last one."""
        cursor = self._reverse
        start = packed(after)
        if is_cut(start):
            start = start[:-DIGEST]
        there = cursor.set_range_dup(key, start) if after else cursor.set_key(key)
        if not there:
            return
        cluster = b""
        for value in cursor.iternext_dup():
            if most <= 0 and not (is_cut(value) and value[:-DIGEST] == cluster):
                return
            cluster = value[:-DIGEST] if is_cut(value) else b""
            if value != start and not (is_cut(value) and cluster == start):
                most -= 1
            yield value

    def _edge(self, key: bytes, value: bytes) -> Edge:
        code, subject_id = value[:2], value[2:]
        form = self.names.form_of[code]
        id_ = subject_id.decode() if len(subject_id) <= 440 else self._text(subject_id)
        if not code[0] & 0x40:
            return Edge(form.type, id_, form.relation)
        identity = identity_of(key, plain_of(code), subject_id)
        return Edge(form.type, id_, form.relation, *self._condition(identity))

    def _subject(self, form: bytes, subject_id: bytes) -> tuple[str, str, str]:
        type_, name = self.names.form_of[form]
        return type_, self._text(subject_id), name

    def _text(self, raw: bytes) -> str:
        if is_cut(raw):
            text = self._transaction.get(raw[-DIGEST:], db=self._tables.texts)
            if text is None:
                raise IndexDamagedError("the text of a long id is missing")
            return str(text, "utf-8")
        return raw.decode()

    def _condition(self, identity: bytes) -> Condition:
        raw = self._transaction.get(identity, db=self._tables.conditions)
        if raw is None:
            raise IndexDamagedError("a condition is missing")
        return unpack_condition(raw)

    def _noted(self, key: bytes) -> dict[bytes, bytes]:
        """What the tuples under a key were before they changed, by what tells them apart: the
        first note of each since the revision that is read."""
        found: dict[bytes, bytes] = {}
        assert self._undo is not None  # only an old snapshot is noted
        if self._undo.set_range_dup(key, self._since):
            for value in self._undo.iternext_dup():
                found.setdefault(value[_REVISION + 1 :], value[: _REVISION + 1])
        return found

    def _as_before(
        self, note: bytes, key: bytes, form: bytes, subject_id: bytes, subject: Sequence[str]
    ) -> Edge | None:
        state = note[_REVISION : _REVISION + 1]
        type_, id_, name = subject
        if state == PLAIN:
            return Edge(type_, id_, name)
        if state == ABSENT:
            return None
        if state != CONDITIONED:
            raise IndexDamagedError("a note of an unknown state")
        aside = note[:_REVISION] + identity_of(key, form, subject_id)
        raw = self._transaction.get(aside, db=self._tables.undone)
        if raw is None:
            raise IndexDamagedError("a condition of the past is missing")
        return Edge(type_, id_, name, *unpack_condition(raw))


class Seen:
    """See `engine.sight.Sight`."""

    __slots__ = ("_limit", "_object_id", "_places", "_subject", "_view", "read")

    def __init__(
        self, view: View, places: Places, object_id: str, subject: PackedSubject, limit: int
    ) -> None:
        self._view = view
        self._places = places
        self._object_id = packed(object_id)
        self._subject = subject
        self._limit = limit
        self.read = 0

    def edge(self, index: int) -> Edge | None:
        """See `Sight.edge`."""
        self.read += 1
        access, wildcard = self._places.probes[index]
        if access is None:
            return None
        subject_id, subject = self._subject
        if wildcard:
            subject_id, subject = b"*", Subject(subject.type, WILDCARD, subject.relation)
        return self._view.edge_at(access, self._object_id, subject_id, subject)

    def edges(self, index: int) -> Sequence[Edge]:
        """See `Sight.edges`."""
        code, only_usersets = self._places.scans[index]
        if code is None:
            return ()
        left = self._limit - self.read
        found = self._view.edges_at(code + self._object_id, only_usersets, left)
        self.read += len(found)
        if len(found) > left:
            raise BudgetExceeded.of("reads")
        return found

    def edges_to(
        self, index: int, ids: Mapping[tuple[str, str], Collection[str]]
    ) -> Sequence[Edge]:
        """See `Sight.edges_to`."""
        code, only_usersets = self._places.scans[index]
        if code is None:
            return ()
        key = code + self._object_id
        if self._view.count(key) <= sum(map(len, ids.values())):
            return self.edges(index)
        found: list[Edge] = []
        for (type_, name), some in ids.items():
            access = self._view.names.access_by(code, type_, name)
            if access is None or (only_usersets and not name):
                continue
            for id_ in some:
                self.read += 1
                edge = self._view.edge_at(access, self._object_id, packed(id_), (type_, id_, name))
                if edge is not None:
                    found.append(edge)
        return found


PackedSubject = tuple[bytes, Subject]
"""A subject with its packed id."""


class IndexReader:
    """See `engine.reader.ReverseReader`; it never suspends."""

    def __init__(self, view: View) -> None:
        self.view = view

    def sights(self, limit: int) -> Sights:
        """See `engine.sight.NearReader.sights`."""
        view, places = self.view, self.view.names.places
        last: PackedSubject | None = None

        def sight(plan: Plan, object_id: str, subject: Subject) -> Seen:
            nonlocal last
            if last is None or last[1] is not subject:
                last = packed(subject.id), subject
            return Seen(view, places(plan), object_id, last, limit)

        return sight

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """See `Reader.fetch`."""
        edge, edges = self.view.edge, self.view.edges
        found = [edge(probe) for probe in probes]
        scanned: list[list[Edge]] = []
        for scan in scans:
            scanned.append(edges(scan, limit))
            limit -= len(scanned[-1])
            if limit < 0:
                raise BudgetExceeded.of("reads")
        return found, scanned

    async def objects_of(
        self, scans: Sequence[ReverseScan], each: int, limit: int
    ) -> Sequence[Sequence[ReverseEdge]]:
        """See `ReverseReader.objects_of`."""
        found: list[Sequence[ReverseEdge]] = []
        objects = self.view.objects
        for scan in scans:
            found.append(objects(scan, min(each, limit + 1)))
            limit -= len(found[-1])
            if limit < 0:
                raise BudgetExceeded.of("reads")
        return found
